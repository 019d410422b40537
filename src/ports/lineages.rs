//! Lineages of what builders were sent (`coherence::transfer`): their files on this machine, and the
//! configuration folder that gives buildx the name of one.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::docker_config::{PREFIX, private_folder, private_temporary};
use crate::coherence::transfer::Lineage;

/// Largest file that is read, in bytes: some six million files of one context.
const LARGEST: u64 = 256 << 20;
/// What was not used for so long is removed.
const OLD: Duration = Duration::from_hours(14 * 24);
/// The file in buildx's folder that names the session (docker/buildx, `util/confutil`, `TryNodeIdentifier`).
const NODE_ID: &str = ".buildNodeID";
/// What buildx makes in each folder anew.
const OWN: [&str; 2] = [NODE_ID, ".lock"];

/// Where the lineages of one user are.
#[derive(Debug)]
pub struct Lineages(PathBuf);

impl Lineages {
    /// Those below the user's cache folder.
    #[must_use]
    pub fn below(cache: &Path) -> Self {
        Self(cache.join("transfers"))
    }

    /// Takes the lineage of this name away: while a build goes on, and after one that failed, what its
    /// builder holds is not known. `None` if there is none that can be read.
    #[must_use]
    pub fn take(&self, name: &str) -> Option<Lineage> {
        // The first to move it has it; a second build at the same time starts its own.
        let taken = tempfile::Builder::new().prefix(".taken-").tempdir_in(&self.0).ok()?;
        let path = taken.path().join(name);
        fs_err::rename(self.0.join(name), &path).ok()?;
        let mut bytes = Vec::new();
        fs_err::File::open(path).ok()?.take(LARGEST).read_to_end(&mut bytes).ok()?;
        Lineage::decode(&bytes)
    }

    /// Writes down what a builder was sent, and removes lineages that were not used for 14 days.
    ///
    /// # Errors
    /// If the folder cannot be written: then the next build sends all files once more.
    pub fn keep(&self, name: &str, lineage: &Lineage) -> io::Result<()> {
        private_folder(&self.0)?;
        let mut new = tempfile::NamedTempFile::new_in(&self.0)?;
        new.write_all(&lineage.encode())?;
        new.persist(self.0.join(name)).map_err(|error| error.error)?;
        for entry in fs_err::read_dir(&self.0)?.flatten() {
            let age = entry.metadata().ok().and_then(|metadata| metadata.modified().ok()?.elapsed().ok());
            if age.is_some_and(|age| age > OLD) {
                // Another build may remove it too.
                let _ = fs_err::remove_file(entry.path()).or_else(|_| fs_err::remove_dir_all(entry.path()));
            }
        }
        Ok(())
    }
}

/// A configuration folder for buildx: the user's own, builders included, but for the name of its
/// sessions. Removed when dropped.
///
/// # Errors
/// If it cannot be made.
pub fn buildx_folder(user: Option<&Path>, lineage: &str, parent: &Path) -> io::Result<tempfile::TempDir> {
    let folder = private_temporary(PREFIX, parent)?;
    let entries = user.and_then(|user| fs_err::read_dir(std::path::absolute(user).ok()?).ok());
    for entry in entries.into_iter().flatten().flatten() {
        if !OWN.iter().any(|own| entry.file_name() == *own) {
            std::os::unix::fs::symlink(entry.path(), folder.path().join(entry.file_name()))?;
        }
    }
    fs_err::write(folder.path().join(NODE_ID), lineage)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coherence::transfer::Sent;

    #[test]
    fn a_lineage_is_taken_once() {
        let cache = tempfile::tempdir().unwrap();
        let lineages = Lineages::below(cache.path());
        assert_eq!(lineages.take("a"), None, "there is not even a folder");
        let lineage = Lineage { name: "0f".repeat(16), sent: Sent::default() };
        lineages.keep("a", &lineage).unwrap();
        assert_eq!(lineages.take("b"), None);
        assert_eq!(lineages.take("a"), Some(lineage));
        assert_eq!(lineages.take("a"), None);
        assert_eq!(fs_err::read_dir(cache.path().join("transfers")).unwrap().count(), 0, "nothing is left");
    }

    #[test]
    fn buildx_finds_the_users_builders_and_another_name() {
        let (user, parent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs_err::create_dir(user.path().join("instances")).unwrap();
        fs_err::write(user.path().join("instances/b"), "builder").unwrap();
        fs_err::write(user.path().join(NODE_ID), "the user's").unwrap();
        fs_err::write(user.path().join(".lock"), "").unwrap();
        let folder = buildx_folder(Some(user.path()), "other", parent.path()).unwrap();
        let read = |name: &str| fs_err::read_to_string(folder.path().join(name)).ok();
        assert_eq!(read("instances/b").as_deref(), Some("builder"));
        assert_eq!(read(NODE_ID).as_deref(), Some("other"));
        assert_eq!(read(".lock"), None);
        assert!(buildx_folder(None, "other", parent.path()).is_ok());
    }
}
