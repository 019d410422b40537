//! All reads, in as few round trips as their order allows.

use super::lookups::{Lookup, Seen, Where, judge, look_up, wait_for};
use super::{
    BuilderFacts, Facts, LateFacts, Pins, Toolchain, bases, builders, caches, explain, key, local,
    repository, toolchain,
};
use crate::error::{Error, Result};
use crate::image::ImageReference;
use crate::inputs::{Inputs, Mode, OnMissing, Switch};
use crate::key::BuildKey;
use crate::plan::{Access, Verdict, ZoneNames};
use crate::ports::Ports;
use crate::ports::docker::LocalImage;
use crate::ports::registry::Probe;
use crate::run::RunContext;

/// Whether the image is wanted in the engine's store.
#[must_use]
pub fn wants_local(inputs: &Inputs, has_repository: bool) -> bool {
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
pub async fn gather(ports: &Ports, inputs: &Inputs, run: &RunContext, access: &Access) -> Result<Facts> {
    let repository = repository::resolve(inputs, &ports.env, &ports.aws).await?;
    let home = repository.repository().cloned();
    if let Some(digest) = &inputs.digest {
        return by_digest(ports, inputs, run, access, repository, digest).await;
    }
    let names = home.as_ref().map(|home| ZoneNames::new(inputs, run, access, home));
    let commit = names.and_then(|names| names.commit());
    // The commit's tag is asked for while the key is still being computed.
    let (key, commit_probe) = tokio::join!(key::compute(ports, inputs, run), async {
        match &commit {
            Some(reference) => Some(ports.registry.probe(reference).await),
            None => None,
        }
    });
    let mut computed = key?;
    let asked = Asked { ports, inputs, access, names, commit: commit.zip(commit_probe) };
    let waits = inputs.mode == Mode::Pull && inputs.on_missing == OnMissing::Wait;
    let narrow = asked.under(&computed.key, false).await?;
    let found = if narrow.is_found(access) {
        narrow
    } else if computed.settle(ports, inputs).await? || waits {
        asked.under(&computed.key, waits).await?
    } else {
        narrow
    };
    let key::Computed { key, bases, pins, .. } = computed;
    Ok(Facts { repository, key: Some(key), bases, pins, lookups: found.lookups, local: found.local })
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
    local: Vec<LocalImage>,
}

impl Found {
    /// Whether the image is there to be used.
    fn is_found(&self, access: &Access) -> bool {
        let seen = |wanted: fn(&Seen) -> bool| self.lookups.iter().any(|lookup| wanted(&lookup.seen));
        seen(|seen| matches!(seen, Seen::Match { .. }))
            || ((self.lookups.is_empty() || seen(|seen| matches!(seen, Seen::Unknown(_))))
                && self.local.iter().any(|local| access.takes(local)))
    }
}

impl Asked<'_> {
    /// Looks in the registry and in the engine's store. `wait`: until it is there, or `wait-timeout` is over.
    async fn under(&self, key: &BuildKey, wait: bool) -> Result<Found> {
        let Self { ports, inputs, access, names, .. } = self;
        let mut lookups = Vec::new();
        if let Some((reference, probe)) = self.commit.clone() {
            lookups.push(judge(&ports.registry, Where::CommitTag, reference, probe, Some(&key.hex)).await);
        }
        let (rest, local) = tokio::join!(by_key(ports, inputs, *names, key, &lookups, wait), async {
            match (wants_local(inputs, names.is_some()), names) {
                (false, _) => Ok(Vec::new()),
                // Whether it is the registry's image, its digest will tell.
                (true, Some(_)) => {
                    let image = ports.docker()?.inspect(&inputs.image.local_reference()).await?;
                    Ok(image.into_iter().collect())
                }
                (true, None) => local::with_key(&ports.docker()?, &inputs.image, &key.hex, access).await,
            }
        });
        lookups.extend(rest);
        let mut local = local?;
        if lookups.iter().any(|lookup| matches!(lookup.seen, Seen::Unknown(_))) {
            // The engine's own copy is the way out; without an engine there is none.
            local = match ports.docker() {
                Ok(docker) => {
                    local::with_key(&docker, &inputs.image, &key.hex, access).await.unwrap_or_default()
                }
                Err(_) => Vec::new(),
            };
        }
        Ok(Found { lookups, local })
    }
}

/// Whether a lookup settles where the image is, or that the registry cannot say.
fn settles(lookup: &Lookup) -> bool {
    matches!(lookup.seen, Seen::Match { .. } | Seen::Unknown(_))
}

/// Whether the repository of this reference is known not to exist.
fn is_nowhere(lookups: &[Lookup], reference: &ImageReference) -> bool {
    let gone = |lookup: &&Lookup| lookup.seen == Seen::Absent { no_repository: true };
    lookups.iter().filter(gone).any(|lookup| lookup.reference.repository() == reference.repository())
}

async fn by_key(
    ports: &Ports,
    inputs: &Inputs,
    names: Option<ZoneNames<'_>>,
    key: &BuildKey,
    earlier: &[Lookup],
    wait: bool,
) -> Vec<Lookup> {
    let Some(names) = names else { return Vec::new() };
    if earlier.iter().any(settles) {
        return Vec::new();
    }
    let mut references = names.of_key(key.short());
    references.retain(|reference| !is_nowhere(earlier, reference));
    if wait {
        return wait_for(&ports.registry, inputs.wait_timeout, Where::KeyTag, &references, Some(&key.hex))
            .await;
    }
    let mut lookups = Vec::new();
    for reference in references {
        if is_nowhere(&lookups, &reference) {
            continue;
        }
        // One after the other: on one connection, and most often the first answers.
        let lookup = look_up(&ports.registry, Where::KeyTag, reference, Some(&key.hex)).await;
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
    };
    let Some(home) = repository.repository().cloned() else {
        return Ok(known(repository, Vec::new(), Vec::new()));
    };
    let names = ZoneNames::new(inputs, run, access, &home);
    let references: Vec<ImageReference> =
        names.homes().into_iter().map(|home| home.at(digest.clone())).collect();
    let ask = async {
        if inputs.on_missing == OnMissing::Wait {
            return wait_for(&ports.registry, inputs.wait_timeout, Where::Digest, &references, None).await;
        }
        let mut lookups = Vec::new();
        for reference in &references {
            let lookup = look_up(&ports.registry, Where::Digest, reference.clone(), None).await;
            let ended = settles(&lookup);
            lookups.push(lookup);
            if ended {
                break;
            }
        }
        lookups
    };
    let (lookups, local) = tokio::join!(ask, async {
        if !wants_local(inputs, true) {
            return Ok(Vec::new());
        }
        let docker = ports.docker()?;
        let mut found = Vec::new();
        for reference in &references {
            found.extend(docker.inspect(&reference.to_string()).await?);
        }
        Ok(found)
    });
    Ok(known(repository, lookups, local?))
}

/// Finds out what only some decisions need. `tools_known` is told as soon as a builder can be
/// chosen, while other questions are still under way.
///
/// # Errors
/// If there is no docker, no buildx, or no builder that answers.
pub async fn gather_late(
    ports: &Ports,
    inputs: &Inputs,
    run: &RunContext,
    access: &Access,
    facts: &Facts,
    verdict: &Verdict,
    tools_known: impl FnOnce(&Toolchain, &BuilderFacts),
) -> Result<LateFacts> {
    match verdict {
        Verdict::Reuse { .. } | Verdict::ReuseLocal { .. } | Verdict::Fail(_) => Ok(LateFacts::default()),
        Verdict::Build { shared, .. } => {
            let docker = ports.docker()?;
            let on_engine = facts.bases.iter().any(|base| matches!(base.pin, bases::Pin::Engine(_)));
            let tools = async {
                let toolchain = toolchain::gather(&docker, inputs, on_engine).await?;
                let builders = builders::gather(ports, &docker, inputs, &toolchain).await?;
                tools_known(&toolchain, &builders);
                Ok::<_, Error>((toolchain, builders))
            };
            let watched = facts.repository.repository().filter(|_| *shared && access.reads_shared_only);
            let (tools, caches, miss, may_push) = tokio::join!(
                tools,
                caches::caches(ports, inputs, run, access, facts, *shared),
                explain::miss(ports, inputs, run, access, facts),
                // Beside the others, and never on a hit: nobody waits for it.
                async {
                    match watched {
                        Some(home) => ports.registry.may_push(home).await.unwrap_or_default(),
                        None => false,
                    }
                }
            );
            let (toolchain, builders) = tools?;
            Ok(LateFacts { toolchain: Some(toolchain), builders, caches, miss, may_push })
        }
    }
}
