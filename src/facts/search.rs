//! Searches for one image: computes its key, then looks in the registry and on the engine.

use std::sync::Arc;
use std::time::Duration;

use super::lookups::{Lookup, LookupBy, LookupResult, judge, look_up, wait_for};
use super::{
    ImageFacts, Local, PartFact, PlatformFacts, RepositoryFact, TagFact, elsewhere, key, local, merge,
    platforms, tags,
};
use crate::error::{Error, Result};
use crate::image::{Digest, ImageReference, Repository};
use crate::inputs::{ImageRequest, Mode, OnMissing, Switch};
use crate::key::{BuildKey, PlatformKey};
use crate::ports::Ports;
use crate::ports::registry::Probe;
use crate::trust::{Access, ImageRun, ZoneNames};

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

/// The search for one image: its key, then the image in the registry and on the engine.
pub(super) struct Search<'a> {
    ports: &'a Ports,
    pub(super) image: ImageRun<'a>,
    repository: Arc<RepositoryFact>,
    names: Option<ZoneNames<'a>>,
    /// `None` for a search that needs no key.
    pub(super) computed: Option<key::Computed>,
    /// The keys of the images that it is built on, once they are final.
    pub(super) parents_now: Option<Vec<key::Parent>>,
    /// The images of other steps and jobs that it is built on.
    elsewhere: Vec<key::Parent>,
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
        self.local.of_key.is_some() || self.lookups.iter().any(|lookup| lookup.image().is_some())
    }
}

impl<'a> Search<'a> {
    /// Computes the key, and asks for the commit's tag meanwhile. A merge and a pull by digest need no key, and are over.
    pub(super) async fn begin(
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
            elsewhere: Vec::new(),
            commit: None,
            found: Found::default(),
            parts: Vec::new(),
            platforms: Vec::new(),
            tags: Vec::new(),
        };
        if request.settings.mode == Mode::Merge && !request.parts.is_empty() {
            let places = names.map(|names| names.repositories()).unwrap_or_default();
            search.parts = merge::gather(&ports.registry, &request.parts, &places).await?;
        } else if request.settings.mode == Mode::Merge && home.is_none() {
            // A merge needs a repository, and says so.
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
            search.elsewhere = elsewhere::parents(ports, image, home).await?;
            let parents = [parents, search.elsewhere.clone()].concat();
            let key = key::compute(ports, request, run, &parents, home.is_none());
            let (key, probe) = tokio::join!(key, probe);
            (search.computed, search.commit) = (Some(key?), commit.zip(probe));
        }
        Ok(search)
    }

    /// Looks for the image under the key as it is known so far.
    pub(super) async fn first(mut self) -> Result<Self> {
        if let Some(computed) = &self.computed {
            self.found = self.by_key(&computed.key, false).await?;
        }
        Ok(self)
    }

    /// Tells whether the run has no image of the key.
    pub(super) fn misses(&self) -> bool {
        self.computed.is_some() && !self.found.has_image()
    }

    /// Completes the key of an image that is not there, and looks again if it is another one by that, or waits for the
    /// image. One that only others are built on is looked for here the first time.
    pub(super) async fn again(mut self) -> Result<Self> {
        let parents = [self.parents_now.take().unwrap_or_default(), self.elsewhere.clone()].concat();
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
    pub(super) async fn rest(mut self) -> Result<Self> {
        let request = self.image.request;
        if let Some(computed) = &self.computed {
            self.platforms = self.platforms(&computed.platforms, &self.found).await;
        }
        if request.digest.is_none() {
            let own = self.found.lookups.iter().find_map(Lookup::image).filter(|_| !request.rebuild);
            let own = own.as_ref().and_then(ImageReference::digest);
            self.tags = tags::gather(self.ports, self.image, self.repository.repository(), own).await;
        }
        Ok(self)
    }

    pub(super) fn into_facts(self) -> ImageFacts {
        let Self { repository, computed, found: Found { lookups, local }, parts, tags, platforms, .. } = self;
        let facts = ImageFacts { lookups, local, parts, tags, ..ImageFacts::empty(repository) };
        match computed {
            Some(key::Computed { key, bases, pins, .. }) => {
                ImageFacts { key: Some(key), bases, pins, platforms, ..facts }
            }
            None => facts,
        }
    }

    /// Looks in the registry and on the engine. With `wait`, asks again until the image is there or `wait-timeout` is over.
    async fn by_key(&self, key: &BuildKey, wait: bool) -> Result<Found> {
        let Self { ports, image, names, .. } = self;
        let inputs = image.request;
        let private = image.private_names(key.short());
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
        lookups.extend(self.in_commit_index(&lookups, key).await);
        if let Some(found) = lookups.iter().find_map(Lookup::image) {
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

    /// The image of the one platform that is asked for, in the index of this commit, if nothing else led to it.
    async fn in_commit_index(&self, earlier: &[Lookup], key: &BuildKey) -> Option<Lookup> {
        let asked = self.image.request.asked;
        let names = self.names.filter(|_| asked && !earlier.iter().any(Lookup::settles))?;
        let platform = self.image.request.build.only_platform()?;
        let index = names.commit_of_all().filter(|index| !lacks_repository(earlier, index))?;
        platforms::in_index(&self.ports.registry, index, platform, &key.hex).await
    }

    /// The platforms. Where the image as a whole is not there, they are looked for, unless the run has no use for them.
    async fn platforms(&self, keys: &[PlatformKey], found: &Found) -> Vec<PlatformFacts> {
        let ImageRun { request, access, .. } = self.image;
        let settings = &request.settings;
        let wanted = match settings.mode {
            Mode::Pull => false,
            // A run that may not publish merges nothing.
            Mode::Merge => access.write_images && (request.rebuild || !found.has_image()),
            Mode::Build | Mode::Plan => !request.rebuild && !found.has_image(),
        };
        // A registry that did not answer is not asked again.
        let unknown = found.lookups.iter().any(|lookup| lookup.unknown().is_some());
        // A registry may make the repository with the first push.
        let waits = settings.mode == Mode::Merge && settings.on_missing == OnMissing::Wait;
        let may_have = |repository: &Repository| waits || !lacks(&found.lookups, repository);
        match self.names.filter(|_| wanted && !unknown) {
            Some(names) => {
                let patient = waits.then_some(settings.wait_timeout);
                platforms::look_up_each(&self.ports.registry, names, patient, keys, may_have).await
            }
            None => platforms::unasked(keys),
        }
    }

    /// The key's tag, if only the commit's tag was looked up and found, and this run may set the key's.
    fn unset_key_tag(&self, lookups: &[Lookup], key: &BuildKey) -> Option<ImageReference> {
        let by_commit = lookups.iter().any(|lookup| {
            lookup.at == LookupBy::CommitTag && matches!(lookup.seen, LookupResult::Match { .. })
        });
        let sets = matches!(self.image.request.settings.mode, Mode::Build | Mode::Merge);
        let names = self.names.filter(|_| by_commit && sets)?;
        names.written(key.short()).key_tag
    }
}

/// Tells whether an earlier look-up showed that the reference's repository does not exist.
fn lacks_repository(lookups: &[Lookup], reference: &ImageReference) -> bool {
    lacks(lookups, reference.repository())
}

/// The same of a repository.
fn lacks(lookups: &[Lookup], repository: &Repository) -> bool {
    let gone = |lookup: &&Lookup| lookup.seen == LookupResult::Absent { no_repository: true };
    lookups.iter().filter(gone).any(|lookup| lookup.reference.repository() == repository)
}

/// Tells whether the engine's image of the key may be used if the registry has none. A run that publishes builds instead,
/// unless the registry did not answer.
fn may_use_own(inputs: &ImageRequest, access: &Access, lookups: &[Lookup]) -> bool {
    inputs.settings.mode == Mode::Pull
        || !access.write_images
        || lookups.iter().any(|lookup| lookup.unknown().is_some())
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
