//! The files of lineages (`coherence::transfer`) on this machine, and the configuration folder that gives buildx a
//! session's name.

use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::temporary::{DOCKER, PrivateFolder, private_folder};
use crate::budget;
use crate::coherence::transfer::Lineage;

/// A lineage that was not used for so long is removed.
const UNUSED_FOR: Duration = Duration::from_hours(14 * 24);
/// The file in buildx's folder that names the session (docker/buildx, `util/confutil`, `TryNodeIdentifier`).
const NODE_ID: &str = ".buildNodeID";
/// Files that each configuration folder must have for itself.
const NOT_LINKED: [&str; 2] = [NODE_ID, ".lock"];

/// The lineages of one user.
#[derive(Debug)]
pub(crate) struct Lineages {
    folder: PathBuf,
    /// Names the time since the machine's last start.
    boot: String,
}

impl Lineages {
    /// The lineages below the user's cache folder.
    #[must_use]
    pub(crate) fn below(cache: &Path) -> Self {
        // Only Linux has this file (random(4)). Elsewhere a copy from before a restart is not noticed.
        let boot = fs_err::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self { folder: cache.join("transfers"), boot }
    }

    /// Removes the lineage with this name and returns it, so that no other build adds to it at the same time. `None` if
    /// there is none that can be read.
    #[must_use]
    pub(crate) fn take_out(&self, name: &str) -> Option<Lineage> {
        // Only one build can move the file; a second one at the same time starts a new lineage.
        let taken = tempfile::Builder::new().prefix(".taken-").tempdir_in(&self.folder).ok()?;
        let path = taken.path().join(name);
        fs_err::rename(self.folder.join(name), &path).ok()?;
        let metadata = fs_err::symlink_metadata(&path).ok().filter(std::fs::Metadata::is_file)?;
        let bytes = budget::read_file(&path, budget::LINEAGE).ok()?;
        let bytes = bytes.strip_prefix(&self.identity(&metadata)?)?;
        Lineage::decode(bytes)
    }

    /// A digest that only this file has, since this start of the machine. A copy of an earlier state, put back from a backup or
    /// a cache, has another one: it would not list everything that the builder has. `None` if the file system does not tell
    /// when a file was made.
    fn identity(&self, metadata: &std::fs::Metadata) -> Option<[u8; 32]> {
        let born = metadata.created().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        let digest = Sha256::new()
            .chain_update(&self.boot)
            .chain_update(metadata.dev().to_le_bytes())
            .chain_update(metadata.ino().to_le_bytes())
            .chain_update(born.as_nanos().to_le_bytes());
        Some(digest.finalize().into())
    }

    /// Writes a lineage down, and removes lineages that were not used for 14 days.
    ///
    /// # Errors
    /// If the folder cannot be written: then the next build sends all files once more.
    pub(crate) fn keep(&self, name: &str, lineage: &Lineage) -> io::Result<()> {
        private_folder(&self.folder)?;
        let mut new = tempfile::NamedTempFile::new_in(&self.folder)?;
        let identity = self.identity(&new.as_file().metadata()?).ok_or(io::ErrorKind::Unsupported)?;
        new.write_all(&identity)?;
        new.write_all(&lineage.encode())?;
        new.persist(self.folder.join(name)).map_err(|error| error.error)?;
        for entry in fs_err::read_dir(&self.folder)?.flatten() {
            let age = entry.metadata().ok().and_then(|metadata| metadata.modified().ok()?.elapsed().ok());
            if age.is_some_and(|age| age > UNUSED_FOR) {
                // Another build may remove it too.
                let _ = fs_err::remove_file(entry.path()).or_else(|_| fs_err::remove_dir_all(entry.path()));
            }
        }
        Ok(())
    }
}

/// Makes a configuration folder for buildx: the user's own, builders included, with another name of its sessions. It is
/// removed when dropped.
///
/// # Errors
/// If it cannot be made.
pub(crate) fn buildx_folder(user: Option<&Path>, lineage: &str, parent: &Path) -> io::Result<PrivateFolder> {
    let folder = PrivateFolder::new(DOCKER, parent)?;
    let entries = user.and_then(|user| fs_err::read_dir(std::path::absolute(user).ok()?).ok());
    for entry in entries.into_iter().flatten().flatten() {
        if !NOT_LINKED.iter().any(|own| entry.file_name() == *own) {
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
        assert_eq!(lineages.take_out("a"), None, "there is not even a folder");
        let lineage = Lineage { name: "0f".repeat(16), sent: Sent::default() };
        lineages.keep("a", &lineage).unwrap();
        assert_eq!(lineages.take_out("b"), None);
        assert_eq!(lineages.take_out("a").as_ref(), Some(&lineage));
        assert_eq!(lineages.take_out("a"), None);
        // A copy that was put back is not used.
        lineages.keep("a", &lineage).unwrap();
        let (file, copy) = (cache.path().join("transfers/a"), cache.path().join("copy"));
        fs_err::copy(&file, &copy).unwrap();
        fs_err::remove_file(&file).unwrap();
        fs_err::copy(&copy, &file).unwrap();
        assert_eq!(lineages.take_out("a"), None);
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
