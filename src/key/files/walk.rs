//! Reading a tree with every processor: folders and batches of files share one queue.
//!
//! Entries are opened relative to their folder's descriptor and never through a link, so a tree that is being
//! rearranged cannot lead the walk astray; `std::fs` has no such call.

use std::ffi::CString;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::read::{self, Failure, vanished};
use super::select::{Selector, State};
use super::tree::{Fact, Folder, Kind, Listing, Tree};
use super::{Taken, Warning};
use super::{git, git_credential};
use crate::budget::{FILES, PATH_MATCHING, more_than};
use crate::crash;
use crate::key::error::KeyError;
use crate::key::names;

/// Files a thread takes at once: enough to make the queue's lock cheap, few enough to share a folder.
const BATCH: usize = 64;
/// More threads than this only queue at the disk.
const THREADS: usize = 16;

/// Reads what `selector` picks below `root`.
pub(super) fn run(root: &Path, selector: &Selector) -> Result<(Tree, Vec<Warning>), KeyError> {
    run_within(root, selector, FILES, PATH_MATCHING)
}

/// The same, of at most so many files, links and folders, with at most so many steps of matching.
pub(super) fn run_within(
    root: &Path,
    selector: &Selector,
    most: usize,
    steps: usize,
) -> Result<(Tree, Vec<Warning>), KeyError> {
    let handle = rustix::fs::open(root, FOLDER, Mode::empty())
        .map_err(|_| KeyError::Context { path: root.to_owned() })?;
    let walk = Walk { root, handle, selector, most, steps, shared: Mutex::default(), wake: Condvar::new() };
    {
        let mut shared = walk.lock();
        shared.folders.push(Folder { listed: true, ..Folder::default() });
        shared.jobs.push(Job::Folder { number: 0, path: Vec::new(), state: State::default(), listed: true });
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| walk.work());
        }
        walk.work();
    });
    let shared = walk.shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = shared.failure {
        return Err(error);
    }
    let mut warnings = shared.warnings;
    warnings.sort();
    let mut tree = Tree::seal(shared.folders);
    tree.set_repositories(shared.repositories);
    Ok((tree, warnings))
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// `NONBLOCK`: a name that has become a pipe since it was listed must not hang the walk.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

struct Walk<'a> {
    root: &'a Path,
    handle: OwnedFd,
    selector: &'a Selector,
    most: usize,
    steps: usize,
    shared: Mutex<Shared>,
    wake: Condvar,
}

#[derive(Default)]
struct Shared {
    jobs: Vec<Job>,
    busy: usize,
    failure: Option<KeyError>,
    /// A thread has panicked.
    broken: bool,
    folders: Vec<Folder>,
    /// Files, links and folders so far.
    entries: usize,
    repositories: Vec<(Vec<u8>, Option<git::Answers>)>,
    warnings: Vec<Warning>,
}

enum Job {
    Folder { number: u32, path: Vec<u8>, state: State, listed: bool },
    Files(Batch),
}

/// Some of a folder's files.
struct Batch {
    number: u32,
    folder: Arc<Opened>,
    slots: Range<usize>,
}

struct Opened {
    handle: OwnedFd,
    path: Vec<u8>,
    listing: Arc<Listing>,
}

/// What one look into a folder found.
#[derive(Default)]
struct Found {
    entries: Vec<(Vec<u8>, Kind)>,
    inner: Vec<(Vec<u8>, Vec<u8>, State, bool)>,
    /// Links, pipes, sockets and devices.
    links: Vec<(Vec<u8>, Fact)>,
    repositories: Vec<(Vec<u8>, Option<git::Answers>)>,
    warnings: Vec<Warning>,
}

/// A job that was taken. Given back also by a panic, or the other threads would wait for ever.
struct Busy<'a>(&'a Walk<'a>);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut shared = self.0.lock();
        shared.busy -= 1;
        shared.broken |= std::thread::panicking();
        drop(shared);
        self.0.wake.notify_all();
    }
}

impl Walk<'_> {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut buffer = vec![0; read::BUFFER];
        while let Some(job) = self.next() {
            let _busy = Busy(self);
            crash::on_purpose("walk");
            let done = match job {
                Job::Folder { number, path, state, listed } => self.folder(number, path, &state, listed),
                Job::Files(batch) => self.files(&batch, &mut buffer),
            };
            if let Err(error) = done {
                self.lock().failure.get_or_insert(error);
            }
        }
    }

    /// The newest job, so that a folder's files are read while its handle is open; `None` when all is done.
    fn next(&self) -> Option<Job> {
        let mut shared = self.lock();
        loop {
            if shared.failure.is_some() || shared.broken {
                return None;
            }
            if let Some(job) = shared.jobs.pop() {
                shared.busy += 1;
                return Some(job);
            }
            if shared.busy == 0 {
                return None;
            }
            shared = self.wake.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn folder(&self, number: u32, path: Vec<u8>, state: &State, listed: bool) -> Result<(), KeyError> {
        let name: &[u8] = if path.is_empty() { b"." } else { &path };
        let flags = if path.is_empty() { FOLDER } else { FOLDER.union(OFlags::NOFOLLOW) };
        let opened = rustix::fs::openat(&self.handle, name, flags, Mode::empty());
        let handle = match opened {
            Ok(handle) => handle,
            Err(Errno::ACCESS | Errno::PERM) if self.selector.tolerates_unreadable(listed) => return Ok(()),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                return Err(KeyError::Changed { path: self.full(&path) });
            }
            Err(error) => return Err(self.failed(&path, error)),
        };
        let mut found = Found::default();
        let entries = Dir::read_from(&handle).map_err(|error| self.failed(&path, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| self.failed(&path, error))?;
            self.entry(&handle, &path, entry.file_name().to_bytes(), entry.file_type(), state, &mut found)?;
        }
        let listing = Arc::new(Listing::new(found.entries).ok_or_else(|| too_many(self.most))?);
        let opened = Arc::new(Opened { handle, path, listing });
        self.lock().repositories.append(&mut found.repositories);
        self.install(number, &opened, found.inner, &found.links, found.warnings)
    }

    /// Takes a folder `.git` that counts as a whole for what git would answer; false if its bytes count.
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

    fn entry(
        &self,
        handle: &OwnedFd,
        folder: &[u8],
        name: &[u8],
        kind: FileType,
        state: &State,
        found: &mut Found,
    ) -> Result<(), KeyError> {
        if name == b"." || name == b".." {
            return Ok(());
        }
        self.selector.affordable(self.steps)?;
        let path = join(folder, name);
        let kind = if kind == FileType::Unknown { self.look(handle, name, &path)? } else { kind };
        if kind == FileType::Directory {
            if let Some((listed, inner)) = self.selector.folder(&path, state) {
                if name == b".git" && listed && self.repository(&path, &inner, found) {
                    return Ok(());
                }
                found.entries.push((name.to_vec(), Kind::Folder));
                found.inner.push((name.to_vec(), path, inner, listed));
            }
            return Ok(());
        }
        if !self.selector.entry(&path, state) {
            return Ok(());
        }
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
                found.links.push((name.to_vec(), Fact::symlink(target.as_bytes())));
                found.entries.push((name.to_vec(), Kind::Symlink));
            }
            other => {
                let stat = rustix::fs::statat(handle, name, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(|error| self.failed(&path, error))?;
                let what = describe(other);
                // Unsigned on Linux, signed on macOS.
                let device = if what == "device" { i128::from(stat.st_rdev) } else { 0 };
                found.links.push((name.to_vec(), Fact::special(what, read::mode(&stat), device)));
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

    /// Records a folder and queues what is left to do in it: its folders first, so that its files come next.
    fn install(
        &self,
        number: u32,
        opened: &Arc<Opened>,
        mut inner: Vec<(Vec<u8>, Vec<u8>, State, bool)>,
        links: &[(Vec<u8>, Fact)],
        warnings: Vec<Warning>,
    ) -> Result<(), KeyError> {
        let listing = &opened.listing;
        inner.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut inner = inner.into_iter();
        let mut batches = Vec::new();
        let mut shared = self.lock();
        shared.entries += listing.len();
        if shared.entries > self.most {
            return Err(too_many(self.most));
        }
        let mut numbers = Vec::new();
        let mut start = None;
        for slot in 0..listing.len() {
            if listing.kind(slot) == Some(Kind::Folder) {
                let too_many = |_| too_many(self.most);
                let child = u32::try_from(shared.folders.len()).map_err(too_many)?;
                let place = u32::try_from(slot).map_err(too_many)?;
                let Some((_, path, state, listed)) = inner.next() else { continue };
                shared.folders.push(Folder { place: Some((number, place)), listed, ..Folder::default() });
                shared.jobs.push(Job::Folder { number: child, path, state, listed });
                numbers.push(child);
            } else if listing.kind(slot) == Some(Kind::File) {
                let first = *start.get_or_insert(slot);
                if slot + 1 - first >= BATCH {
                    batches.push(first..slot + 1);
                    start = None;
                }
            }
        }
        batches.extend(start.map(|first| first..listing.len()));
        shared.jobs.extend(
            batches.into_iter().map(|slots| Job::Files(Batch { number, folder: Arc::clone(opened), slots })),
        );
        shared.warnings.extend(warnings);
        if let Some(folder) = shared.folders.get_mut(number as usize) {
            folder.fill(Arc::clone(listing));
            folder.folders = numbers;
            let links: std::collections::HashMap<&[u8], &Fact> =
                links.iter().map(|(name, fact)| (name.as_slice(), fact)).collect();
            let is_one = |slot: &usize| matches!(listing.kind(*slot), Some(Kind::Symlink | Kind::Special));
            for slot in (0..listing.len()).filter(is_one) {
                if let Some(fact) = links.get(listing.name(slot)) {
                    folder.set(slot, **fact);
                }
            }
        }
        Ok(())
    }

    fn files(&self, batch: &Batch, buffer: &mut [u8]) -> Result<(), KeyError> {
        let Opened { handle, path, listing } = &*batch.folder;
        let mut facts = Vec::with_capacity(batch.slots.len());
        for slot in batch.slots.clone().filter(|&slot| listing.kind(slot) == Some(Kind::File)) {
            let name = listing.name(slot);
            let Ok(file) = CString::new(name) else { continue };
            let open = || rustix::fs::openat(handle, &file, FILE, Mode::empty()).map_err(vanished);
            let fact = read::digest(open, buffer).map_err(|failure| match failure {
                Failure::Io(source) => KeyError::Read { path: self.full(&join(path, name)), source },
                Failure::Changed => KeyError::Changed { path: self.full(&join(path, name)) },
            })?;
            facts.push((slot, fact));
        }
        let mut shared = self.lock();
        if let Some(folder) = shared.folders.get_mut(batch.number as usize) {
            for (slot, fact) in facts {
                folder.set(slot, fact);
            }
        }
        Ok(())
    }

    fn full(&self, path: &[u8]) -> PathBuf {
        super::full(self.root, path)
    }

    fn failed(&self, path: &[u8], error: Errno) -> KeyError {
        KeyError::Read { path: self.full(path), source: error.into() }
    }
}

fn too_many(most: usize) -> KeyError {
    KeyError::TooMany { what: more_than(most, "files, links and folders") }
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}

fn describe(kind: FileType) -> &'static str {
    match kind {
        FileType::Socket => "socket",
        FileType::Fifo => "pipe",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        _ => "special file",
    }
}
