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

/// The kind of name that an image is looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LookupBy {
    /// The input `digest`.
    Digest,
    /// The tag of this run's commit.
    CommitTag,
    /// The tag of the expected key.
    KeyTag,
}

/// One question to the registry, and its answer.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Lookup {
    pub at: LookupBy,
    pub reference: ImageReference,
    pub seen: LookupResult,
}

impl Lookup {
    /// Tells whether further look-ups are needless: the image is found, or the registry does not answer.
    pub(super) const fn settles(&self) -> bool {
        matches!(self.seen, LookupResult::Match { .. } | LookupResult::Unknown(_))
    }

    /// The image that was found, by digest.
    pub(super) fn image(&self) -> Option<ImageReference> {
        match &self.seen {
            LookupResult::Match { digest, .. } => Some(self.reference.repository().at(digest.clone())),
            _ => None,
        }
    }

    /// Why the registry gave no answer, if it gave none.
    pub(crate) const fn unknown(&self) -> Option<&Error> {
        match &self.seen {
            LookupResult::Unknown(error) => Some(error),
            _ => None,
        }
    }
}

/// The answer of the registry.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LookupResult {
    /// The image exists, and has the expected key or digest.
    Match {
        digest: Digest,
        /// Bytes as stored; `None` for an index.
        #[serde(default)]
        size: Option<u64>,
        /// The digest of its configuration; `None` for an index.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        config: Option<Digest>,
        /// Annotations of the manifest or index itself.
        #[serde(default, skip_serializing_if = "HashMap::is_empty")]
        annotations: HashMap<String, String>,
    },
    /// The image under this name was made from other inputs.
    OtherKey {
        digest: Digest,
        /// The key of that image; `None` if it has none.
        key: Option<String>,
    },
    /// No image has this name.
    Absent {
        /// The repository itself is missing.
        #[serde(default)]
        no_repository: bool,
    },
    /// The registry gave no answer.
    Unknown(Error),
}

/// Asks the registry for one reference. The image must have `key`, if that is given.
pub(crate) async fn look_up(
    registry: &Registry,
    at: LookupBy,
    reference: ImageReference,
    key: Option<&str>,
) -> Lookup {
    let probe = registry.probe(&reference).await;
    judge(registry, at, reference, probe, key).await
}

/// Judges whether an answer is the wanted image. Apart from [`look_up`], so that the question can be asked before the key
/// is computed.
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

/// Reads an image's key: from its manifest's annotation, else from its configuration's label, because an engine without
/// containerd's store writes no annotations. An index without annotation has a key only if all its images have this
/// key. `wanted`: false if only the annotation is needed.
pub(super) async fn carried_key(
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
    let most = if Guard::EveryChild.holds() { MOST_CHILDREN } else { 1 };
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
    // An index with more images is not trusted, because not all are checked.
    Ok(key.filter(|_| manifest.children().nth(MOST_CHILDREN).is_none()))
}

/// Most images of an index whose keys are checked.
const MOST_CHILDREN: usize = 16;

/// Asks for the references until one is there or the time is over. While the registry is unavailable, it asks again; any
/// other failure ends the wait.
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
        registry.pause(backoff.wait(tried, random::fraction()).min(left)).await;
        tried += 1;
    }
}
