//! Sets a tag on an image that is in a registry, without docker; the digest stays the same.

use super::StepContext;
use super::retry::Attempts;
use crate::error::{Error, Result};
use crate::failure::{FailureClass, FailureKind};
use crate::image::{Digest, ImageReference};
use crate::ports::docker::Docker;
use crate::ports::registry::{Probe, Registry};

/// Sets the tag, with retries. In another repository the image is copied first.
pub(super) async fn run(
    source: &ImageReference,
    target: &ImageReference,
    context: &StepContext<'_>,
    docker: &Docker,
) -> Result<()> {
    let mut attempts = Attempts::default();
    loop {
        match try_once(source, target, context).await {
            Ok(()) => return Ok(()),
            Err(error) => attempts.after_request(error, target.registry(), context, docker).await?,
        }
    }
}

/// Sets the tag; in another repository it copies the image first.
async fn try_once(source: &ImageReference, target: &ImageReference, context: &StepContext<'_>) -> Result<()> {
    let registry = &context.ports.registry;
    // A tag that is set already may be immutable, so it is not set again.
    if let Probe::Present(found) = registry.probe(target).await
        && Some(&found.digest) == source.digest()
    {
        return Ok(());
    }
    if source.repository() == target.repository() {
        registry.put_tag(source, target, context.writes).await?;
    } else {
        let copied = registry.copy(source, target, context.writes).await?;
        context.ports.console.line(&format!("copied to {}: {copied}", target.repository()));
    }
    check_source(source, target, registry).await
}

/// Checks that the target has the source's digest.
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
