//! Reads a tree with several threads, which take folders and batches of files from one queue.
//!
//! Files are opened relative to the descriptor of their folder, and folders relative to the root's, never through a link.
//! So a program that moves files meanwhile cannot lead the walk out of the tree; `std::fs` has no such call. Git
//! repositories (`git`) are read by their paths.

mod list;

use std::collections::HashMap;
use std::ffi::CString;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::Errno;

use super::read::{self, Failure, vanished};
use super::select::{Selector, State};
use super::tree::{Fact, Folder, Kind, Listing, Tree};
use super::{Warning, git};
use crate::budget::{FILES, PATH_MATCHING, more_than};
use crate::crash;
use crate::key::error::KeyError;
use list::{Found, Inner};

/// Files that a thread takes at once: so many that the queue's lock costs little, so few that threads share a folder.
const BATCH: usize = 64;
/// The most threads; more would only wait for the disk.
const THREADS: usize = 16;

/// Reads what `selector` picks below `root`.
pub(super) fn run(root: &Path, selector: &Selector) -> Result<(Tree, Vec<Warning>), KeyError> {
    run_within(root, selector, FILES, PATH_MATCHING)
}

/// As [`run`], with limits: `most` files, links and folders, and `steps` of matching.
pub(super) fn run_within(
    root: &Path,
    selector: &Selector,
    most: usize,
    steps: usize,
) -> Result<(Tree, Vec<Warning>), KeyError> {
    let handle = rustix::fs::open(root, FOLDER, Mode::empty()).map_err(|error| match error {
        Errno::NOENT | Errno::NOTDIR => KeyError::Context { path: root.to_owned() },
        other => KeyError::Read { path: root.to_owned(), source: other.into() },
    })?;
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

/// How a folder is opened.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// How a file is opened. `NONBLOCK`: something that became a pipe since it was listed must not block the walk.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

struct Walk<'a> {
    root: &'a Path,
    /// The opened root.
    handle: OwnedFd,
    selector: &'a Selector,
    /// The most files, links and folders.
    most: usize,
    /// The most steps of matching.
    steps: usize,
    shared: Mutex<Shared>,
    /// Wakes threads that wait for a job.
    wake: Condvar,
}

/// What the threads share.
#[derive(Default)]
struct Shared {
    jobs: Vec<Job>,
    /// The number of jobs that are worked on; each may add more.
    busy: usize,
    /// The first failure, which ends the walk.
    failure: Option<KeyError>,
    /// True if a thread has panicked.
    broken: bool,
    folders: Vec<Folder>,
    /// Files, links and folders so far.
    entries: usize,
    /// As [`Tree::repositories`].
    repositories: Vec<(Vec<u8>, Option<git::Answers>)>,
    warnings: Vec<Warning>,
}

enum Job {
    /// List a folder. `listed`: it counts by itself.
    Folder { number: u32, path: Vec<u8>, state: State, listed: bool },
    /// Digest files.
    Files(Batch),
}

/// Some of a folder's files.
struct Batch {
    /// The folder's number.
    number: u32,
    folder: Arc<Opened>,
    /// The slots of the files; slots between them may be of other kinds.
    slots: Range<usize>,
}

/// A folder that stays open until its files are read.
struct Opened {
    handle: OwnedFd,
    path: Vec<u8>,
    listing: Arc<Listing>,
}

/// A job that is worked on. It ends also by a panic, or the other threads would wait for ever.
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

    /// Works until no job is left.
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

    /// Takes the newest job, so that few folders are open at once; `None` when all is done.
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

    /// Lists a folder.
    fn folder(&self, number: u32, path: Vec<u8>, state: &State, listed: bool) -> Result<(), KeyError> {
        let handle = match open_below(&self.handle, &path) {
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
            self.entry(&handle, &path, &entry, state, &mut found)?;
        }
        let entries = std::mem::take(&mut found.entries);
        let listing = Arc::new(Listing::new(entries).ok_or_else(|| too_many(self.most))?);
        let opened = Arc::new(Opened { handle, path, listing });
        self.install(number, &opened, found)
    }

    /// Records a folder and queues what is left to do in it: the folders first, because the newest job is taken first, and
    /// the files are read while their folder is open.
    fn install(&self, number: u32, opened: &Arc<Opened>, mut found: Found) -> Result<(), KeyError> {
        let listing = &opened.listing;
        // In the order of their slots.
        found.inner.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let mut shared = self.lock();
        shared.entries += listing.len();
        if shared.entries > self.most {
            return Err(too_many(self.most));
        }
        let mut numbers = Vec::new();
        let slots = (0..listing.len()).filter(|slot| listing.kind(*slot) == Some(Kind::Folder));
        for (slot, Inner { path, state, listed, .. }) in slots.zip(found.inner) {
            let too_many = |_| too_many(self.most);
            let inner = u32::try_from(shared.folders.len()).map_err(too_many)?;
            let slot = u32::try_from(slot).map_err(too_many)?;
            shared.folders.push(Folder { parent: Some((number, slot)), listed, ..Folder::default() });
            shared.jobs.push(Job::Folder { number: inner, path, state, listed });
            numbers.push(inner);
        }
        let batch = |slots| Job::Files(Batch { number, folder: Arc::clone(opened), slots });
        shared.jobs.extend(batches(listing).map(batch));
        shared.repositories.append(&mut found.repositories);
        shared.warnings.append(&mut found.warnings);
        if let Some(folder) = shared.folders.get_mut(number as usize) {
            folder.fill(Arc::clone(listing));
            folder.folders = numbers;
            let facts: HashMap<Vec<u8>, Fact> = found.facts.into_iter().collect();
            for slot in 0..listing.len() {
                if let Some(fact) = facts.get(listing.name(slot)) {
                    folder.set(slot, *fact);
                }
            }
        }
        Ok(())
    }

    /// Digests the files of a batch.
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

/// Opens a folder below the root, or with an empty path the root again, which may be opened through a link the first time
/// only. Where the kernel cannot refuse a link in the middle of a path, only the last part is checked.
fn open_below(root: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    let path: &[u8] = if path.is_empty() { b"." } else { path };
    let flags = FOLDER.union(OFlags::NOFOLLOW);
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::ResolveFlags;
        let resolve = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);
        match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
            // A kernel before 5.6, or a container that does not let the call through.
            Err(Errno::NOSYS | Errno::PERM) => {}
            opened => return opened,
        }
    }
    rustix::fs::openat(root, path, flags, Mode::empty())
}

/// Splits the files of a folder.
fn batches(listing: &Listing) -> impl Iterator<Item = Range<usize>> {
    let files: Vec<usize> =
        (0..listing.len()).filter(|slot| listing.kind(*slot) == Some(Kind::File)).collect();
    let ranges = files.chunks(BATCH).filter_map(|files| Some(*files.first()?..*files.last()? + 1));
    ranges.collect::<Vec<_>>().into_iter()
}

fn too_many(most: usize) -> KeyError {
    KeyError::TooMany { what: more_than(most, "files, links and folders") }
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn no_folder_of_a_path_may_be_a_link() {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(root.path().join("real/inner")).unwrap();
        fs_err::os::unix::fs::symlink("real", root.path().join("link")).unwrap();
        let handle = rustix::fs::open(root.path(), FOLDER, Mode::empty()).unwrap();
        for path in [&b""[..], b"real", b"real/inner"] {
            assert!(open_below(&handle, path).is_ok(), "{path:?}");
        }
        for path in [&b"link"[..], b"link/inner"] {
            let error = open_below(&handle, path).unwrap_err();
            assert!(matches!(error, Errno::LOOP | Errno::NOTDIR), "{path:?}: {error}");
        }
    }
}
