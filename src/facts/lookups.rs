//! Looks the image up in the registry: commit tag, then key tags; own zone first.

use std::collections::HashMap;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::error::Error;
use crate::failure::FailureClass;
use crate::guards::Guard;
use crate::image::{ANNOTATION_KEY, Digest, ImageReference, Manifest};
use crate::ports::clock::Stopwatch;
use crate::ports::random;
use crate::ports::registry::{Probe, Registry};

/// Under which name the image was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LookupBy {
    /// The digest that was asked for.
    Digest,
    /// This commit's tag.
    CommitTag,
    /// The key's tag.
    KeyTag,
}

/// One question to the registry, and its answer.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Lookup {
    /// Under which name.
    pub at: LookupBy,
    /// The reference asked for.
    pub reference: ImageReference,
    /// The answer.
    pub seen: LookupResult,
}

/// What the registry said.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LookupResult {
    /// The image is there and carries the expected key, or is the digest asked for.
    Match {
        digest: Digest,
        /// Bytes as stored, where it is a single image.
        size: Option<u64>,
        /// The digest of its configuration, where it is a single image.
        #[serde(skip)]
        config: Option<Digest>,
        /// Annotations of the manifest or index itself.
        #[serde(skip)]
        annotations: HashMap<String, String>,
    },
    /// An image is there, made from other inputs.
    OtherKey {
        digest: Digest,
        /// The key it carries, if it carries one.
        key: Option<String>,
    },
    /// There is none.
    Absent {
        /// The repository itself is missing.
        no_repository: bool,
    },
    /// The registry did not say.
    Unknown(Error),
}

/// Asks for one reference; `key` is what the image must carry.
pub(crate) async fn look_up(
    registry: &Registry,
    at: LookupBy,
    reference: ImageReference,
    key: Option<&str>,
) -> Lookup {
    let probe = registry.probe(&reference).await;
    judge(registry, at, reference, probe, key).await
}

/// Whether an answer is the image that is wanted. Apart from the question, so that the
/// question can be under way while the key is still being computed.
pub(crate) async fn judge(
    registry: &Registry,
    at: LookupBy,
    reference: ImageReference,
    probe: Probe,
    key: Option<&str>,
) -> Lookup {
    let seen = match probe {
        Probe::Absent { no_repository } => LookupResult::Absent { no_repository },
        Probe::Unknown(error) => LookupResult::Unknown(error),
        Probe::Present(manifest) => match carried_key(registry, &reference, &manifest, key.is_some()).await {
            Err(error) => LookupResult::Unknown(error),
            Ok(found) if key.is_some() && found.as_deref() != key && Guard::ExpectedKey.holds() => {
                LookupResult::OtherKey { digest: manifest.digest.clone(), key: found }
            }
            Ok(_) => LookupResult::Match {
                digest: manifest.digest.clone(),
                size: manifest.size(),
                config: manifest.config_digest(),
                annotations: manifest.annotations().cloned().unwrap_or_default(),
            },
        },
    };
    Lookup { at, reference, seen }
}

/// The key an image carries: in its manifest's annotation, else in its configuration's label
/// (an engine without containerd's store writes no annotations). An index without annotation
/// has the key that all its images carry: one that was put among them later has another.
async fn carried_key(
    registry: &Registry,
    reference: &ImageReference,
    manifest: &Manifest,
    wanted: bool,
) -> Result<Option<String>, Error> {
    if let Some(key) = manifest.annotation(ANNOTATION_KEY) {
        return Ok(Some(key.to_owned()));
    }
    if !wanted {
        return Ok(None);
    }
    if manifest.config().is_some() {
        return Ok(registry.labels(reference, manifest).await?.remove(ANNOTATION_KEY));
    }
    let most = if Guard::EveryChild.holds() { CHILDREN } else { 1 };
    let mut key: Option<String> = None;
    for (at, child) in manifest.children().take(most).enumerate() {
        let Ok(digest) = child.digest().to_string().parse() else { return Ok(None) };
        let child = reference.repository().at(digest);
        let found = match registry.probe(&child).await {
            Probe::Present(image) => registry.labels(&child, &image).await?.remove(ANNOTATION_KEY),
            Probe::Absent { .. } => None,
            Probe::Unknown(error) => return Err(error),
        };
        if at > 0 && found != key {
            return Ok(None);
        }
        key = found;
    }
    // An index with more images is not trusted: they are not all checked.
    Ok(key.filter(|_| manifest.children().nth(CHILDREN).is_none()))
}

/// Most images of an index that are asked for their key.
const CHILDREN: usize = 16;

/// Asks again until there is an answer other than absent, or the time is over. That a registry
/// does not answer for a while is no answer.
pub(crate) async fn wait_for(
    registry: &Registry,
    limit: Duration,
    at: LookupBy,
    references: &[ImageReference],
    key: Option<&str>,
) -> Vec<Lookup> {
    let watch = Stopwatch::start();
    let backoff = Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(5) };
    let mut tried = 0;
    loop {
        let mut lookups = Vec::new();
        for reference in references {
            let lookup = look_up(registry, at, reference.clone(), key).await;
            let ended = match &lookup.seen {
                LookupResult::Absent { .. } => false,
                LookupResult::Unknown(error) => error.class != FailureClass::Unavailable,
                LookupResult::Match { .. } | LookupResult::OtherKey { .. } => true,
            };
            lookups.push(lookup);
            if ended {
                return lookups;
            }
        }
        let left = limit.saturating_sub(watch.elapsed());
        if left.is_zero() {
            return lookups;
        }
        registry.rest(backoff.wait(tried, random::fraction()).min(left)).await;
        tried += 1;
    }
}
