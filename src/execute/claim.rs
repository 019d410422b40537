//! The key's tag after a build: whoever was first is everybody's.
//!
//! Registries have no "set unless there": of two runs that both find no image, the later one
//! would replace what the earlier one has reported. So a run looks right before it sets the tag,
//! waits for as long as a rival's request that was under way then can take, and looks again: what
//! stands there now stays (Fischer's algorithm, with the registry's tag as its variable). The
//! loser takes the winner's image and points its other names at it.
//!
//! What remains: a rival's request that takes longer than the wait. A repository whose tags cannot
//! be changed has no such gap: there the registry itself lets only the first one in.

use std::time::Duration;

use super::retry::Attempts;
use super::{Journal, Workshop, alias};
use crate::error::{Error, Result};
use crate::facts::{Lookup, Seen, Where, look_up};
use crate::failure::FailureClass;
use crate::failure::FailureKind;
use crate::image::{Digest, ImageReference};
use crate::ports::clock::Stopwatch;
use crate::ports::docker::Docker;
use crate::ports::registry::Probe;

/// Times what looking and setting took this run itself: rivals talk to the same registry at the same
/// moment.
const MARGIN: u32 = 4;
const SHORTEST: Duration = Duration::from_millis(30);
const LONGEST: Duration = Duration::from_secs(2);
/// Tries to find the registry at rest.
const ROUNDS: u32 = 8;

/// Makes the key's tag name this image, or adopts the one that stands there. The other names
/// follow the winner. `found`: the image was there before, and stays what this run reports.
pub(super) async fn run(
    key_tag: &ImageReference,
    others: &[ImageReference],
    found: bool,
    workshop: &Workshop<'_>,
    docker: &Docker,
    journal: &mut Journal,
) -> Result<()> {
    let Some(own) = journal.digest.clone() else {
        return Err(Error::new(FailureClass::Bug, "a key's tag without an image"));
    };
    let mut attempts = Attempts::default();
    let winner = loop {
        match settle(key_tag, &own, workshop).await {
            Ok(winner) => break winner,
            Err(error) => attempts.after_request(error, key_tag.registry(), workshop, docker).await?,
        }
    };
    if found && winner != own {
        return Ok(());
    }
    journal.tags.push(key_tag.to_string());
    if winner == own && !journal.adopted {
        return Ok(());
    }
    if winner != own {
        journal.notices.push(format!(
            "another run has published an image with this key first: {winner} counts, {own} is left without a tag"
        ));
    }
    let source = key_tag.repository().at(winner.clone());
    for name in others {
        point(&source, name, workshop, docker).await?;
    }
    if winner != own {
        // What this run pushed is not what counts.
        journal.pushed = false;
        let config = match workshop.ports.registry.probe(&source).await {
            Probe::Present(manifest) => manifest.config_digest(),
            Probe::Absent { .. } | Probe::Unknown(_) => None,
        };
        journal.adopt(winner, config);
    }
    Ok(())
}

/// Makes the key's tag name this image, whatever stood there.
pub(super) async fn replace(
    key_tag: &ImageReference,
    workshop: &Workshop<'_>,
    docker: &Docker,
    journal: &mut Journal,
) -> Result<()> {
    let Some(own) = journal.digest.clone() else {
        return Err(Error::new(FailureClass::Bug, "a key's tag without an image"));
    };
    let mut attempts = Attempts::default();
    while let Err(error) = set(key_tag, &own, workshop).await {
        attempts.after_request(error, key_tag.registry(), workshop, docker).await?;
    }
    let Lookup { seen, .. } =
        look_up(&workshop.ports.registry, Where::KeyTag, key_tag.clone(), workshop.key_hex()).await;
    match seen {
        Seen::Match { digest, .. } if digest == own => {
            journal.tags.push(key_tag.to_string());
            Ok(())
        }
        Seen::Unknown(error) => Err(error),
        _ => Err(not_replaced(key_tag)),
    }
}

/// The input `rebuild` where tags cannot be changed.
pub(super) fn not_replaced(name: &ImageReference) -> Error {
    Error::of(FailureKind::TagTaken, format!("{name} still names the image from before"))
        .hint("rebuild moves tags: let this repository's be changed, delete the image, or change key-extra for an image with another key")
}

/// One go: the digest that the tag names, once it is at rest.
async fn settle(key_tag: &ImageReference, own: &Digest, workshop: &Workshop<'_>) -> Result<Digest> {
    let mut slowest = Duration::ZERO;
    let mut seen = None;
    for _ in 0..ROUNDS {
        let (found, took) = look(key_tag, workshop).await?;
        slowest = slowest.max(took);
        match found {
            // The second look at the same image, a wait after the first.
            Some(digest) if seen.as_ref() == Some(&digest) => return Ok(digest),
            Some(digest) => seen = Some(digest),
            None => {
                // What counts for rivals is the time from the question to the end of the answer.
                let watch = Stopwatch::start();
                set(key_tag, own, workshop).await?;
                slowest = slowest.max(took + watch.elapsed());
                seen = Some(own.clone());
            }
        }
        let wait = (slowest * MARGIN).clamp(SHORTEST, LONGEST);
        workshop.ports.exec.sleep(wait).await.map_err(crate::ports::exec::from_exec)?;
    }
    Err(Error::of(FailureKind::Unsettled, format!("{key_tag} does not come to rest"))
        .hint("other runs keep setting it; try again"))
}

/// The image with this run's key under the tag, and how long the answer took. An image made from
/// other inputs has no business there and is as good as none.
async fn look(key_tag: &ImageReference, workshop: &Workshop<'_>) -> Result<(Option<Digest>, Duration)> {
    let watch = Stopwatch::start();
    let Lookup { seen, .. } =
        look_up(&workshop.ports.registry, Where::KeyTag, key_tag.clone(), workshop.key_hex()).await;
    let took = watch.elapsed();
    match seen {
        Seen::Match { digest, .. } => Ok((Some(digest), took)),
        Seen::OtherKey { .. } | Seen::Absent { .. } => Ok((None, took)),
        Seen::Unknown(error) => Err(error),
    }
}

/// Sets the tag; a refusal because somebody was first is no error, whose image it is the next
/// look tells.
async fn set(key_tag: &ImageReference, own: &Digest, workshop: &Workshop<'_>) -> Result<()> {
    let source = key_tag.repository().at(own.clone());
    let Err(error) = workshop.ports.registry.put_tag(&source, key_tag, workshop.writes).await else {
        return Ok(());
    };
    match look_up(&workshop.ports.registry, Where::KeyTag, key_tag.clone(), workshop.key_hex()).await.seen {
        Seen::Match { .. } => Ok(()),
        Seen::OtherKey { digest, .. } => Err(taken(key_tag, &digest, own).because(&error)),
        Seen::Absent { .. } | Seen::Unknown(_) => Err(error),
    }
}

/// Points another name at the winner.
async fn point(
    source: &ImageReference,
    name: &ImageReference,
    workshop: &Workshop<'_>,
    docker: &Docker,
) -> Result<()> {
    let registry = &workshop.ports.registry;
    if name.repository() != source.repository() {
        return alias::run(source, name, workshop, docker).await;
    }
    let Some(winner) = source.digest() else {
        return Err(Error::new(FailureClass::Bug, "a winner without a digest"));
    };
    let current = look_up(registry, Where::CommitTag, name.clone(), workshop.key_hex()).await.seen;
    if matches!(&current, Seen::Match { digest, .. } if digest == winner) {
        return Ok(());
    }
    let Err(error) = registry.put_tag(source, name, workshop.writes).await else { return Ok(()) };
    match current {
        // A tag that may not move, and the same content: as good.
        Seen::Match { .. } if error.class == FailureClass::Integrity => Ok(()),
        Seen::OtherKey { digest, .. } => Err(taken(name, &digest, winner).because(&error)),
        _ => Err(error),
    }
}

/// The tag is protected and names an image made from other inputs.
fn taken(name: &ImageReference, there: &Digest, own: &Digest) -> Error {
    Error::of(FailureKind::TagTaken, format!("{name} is taken by an image made from other inputs"))
        .cause(format!("it is {there}, this run's is {own}"))
        .hint("two jobs with different inputs use one image name; give each its own")
}
