//! The file that `docker buildx build --metadata-file` writes.

use std::path::Path;

use serde_json::Value;

use crate::budget;
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::image::Digest;

/// What a build made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildMetadata {
    /// Digest of the manifest or index, as pushed; `None` where the exporter has none.
    pub digest: Option<Digest>,
    /// Digest of the configuration: what an engine without containerd's store calls the image id.
    pub config: Option<Digest>,
}

impl BuildMetadata {
    /// Reads the file.
    ///
    /// # Errors
    /// If buildx ended well and left no readable file: then nothing is known of what it built.
    pub fn read(path: &Path) -> Result<Self> {
        let what = || Error::of(FailureKind::BadAnswer, "failed to read what buildx built");
        let bytes = budget::read_file(path, budget::METADATA).map_err(|error| what().because(&error))?;
        Self::parse(&bytes).map_err(|error| what().because(&error))
    }

    /// What docker calls the image's id: the digest of its configuration; of an index its own (buildx, `getImageID`).
    #[must_use]
    pub fn image_id(self) -> Option<String> {
        Some(self.config.or(self.digest)?.to_string())
    }

    /// Reads the file's bytes.
    ///
    /// # Errors
    /// If they are not JSON. What is not a digest counts as none.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let file: Value = serde_json::from_slice(bytes)?;
        let digest = |name: &str| file[name].as_str().and_then(|text| text.parse().ok());
        Ok(Self { digest: digest("containerimage.digest"), config: digest("containerimage.config.digest") })
    }
}
