//! Asks for the bases' `ONBUILD` instructions (their *triggers*), which may copy anything.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::remote::Remote;
use crate::error::{Error, Result};
use crate::facts::pin::Pin;
use crate::failure::FailureKind;
use crate::image::ImageReference;
use crate::inputs::ImageRequest;
use crate::key::EntryKind;
use crate::key::dockerfile::{Analysis, BaseTriggers, Role};
use crate::ports::Ports;

/// Most bases that are asked for at once.
const BASES_AT_ONCE: usize = 16;

/// Finds the triggers of the bases of reached stages. Bases without any are left out. Each base is asked for once, by
/// its digest, for the platforms that are built.
///
/// # Errors
/// If neither a base's registry nor the engine tells.
pub(super) async fn find_triggers(
    ports: &Ports,
    inputs: &ImageRequest,
    analysis: &Analysis,
    remote: &Remote,
) -> Result<Vec<BaseTriggers>> {
    let asked: Vec<String> = inputs.build.platforms.iter().map(ToString::to_string).collect();
    let mut questions: BTreeMap<(&str, String, Vec<String>), usize> = BTreeMap::new();
    for (kind, base) in &remote.images {
        let image = match &base.pin {
            Pin::Registry(reference) => reference.to_string(),
            Pin::AsWritten => base.name.clone(),
            Pin::Engine(image) => image.id.clone(),
        };
        let uses = analysis.images.iter();
        let uses = uses.filter(|image| image.role == Role::From && image.reference == base.name);
        let uses: Vec<(usize, Vec<String>)> = match kind {
            EntryKind::BaseImage => uses
                .map(|image| {
                    let own = image.platform.clone().map(|own| vec![own]);
                    (image.line, own.unwrap_or_else(|| asked.clone()))
                })
                .collect(),
            // The analysis does not tell which instruction names a build context.
            EntryKind::BuildContext => vec![(1, asked.clone())],
            _ => Vec::new(),
        };
        for (line, platforms) in uses {
            questions.entry((&base.name, image.clone(), platforms)).or_insert(line);
        }
    }
    let answers = questions.into_iter().map(async |((name, image, platforms), line)| {
        let lists =
            image_triggers(ports, &image, &platforms).await.map_err(|error| unanswered(name, &error))?;
        Ok::<_, Error>((name, line, lists))
    });
    let answers: Vec<_> = stream::iter(answers).buffered(BASES_AT_ONCE).try_collect().await?;
    let mut lists_of: BTreeMap<&str, (usize, BTreeSet<Vec<String>>)> = BTreeMap::new();
    for (name, line, lists) in answers {
        lists_of.entry(name).or_insert((line, BTreeSet::new())).1.extend(lists);
    }
    let some = lists_of.into_iter().filter(|(_, (_, lists))| lists.iter().any(|list| !list.is_empty()));
    let triggers = some.map(|(name, (line, mut lists))| {
        let only = lists.pop_first().filter(|_| lists.is_empty());
        BaseTriggers { base: name.to_owned(), line, texts: only }
    });
    Ok(triggers.collect())
}

/// The different lists of triggers that an image has on these platforms. The registry is asked first, then the engine.
async fn image_triggers(ports: &Ports, image: &str, platforms: &[String]) -> Result<BTreeSet<Vec<String>>> {
    let failed = match image.parse::<ImageReference>() {
        Ok(reference) if !image.starts_with("sha256:") => {
            match ports.registry.triggers(&reference, platforms).await {
                Ok(lists) => return Ok(lists),
                Err(error) => error,
            }
        }
        _ => Error::of(FailureKind::BadAnswer, format!("the engine does not say what {image} holds")),
    };
    match ports.docker() {
        Ok(docker) => {
            let list = docker.triggers(image).await.ok().flatten().ok_or(failed)?;
            Ok(BTreeSet::from([list]))
        }
        Err(_) => Err(failed),
    }
}

fn unanswered(name: &str, error: &Error) -> Error {
    let what = format!("failed to learn whether the base image {name} has ONBUILD instructions");
    let hint = "such instructions may copy any file, so the key depends on the answer; with `key: context` it does not";
    Error { message: what, ..error.clone() }.cause(error.headline()).hint(hint)
}
