//! Reads back the digest of the pushed image: the outputs report what the registry has.

use std::time::Duration;

use super::{Made, Record, StepContext};
use crate::buildkit::BuildMetadata;
use crate::error::{Error, Result};
use crate::facts::{LookupBy, LookupResult, wait_for};
use crate::failure::FailureKind;
use crate::image::ImageReference;

/// How long to wait for the manifest: a registry may show it only some seconds after the push.
const VISIBLE_WITHIN: Duration = Duration::from_secs(30);

/// Reads the digest back, and checks the image's key. `built`: the image as buildx reports it.
pub(super) async fn run(
    reference: &ImageReference,
    built: Made,
    context: &StepContext<'_>,
    record: &mut Record,
) -> Result<()> {
    record.made = Some(built);
    let references = std::slice::from_ref(reference);
    let lookups =
        wait_for(&context.ports.registry, VISIBLE_WITHIN, LookupBy::CommitTag, references, context.key_hex)
            .await;
    let seen = lookups.into_iter().next_back().map(|lookup| lookup.seen);
    match seen {
        Some(LookupResult::Match { digest, config, size, .. }) => {
            record.size = size;
            // Same key, other digest: another run pushed between this run's push and this look. Its image was made from
            // the same inputs, and the tag names it.
            let built = BuildMetadata::read(context.metadata).ok().and_then(|metadata| metadata.digest);
            if built.is_some_and(|built| built != digest) {
                record.notices.push(format!("{reference} is {digest}: the registry's copy counts"));
                record.adopt(digest, config);
            } else {
                record.made_mut().digest = Some(digest);
            }
            Ok(())
        }
        Some(LookupResult::OtherKey { digest, .. }) => {
            // The name is another image's by now.
            (record.unpublished, record.made) = (true, None);
            Err(Error::of(FailureKind::TagTaken, format!("{reference} names other content than was pushed"))
                .cause(format!("it is {digest}"))
                .hint("two jobs with different inputs use one image name; give each its own"))
        }
        Some(LookupResult::Unknown(error)) => Err(error),
        Some(LookupResult::Absent { .. }) | None => {
            Err(Error::of(FailureKind::EventualRead, format!("{reference} was pushed and is not there"))
                .hint(FailureKind::EventualRead.hint()))
        }
    }
}
