//! Lineages of what builders were sent (`coherence::transfer`): their files on this machine, and the
//! configuration folder that gives buildx the name of one.

use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::temporary::{DOCKER, PrivateFolder, private_folder};
use crate::budget;
use crate::coherence::transfer::Lineage;

/// What was not used for so long is removed.
const OLD: Duration = Duration::from_hours(14 * 24);
/// The file in buildx's folder that names the session (docker/buildx, `util/confutil`, `TryNodeIdentifier`).
const NODE_ID: &str = ".buildNodeID";
/// What buildx writes again in each folder.
const OWN: [&str; 2] = [NODE_ID, ".lock"];

/// Where the lineages of one user are.
#[derive(Debug)]
pub(crate) struct Lineages {
    folder: PathBuf,
    boot: String,
}

impl Lineages {
    /// Those below the user's cache folder.
    #[must_use]
    pub(crate) fn below(cache: &Path) -> Self {
        // Linux: random(4). Elsewhere a copy from before a restart is not told.
        let boot = fs_err::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self { folder: cache.join("transfers"), boot }
    }

    /// Takes the lineage of this name away, so that no other build adds to it at the same time. `None`
    /// if there is none that can be read.
    #[must_use]
    pub(crate) fn take_out(&self, name: &str) -> Option<Lineage> {
        // The first to move it has it; a second build at the same time starts its own.
        let taken = tempfile::Builder::new().prefix(".taken-").tempdir_in(&self.folder).ok()?;
        let path = taken.path().join(name);
        fs_err::rename(self.folder.join(name), &path).ok()?;
        let metadata = fs_err::symlink_metadata(&path).ok().filter(std::fs::Metadata::is_file)?;
        let bytes = budget::read_file(&path, budget::LINEAGE).ok()?;
        let bytes = bytes.strip_prefix(&self.place(&metadata)?)?;
        Lineage::decode(bytes)
    }

    /// What only this very file has, in this boot of the machine: a copy of it, or one that was put
    /// back, is older than what the builder holds. `None` where files do not say when they were made.
    fn place(&self, metadata: &std::fs::Metadata) -> Option<[u8; 32]> {
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
        let place = self.place(&new.as_file().metadata()?).ok_or(io::ErrorKind::Unsupported)?;
        new.write_all(&place)?;
        new.write_all(&lineage.encode())?;
        new.persist(self.folder.join(name)).map_err(|error| error.error)?;
        for entry in fs_err::read_dir(&self.folder)?.flatten() {
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
pub(crate) fn buildx_folder(user: Option<&Path>, lineage: &str, parent: &Path) -> io::Result<PrivateFolder> {
    let folder = PrivateFolder::new(DOCKER, parent)?;
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
        assert_eq!(lineages.take_out("a"), None, "there is not even a folder");
        let lineage = Lineage { name: "0f".repeat(16), sent: Sent::default() };
        lineages.keep("a", &lineage).unwrap();
        assert_eq!(lineages.take_out("b"), None);
        assert_eq!(lineages.take_out("a").as_ref(), Some(&lineage));
        assert_eq!(lineages.take_out("a"), None);
        // One that was put back is not the one that was taken away.
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
