//! The engine's image store as a whole: which images it has, which are in use, what takes the disk.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use serde_json::Value;

use super::{Docker, QUESTION, engine_error, listed};
use crate::budget::{ENGINE_QUESTION, LISTED};
use crate::buildkit::{StoredImage, Usage};
use crate::error::Result;
use crate::ports::clock::unix_seconds;
use crate::ports::engine::{Answer, list_path};
use crate::ports::exec::Effect;

/// How long the removal of an image may take: the engine deletes its files meanwhile.
const REMOVAL: Duration = Duration::from_mins(5);
/// How long docker may count what takes the disk.
const DISK_USAGE: Duration = Duration::from_mins(2);
/// Most rows of docker's table of that; it has four.
const USAGE_ROWS: usize = 20;
/// Questions to the engine's socket at once.
const QUESTIONS: usize = 8;
/// Most names in the arguments of one command.
const AT_ONCE: usize = 500;

impl Docker {
    /// All images with a name that fits docker's pattern `names`.
    ///
    /// # Errors
    /// If the engine does not answer, or lists too many.
    pub(crate) async fn stored_images(&self, names: &str) -> Result<Vec<StoredImage>> {
        // In all as long as the CLI may list them.
        let asked = tokio::time::timeout(QUESTION, self.ask_for_stored_images(names)).await;
        if let Answer::Found(images) = asked.unwrap_or(Ok(Answer::Unknown))? {
            return Ok(images);
        }
        let what = "failed to list the engine's images";
        let list = ["image", "ls", "--quiet", "--no-trunc", "--filter", &format!("reference={names}")];
        let ids: BTreeSet<String> = self.listed(&list, what).await?;
        let mut images = Vec::new();
        for ids in in_parts(&ids) {
            let inspect = self.command(Effect::Read).args(["image", "inspect"]).args(ids);
            let done = self.run(&inspect, QUESTION).await?;
            // Another job may have removed one since; docker tells the others all the same.
            images.extend(StoredImage::parse_all(&done.stdout, unix_seconds()));
        }
        Ok(images)
    }

    /// The same from the engine's socket.
    async fn ask_for_stored_images(&self, names: &str) -> Result<Answer<Vec<StoredImage>>> {
        let Some(path) = list_path(names) else { return Ok(Answer::Unknown) };
        let ids = |list: &Value| {
            let id = |image: &Value| image["Id"].as_str().map(str::to_owned);
            list.as_array()?.iter().map(id).collect::<Option<BTreeSet<String>>>()
        };
        let list = self.ask(&path, ENGINE_QUESTION, ids).await?;
        let Answer::Found(ids) = list else { return Ok(Answer::Unknown) };
        // The CLI's error tells of too many.
        if ids.len() > LISTED {
            return Ok(Answer::Unknown);
        }
        let now = unix_seconds();
        let mut answers = stream::iter(ids.iter().map(|id| self.ask_for_image(id))).buffered(QUESTIONS);
        let mut images = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer? {
                Answer::Found(image) => images.extend(StoredImage::read(&image, now)),
                // Another job has removed it since.
                Answer::Missing => {}
                Answer::Unknown => return Ok(Answer::Unknown),
            }
        }
        Ok(Answer::Found(images))
    }

    /// The ids of all images that a container uses, running or not.
    ///
    /// # Errors
    /// If the engine does not answer, or lists too many.
    pub(crate) async fn images_in_use(&self) -> Result<BTreeSet<String>> {
        let what = "failed to list the engine's containers";
        let list = ["container", "ls", "--all", "--quiet", "--no-trunc"];
        let containers: BTreeSet<String> = self.listed(&list, what).await?;
        let mut used = BTreeSet::new();
        for ids in in_parts(&containers) {
            let inspect = ["container", "inspect", "--format", "{{.Image}}"];
            let done = self.run(&self.command(Effect::Read).args(inspect).args(ids), QUESTION).await?;
            let gone = |line: &str| line.to_ascii_lowercase().contains("no such container");
            if !done.status.success() && !done.stderr_text().lines().all(gone) {
                return Err(engine_error("failed to look at the engine's containers", &done));
            }
            used.extend(listed::<BTreeSet<String>>(&done.stdout, what)?);
        }
        Ok(used)
    }

    /// Removes an image that no container uses: first its names, then, if it is still there, itself. Without force, so that
    /// the engine refuses what is in use or has another name by now.
    ///
    /// # Errors
    /// With the engine's message.
    pub(crate) async fn remove_image(&self, id: &str, names: &[String]) -> Result<()> {
        let remove = self.command(Effect::Write).args(["image", "rm"]).args(names).arg(id);
        let done = self.run(&remove, REMOVAL).await?;
        let gone = |line: &str| line.to_ascii_lowercase().contains("no such image");
        if done.status.success() || done.stderr_text().lines().all(gone) {
            return Ok(());
        }
        Err(engine_error(&format!("failed to remove the image {id}"), &done))
    }

    /// docker's own table of what takes the disk: images, containers, volumes, build cache.
    ///
    /// # Errors
    /// If docker cannot be asked.
    pub(crate) async fn disk_usage(&self) -> Result<Vec<Usage>> {
        if let Answer::Found(rows) = self.ask("/system/df", QUESTION, Usage::read_all).await? {
            return Ok(rows);
        }
        let usage = self.command(Effect::Read).args(["system", "df", "--format", "{{json .}}"]);
        let done = self.list(&usage, DISK_USAGE, "failed to ask docker what takes the disk").await?;
        let rows = done.stdout_text().lines().take(USAGE_ROWS).map(Usage::parse).collect::<Vec<_>>();
        Ok(rows.into_iter().flatten().collect())
    }
}

fn in_parts(names: &BTreeSet<String>) -> impl Iterator<Item = Vec<&String>> {
    let names: Vec<&String> = names.iter().collect();
    (0..names.len())
        .step_by(AT_ONCE)
        .map(move |from| names.iter().skip(from).take(AT_ONCE).copied().collect())
}
