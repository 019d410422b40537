//! Reads all facts, in as few round trips as their order allows.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};

use super::lookups::{Lookup, LookupBy, LookupResult, judge, look_up, wait_for};
use super::pin::Pin;
use super::{
    BuilderFacts, ImageFacts, LateFacts, Local, PartFact, PlatformFacts, RepositoryFact, StoreFacts, TagFact,
    Toolchain, builders, caches, explain, gather_store, key, local, merge, platforms, repository, set_up,
    tags, toolchain,
};
use crate::error::{Error, Result};
use crate::failure::FailureClass;
use crate::image::{Digest, ImageReference, Repository};
use crate::inputs::{ImageRequest, Mode, OnMissing, Switch, chain};
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
    let facts = search_all(ports, images, &repository);
    let (mut facts, set_up) = tokio::join!(facts, set_up::gather(ports, images, repository.repository()));
    let set_up = Arc::new(set_up);
    facts.iter_mut().flatten().for_each(|facts| facts.set_up = Arc::clone(&set_up));
    Ok(facts)
}

/// The facts of each image. An image that others are built on comes before them, because their keys hold its key.
async fn search_all(
    ports: &Ports,
    images: &[ImageRun<'_>],
    repository: &Arc<RepositoryFact>,
) -> Vec<Result<ImageFacts>> {
    let mut searches: Vec<Option<Result<Search<'_>>>> = images.iter().map(|_| None).collect();
    let requests: Vec<&ImageRequest> = images.iter().map(|image| image.request).collect();
    let levels = chain::levels(&requests);
    for level in &levels {
        let begun = level.iter().map(|at| {
            let parents = known_parents(&requests, *at, &searches);
            async move { Search::begin(ports, images[*at], repository, parents?).await }
        });
        let begun: Vec<_> = stream::iter(begun).buffered(IMAGES_AT_ONCE).collect().await;
        for (at, search) in level.iter().zip(begun) {
            searches[*at] = Some(search);
        }
    }
    each(&mut searches, |search| search.image.request.asked, Search::first).await;
    // Those that are not there yet, and what they are built on.
    let missing = |at: &usize| matches!(&searches[*at], Some(Ok(search)) if search.image.request.asked && search.misses());
    let missing: Vec<usize> = (0..images.len()).filter(missing).collect();
    let ancestors = chain::ancestors(&requests, &missing);
    for level in &levels {
        for at in level {
            let parents = known_parents(&requests, *at, &searches);
            let concerned = missing.contains(at) || ancestors.contains(at);
            if let (true, Some(Ok(search))) = (concerned, &mut searches[*at]) {
                search.parents_now = parents.ok();
            }
        }
        each(&mut searches, |search| search.parents_now.is_some(), Search::again).await;
    }
    each(&mut searches, |search| search.image.request.asked, Search::rest).await;
    searches.into_iter().map(|search| search.unwrap_or_else(|| Err(not_begun()))?.into_facts()).collect()
}

/// An image that was left out: a defect of this program.
fn not_begun() -> Error {
    Error::new(FailureClass::Bug, "an image that was not looked for")
}

/// What the key of an image holds of those that it is built on.
///
/// # Errors
/// If one of them failed.
fn known_parents(
    images: &[&ImageRequest],
    at: usize,
    searches: &[Option<Result<Search<'_>>>],
) -> Result<Vec<key::Parent>> {
    let mut known = Vec::new();
    for (link, parent) in chain::parents(images, at) {
        match &searches[parent] {
            Some(Err(error)) => {
                let what = format!("{} is built on {}, which failed", images[at].image, link.image);
                return Err(error.clone().within(what));
            }
            Some(Ok(Search { computed: Some(computed), .. })) => known.push(computed.as_parent(link)),
            _ => {}
        }
    }
    Ok(known)
}

/// Does the step for each search that `wanted` chooses, side by side. A failure takes the search's place.
async fn each<'a, F>(
    searches: &mut [Option<Result<Search<'a>>>],
    wanted: impl Fn(&Search<'a>) -> bool,
    step: impl Fn(Search<'a>) -> F,
) where
    F: Future<Output = Result<Search<'a>>>,
{
    let places =
        (0..searches.len()).filter(|at| matches!(&searches[*at], Some(Ok(search)) if wanted(search)));
    let places: Vec<usize> = places.collect();
    let taken = places.iter().filter_map(|at| searches[*at].take()?.ok());
    let taken: Vec<Search<'a>> = taken.collect();
    let done: Vec<_> = stream::iter(taken.into_iter().map(&step)).buffered(IMAGES_AT_ONCE).collect().await;
    for (at, done) in places.into_iter().zip(done) {
        searches[at] = Some(done);
    }
}

/// The search for one image: its key, then the image in the registry and on the engine.
struct Search<'a> {
    ports: &'a Ports,
    image: ImageRun<'a>,
    repository: Arc<RepositoryFact>,
    names: Option<ZoneNames<'a>>,
    /// `None` for a search that needs no key.
    computed: Option<key::Computed>,
    /// The keys of the images that it is built on, once they are final.
    parents_now: Option<Vec<key::Parent>>,
    /// The commit's tag and the image under it, of any key.
    commit: Option<(ImageReference, Probe)>,
    found: Found,
    parts: Vec<PartFact>,
    platforms: Vec<PlatformFacts>,
    tags: Vec<TagFact>,
}

/// The result of a [`Search`].
#[derive(Default)]
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

impl<'a> Search<'a> {
    /// Computes the key, and asks for the commit's tag meanwhile. A merge and a pull by digest need no key, and are over.
    async fn begin(
        ports: &'a Ports,
        image: ImageRun<'a>,
        repository: &'a Arc<RepositoryFact>,
        parents: Vec<key::Parent>,
    ) -> Result<Self> {
        let ImageRun { request, run, .. } = image;
        let home = repository.repository();
        let names = home.map(|home| image.names(home));
        let mut search = Self {
            ports,
            image,
            repository: Arc::clone(repository),
            names,
            computed: None,
            parents_now: None,
            commit: None,
            found: Found::default(),
            parts: Vec::new(),
            platforms: Vec::new(),
            tags: Vec::new(),
        };
        if request.settings.mode == Mode::Merge && !request.parts.is_empty() {
            let places = names.map(|names| names.repositories()).unwrap_or_default();
            search.parts = merge::gather(&ports.registry, &request.parts, &places).await?;
        } else if let Some(digest) = &request.digest {
            let (lookups, local) = look_up_digest(ports, image, home, digest).await?;
            search.found = Found { lookups, local };
        } else {
            let commit = names.filter(|_| request.asked).and_then(|names| names.commit());
            let probe = async {
                match &commit {
                    Some(reference) => Some(ports.registry.probe(reference).await),
                    None => None,
                }
            };
            let key = key::compute(ports, request, run, &parents, home.is_none());
            let (key, probe) = tokio::join!(key, probe);
            (search.computed, search.commit) = (Some(key?), commit.zip(probe));
        }
        Ok(search)
    }

    /// Looks for the image under the key as it is known so far.
    async fn first(mut self) -> Result<Self> {
        if let Some(computed) = &self.computed {
            self.found = self.by_key(&computed.key, false).await?;
        }
        Ok(self)
    }

    /// Tells whether the run has no image of the key.
    fn misses(&self) -> bool {
        self.computed.is_some() && !self.found.has_image()
    }

    /// Completes the key of an image that is not there, and looks again if it is another one by that, or waits for the
    /// image. One that only others are built on is looked for here the first time.
    async fn again(mut self) -> Result<Self> {
        let parents = self.parents_now.take().unwrap_or_default();
        let ImageRun { request, run, .. } = self.image;
        let waits = request.settings.mode == Mode::Pull && request.settings.on_missing == OnMissing::Wait;
        if !self.misses() {
            return Ok(self);
        }
        let Some(computed) = self.computed.take() else { return Ok(self) };
        let (computed, changed) = computed.settle(self.ports, request, run, &parents).await?;
        if changed || waits || !request.asked {
            self.found = self.by_key(&computed.key, waits && request.asked).await?;
        }
        self.computed = Some(computed);
        Ok(self)
    }

    /// Looks for the platforms, and at what has the tags of the input `tags`.
    async fn rest(mut self) -> Result<Self> {
        let request = self.image.request;
        if let Some(computed) = &self.computed {
            self.platforms = self.platforms(&computed.platforms, &self.found).await;
        }
        if request.digest.is_none() {
            let own = matched(&self.found.lookups).filter(|_| !request.rebuild);
            let own = own.as_ref().and_then(ImageReference::digest);
            self.tags = tags::gather(self.ports, self.image, self.repository.repository(), own).await;
        }
        Ok(self)
    }

    fn into_facts(self) -> Result<ImageFacts> {
        let Self { repository, computed, found: Found { lookups, local }, parts, tags, platforms, .. } = self;
        let facts = ImageFacts { lookups, local, parts, tags, ..ImageFacts::empty(repository) };
        Ok(match computed {
            Some(key::Computed { key, bases, pins, .. }) => {
                ImageFacts { key: Some(key), bases, pins, platforms, ..facts }
            }
            None => facts,
        })
    }

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
                if image.request.rebuild || !image.request.asked {
                    None
                } else {
                    explain::explain_miss(ports, *image, facts).await
                }
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
