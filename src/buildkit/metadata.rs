//! The file that `docker buildx build --metadata-file` writes: JSON with `containerimage.digest` and
//! `containerimage.config.digest`, among others.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::budget;
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::image::Digest;

/// The digests of a build's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildMetadata {
    /// Digest of the manifest or index, as pushed; `None` if the exporter gives none.
    pub digest: Option<Digest>,
    /// Digest of the configuration, which is the image's id on an engine without containerd's store.
    pub config: Option<Digest>,
}

impl BuildMetadata {
    /// Reads the file.
    ///
    /// # Errors
    /// If the file cannot be read. The result of the build is then unknown.
    pub fn read(path: &Path) -> Result<Self> {
        let what = || Error::of(FailureKind::BadAnswer, "failed to read what buildx built");
        let bytes = budget::read_file(path, budget::METADATA).map_err(|error| what().because(&error))?;
        Self::parse(&bytes).map_err(|error| what().because(&error))
    }

    /// Parts the file of `docker buildx bake`, which has an entry for each target: returns the entry of each of these
    /// targets, as `docker buildx build` would write it.
    ///
    /// # Errors
    /// If the file cannot be read, or a target has no entry.
    pub(crate) fn parts_of_bake(path: &Path, targets: &[String]) -> Result<Vec<String>> {
        let what = || Error::of(FailureKind::BadAnswer, "failed to read what buildx built");
        let bytes = budget::read_file(path, budget::METADATA).map_err(|error| what().because(&error))?;
        let mut all: BTreeMap<String, Value> =
            serde_json::from_slice(&bytes).map_err(|error| what().because(&error))?;
        let mut part = |target: &String| {
            let part =
                all.remove(target).ok_or_else(|| what().cause(format!("bake wrote nothing of {target}")))?;
            Ok(part.to_string())
        };
        targets.iter().map(&mut part).collect()
    }

    /// Docker's id of the image: the digest of its configuration, or of an index the index's own (buildx, `getImageID`).
    #[must_use]
    pub fn image_id(self) -> Option<String> {
        Some(self.config.or(self.digest)?.to_string())
    }

    /// Reads the file's bytes.
    ///
    /// # Errors
    /// If they are not JSON. A value that is not a digest counts as absent.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        Ok(Self::of(&serde_json::from_slice(bytes)?))
    }

    fn of(file: &Value) -> Self {
        let digest = |name: &str| file[name].as_str().and_then(|text| text.parse().ok());
        Self { digest: digest("containerimage.digest"), config: digest("containerimage.config.digest") }
    }
}
