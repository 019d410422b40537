//! All reads, in as few round trips as their order allows.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};

use super::lookups::{Lookup, LookupBy, LookupResult, judge, look_up, wait_for};
use super::pin::Pin;
use super::{
    BuilderFacts, ImageFacts, LateFacts, Local, RepositoryFact, Toolchain, builders, caches, explain, key,
    local, merge, repository, toolchain,
};
use crate::error::{Error, Result};
use crate::image::{Digest, ImageReference, Repository};
use crate::inputs::{ImageRequest, Mode, OnMissing, Switch};
use crate::key::BuildKey;
use crate::ports::Ports;
use crate::ports::registry::Probe;
use crate::trust::{Access, ImageRun, LocalNames, ZoneNames};

/// Whether the image is wanted in the engine's store.
#[must_use]
pub(crate) fn wants_local(inputs: &ImageRequest, has_repository: bool) -> bool {
    match inputs.load {
        Switch::On => true,
        Switch::Off => false,
        Switch::Auto => inputs.settings.mode == Mode::Pull || !has_repository,
    }
}

/// Images that are looked for at once.
const AT_ONCE: usize = 16;

/// Finds out what the decisions rest on, side by side. What cannot be read or resolved of one image's key is that
/// image's error.
///
/// # Errors
/// If a source names no repository. A registry that does not answer is a fact, not an error.
pub(crate) async fn gather(ports: &Ports, images: &[ImageRun<'_>]) -> Result<Vec<Result<ImageFacts>>> {
    let requests: Vec<&ImageRequest> = images.iter().map(|image| image.request).collect();
    let repository = repository::resolve(&requests, &ports.env, &ports.aws).await?;
    let pr = requests.first().and_then(|request| request.settings.pr_repository.as_ref());
    if let Some(pr) = pr.filter(|pr| repository.repository().is_some_and(|home| pr.is(home))) {
        return Err(Error::input(format!("pr-repository: {pr} is the repository itself"))
            .hint("name another one, or leave it out"));
    }
    let repository = Arc::new(repository);
    let asked = images.iter().map(|image| of_image(ports, *image, Arc::clone(&repository)));
    Ok(stream::iter(asked).buffered(AT_ONCE).collect().await)
}

async fn of_image(ports: &Ports, image: ImageRun<'_>, repository: Arc<RepositoryFact>) -> Result<ImageFacts> {
    let ImageRun { request, run, .. } = image;
    let home = repository.repository();
    let names = home.map(|home| image.names(home));
    if request.settings.mode == Mode::Merge {
        let places = names.map(|names| names.repositories()).unwrap_or_default();
        let found = merge::gather(&ports.registry, &request.parts, &places).await?;
        return Ok(ImageFacts { parts: found, ..ImageFacts::of(Arc::clone(&repository)) });
    }
    if let Some(digest) = &request.digest {
        let (lookups, local) = by_digest(ports, image, home, digest).await?;
        return Ok(ImageFacts { lookups, local, ..ImageFacts::of(Arc::clone(&repository)) });
    }
    let commit = names.and_then(|names| names.commit());
    // The commit's tag is asked for while the key is still being computed.
    let (key, commit_probe) = tokio::join!(key::compute(ports, request, run, home.is_none()), async {
        match &commit {
            Some(reference) => Some(ports.registry.probe(reference).await),
            None => None,
        }
    });
    let mut computed = key?;
    let asked = Asked { ports, image, names, commit: commit.zip(commit_probe) };
    let waits = request.settings.mode == Mode::Pull && request.settings.on_missing == OnMissing::Wait;
    let mut found = asked.under(&computed.key, false).await?;
    if !found.is_found() {
        let other;
        (computed, other) = computed.settle(ports, request, run).await?;
        if other || waits {
            found = asked.under(&computed.key, waits).await?;
        }
    }
    let key::Computed { key, bases, pins, .. } = computed;
    let Found { lookups, local } = found;
    Ok(ImageFacts { key: Some(key), bases, pins, lookups, local, ..ImageFacts::of(Arc::clone(&repository)) })
}

/// Where an image of a key may be.
struct Asked<'a> {
    ports: &'a Ports,
    image: ImageRun<'a>,
    names: Option<ZoneNames<'a>>,
    /// What the commit's tag names, whatever its key.
    commit: Option<(ImageReference, Probe)>,
}

/// Where an image of a key is.
struct Found {
    lookups: Vec<Lookup>,
    local: Local,
}

impl Found {
    /// Whether the image is there to be used.
    fn is_found(&self) -> bool {
        self.local.of_key.is_some() || found(&self.lookups).is_some()
    }
}

impl Asked<'_> {
    /// Looks in the registry and in the engine's store. `wait`: until it is there, or `wait-timeout` is over.
    async fn under(&self, key: &BuildKey, wait: bool) -> Result<Found> {
        let Self { ports, image, names, .. } = self;
        let inputs = image.request;
        let private = LocalNames::new(*image).of_key(key.short());
        let (mut lookups, mut local) = (Vec::new(), Local::default());
        if let Some((reference, probe)) = self.commit.clone() {
            lookups.push(judge(&ports.registry, LookupBy::CommitTag, reference, probe, Some(&key.hex)).await);
        }
        // What is here already need not be waited for.
        if names.is_none() || (wait && !lookups.iter().any(settles)) {
            local.of_key = local::with_key(&ports.docker()?, &private, &key.hex).await?;
        }
        let patient = (wait && local.of_key.is_none()).then_some(inputs.settings.wait_timeout);
        lookups.extend(by_key(ports, patient, *names, key, &lookups).await);
        // A run that was cancelled may have left it out.
        if let Some(key_tag) = self.missing_beside(&lookups, key) {
            lookups.push(look_up(&ports.registry, LookupBy::KeyTag, key_tag, Some(&key.hex)).await);
        }
        if let Some(found) = found(&lookups) {
            // Without docker nothing can be loaded: that is said where the plan is executed.
            if wants_local(inputs, names.is_some())
                && let Ok(docker) = ports.docker()
            {
                local.of_digest = docker.inspect(&found.to_string()).await?;
            }
        } else if names.is_some() && local.of_key.is_none() && may_use_own(inputs, image.access, &lookups) {
            // The way out, and no more: what comes next says what is wrong with the engine.
            if let Ok(docker) = ports.docker() {
                local.of_key = local::with_key(&docker, &private, &key.hex).await.unwrap_or_default();
            }
        }
        Ok(Found { lookups, local })
    }

    /// The key's tag, where the commit's was found and this run may set the other.
    fn missing_beside(&self, lookups: &[Lookup], key: &BuildKey) -> Option<ImageReference> {
        let by_commit = lookups.iter().any(|lookup| {
            lookup.at == LookupBy::CommitTag && matches!(lookup.seen, LookupResult::Match { .. })
        });
        let names = self.names.filter(|_| by_commit && self.image.request.settings.mode == Mode::Build)?;
        names.written(key.short()).key_tag
    }
}

/// Whether a lookup settles where the image is, or that the registry cannot say.
fn settles(lookup: &Lookup) -> bool {
    matches!(lookup.seen, LookupResult::Match { .. } | LookupResult::Unknown(_))
}

/// Whether the repository of this reference is known not to exist.
fn is_nowhere(lookups: &[Lookup], reference: &ImageReference) -> bool {
    let gone = |lookup: &&Lookup| lookup.seen == LookupResult::Absent { no_repository: true };
    lookups.iter().filter(gone).any(|lookup| lookup.reference.repository() == reference.repository())
}

/// Whether the engine's image of the key will do where the registry names none: unless the run
/// publishes, or the registry does not say.
fn may_use_own(inputs: &ImageRequest, access: &Access, lookups: &[Lookup]) -> bool {
    inputs.settings.mode == Mode::Pull
        || !access.write_images
        || lookups.iter().any(|lookup| matches!(lookup.seen, LookupResult::Unknown(_)))
}

/// The image that was found, by digest.
fn found(lookups: &[Lookup]) -> Option<ImageReference> {
    lookups.iter().find_map(|lookup| match &lookup.seen {
        LookupResult::Match { digest, .. } => Some(lookup.reference.repository().at(digest.clone())),
        _ => None,
    })
}

async fn by_key(
    ports: &Ports,
    patient: Option<Duration>,
    names: Option<ZoneNames<'_>>,
    key: &BuildKey,
    earlier: &[Lookup],
) -> Vec<Lookup> {
    let Some(names) = names else { return Vec::new() };
    if earlier.iter().any(settles) {
        return Vec::new();
    }
    let mut references = names.of_key(key.short());
    references.retain(|reference| !is_nowhere(earlier, reference));
    if let Some(limit) = patient {
        return wait_for(&ports.registry, limit, LookupBy::KeyTag, &references, Some(&key.hex)).await;
    }
    let mut lookups = Vec::new();
    for reference in references {
        if is_nowhere(&lookups, &reference) {
            continue;
        }
        // One after the other: on one connection, and most often the first answers.
        let lookup = look_up(&ports.registry, LookupBy::KeyTag, reference, Some(&key.hex)).await;
        let ended = settles(&lookup);
        lookups.push(lookup);
        if ended {
            break;
        }
    }
    lookups
}

/// A digest may be in either repository: where the image was found, or where it was built.
async fn by_digest(
    ports: &Ports,
    image: ImageRun<'_>,
    home: Option<&Repository>,
    digest: &Digest,
) -> Result<(Vec<Lookup>, Local)> {
    let settings = &image.request.settings;
    let Some(home) = home else { return Ok((Vec::new(), Local::default())) };
    let repositories = image.names(home).repositories();
    let references: Vec<ImageReference> =
        repositories.into_iter().map(|home| home.at(digest.clone())).collect();
    let own_copy = async {
        let mut local = Local::default();
        if wants_local(image.request, true)
            && let Ok(docker) = ports.docker()
        {
            for reference in &references {
                local.of_digest = docker.inspect(&reference.to_string()).await?;
                if local.of_digest.is_some() {
                    break;
                }
            }
        }
        Ok::<_, Error>(local)
    };
    if settings.on_missing == OnMissing::Wait {
        let local = own_copy.await?;
        let limit = if local.of_digest.is_some() { Duration::ZERO } else { settings.wait_timeout };
        let lookups = wait_for(&ports.registry, limit, LookupBy::Digest, &references, None).await;
        return Ok((lookups, local));
    }
    let ask = async {
        let mut lookups = Vec::new();
        for reference in &references {
            let lookup = look_up(&ports.registry, LookupBy::Digest, reference.clone(), None).await;
            let ended = settles(&lookup);
            lookups.push(lookup);
            if ended {
                break;
            }
        }
        lookups
    };
    let (lookups, local) = tokio::join!(ask, own_copy);
    Ok((lookups, local?))
}

/// Whether the image has what not every engine's store holds.
fn needs_store(inputs: &ImageRequest) -> bool {
    let build = &inputs.build;
    build.makes_index() || !build.annotations.is_empty() || build.compression.is_asked()
}

/// What a build needs to know beside the facts of every run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ForBuild {
    /// Whether the registry can be used at all: caches, pins.
    pub shared: bool,
    /// Whether the image is wanted in the engine's store.
    pub load: bool,
}

/// Finds out what only builds need. `tools_known` is told as soon as a builder can be chosen, while other questions
/// are still under way.
///
/// # Errors
/// If there is no docker, no buildx, or no builder that answers.
pub(crate) async fn gather_late(
    ports: &Ports,
    builds: &[(ImageRun<'_>, &ImageFacts, ForBuild)],
    tools_known: impl FnOnce(&Toolchain, &BuilderFacts),
) -> Result<Vec<LateFacts>> {
    let docker = ports.docker()?;
    let on_engine = |facts: &ImageFacts| facts.bases.iter().any(|base| matches!(base.pin, Pin::Engine(_)));
    let on_engine = builds.iter().any(|(_, facts, _)| on_engine(facts));
    let needs_store = builds.iter().any(|(image, _, wanted)| wanted.load && needs_store(image.request));
    let images: Vec<ImageRun<'_>> = builds.iter().map(|(image, ..)| *image).collect();
    let tools = async {
        let settings = images.first().map(|image| &image.request.settings.builder);
        let toolchain = toolchain::gather(&docker, settings, on_engine, needs_store).await?;
        let builders = builders::gather(ports, &docker, &images, &toolchain).await?;
        tools_known(&toolchain, &builders);
        Ok::<_, Error>((Arc::new(toolchain), Arc::new(builders)))
    };
    let each = join_all(builds.iter().map(async |(image, facts, wanted)| {
        tokio::join!(
            caches::caches(ports, *image, facts, wanted.shared),
            // Where a build is asked for, nothing was missed.
            async { if image.request.rebuild { None } else { explain::miss(ports, *image, facts).await } },
        )
    }));
    let (tools, each) = tokio::join!(tools, each);
    let (toolchain, builders) = tools?;
    let late = |(caches, miss)| LateFacts {
        toolchain: Some(Arc::clone(&toolchain)),
        builders: Arc::clone(&builders),
        caches,
        miss,
    };
    Ok(each.into_iter().map(late).collect())
}
