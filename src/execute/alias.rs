//! Sets a tag on an image that is in a registry; the digest stays the same.

use super::StepContext;
use super::retry::Attempts;
use crate::error::{Error, Result};
use crate::failure::FailureClass;
use crate::failure::FailureKind;
use crate::image::{Digest, ImageReference};
use crate::inputs::Mode;
use crate::ports::buildx::Buildx;
use crate::ports::docker::Docker;
use crate::ports::registry::{Probe, Registry, gone};

/// Sets the tag, with retries: buildx does not try its last request twice.
pub(super) async fn run(
    source: &ImageReference,
    target: &ImageReference,
    context: &StepContext<'_>,
    docker: &Docker,
) -> Result<()> {
    let mut attempts = Attempts::default();
    loop {
        match try_once(source, target, context, docker).await {
            Ok(()) => return Ok(()),
            Err(error) => attempts.after_request(error, target.registry(), context, docker).await?,
        }
    }
}

async fn try_once(
    source: &ImageReference,
    target: &ImageReference,
    context: &StepContext<'_>,
    docker: &Docker,
) -> Result<()> {
    let registry = &context.ports.registry;
    // The tag is set already, so that it may be immutable.
    if let Probe::Present(found) = registry.probe(target).await
        && Some(&found.digest) == source.digest()
    {
        return Ok(());
    }
    // A merge needs no docker.
    if context.request.settings.mode == Mode::Merge && source.repository() == target.repository() {
        registry.put_tag(source, target, context.writes).await?;
        return check_source(source, target, registry).await;
    }
    let buildx = Buildx::new(docker.clone()).with_stall(context.request.settings.reliability.stall_timeout);
    let set = match buildx.alias(source, target).await {
        // A registry that lost the image has no better words for it than "not found".
        Err(error) if matches!(registry.probe(source).await, Probe::Absent { .. }) => {
            return Err(gone(source).because(&error));
        }
        set => set?,
    };
    if !set {
        let found = buildx.version().await?;
        if source.repository() != target.repository() {
            return Err(Error::of(
                FailureKind::ToolTooOld,
                format!("failed to copy the image to {}", target.repository()),
            )
            .cause(format!("buildx {found} would wrap it in an index, with another digest"))
            .hint("update docker buildx to 0.15 or newer"));
        }
        context.ports.console.line(&format!(
            "buildx {found} would wrap the image in an index (0.15 or newer would not): the tag is set through the registry itself"
        ));
        registry.put_tag(source, target, context.writes).await?;
    }
    check_source(source, target, registry).await
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
