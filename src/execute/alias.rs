//! Sets a tag on an image that is in a registry, without docker; the digest stays the same.
//!
//! A tag that must not be set back is looked at right before it is set, and once more a wait after: of two runs that both
//! find it old, the one with the newer commit sets it again if the other one was later. [`super::tag_wait`] tells the wait,
//! and its gap.

use std::time::Duration;

use super::retry::insist;
use super::{StepContext, TagResult, tag_wait};
use crate::error::{Error, Result};
use crate::facts::look_at_tag;
use crate::failure::{FailureClass, FailureKind};
use crate::image::{Digest, ImageReference};
use crate::inputs::OnOlder;
use crate::plan::{TagGuard, TagOrder, order, refused};
use crate::ports::clock::Stopwatch;
use crate::ports::docker::Docker;
use crate::ports::exec::from_exec;
use crate::ports::registry::{Probe, Registry};

/// How often the tag is set, before it counts as one that keeps changing.
const TURNS: u32 = 4;

/// Sets the tag unless its guard forbids it, with retries. In another repository the image is copied first.
pub(super) async fn run(
    source: &ImageReference,
    target: &ImageReference,
    guard: &TagGuard,
    context: &StepContext<'_>,
    docker: &Docker,
) -> Result<TagResult> {
    let set = async || match guard {
        TagGuard::UnlessNewer { seen, unknown } => {
            set_unless_newer(source, target, (seen.as_ref(), unknown.as_deref()), context).await
        }
        TagGuard::Any | TagGuard::UnlessSameKey | TagGuard::UnlessSameIndex => {
            set_unless_there(source, target, context).await
        }
    };
    insist(target.registry(), context, docker, set).await
}

/// Sets the tag, unless it is on this image already.
async fn set_unless_there(
    source: &ImageReference,
    target: &ImageReference,
    context: &StepContext<'_>,
) -> Result<TagResult> {
    let registry = &context.ports.registry;
    // The tag is set already, so that it may be immutable.
    if let Probe::Present(found) = registry.probe(target).await
        && Some(&found.digest) == source.digest()
    {
        return Ok(TagResult::There);
    }
    set(source, target, context).await?;
    check_source(source, target, registry).await.map(|()| TagResult::Set(None))
}

/// `judged`: the image that had the tag when it was judged, and why it is not known what that one stands for.
async fn set_unless_newer(
    source: &ImageReference,
    target: &ImageReference,
    judged: (Option<&Digest>, Option<&str>),
    context: &StepContext<'_>,
) -> Result<TagResult> {
    let registry = &context.ports.registry;
    let own = source.digest();
    for turn in 0..TURNS {
        let watch = Stopwatch::start();
        let found = match registry.probe(target).await {
            Probe::Present(found) => Some(found.digest.clone()),
            Probe::Absent { .. } => None,
            Probe::Unknown(error) => return Err(error),
        };
        if found.is_some() && found.as_ref() == own {
            return Ok(if turn == 0 { TagResult::There } else { TagResult::Set(None) });
        }
        let unknown = if turn == 0 && found.as_ref() == judged.0 {
            judged.1.map(str::to_owned)
        } else {
            let home = source.repository();
            let fact = look_at_tag(context.ports, context.image, home, target.clone(), own).await;
            match order(&fact.holder, own) {
                TagOrder::There => None,
                TagOrder::Set(unknown) => unknown,
                TagOrder::Older(why) if context.request.settings.on_older == OnOlder::Fail => {
                    return Err(refused(target, &why));
                }
                TagOrder::Older(why) => return Ok(TagResult::Older(why)),
            }
        };
        set(source, target, context).await?;
        context.ports.exec.sleep(tag_wait::wait(watch.elapsed(), Duration::ZERO)).await.map_err(from_exec)?;
        match check_source(source, target, registry).await {
            Ok(()) => return Ok(TagResult::Set(unknown)),
            // Another run was later: the next turn tells which commit is.
            Err(error) if error.is(FailureKind::TagTaken) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::of(FailureKind::Unsettled, format!("{target} keeps changing"))
        .hint("other runs keep setting it; try again"))
}

async fn set(source: &ImageReference, target: &ImageReference, context: &StepContext<'_>) -> Result<()> {
    let registry = &context.ports.registry;
    if source.repository() == target.repository() {
        return registry.put_tag(source, target, context.writes).await;
    }
    let copied = registry.copy(source, target, context.writes).await?;
    context.ports.console.line(&format!("copied to {}: {copied}", target.repository()));
    Ok(())
}

async fn check_source(source: &ImageReference, target: &ImageReference, registry: &Registry) -> Result<()> {
    match source.digest() {
        Some(digest) => check(target, digest, registry).await,
        None => Err(Error::new(FailureClass::Bug, "an alias of an image whose digest is not known")),
    }
}

/// Checks that the registry has this digest under the name.
///
/// # Errors
/// If it has another one or none, or does not answer.
pub(super) async fn check(target: &ImageReference, digest: &Digest, registry: &Registry) -> Result<()> {
    match registry.probe(target).await {
        Probe::Present(found) if found.digest == *digest => Ok(()),
        Probe::Present(found) => {
            Err(Error::of(FailureKind::TagTaken, format!("{target} has another digest than its source"))
                .cause(format!("expected {digest}, got {}", found.digest))
                .hint("two runs set this tag at once, or it is protected; run again"))
        }
        Probe::Absent { .. } => {
            Err(Error::of(FailureKind::EventualRead, format!("{target} was set and is not there"))
                .hint(FailureKind::EventualRead.hint()))
        }
        Probe::Unknown(error) => Err(error),
    }
}

/// True if the run can do without a commit's alias that failed so.
pub(super) fn may_go_without(error: &Error) -> bool {
    // ECR allows 1,000 tags on one image ("Amazon ECR service quotas"); a protected tag cannot be moved.
    error.class == FailureClass::Access
        || error.is(FailureKind::TagLimit)
        || error.is(FailureKind::ImmutableTag)
}
