//! Stores an index of images that the registry has, through the registry's API, without docker. What another repository
//! has of them is copied first, because an index names images of its own repository.

use futures_util::future::try_join_all;

use super::retry::insist;
use super::{Made, Record, StepContext, alias};
use crate::error::Result;
use crate::facts::{FoundPart, read_part};
use crate::image::{Digest, ImageReference};
use crate::plan::{Index, JoinedIndex};
use crate::ports::docker::Docker;
use crate::ports::registry::{Probe, gone};

/// Stores the index under the name, unless the registry has it there already.
pub(super) async fn run(
    index: &Index,
    target: &ImageReference,
    context: &StepContext<'_>,
    docker: &Docker,
    record: &mut Record,
) -> Result<()> {
    let put = async || try_once(index, target, context).await;
    let written = insist(target.registry(), context, docker, put).await?;
    (record.pushed, record.size) = (Some(written), index.size);
    let (digest, image_id) = (Some(index.digest.clone()), Some(index.digest.to_string()));
    record.made = Some(Made { digest, image_id, adopted: false });
    record.tags.push(target.to_string());
    Ok(())
}

/// Reads the images that this run has built, and stores the index of them and of those from before.
pub(super) async fn join(
    joined: &JoinedIndex,
    built: &[Digest],
    target: &ImageReference,
    context: &StepContext<'_>,
    docker: &Docker,
    record: &mut Record,
) -> Result<()> {
    let read = async || read_parts(built, target, context).await;
    let parts = insist(target.registry(), context, docker, read).await?;
    run(&joined.index(&parts)?, target, context, docker, record).await
}

async fn read_parts(
    built: &[Digest],
    target: &ImageReference,
    context: &StepContext<'_>,
) -> Result<Vec<FoundPart>> {
    try_join_all(built.iter().map(async |digest| {
        let reference = target.repository().at(digest.clone());
        read_part(&context.ports.registry, &reference).await?.ok_or_else(|| gone(&reference))
    }))
    .await
}

/// Stores the index. Returns false if the name has it already.
async fn try_once(index: &Index, target: &ImageReference, context: &StepContext<'_>) -> Result<bool> {
    let registry = &context.ports.registry;
    if matches!(registry.probe(target).await, Probe::Present(found) if found.digest == index.digest) {
        return Ok(false);
    }
    for part in index.parts.iter().filter(|part| part.repository() != target.repository()) {
        let Some(digest) = part.digest() else { continue };
        let copied = registry.copy(part, &target.repository().at(digest.clone()), context.writes).await?;
        context.ports.console.line(&format!("{digest} copied to {}: {copied}", target.repository()));
    }
    let bytes = index.text.clone().into_bytes();
    registry.put(target, Index::MEDIA_TYPE.to_owned(), bytes, context.writes).await?;
    alias::check(target, &index.digest, registry).await.map(|()| true)
}
