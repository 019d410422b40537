//! Manifests by digest, kept between runs: each is read once.
//!
//! ```text
//! <manifest-cache>/sha256/<hex>     the manifest's bytes, checked against their digest when they are read
//! <manifest-cache>/<repository>.json  which tag named what, and since when, at the last run
//! ```

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::budget::{self, DOCUMENT_FILE, MANIFEST};
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::image::{Digest, Repository};
use crate::prune::{Links, read_links};

/// The manifests that this run and earlier ones have read.
pub(super) struct Manifests {
    folder: Option<PathBuf>,
    known: RefCell<BTreeMap<Digest, Links>>,
}

impl Manifests {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, known: RefCell::default() }
    }

    /// Whether manifests are kept between runs.
    pub(super) const fn lasts(&self) -> bool {
        self.folder.is_some()
    }

    fn path(&self, digest: &Digest) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join("sha256").join(digest.as_str().trim_start_matches("sha256:")))
    }

    /// The references of a manifest, if it was read before. A file that does not hold what its name says is none.
    pub(super) fn get(&self, digest: &Digest) -> Option<Links> {
        if let Some(links) = self.known.borrow().get(digest) {
            return Some(links.clone());
        }
        let bytes = budget::read_file(&self.path(digest)?, MANIFEST).ok()?;
        let links = read_links(&bytes).ok().filter(|_| Digest::of(&bytes) == *digest)?;
        self.known.borrow_mut().insert(digest.clone(), links.clone());
        Some(links)
    }

    /// Reads a manifest's bytes and keeps them.
    ///
    /// # Errors
    /// If it cannot be understood: then it is not known what it needs.
    pub(super) fn add(&self, repository: &Repository, digest: &Digest, bytes: &[u8]) -> Result<Links> {
        let links = read_links(bytes).map_err(|error| {
            let what = format!("failed to read the manifest {}", repository.at(digest.clone()));
            Error::of(FailureKind::BadAnswer, what)
                .because(&error)
                .hint("nothing is removed, because it is not known what this one needs")
        })?;
        self.known.borrow_mut().insert(digest.clone(), links.clone());
        // Without the file the next run reads it once more.
        if let Some(path) = self.path(digest) {
            let _ = store(&path, bytes);
        }
        Ok(links)
    }

    fn memory(&self, repository: &Repository) -> Option<PathBuf> {
        let name = Digest::of(repository.to_string().as_bytes());
        Some(self.folder.as_ref()?.join(format!("{}.json", name.short())))
    }

    /// What the last run saw in a repository; nothing if that cannot be read.
    pub(super) fn recall(&self, repository: &Repository) -> Remembered {
        let text = self.memory(repository).and_then(|path| budget::read_file(&path, 4 * DOCUMENT_FILE).ok());
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    pub(super) fn remember(&self, repository: &Repository, seen: &Remembered) {
        if let Some((path, text)) = self.memory(repository).zip(serde_json::to_vec(seen).ok()) {
            let _ = store(&path, &text);
        }
    }
}

/// Writes a file in one step.
fn store(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs_err::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// What was seen in a repository whose registry knows no times. Times are seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// What each tag named, and since when.
    pub(super) tags: BTreeMap<String, (Digest, u64)>,
    /// When each manifest was first seen.
    pub(super) versions: BTreeMap<Digest, u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_holds_another_manifest_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let repository: Repository = "h.example/ci".parse().unwrap();
        let bytes = br#"{"schemaVersion":2,"manifests":[]}"#;
        let digest = Digest::of(bytes);
        let manifests = Manifests::new(Some(folder.path().into()));
        assert_eq!(manifests.get(&digest), None);
        manifests.add(&repository, &digest, bytes).unwrap();
        let path = manifests.path(&digest).unwrap();
        let next = || Manifests::new(Some(folder.path().into()));
        assert!(next().get(&digest).is_some());
        // An index that hides its images would give them up.
        fs_err::write(&path, br#"{"schemaVersion":2,"layers":[]}"#).unwrap();
        assert_eq!(next().get(&digest), None);
        assert!(next().add(&repository, &digest, b"<html>").is_err());
        let mut seen = Remembered::default();
        seen.versions.insert(digest, 7);
        manifests.remember(&repository, &seen);
        assert_eq!(next().recall(&repository), seen);
        assert_eq!(next().recall(&"h.example/other".parse().unwrap()), Remembered::default());
    }
}
