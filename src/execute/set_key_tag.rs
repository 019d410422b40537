//! Sets the key tag after a build, unless another run has set it first. Then that run's image wins,
//! and this run's other tags are moved to it.
//!
//! [`super::tag_wait`] tells how long the tag must stay on an image before that image counts.

use std::time::Duration;

use super::retry::insist;
use super::{Made, Record, StepContext, alias, tag_wait};
use crate::error::{Error, Result};
use crate::facts::{Lookup, LookupBy, LookupResult, look_up};
use crate::failure::{FailureClass, FailureKind};
use crate::image::{Digest, ImageReference, Manifest};
use crate::plan::TagGuard;
use crate::ports::clock::Stopwatch;
use crate::ports::docker::Docker;
use crate::ports::registry::Probe;

/// Looks, before the tag counts as one that keeps changing. Two are the rule; each run that sets the tag meanwhile costs
/// one more.
const LOOKS: u32 = 8;
/// The most requests of one look.
const REQUESTS_OF_A_LOOK: u32 = 3;

/// Sets the key's tag to this run's image, or adopts the image that has it, as the guard says. `others`: the names that the
/// push gave this run's image; they are moved only if another image counts, one that has the tag now or one that an earlier
/// action adopted. `own`: the image that counted so far. `built`: `None` for an image from before the run.
pub(super) async fn run(
    (key_tag, guard): (&ImageReference, &TagGuard),
    others: &[ImageReference],
    own: Digest,
    built: Option<Made>,
    context: &StepContext<'_>,
    docker: &Docker,
    record: &mut Record,
) -> Result<()> {
    record.made = built;
    if *guard == TagGuard::Any {
        return replace(key_tag, own, context, docker, record).await;
    }
    let waits = *guard != TagGuard::UnlessSameIndex;
    let settled = async || settle(key_tag, &own, waits, context).await;
    let winner = insist(key_tag.registry(), context, docker, settled).await?;
    if winner == own || record.made.is_some() {
        record.tags.push(key_tag.to_string());
    }
    match (&record.made, winner == own) {
        // The run reports an image from before it in any case, so the tag that another image has is not reported.
        (None, _) | (Some(Made { adopted: false, .. }), true) => Ok(()),
        (Some(Made { adopted: true, .. }), true) => {
            move_all(others, &key_tag.repository().at(winner), context, docker).await
        }
        (Some(_), false) => {
            record.notices.push(format!(
                "another run has published an image with this key first: {winner} counts, {own} is left without a tag"
            ));
            let source = key_tag.repository().at(winner.clone());
            move_all(others, &source, context, docker).await?;
            // The other run's image counts, not the one that this run pushed.
            record.pushed = Some(false);
            let config = match context.ports.registry.probe(&source).await {
                Probe::Present(manifest) => manifest.config_digest(),
                Probe::Absent { .. } | Probe::Unknown(_) => None,
            };
            record.adopt(winner, config);
            Ok(())
        }
    }
}

async fn move_all(
    names: &[ImageReference],
    winner: &ImageReference,
    context: &StepContext<'_>,
    docker: &Docker,
) -> Result<()> {
    for name in names {
        move_to_winner(winner, name, context, docker).await?;
    }
    Ok(())
}

/// Sets the key's tag to this image, whichever image has it now: for the input `rebuild`.
async fn replace(
    key_tag: &ImageReference,
    own: Digest,
    context: &StepContext<'_>,
    docker: &Docker,
    record: &mut Record,
) -> Result<()> {
    let source = key_tag.repository().at(own.clone());
    let set = async || {
        let document = context.ports.registry.document(&source).await?;
        set(key_tag, document, context).await
    };
    insist(key_tag.registry(), context, docker, set).await?;
    let Lookup { seen, .. } =
        look_up(&context.ports.registry, LookupBy::KeyTag, key_tag.clone(), context.key_hex).await;
    match seen {
        LookupResult::Match { digest, .. } if digest == own => {
            record.tags.push(key_tag.to_string());
            Ok(())
        }
        LookupResult::Unknown(error) => Err(error),
        LookupResult::Match { .. } | LookupResult::OtherKey { .. } | LookupResult::Absent { .. } => {
            Err(not_replaced(key_tag))
        }
    }
}

/// The error of the input `rebuild` in a repository whose tags cannot be changed.
pub(super) fn not_replaced(name: &ImageReference) -> Error {
    Error::of(FailureKind::TagTaken, format!("{name} still names the image from before"))
        .hint("rebuild moves tags: let this repository's be changed, delete the image, or change key-extra for an image with another key")
}

/// Sets the tag unless it is set, and returns the digest that has it then. `waits`: another run may make another image of the
/// key, so the digest is that after a wait.
async fn settle(
    key_tag: &ImageReference,
    own: &Digest,
    waits: bool,
    context: &StepContext<'_>,
) -> Result<Digest> {
    let source = key_tag.repository().at(own.clone());
    // Read before the first look: nothing else is done between a look and the request that sets the tag.
    let watch = Stopwatch::start();
    let document = context.ports.registry.document(&source).await;
    let usual = watch.elapsed();
    let (mut longest, mut slowest) = (Duration::ZERO, usual);
    let mut seen = None;
    for _ in 0..LOOKS {
        let Look { found, mut took, slowest: of_look } = look(key_tag, usual, context).await?;
        slowest = slowest.max(of_look);
        match found {
            // This is the second look at the same image, a wait after the first.
            Some(digest) if seen.as_ref() == Some(&digest) || !waits => return Ok(digest),
            Some(digest) => seen = Some(digest),
            None => {
                let watch = Stopwatch::start();
                set(key_tag, document.clone()?, context).await?;
                took += watch.elapsed();
                if seen.replace(own.clone()).is_none() && !waits {
                    continue;
                }
            }
        }
        longest = longest.max(took);
        let wait = tag_wait::wait(longest, slowest);
        // It ends early if the run is stopped.
        context.ports.exec.sleep(wait).await.map_err(crate::ports::exec::from_exec)?;
    }
    Err(Error::of(FailureKind::Unsettled, format!("{key_tag} keeps changing"))
        .hint("other runs keep setting it; try again"))
}

/// What a look at the key's tag saw.
struct Look {
    /// The image, if it has this run's key.
    found: Option<Digest>,
    /// How long the answer took.
    took: Duration,
    /// The same of the slowest answer, if there were several.
    slowest: Duration,
}

/// Looks at the key's tag. The tag holds a shortened key, and a person may set it by hand. So an image with another key is
/// treated as if the tag did not exist: this run replaces it, if the registry lets tags be moved. If it answers late that this
/// image is not there, the answer may be out of date, so the look is repeated. `usual`: the time of another request.
async fn look(key_tag: &ImageReference, usual: Duration, context: &StepContext<'_>) -> Result<Look> {
    let mut requests = 0;
    let mut slowest = Duration::ZERO;
    loop {
        let watch = Stopwatch::start();
        let Lookup { seen, .. } =
            look_up(&context.ports.registry, LookupBy::KeyTag, key_tag.clone(), context.key_hex).await;
        let took = watch.elapsed();
        (requests, slowest) = (requests + 1, slowest.max(took));
        let found = match seen {
            LookupResult::Match { digest, .. } => Some(digest),
            LookupResult::OtherKey { .. } | LookupResult::Absent { .. } => None,
            LookupResult::Unknown(error) => return Err(error),
        };
        if found.is_some() || !tag_wait::is_late(took, usual) || requests == REQUESTS_OF_A_LOOK {
            return Ok(Look { found, took, slowest });
        }
    }
}

/// Sets the tag. If the registry refuses because another run was first, that is no error: the next look tells which
/// image has the tag.
async fn set(
    key_tag: &ImageReference,
    (own, bytes): (Manifest, Vec<u8>),
    context: &StepContext<'_>,
) -> Result<()> {
    let put = context.ports.registry.put(key_tag, own.media_type, bytes, context.writes);
    let Err(error) = put.await else { return Ok(()) };
    match look_up(&context.ports.registry, LookupBy::KeyTag, key_tag.clone(), context.key_hex).await.seen {
        LookupResult::Match { .. } => Ok(()),
        LookupResult::OtherKey { digest, .. } => Err(taken(key_tag, &digest, &own.digest).because(&error)),
        LookupResult::Absent { .. } | LookupResult::Unknown(_) => Err(error),
    }
}

/// Sets the name to the image that has the key's tag. `winner`: that image by its digest.
async fn move_to_winner(
    winner: &ImageReference,
    name: &ImageReference,
    context: &StepContext<'_>,
    docker: &Docker,
) -> Result<()> {
    let registry = &context.ports.registry;
    if name.repository() != winner.repository() {
        return alias::run(winner, name, &TagGuard::Any, context, docker).await.map(drop);
    }
    let Some(winner_digest) = winner.digest() else {
        return Err(Error::new(FailureClass::Bug, "a winner without a digest"));
    };
    let current = look_up(registry, LookupBy::CommitTag, name.clone(), context.key_hex).await.seen;
    if matches!(&current, LookupResult::Match { digest, .. } if digest == winner_digest) {
        return Ok(());
    }
    let Err(error) = registry.put_tag(winner, name, context.writes).await else { return Ok(()) };
    match current {
        // The registry refuses to move the tag, which is the class Integrity, and its image has the same key.
        LookupResult::Match { .. } if error.class == FailureClass::Integrity => Ok(()),
        LookupResult::OtherKey { digest, .. } => Err(taken(name, &digest, winner_digest).because(&error)),
        _ => Err(error),
    }
}

/// The error for a protected tag of an image that was made from other inputs.
fn taken(name: &ImageReference, there: &Digest, own: &Digest) -> Error {
    Error::of(FailureKind::TagTaken, format!("{name} is taken by an image made from other inputs"))
        .cause(format!("it is {there}, this run's is {own}"))
        .hint("two jobs with different inputs use one image name; give each its own")
}
