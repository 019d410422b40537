//! Gives each platform of an index a key tag of its own, by which runs for this platform, or for other sets of platforms, find
//! it. The image as a whole is published by then, so a failure here is only a notice.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::journal::may_go_on;
use super::{Record, StepContext, set_key_tag};
use crate::error::{Error, Result};
use crate::facts::{FoundPart, Line, LineKind, read_part};
use crate::failure::FailureKind;
use crate::image::{ANNOTATION_KEY, Digest, ImageReference};
use crate::plan::{Index, PlatformTag, TagGuard};
use crate::ports::docker::Docker;
use crate::ports::registry::Probe;

/// Sets the tags of all platforms side by side.
pub(super) async fn run(
    index: &ImageReference,
    (platforms, guard): (&[PlatformTag], &TagGuard),
    context: &StepContext<'_>,
    docker: &Docker,
    record: &mut Record,
) -> Result<()> {
    let found = match read_part(&context.ports.registry, index).await {
        Ok(Some(found)) => found,
        Ok(None) => return Err(crate::ports::registry::gone(index)),
        Err(error) => return note(error, "the platforms", record),
    };
    let done = join_all(platforms.iter().map(async |own| {
        let (image, size) = image_of(index, &found, own, context).await?;
        let mut of_tag = Record::default();
        let context = context.of_key(&own.key);
        let tag = (&own.key_tag, guard);
        set_key_tag::run(tag, &[], image, None, &context, docker, &mut of_tag).await?;
        Ok::<_, Error>((of_tag.tags, size))
    }));
    let mut whole = Some(0);
    for (own, done) in platforms.iter().zip(done.await) {
        let size = match done {
            Ok((tags, size)) => {
                record.tags.extend(tags);
                size
            }
            Err(error) => {
                note(error, &own.platform.to_string(), record)?;
                None
            }
        };
        whole = whole.zip(size).and_then(|(whole, size): (u64, u64)| whole.checked_add(size));
    }
    record.size = whole;
    Ok(())
}

/// Makes a failure a notice, unless the run is to stop.
fn note(error: Error, what: &str, record: &mut Record) -> Result<()> {
    if !may_go_on(&error) {
        return Err(error);
    }
    record.notices.push(format!("{what}: the key tag is not set: {}", error.headline()));
    Ok(())
}

/// The digest of one platform's image, and the image's bytes as the registry stores it. If it has attestations, an index of
/// its own holds both, as a build for this platform alone makes it.
async fn image_of(
    index: &ImageReference,
    found: &FoundPart,
    own: &PlatformTag,
    context: &StepContext<'_>,
) -> Result<(Digest, Option<u64>)> {
    let missing = || {
        Error::of(FailureKind::BadAnswer, format!("{index} has no image for {}", own.platform))
            .hint("the builder made something else than it was asked for")
    };
    let image = found.lines.iter().filter_map(Line::image).find(|(platform, _)| **platform == own.platform);
    let (_, digest) = image.ok_or_else(missing)?;
    let of_image = |line: &&Line| match &line.kind {
        LineKind::Image(_) => line.digest == *digest,
        LineKind::Attestation(of) => of == digest,
        LineKind::Other => false,
    };
    let lines: Vec<Line> = found.lines.iter().filter(of_image).cloned().collect();
    let digest: Digest = digest.parse().map_err(|_| missing())?;
    let registry = &context.ports.registry;
    let image = index.repository().at(digest.clone());
    let manifest = match registry.probe(&image).await {
        Probe::Present(manifest) => manifest,
        Probe::Absent { .. } => return Err(missing()),
        Probe::Unknown(error) => return Err(error),
    };
    let annotations: BTreeMap<String, String> =
        manifest.annotations().cloned().unwrap_or_default().into_iter().collect();
    // The label of an image that is built with others is the key of them all.
    if annotations.get(ANNOTATION_KEY) != Some(&own.key) {
        return Err(Error::of(FailureKind::BadAnswer, format!("{image} does not carry its own key"))
            .hint("the builder left the annotations of manifests out; use a newer BuildKit"));
    }
    if lines.len() == 1 {
        return Ok((digest, manifest.size()));
    }
    let alone = Index::new(&lines, &annotations);
    let target = index.repository().at(alone.digest.clone());
    registry.put(&target, Index::MEDIA_TYPE.to_owned(), alone.text.into_bytes(), context.writes).await?;
    Ok((alone.digest, manifest.size()))
}
