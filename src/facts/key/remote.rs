//! Looks up the images, git repositories and URLs that the key depends on, side by side.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::future::try_join_all;

use super::Pins;
use super::contexts::NamedContexts;
use crate::buildkit::SourcePin;
use crate::error::{Error, Result};
use crate::facts::bases::{Base, resolve};
use crate::facts::engine_base::Engine;
use crate::facts::pin::Pin;
use crate::facts::sources::{self, AddedSource, GitSource};
use crate::image::ImageReference;
use crate::key::EntryKind;
use crate::key::dockerfile::Analysis;
use crate::ports::Ports;

/// The answers of other machines.
#[derive(Debug, Default)]
pub(super) struct Remote {
    /// The frontend, the bases and the build contexts that are images.
    pub images: Vec<(EntryKind, Base)>,
    pub sources: Vec<AddedSource>,
    /// The build contexts that are git repositories, by name.
    pub repositories: Vec<(String, GitSource)>,
}

/// Resolves the frontend, every base, every build context that is an image or a repository, and every remote source
/// of `ADD`. Images and repositories in `known` are not asked for again.
///
/// # Errors
/// If the content of one cannot be learned.
pub(super) async fn look_up_remote(
    ports: &Ports,
    analysis: &Analysis,
    contexts: &NamedContexts,
    file: &Path,
    engine: Option<Engine<'_>>,
    known: Remote,
) -> Result<Remote> {
    let mut wanted: Vec<(EntryKind, &str, &str, usize)> = Vec::new();
    if let Some(frontend) = &analysis.frontend {
        wanted.push((EntryKind::Frontend, &frontend.reference, &frontend.reference, frontend.line));
    }
    for image in &analysis.images {
        if !wanted.iter().any(|(kind, name, ..)| *kind == EntryKind::BaseImage && *name == image.reference) {
            wanted.push((EntryKind::BaseImage, &image.reference, &image.reference, image.line));
        }
    }
    for (name, reference) in &contexts.images {
        wanted.push((EntryKind::BuildContext, name, reference, 0));
    }
    wanted
        .retain(|(kind, name, ..)| !known.images.iter().any(|(own, base)| own == kind && base.name == *name));
    let images = try_join_all(wanted.into_iter().map(async |(kind, name, reference, line)| {
        let engine = engine.filter(|_| kind == EntryKind::BaseImage);
        let base = resolve(ports, reference, (file, line), engine).await?;
        // The build gets a context by its own name, pinned.
        let is_context = kind == EntryKind::BuildContext;
        let base = if is_context { Base { name: name.to_owned(), pin: context_pin(base)? } } else { base };
        Ok::<_, Error>((kind, base))
    }));
    let new = contexts
        .repositories
        .iter()
        .filter(|(name, _)| !known.repositories.iter().any(|(own, _)| own == name));
    let repositories = try_join_all(new.map(async |(name, url)| {
        let repository = sources::look_up_build_context(ports, name, url).await?;
        Ok::<_, Error>((name.clone(), repository))
    }));
    let file_name = file.display().to_string();
    let (images, repositories, sources) =
        tokio::join!(images, repositories, sources::look_up_added(ports, analysis, &file_name));
    let mut remote = known;
    remote.images.extend(images?);
    remote.sources = sources?;
    remote.repositories.extend(repositories?);
    unify_pins(&mut remote.images);
    Ok(remote)
}

/// Gives two names of one image (`node`, `node:latest`) the first one's pin, also if the tag moved between the two
/// questions: the builder knows the image by one name.
fn unify_pins(images: &mut [(EntryKind, Base)]) {
    let mut known: BTreeMap<ImageReference, Pin> = BTreeMap::new();
    for (kind, base) in images {
        if let (EntryKind::BaseImage, Ok(name)) = (kind, base.name.parse()) {
            base.pin = known.entry(name).or_insert_with(|| base.pin.clone()).clone();
        }
    }
}

/// The pin of a build context: always a reference, because the context's name says nothing of its image.
fn context_pin(base: Base) -> Result<Pin> {
    match base.pin {
        Pin::AsWritten => base
            .name
            .parse()
            .map(Pin::Registry)
            .map_err(|error| Error::input("build-contexts").because(&error)),
        pin => Ok(pin),
    }
}

/// Collects what holds the build to the content that the key was computed from.
pub(super) fn pins(analysis: &Analysis, remote: &Remote, context: Option<&GitSource>) -> Pins {
    let frontend =
        remote.images.iter().find_map(|(kind, base)| match (kind, &base.pin, &analysis.frontend) {
            (EntryKind::Frontend, Pin::Registry(reference), Some(frontend)) => {
                // The rest of the directive is the frontend's arguments.
                let rest = frontend.directive.strip_prefix(&frontend.reference).unwrap_or_default();
                Some(format!("{reference}{rest}"))
            }
            _ => None,
        });
    let mut contexts = Vec::new();
    for (kind, base) in &remote.images {
        if let (EntryKind::BuildContext, Pin::Registry(reference)) = (kind, &base.pin) {
            contexts.push((base.name.clone(), format!("docker-image://{reference}")));
        }
    }
    let looked_up = remote.sources.iter().filter(|source| source.looked_up);
    let mut sources: Vec<SourcePin> = looked_up.map(|source| source.pin.clone()).collect();
    let mut hold = |repository: &GitSource| {
        let (url, pin) = repository.held();
        sources.extend(pin);
        url
    };
    for (name, repository) in &remote.repositories {
        contexts.push((name.clone(), hold(repository)));
    }
    let context = context.map(hold);
    let registries = remote.images.iter().filter_map(|(_, base)| base.registry()).collect();
    Pins {
        frontend,
        frontend_name: analysis.frontend.as_ref().map(|frontend| frontend.reference.clone()),
        context,
        contexts,
        sources,
        foreign_frontend: analysis.frontend.as_ref().is_some_and(|frontend| !frontend.official),
        stage_names: analysis.stage_names.clone(),
        from_platform: analysis.from_platform.clone(),
        registries,
        ignore: None,
        epoch: None,
    }
}
