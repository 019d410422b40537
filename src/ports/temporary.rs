//! The program's temporary folders: only their owner can enter them, and they are removed when the run ends, however it ends.
//! A later run removes those of killed runs. A lock tells whether a folder is in use; its age does not, because a machine's
//! clock may jump, and a run may take longer than a day.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use crate::env::{self, Env};

/// The prefix of folders with a docker configuration.
pub(crate) const DOCKER: &str = "build-once-docker-";
/// The prefix of folders with a part of a remote git repository.
pub(crate) const GIT: &str = "build-once-git-";
/// The prefix of folders with a run's plan and buildx's metadata.
pub(crate) const RUN: &str = "build-once-run-";

/// A folder with an unguessable name, locked while it is in use, and removed when dropped.
#[derive(Debug)]
pub(crate) struct PrivateFolder {
    folder: tempfile::TempDir,
    /// The lock; the operating system releases it however the program ends.
    _lock: Option<File>,
}

impl PrivateFolder {
    /// Makes a folder that only its owner can enter.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn new(prefix: &str, parent: &Path) -> std::io::Result<Self> {
        let private = std::fs::Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix(prefix).permissions(private).tempdir_in(parent)?;
        // On a file system without locks the folder has none, and no later run removes it.
        let lock = open(folder.path()).filter(|at| flock(at, FlockOperation::NonBlockingLockShared).is_ok());
        Ok(Self { folder, _lock: lock })
    }

    /// The folder's path.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Keeps the folder for later steps.
    #[must_use]
    pub(crate) fn keep(self) -> PathBuf {
        self.folder.keep()
    }
}

/// Opens a folder that is no link.
fn open(folder: &Path) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(folder, flags, Mode::empty()).ok().map(File::from)
}

/// The folder for temporary files: the runner's, which the runner itself empties, else the machine's.
#[must_use]
pub(crate) fn temporary_folder(env: &Env) -> PathBuf {
    let named = env.get(env::RUNNER_TEMP).or_else(|| env.get(env::TMPDIR));
    let folder = named.map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    // The runner's folder exists, except on machines where only the variable is set.
    let _ = private_folder(&folder);
    folder
}

/// Makes a folder that only its owner can enter.
///
/// # Errors
/// The operating system's.
pub(crate) fn private_folder(path: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes folders of killed runs: those with this program's prefixes that are not locked and are a day old. A younger one
/// may be about to be locked.
pub(crate) fn sweep(env: &Env) {
    // In a workflow later steps read a run's folder, and the runner removes it.
    let of_runs: &[&str] = if env.in_github_actions() { &[] } else { &[RUN] };
    let ours = |name: &str| [DOCKER, GIT].iter().chain(of_runs).any(|prefix| name.starts_with(prefix));
    let entries = BTreeSet::from([temporary_folder(env), std::env::temp_dir()]).into_iter();
    let entries = entries.filter_map(|folder| fs_err::read_dir(folder).ok()).flatten().flatten();
    for entry in entries.filter(|entry| ours(&entry.file_name().to_string_lossy())) {
        if let Some(_lock) = left_behind(&entry.path()) {
            // Another run may remove it too.
            let _ = fs_err::remove_dir_all(entry.path());
        }
    }
}

/// Locks a folder that is old and in no use; `None` for others.
fn left_behind(folder: &Path) -> Option<File> {
    const OLD: Duration = Duration::from_hours(24);
    let opened = open(folder)?;
    let age = opened.metadata().ok()?.modified().ok()?.elapsed().ok()?;
    let is_free = age > OLD && flock(&opened, FlockOperation::NonBlockingLockExclusive).is_ok();
    is_free.then_some(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d19_a_clock_that_jumps_removes_no_folder_in_use() {
        let temp = tempfile::tempdir().unwrap();
        let env = Env::from([("RUNNER_TEMP", temp.path().to_str().unwrap())]);
        let folders = [DOCKER, GIT, RUN].map(|prefix| PrivateFolder::new(prefix, temp.path()).unwrap());
        // As far away as a machine's clock can be set.
        for days in [2, 20_000] {
            let past = std::time::UNIX_EPOCH + Duration::from_hours(24 * (20_001 - days));
            for folder in &folders {
                fs_err::File::open(folder.path()).unwrap().file().set_modified(past).unwrap();
            }
            sweep(&env);
            assert!(folders.iter().all(|folder| folder.path().is_dir()), "{days}");
        }
        // As if their run was killed: nothing locks or removes them.
        for folder in folders {
            let path = folder.keep();
            // A process that another thread starts has a copy of the lock until it runs its program. In a run that only
            // leaves the folder to the next run.
            let swept = (0..500).any(|_| {
                sweep(&env);
                std::thread::sleep(Duration::from_millis(10));
                !path.exists()
            });
            assert!(swept);
        }
    }
}
