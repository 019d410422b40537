//! Decides which entries of one folder count, and reads what is known without opening them.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, DirEntry, FileType};

use super::{Walk, join};
use crate::key::error::KeyError;
use crate::key::files::select::State;
use crate::key::files::tree::{Fact, Kind};
use crate::key::files::{Taken, Warning, git, git_credential, read};
use crate::key::names;

/// The entries of one folder that count.
#[derive(Default)]
pub(super) struct Found {
    /// All of them, by name.
    pub(super) entries: Vec<(Vec<u8>, Kind)>,
    /// The folders.
    pub(super) inner: Vec<Inner>,
    /// The facts of links, pipes, sockets and devices, by name; files are digested later.
    pub(super) facts: Vec<(Vec<u8>, Fact)>,
    pub(super) repositories: Vec<(Vec<u8>, Option<git::Answers>)>,
    pub(super) warnings: Vec<Warning>,
}

/// A folder in a folder, as [`Job::Folder`].
pub(super) struct Inner {
    pub(super) name: Vec<u8>,
    pub(super) path: Vec<u8>,
    pub(super) state: State,
    pub(super) listed: bool,
}

impl Walk<'_> {
    /// Adds the folder `.git`, all of which counts, as a repository. Returns false if its bytes count in place of git's
    /// answers.
    fn repository(&self, path: &[u8], inner: &State, found: &mut Found) -> bool {
        let folder = self.full(path);
        let (answers, unreadable) = match git::read(&folder) {
            Ok(None) => return false,
            Ok(answers) => (answers, None),
            Err(why) => (None, Some(why)),
        };
        let config = [path, b"/config"].concat();
        let credential =
            self.selector.entry(&config, inner).then(|| git_credential::find_credential(self.root, &folder));
        found.warnings.push(Warning::Git(Taken {
            path: path.to_vec(),
            counts: true,
            unreadable: unreadable.map(Into::into),
            credential: credential.flatten().map(|file| names::escape(file.as_os_str().as_encoded_bytes())),
            ..Taken::default()
        }));
        let known = answers.is_some();
        found.repositories.extend(answers.map(|answers| (path.to_vec(), Some(answers))));
        known
    }

    /// Adds an entry of the opened folder to `found`, if it counts.
    pub(super) fn entry(
        &self,
        handle: &OwnedFd,
        folder: &[u8],
        entry: &DirEntry,
        state: &State,
        found: &mut Found,
    ) -> Result<(), KeyError> {
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            return Ok(());
        }
        self.selector.affordable(self.steps)?;
        let path = join(folder, name);
        let kind = match entry.file_type() {
            FileType::Unknown => self.look(handle, name, &path)?,
            known => known,
        };
        if kind == FileType::Directory {
            self.inner_folder(name, path, state, found);
            Ok(())
        } else if self.selector.entry(&path, state) {
            self.leaf(handle, name, path, kind, found)
        } else {
            Ok(())
        }
    }

    /// Adds a folder in a folder, unless nothing in it can count.
    fn inner_folder(&self, name: &[u8], path: Vec<u8>, state: &State, found: &mut Found) {
        let Some((listed, state)) = self.selector.folder(&path, state) else { return };
        if name == b".git" && listed && self.repository(&path, &state, found) {
            return;
        }
        found.entries.push((name.to_vec(), Kind::Folder));
        found.inner.push(Inner { name: name.to_vec(), path, state, listed });
    }

    /// Adds an entry that counts and is no folder.
    fn leaf(
        &self,
        handle: &OwnedFd,
        name: &[u8],
        path: Vec<u8>,
        kind: FileType,
        found: &mut Found,
    ) -> Result<(), KeyError> {
        match kind {
            FileType::RegularFile => {
                if name == b".git" && git::leads_elsewhere(&self.full(&path)) {
                    found.repositories.push((path, None));
                    return Ok(());
                }
                found.entries.push((name.to_vec(), Kind::File));
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(handle, name, Vec::new())
                    .map_err(|error| self.failed(&path, error))?;
                found.facts.push((name.to_vec(), Fact::symlink(target.as_bytes())));
                found.entries.push((name.to_vec(), Kind::Symlink));
            }
            other => {
                let stat = rustix::fs::statat(handle, name, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(|error| self.failed(&path, error))?;
                let what = describe(other);
                // Unsigned on Linux, signed on macOS.
                let device = if what == "device" { i128::from(stat.st_rdev) } else { 0 };
                found.facts.push((name.to_vec(), Fact::special(what, read::mode(&stat), device)));
                found.entries.push((name.to_vec(), Kind::Special));
                found.warnings.push(Warning::Special { path, what: what.into() });
            }
        }
        Ok(())
    }

    /// The kind of an entry on a file system that does not list it.
    fn look(&self, handle: &OwnedFd, name: &[u8], path: &[u8]) -> Result<FileType, KeyError> {
        rustix::fs::statat(handle, name, AtFlags::SYMLINK_NOFOLLOW)
            .map(|stat| read::file_type(&stat))
            .map_err(|error| self.failed(path, error))
    }
}

/// The kind in words.
fn describe(kind: FileType) -> &'static str {
    match kind {
        FileType::Socket => "socket",
        FileType::Fifo => "pipe",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        _ => "special file",
    }
}
