//! Stores an index of images that the registry has, through the registry's API, without docker.

use super::retry::Attempts;
use super::{Made, Record, StepContext, alias};
use crate::error::Result;
use crate::image::ImageReference;
use crate::plan::Index;
use crate::ports::docker::Docker;
use crate::ports::registry::Probe;

/// Stores the index under the name, unless the registry has it there already.
pub(super) async fn run(
    index: &Index,
    target: &ImageReference,
    context: &StepContext<'_>,
    docker: &Docker,
    record: &mut Record,
) -> Result<()> {
    let mut attempts = Attempts::default();
    let written = loop {
        match try_once(index, target, context).await {
            Ok(written) => break written,
            Err(error) => attempts.after_request(error, target.registry(), context, docker).await?,
        }
    };
    record.pushed = Some(written);
    let (digest, image_id) = (Some(index.digest.clone()), Some(index.digest.to_string()));
    record.made = Some(Made { digest, image_id, adopted: false });
    record.tags.push(target.to_string());
    Ok(())
}

/// Stores the index. Returns false if the name has it already.
async fn try_once(index: &Index, target: &ImageReference, context: &StepContext<'_>) -> Result<bool> {
    let registry = &context.ports.registry;
    if matches!(registry.probe(target).await, Probe::Present(found) if found.digest == index.digest) {
        return Ok(false);
    }
    let bytes = index.text.clone().into_bytes();
    registry.put(target, Index::MEDIA_TYPE.to_owned(), bytes, context.writes).await?;
    alias::check(target, &index.digest, registry).await.map(|()| true)
}
