//! Reads back what was pushed: the outputs report the digest that the registry has.

use std::time::Duration;

use super::{Made, Record, StepContext};
use crate::buildkit::BuildMetadata;
use crate::error::{Error, Result};
use crate::facts::{LookupBy, LookupResult, wait_for};
use crate::failure::FailureKind;
use crate::image::ImageReference;

/// Registries may show a manifest a little after they took it.
const PATIENCE: Duration = Duration::from_secs(30);

/// `built`: what the build says of the image.
pub(super) async fn run(
    reference: &ImageReference,
    built: Made,
    context: &StepContext<'_>,
    record: &mut Record,
) -> Result<()> {
    record.made = Some(built);
    let references = std::slice::from_ref(reference);
    let lookups =
        wait_for(&context.ports.registry, PATIENCE, LookupBy::CommitTag, references, context.key_hex()).await;
    let seen = lookups.into_iter().next_back().map(|lookup| lookup.seen);
    match seen {
        Some(LookupResult::Match { digest, config, .. }) => {
            // Same key, other digest: another run pushed between our push and this look. Its
            // content is as good as ours, and it is what the tag names.
            let built = BuildMetadata::read(context.metadata).ok().and_then(|metadata| metadata.digest);
            if built.is_some_and(|built| built != digest) {
                record.notices.push(format!("{reference} is {digest}: the registry's copy counts"));
                record.adopt(digest, config);
            } else {
                record.made().digest = Some(digest);
            }
            Ok(())
        }
        Some(LookupResult::OtherKey { digest, .. }) => {
            // The name is another's by now.
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
