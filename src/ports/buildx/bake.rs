//! Asks `docker buildx bake --print` what a definition describes.

use super::{Buildx, QUESTION};
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::inputs::BakeQuestion;
use crate::ports::exec::{Effect, last_line};

impl Buildx {
    /// What bake prints: JSON of groups and targets. `variables`: what the definition may read of the environment.
    ///
    /// # Errors
    /// With bake's own message, and its file and line.
    pub(crate) async fn print_bake(
        &self,
        question: &BakeQuestion,
        variables: Vec<(&str, &str)>,
    ) -> Result<Vec<u8>> {
        let mut print = self.command(Effect::Read).args(["bake", "--print"]);
        for file in &question.files {
            print = print.args(["--file", file]);
        }
        for value in &question.set {
            print = print.args(["--set", value]);
        }
        let print = print.arg("--").args(&question.targets);
        let print = variables
            .into_iter()
            .fold(print, |print, (name, value)| print.env(name, value.to_owned().into()));
        let done = self.docker.run(&print, QUESTION).await?;
        if done.status.success() {
            return Ok(done.stdout);
        }
        let text = last_line(&done);
        let text = text.strip_prefix("ERROR: ").unwrap_or(&text);
        let error =
            Error::of(FailureKind::BadInput, "docker buildx bake cannot read the definition").cause(text);
        Err(match place(text) {
            Some((file, line)) => error.at(file, line),
            None => error,
        })
    }
}

/// File and line of `docker-bake.hcl:4,34-44: …`.
fn place(text: &str) -> Option<(String, usize)> {
    let (file, rest) = text.split_once(':')?;
    let line = rest.split([',', ':']).next()?.parse().ok()?;
    (!file.contains(' ')).then(|| (file.to_owned(), line))
}
