//! Reads all facts, in as few round trips as their order allows.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};

use super::lookups::{Lookup, LookupBy, LookupResult, judge, look_up, wait_for};
use super::pin::Pin;
use super::{
    BuilderFacts, ImageFacts, LateFacts, Local, PlatformFacts, RepositoryFact, StoreFacts, Toolchain,
    builders, caches, explain, gather_store, key, local, merge, platforms, repository, set_up, tags,
    toolchain,
};
use crate::error::{Error, Result};
use crate::image::{Digest, ImageReference, Repository};
use crate::inputs::{ImageRequest, Mode, OnMissing, Switch};
use crate::key::{BuildKey, PlatformKey};
use crate::ports::Ports;
use crate::ports::registry::Probe;
use crate::trust::{Access, ImageRun, LocalNames, ZoneNames};

/// Tells whether the run must put the image into the engine's store.
#[must_use]
pub(crate) fn wants_local(inputs: &ImageRequest, has_repository: bool) -> bool {
    match inputs.load {
        _ if inputs.settings.mode == Mode::Plan => false,
        Switch::On => true,
        Switch::Off => false,
        Switch::Auto => inputs.settings.mode == Mode::Pull || !has_repository,
    }
}

/// Most images that are looked for at once.
const IMAGES_AT_ONCE: usize = 16;

/// What [`gather`] reads.
pub(crate) struct Gathered {
    /// The facts of each image, in the request's order.
    pub images: Vec<Result<ImageFacts>>,
    /// The engine's store, if the run is to report on it.
    pub store: Option<StoreFacts>,
}

/// Reads the facts of all images side by side, and those of the engine's store for the report. If a key cannot be computed,
/// that image has the error.
///
/// # Errors
/// If a source names no repository. A registry that does not answer is a fact, not an error.
pub(crate) async fn gather(ports: &Ports, images: &[ImageRun<'_>]) -> Result<Gathered> {
    let store = async {
        let Some(image) = images.first().filter(|image| image.request.settings.store.report) else {
            return Ok(None);
        };
        Ok(Some(gather_store(ports, &image.request.settings, &image.access.place).await))
    };
    // First the engine, which counts for longest.
    let (store, images) = tokio::try_join!(store, gather_images(ports, images))?;
    Ok(Gathered { images, store })
}

async fn gather_images(ports: &Ports, images: &[ImageRun<'_>]) -> Result<Vec<Result<ImageFacts>>> {
    let requests: Vec<&ImageRequest> = images.iter().map(|image| image.request).collect();
    let repository = repository::resolve(&requests, &ports.env, &ports.aws).await?;
    let pr = requests.first().and_then(|request| request.settings.pr_repository.as_ref());
    if let Some(pr) = pr.filter(|pr| repository.repository().is_some_and(|home| pr.is(home))) {
        return Err(Error::input(format!("pr-repository: {pr} is the repository itself"))
            .hint("name another one, or leave it out"));
    }
    set_up::check_names(images, repository.repository())?;
    let repository = Arc::new(repository);
    let facts = images.iter().map(|image| gather_image(ports, *image, Arc::clone(&repository)));
    let facts = stream::iter(facts).buffered(IMAGES_AT_ONCE).collect::<Vec<_>>();
    let (mut facts, set_up) = tokio::join!(facts, set_up::gather(ports, images, repository.repository()));
    let set_up = Arc::new(set_up);
    facts.iter_mut().flatten().for_each(|facts| facts.set_up = Arc::clone(&set_up));
    Ok(facts)
}

async fn gather_image(
    ports: &Ports,
    image: ImageRun<'_>,
    repository: Arc<RepositoryFact>,
) -> Result<ImageFacts> {
    let ImageRun { request, run, .. } = image;
    let home = repository.repository();
    let names = home.map(|home| image.names(home));
    if request.settings.mode == Mode::Merge && !request.parts.is_empty() {
        let places = names.map(|names| names.repositories()).unwrap_or_default();
        let (found, tags) = tokio::join!(
            merge::gather(&ports.registry, &request.parts, &places),
            tags::gather(ports, image, home, None)
        );
        return Ok(ImageFacts { parts: found?, tags, ..ImageFacts::empty(Arc::clone(&repository)) });
    }
    if let Some(digest) = &request.digest {
        let (lookups, local) = look_up_digest(ports, image, home, digest).await?;
        return Ok(ImageFacts { lookups, local, ..ImageFacts::empty(Arc::clone(&repository)) });
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
    let search = Search { ports, image, names, commit: commit.zip(commit_probe) };
    let waits = request.settings.mode == Mode::Pull && request.settings.on_missing == OnMissing::Wait;
    let mut found = search.by_key(&computed.key, false).await?;
    if !found.has_image() {
        let changed;
        (computed, changed) = computed.settle(ports, request, run).await?;
        if changed || waits {
            found = search.by_key(&computed.key, waits).await?;
        }
    }
    let key::Computed { key, platforms, bases, pins, .. } = computed;
    let platforms = search.platforms(&platforms, &found).await;
    let Found { lookups, local } = found;
    let own = matched(&lookups).filter(|_| !request.rebuild);
    let tags = tags::gather(ports, image, home, own.as_ref().and_then(ImageReference::digest)).await;
    Ok(ImageFacts {
        key: Some(key),
        platforms,
        bases,
        pins,
        lookups,
        local,
        tags,
        ..ImageFacts::empty(Arc::clone(&repository))
    })
}

/// A search for the image of a key, in the registry and on the engine.
struct Search<'a> {
    ports: &'a Ports,
    image: ImageRun<'a>,
    names: Option<ZoneNames<'a>>,
    /// The commit's tag and the image under it, of any key.
    commit: Option<(ImageReference, Probe)>,
}

/// The result of a [`Search`].
struct Found {
    lookups: Vec<Lookup>,
    local: Local,
}

impl Found {
    /// Tells whether the run can use an existing image.
    fn has_image(&self) -> bool {
        self.local.of_key.is_some() || matched(&self.lookups).is_some()
    }
}

impl Search<'_> {
    /// Looks in the registry and on the engine. With `wait`, asks again until the image is there or `wait-timeout` is over.
    async fn by_key(&self, key: &BuildKey, wait: bool) -> Result<Found> {
        let Self { ports, image, names, .. } = self;
        let inputs = image.request;
        let private = LocalNames::new(*image).of_key(key.short());
        let (mut lookups, mut local) = (Vec::new(), Local::default());
        if let Some((reference, probe)) = self.commit.clone() {
            lookups.push(judge(&ports.registry, LookupBy::CommitTag, reference, probe, Some(&key.hex)).await);
        }
        // The run does not wait for an image that the engine has.
        let on_engine = names.is_none() && inputs.settings.mode != Mode::Plan;
        if on_engine || (wait && !lookups.iter().any(Lookup::settles)) {
            local.of_key = local::find_by_key(&ports.docker()?, &private, &key.hex).await?;
        }
        let patient = (wait && local.of_key.is_none()).then_some(inputs.settings.wait_timeout);
        lookups.extend(look_up_key(ports, patient, *names, key, &lookups).await);
        // A run that was cancelled may have set the commit's tag only.
        if let Some(key_tag) = self.unset_key_tag(&lookups, key) {
            lookups.push(look_up(&ports.registry, LookupBy::KeyTag, key_tag, Some(&key.hex)).await);
        }
        if let Some(found) = matched(&lookups) {
            // Without docker the image cannot be loaded; the execution tells that.
            if wants_local(inputs, names.is_some())
                && let Ok(docker) = ports.docker()
            {
                local.of_digest = docker.inspect(&found.to_string()).await?;
            }
        } else if names.is_some() && local.of_key.is_none() && may_use_own(inputs, image.access, &lookups) {
            // If the engine does not answer, a later step reports it.
            if let Ok(docker) = ports.docker() {
                local.of_key = local::find_by_key(&docker, &private, &key.hex).await.unwrap_or_default();
            }
        }
        Ok(Found { lookups, local })
    }

    /// The platforms. Where the image as a whole is not there, they are looked for, unless the run has no use for them.
    async fn platforms(&self, keys: &[PlatformKey], found: &Found) -> Vec<PlatformFacts> {
        let request = self.image.request;
        let wanted = request.settings.mode != Mode::Pull && !request.rebuild && !found.has_image();
        // A registry that did not answer is not asked again.
        let lacks = found.lookups.iter().any(|lookup| {
            matches!(lookup.seen, LookupResult::Unknown(_) | LookupResult::Absent { no_repository: true })
        });
        match self.names.filter(|_| wanted && !lacks) {
            Some(names) => platforms::look_up_each(&self.ports.registry, names, None, keys).await,
            None => platforms::unasked(keys),
        }
    }

    /// The key's tag, if only the commit's tag was looked up and found, and this run may set the key's.
    fn unset_key_tag(&self, lookups: &[Lookup], key: &BuildKey) -> Option<ImageReference> {
        let by_commit = lookups.iter().any(|lookup| {
            lookup.at == LookupBy::CommitTag && matches!(lookup.seen, LookupResult::Match { .. })
        });
        let names = self.names.filter(|_| by_commit && self.image.request.settings.mode == Mode::Build)?;
        names.written(key.short()).key_tag
    }
}

/// Tells whether an earlier look-up showed that the reference's repository does not exist.
fn lacks_repository(lookups: &[Lookup], reference: &ImageReference) -> bool {
    let gone = |lookup: &&Lookup| lookup.seen == LookupResult::Absent { no_repository: true };
    lookups.iter().filter(gone).any(|lookup| lookup.reference.repository() == reference.repository())
}

/// Tells whether the engine's image of the key may be used if the registry has none. A run that publishes builds instead,
/// unless the registry did not answer.
fn may_use_own(inputs: &ImageRequest, access: &Access, lookups: &[Lookup]) -> bool {
    inputs.settings.mode == Mode::Pull
        || !access.write_images
        || lookups.iter().any(|lookup| matches!(lookup.seen, LookupResult::Unknown(_)))
}

/// The image that was found in the registry, by digest.
fn matched(lookups: &[Lookup]) -> Option<ImageReference> {
    lookups.iter().find_map(|lookup| match &lookup.seen {
        LookupResult::Match { digest, .. } => Some(lookup.reference.repository().at(digest.clone())),
        _ => None,
    })
}

/// Looks the key's tags up, own zone first. With `patient`, waits so long for one of them.
async fn look_up_key(
    ports: &Ports,
    patient: Option<Duration>,
    names: Option<ZoneNames<'_>>,
    key: &BuildKey,
    earlier: &[Lookup],
) -> Vec<Lookup> {
    let Some(names) = names else { return Vec::new() };
    if earlier.iter().any(Lookup::settles) {
        return Vec::new();
    }
    let mut references = names.of_key(key.short());
    references.retain(|reference| !lacks_repository(earlier, reference));
    if let Some(limit) = patient {
        return wait_for(&ports.registry, limit, LookupBy::KeyTag, &references, Some(&key.hex)).await;
    }
    let mut lookups = Vec::new();
    for reference in references {
        if lacks_repository(&lookups, &reference) {
            continue;
        }
        // One after the other, because most often the first is there.
        let lookup = look_up(&ports.registry, LookupBy::KeyTag, reference, Some(&key.hex)).await;
        let ended = lookup.settles();
        lookups.push(lookup);
        if ended {
            break;
        }
    }
    lookups
}

/// Looks up the input `digest`, in each repository that the run reads.
async fn look_up_digest(
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
            let ended = lookup.settles();
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

/// Explains why images are missing, where nothing is built. `None` for one whose key is not the reason.
pub(crate) async fn explain_misses(
    ports: &Ports,
    missing: &[(ImageRun<'_>, &ImageFacts)],
) -> Vec<Option<explain::Miss>> {
    let miss = missing.iter().map(async |(image, facts)| {
        if image.request.rebuild { None } else { explain::explain_miss(ports, *image, facts).await }
    });
    stream::iter(miss).buffered(IMAGES_AT_ONCE).collect().await
}

/// Tells whether the image has parts that not every engine's store can hold.
fn needs_store(inputs: &ImageRequest) -> bool {
    let build = &inputs.build;
    build.makes_index() || !build.annotations.is_empty() || build.compression.is_asked()
}

/// The conditions of one build that decide which late facts it needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ForBuild {
    /// The registry can be used for caches and pins.
    pub shared: bool,
    /// Tells whether the run must put the image into the engine's store.
    pub load: bool,
}

/// Reads the facts that only builds need. Calls `tools_known` as soon as a builder can be chosen, while other questions
/// are still open.
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
            caches::find_caches(ports, *image, facts, wanted.shared),
            // With `rebuild: true` a build is no miss.
            async {
                if image.request.rebuild { None } else { explain::explain_miss(ports, *image, facts).await }
            },
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
