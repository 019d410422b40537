//! All reads, in as few round trips as their order allows.

use std::time::Duration;

use super::lookups::{Lookup, LookupBy, LookupResult, judge, look_up, wait_for};
use super::pin::Pin;
use super::{
    BuilderFacts, Facts, LateFacts, Local, Pins, Toolchain, builders, caches, explain, key, local, merge,
    repository, toolchain,
};
use crate::error::{Error, Result};
use crate::image::ImageReference;
use crate::inputs::{Inputs, Mode, OnMissing, Switch};
use crate::key::BuildKey;
use crate::ports::Ports;
use crate::ports::registry::Probe;
use crate::run::RunContext;
use crate::trust::{Access, LocalNames, ZoneNames};

/// Whether the image is wanted in the engine's store.
#[must_use]
pub(crate) fn wants_local(inputs: &Inputs, has_repository: bool) -> bool {
    match inputs.load {
        Switch::On => true,
        Switch::Off => false,
        Switch::Auto => inputs.mode == Mode::Pull || !has_repository,
    }
}

/// Finds out what the decision rests on.
///
/// # Errors
/// If an input of the key cannot be read or resolved, or a source names no repository.
/// A registry that does not answer is a fact, not an error.
pub(crate) async fn gather(
    ports: &Ports,
    inputs: &Inputs,
    run: &RunContext,
    access: &Access,
) -> Result<Facts> {
    let repository = repository::resolve(inputs, &ports.env, &ports.aws).await?;
    let home = repository.repository().cloned();
    if let Some((pr, _)) = inputs.pr_repository.as_ref().zip(home.as_ref()).filter(|(pr, home)| pr.is(home)) {
        return Err(Error::input(format!("pr-repository: {pr} is the repository itself"))
            .hint("name another one, or leave it out"));
    }
    if inputs.mode == Mode::Merge {
        let names = home.as_ref().map(|home| ZoneNames::new(inputs, run, access, home));
        let repositories = names.map(|names| names.repositories()).unwrap_or_default();
        return Ok(Facts {
            parts: merge::gather(&ports.registry, &inputs.parts, &repositories).await?,
            key: None,
            bases: Vec::new(),
            pins: Pins::default(),
            lookups: Vec::new(),
            local: Local::default(),
            repository,
        });
    }
    if let Some(digest) = &inputs.digest {
        return by_digest(ports, inputs, run, access, repository, digest).await;
    }
    let names = home.as_ref().map(|home| ZoneNames::new(inputs, run, access, home));
    let commit = names.and_then(|names| names.commit());
    // The commit's tag is asked for while the key is still being computed.
    let (key, commit_probe) = tokio::join!(key::compute(ports, inputs, run, home.is_none()), async {
        match &commit {
            Some(reference) => Some(ports.registry.probe(reference).await),
            None => None,
        }
    });
    let mut computed = key?;
    let asked = Asked { ports, inputs, access, names, commit: commit.zip(commit_probe) };
    let waits = inputs.mode == Mode::Pull && inputs.on_missing == OnMissing::Wait;
    let mut found = asked.under(&computed.key, false).await?;
    if !found.is_found() {
        let other;
        (computed, other) = computed.settle(ports, inputs, run).await?;
        if other || waits {
            found = asked.under(&computed.key, waits).await?;
        }
    }
    let key::Computed { key, bases, pins, .. } = computed;
    Ok(Facts {
        repository,
        key: Some(key),
        bases,
        pins,
        lookups: found.lookups,
        local: found.local,
        parts: Vec::new(),
    })
}

/// Where an image of a key may be.
struct Asked<'a> {
    ports: &'a Ports,
    inputs: &'a Inputs,
    access: &'a Access,
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
        let Self { ports, inputs, access, names, .. } = self;
        let private = LocalNames::new(inputs, access).of_key(key.short());
        let (mut lookups, mut local) = (Vec::new(), Local::default());
        if let Some((reference, probe)) = self.commit.clone() {
            lookups.push(judge(&ports.registry, LookupBy::CommitTag, reference, probe, Some(&key.hex)).await);
        }
        // What is here already need not be waited for.
        if names.is_none() || (wait && !lookups.iter().any(settles)) {
            local.of_key = local::with_key(&ports.docker()?, &private, &key.hex).await?;
        }
        let patient = (wait && local.of_key.is_none()).then_some(inputs.wait_timeout);
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
        } else if names.is_some() && local.of_key.is_none() && may_use_own(inputs, access, &lookups) {
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
        let names = self.names.filter(|_| by_commit && self.inputs.mode == Mode::Build)?;
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
fn may_use_own(inputs: &Inputs, access: &Access, lookups: &[Lookup]) -> bool {
    inputs.mode == Mode::Pull
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
    inputs: &Inputs,
    run: &RunContext,
    access: &Access,
    repository: super::RepositoryFact,
    digest: &crate::image::Digest,
) -> Result<Facts> {
    let known = |repository, lookups, local| Facts {
        repository,
        key: None,
        bases: Vec::new(),
        pins: Pins::default(),
        lookups,
        local,
        parts: Vec::new(),
    };
    let Some(home) = repository.repository().cloned() else {
        return Ok(known(repository, Vec::new(), Local::default()));
    };
    let names = ZoneNames::new(inputs, run, access, &home);
    let references: Vec<ImageReference> =
        names.repositories().into_iter().map(|home| home.at(digest.clone())).collect();
    let own_copy = async {
        let mut local = Local::default();
        if wants_local(inputs, true)
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
    if inputs.on_missing == OnMissing::Wait {
        let local = own_copy.await?;
        let limit = if local.of_digest.is_some() { Duration::ZERO } else { inputs.wait_timeout };
        let lookups = wait_for(&ports.registry, limit, LookupBy::Digest, &references, None).await;
        return Ok(known(repository, lookups, local));
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
    Ok(known(repository, lookups, local?))
}

/// Whether the image has what not every engine's store holds.
fn needs_store(inputs: &Inputs) -> bool {
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

/// Finds out what only a build needs. `tools_known` is told as soon as a builder can be
/// chosen, while other questions are still under way.
///
/// # Errors
/// If there is no docker, no buildx, or no builder that answers.
pub(crate) async fn gather_late(
    ports: &Ports,
    inputs: &Inputs,
    run: &RunContext,
    access: &Access,
    facts: &Facts,
    wanted: ForBuild,
    tools_known: impl FnOnce(&Toolchain, &BuilderFacts),
) -> Result<LateFacts> {
    let docker = ports.docker()?;
    let on_engine = facts.bases.iter().any(|base| matches!(base.pin, Pin::Engine(_)));
    let tools = async {
        let toolchain =
            toolchain::gather(&docker, inputs, on_engine, wanted.load && needs_store(inputs)).await?;
        let builders = builders::gather(ports, &docker, inputs, access, &toolchain).await?;
        tools_known(&toolchain, &builders);
        Ok::<_, Error>((toolchain, builders))
    };
    let (tools, caches, miss) = tokio::join!(
        tools,
        caches::caches(ports, inputs, run, access, facts, wanted.shared),
        // Where a build is asked for, nothing was missed.
        async { if inputs.rebuild { None } else { explain::miss(ports, inputs, run, access, facts).await } },
    );
    let (toolchain, builders) = tools?;
    Ok(LateFacts { toolchain: Some(toolchain), builders, caches, miss })
}
