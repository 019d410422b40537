//! Whether a base has `ONBUILD` instructions, which may copy anything.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::remote::Remote;
use crate::error::{Error, Result};
use crate::facts::bases::Pin;
use crate::image::ImageReference;
use crate::inputs::Inputs;
use crate::key::EntryKind;
use crate::key::dockerfile::{Analysis, Role};
use crate::ports::Ports;
use crate::ports::failure::FailureKind;

/// Bases that are asked for at once.
const AT_ONCE: usize = 16;

/// A base of a reached stage that has some; nothing if none has. Every base is asked for by its digest, once, for
/// the platforms that are built, side by side.
///
/// # Errors
/// If neither its registry nor the engine says.
pub(super) async fn found(
    ports: &Ports,
    inputs: &Inputs,
    analysis: &Analysis,
    remote: &Remote,
) -> Result<Option<String>> {
    let asked: Vec<String> = inputs.build.platforms.iter().map(ToString::to_string).collect();
    let mut questions: BTreeMap<(String, Vec<String>), &str> = BTreeMap::new();
    for (kind, base) in &remote.images {
        let image = match &base.pin {
            Pin::Registry(reference) => reference.to_string(),
            Pin::AsWritten => base.name.clone(),
            Pin::Engine(image) => image.id.clone(),
        };
        let uses = analysis.images.iter();
        let uses = uses.filter(|image| image.role == Role::From && image.reference == base.name);
        let platforms: Vec<Vec<String>> = match kind {
            EntryKind::BaseImage => uses
                .map(|image| image.platform.clone().map_or_else(|| asked.clone(), |own| vec![own]))
                .collect(),
            // Which instruction names a build context is not known.
            EntryKind::BuildContext => vec![asked.clone()],
            _ => Vec::new(),
        };
        for platforms in platforms {
            questions.insert((image.clone(), platforms), &base.name);
        }
    }
    let answers = questions.into_iter().map(async |((image, platforms), name)| {
        let has = one(ports, &image, &platforms).await.map_err(|error| unanswered(name, &error))?;
        Ok::<_, Error>(has.then(|| name.to_owned()))
    });
    let answers: Vec<Option<String>> = stream::iter(answers).buffered(AT_ONCE).try_collect().await?;
    Ok(answers.into_iter().flatten().next())
}

/// By its registry, else by the engine, which may hold it.
async fn one(ports: &Ports, image: &str, platforms: &[String]) -> Result<bool> {
    let failed = match image.parse::<ImageReference>() {
        Ok(reference) if !image.starts_with("sha256:") => {
            match ports.registry.has_triggers(&reference, platforms).await {
                Ok(has) => return Ok(has),
                Err(error) => error,
            }
        }
        _ => Error::of(FailureKind::BadAnswer, format!("the engine does not say what {image} holds")),
    };
    match ports.docker() {
        Ok(docker) => docker.has_triggers(image).await.ok().flatten().ok_or(failed),
        Err(_) => Err(failed),
    }
}

fn unanswered(name: &str, error: &Error) -> Error {
    let what = format!("failed to learn whether the base image {name} has ONBUILD instructions");
    let hint = "such instructions may copy any file, so the key depends on the answer; with `key: context` it does not";
    Error { message: what, ..error.clone() }.cause(error.headline()).hint(hint)
}
