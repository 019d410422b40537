//! Asks for the bases' `ONBUILD` instructions (their *triggers*), which may copy anything.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::material::{KnownTriggers, Material, Reading};
use super::remote::Remote;
use crate::error::{Error, Result};
use crate::facts::pin::Pin;
use crate::failure::FailureKind;
use crate::image::ImageReference;
use crate::inputs::ImageRequest;
use crate::key::EntryKind;
use crate::key::dockerfile::{BaseTriggers, Role};
use crate::ports::Ports;

/// Most bases that are asked for at once.
const BASES_AT_ONCE: usize = 16;

/// Finds the triggers of the bases of reached stages, for all platforms together and for each. Each base is asked for
/// once, by its digest, for the platforms that are built; none where the instructions could not be read as part of the
/// Dockerfile.
///
/// # Errors
/// If neither a base's registry nor the engine tells.
pub(super) async fn find_triggers(
    ports: &Ports,
    inputs: &ImageRequest,
    material: &Material,
    remote: &Remote,
) -> Result<KnownTriggers> {
    if material.each.is_empty() {
        let lists = lists(ports, inputs, &material.all, remote).await?;
        return Ok(KnownTriggers { all: known(&lists), each: Vec::new() });
    }
    let each = material.each.iter().map(|one| lists(ports, &one.request, &one.reading, remote));
    let each = try_join_all(each).await?;
    let mut all = Lists::new();
    for (base, (line, lists)) in each.iter().flatten().filter(|_| material.all.can_read_triggers(inputs)) {
        all.entry(base).or_insert((*line, BTreeSet::new())).1.extend(lists.iter().cloned());
    }
    Ok(KnownTriggers { all: known(&all), each: each.iter().map(known).collect() })
}

/// The different lists of triggers of each base, by its name, with the line of a `FROM` that names it.
type Lists<'a> = BTreeMap<&'a str, (usize, BTreeSet<Vec<String>>)>;

async fn lists<'a>(
    ports: &Ports,
    inputs: &ImageRequest,
    reading: &Reading,
    remote: &'a Remote,
) -> Result<Lists<'a>> {
    if !reading.can_read_triggers(inputs) {
        return Ok(Lists::new());
    }
    let asked: Vec<String> = inputs.build.platforms.iter().map(ToString::to_string).collect();
    let mut questions: BTreeMap<(&str, String, Vec<String>), usize> = BTreeMap::new();
    for (kind, base) in remote.images.iter().filter(|(kind, base)| reading.names(*kind, &base.name)) {
        let image = match &base.pin {
            Pin::Registry(reference) => reference.to_string(),
            Pin::AsWritten => base.name.clone(),
            Pin::Engine(image) => image.id.clone(),
        };
        let uses = reading.analysis.images.iter();
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
    let mut lists_of = Lists::new();
    for (name, line, lists) in answers {
        lists_of.entry(name).or_insert((line, BTreeSet::new())).1.extend(lists);
    }
    Ok(lists_of)
}

/// Bases without any triggers are left out.
fn known(lists: &Lists<'_>) -> Vec<BaseTriggers> {
    let some = lists.iter().filter(|(_, (_, lists))| lists.iter().any(|list| !list.is_empty()));
    let known = some.map(|(name, (line, lists))| BaseTriggers {
        base: (*name).to_owned(),
        line: *line,
        texts: lists.first().filter(|_| lists.len() == 1).cloned(),
    });
    known.collect()
}

/// The different lists of triggers that an image has on these platforms. The registry is asked first, then the engine.
async fn image_triggers(ports: &Ports, image: &str, platforms: &[String]) -> Result<BTreeSet<Vec<String>>> {
    let failed = match image.parse::<ImageReference>() {
        Ok(reference) if !image.starts_with("sha256:") => match ports.triggers(&reference, platforms).await {
            Ok(lists) => return Ok(lists),
            Err(error) => error,
        },
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
