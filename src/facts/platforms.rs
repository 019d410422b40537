//! Looks for the platforms of an image one by one, where the image as a whole is not there.

use std::time::Duration;

use futures_util::future::join_all;

use super::lookups::{Lookup, LookupBy, LookupResult, look_up, wait_for};
use super::merge::{FoundPart, Line, index_line, read_part};
use crate::image::{ImageReference, Platform, Repository};
use crate::key::{PlatformKey, short};
use crate::ports::registry::{Probe, Registry};
use crate::trust::ZoneNames;

/// One of the platforms of an image with several.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlatformFacts {
    pub(crate) platform: Platform,
    /// The key that an image for this platform alone has, 64 hexadecimal digits.
    pub(crate) key: String,
    /// The registry's answers about that key; empty unless the image as a whole was not found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) lookups: Vec<Lookup>,
    /// The image that was found, as an index names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) part: Option<FoundPart>,
}

impl PlatformFacts {
    /// The image of this platform by its digest, if the registry has one.
    pub(crate) fn found(&self) -> Option<ImageReference> {
        self.lookups.iter().find_map(Lookup::image)
    }
}

/// The platforms without any answer.
pub(super) fn unasked(keys: &[PlatformKey]) -> Vec<PlatformFacts> {
    let facts = keys.iter().map(|own| PlatformFacts {
        platform: own.platform.clone(),
        key: own.key.hex.clone(),
        lookups: Vec::new(),
        part: None,
    });
    facts.collect()
}

/// Asks for every platform side by side, in the repositories of which `may_have` is true. `patient`: how long to wait for
/// each.
pub(super) async fn look_up_each(
    registry: &Registry,
    names: ZoneNames<'_>,
    patient: Option<Duration>,
    keys: &[PlatformKey],
    may_have: impl Fn(&Repository) -> bool,
) -> Vec<PlatformFacts> {
    join_all(unasked(keys).into_iter().map(async |mut facts| {
        let mut references = names.of_key(short(&facts.key));
        references.retain(|reference| may_have(reference.repository()));
        facts.lookups = match patient {
            Some(limit) => wait_for(registry, limit, LookupBy::KeyTag, &references, Some(&facts.key)).await,
            None => ask(registry, references, &facts.key).await,
        };
        read(registry, &mut facts).await;
        facts
    }))
    .await
}

/// Looks for the image of one platform in an index. `None` if there is no index, or it has no image for this platform.
pub(super) async fn in_index(
    registry: &Registry,
    index: ImageReference,
    platform: &Platform,
    key: &str,
) -> Option<Lookup> {
    let at = LookupBy::CommitTag;
    let manifest = match registry.probe(&index).await {
        Probe::Present(manifest) => manifest,
        Probe::Absent { .. } => return None,
        Probe::Unknown(error) => {
            return Some(Lookup { at, reference: index, seen: LookupResult::Unknown(error) });
        }
    };
    let children: Vec<Line> = manifest.descriptors().iter().map(index_line).collect();
    let (_, digest) = children.iter().filter_map(Line::image).find(|(own, _)| *own == platform)?;
    let child = index.repository().at(digest.parse().ok()?);
    let seen = look_up(registry, at, child, Some(key)).await.seen;
    Some(Lookup { at, reference: index, seen })
}

/// Asks until one has the key or does not answer.
async fn ask(registry: &Registry, references: Vec<ImageReference>, key: &str) -> Vec<Lookup> {
    let mut lookups = Vec::new();
    for reference in references {
        let lookup = look_up(registry, LookupBy::KeyTag, reference, Some(key)).await;
        let ended = lookup.settles();
        lookups.push(lookup);
        if ended {
            break;
        }
    }
    lookups
}

/// Reads the image that was found. If it cannot be read, it is not known what the registry has.
async fn read(registry: &Registry, facts: &mut PlatformFacts) {
    let Some(image) = facts.found() else { return };
    let seen = match read_part(registry, &image).await {
        Ok(Some(part)) => {
            facts.part = Some(part);
            return;
        }
        Ok(None) => LookupResult::Absent { no_repository: false },
        Err(error) => LookupResult::Unknown(error),
    };
    if let Some(lookup) = facts.lookups.last_mut() {
        lookup.seen = seen;
    }
}
