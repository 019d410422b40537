//! Layer caches in folders of this machine. Each export is a *generation*, a folder that is never changed.
//!
//! ```text
//! <cache-dir>/<owner>/<repository>/<zone>/<cache>/
//!   lock        locked by the one run that moves `current`; never removed
//!   current     -> gen-…, replaced by a rename
//!   gen-<hex>/  one export; a run that reads or writes it has a shared lock on it
//! ```
//!
//! BuildKit itself would rewrite a folder in place and never remove blobs that nothing refers to (BuildKit,
//! `client/ociindex`). With generations, a run that is killed at any point leaves the old one or the new one. A layer that
//! both have is one file with two names. Locks are `flock`s, which end with the process.

mod folder;
#[cfg(test)]
mod tests;
mod verify;
mod zones;

use std::fmt;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};

pub(crate) use folder::why_unusable;
pub(crate) use zones::{ZoneFolder, remove_zone, zones};

use crate::buildkit::{CacheEntry, LocalCaches};
use crate::ports::clock::Stopwatch;
use crate::ports::random;

/// How long to wait for another run that is moving `current`, which takes milliseconds. It is less than the time that a
/// cancelled run has to end.
const SWITCH_WITHIN: Duration = Duration::from_secs(5);
/// How long to wait for another run before old generations are removed, which the next run can do too.
const SWEEP_WITHIN: Duration = Duration::from_secs(1);

/// Why a cache was not written.
enum Unwritten {
    /// Another run has the lock; it was waited for so long.
    Locked(Duration),
    /// The reason.
    Failed(String),
}

impl From<String> for Unwritten {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked(waited) => write!(
                f,
                "the local layer cache is left as it is: another job holds it (waited {} s)",
                waited.as_secs()
            ),
            Self::Failed(why) => write!(f, "local cache not written: {why}"),
        }
    }
}

/// A lock on a file. Dropping it unlocks the file explicitly: a child that is being started may have a copy of the
/// descriptor, and then closing this one would not release the lock.
#[derive(Debug)]
struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        // If that fails, closing the file unlocks it, a little later.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// A generation with a shared lock: no run removes it until this is dropped.
#[derive(Debug)]
struct LockedGeneration {
    path: PathBuf,
    _lock: Locked,
}

/// The caches of one build while it runs. If it is dropped without [`commit`](Self::commit), the new generation is
/// removed.
#[derive(Debug)]
pub struct LocalCacheUse {
    /// The generations that the build reads.
    read: Vec<LockedGeneration>,
    /// The generation that the build writes.
    fresh: Option<Fresh>,
    /// The caches that could not be used, with the reasons.
    pub notices: Vec<String>,
}

/// A new generation.
#[derive(Debug)]
struct Fresh {
    /// The folder of the cache.
    cache: PathBuf,
    held: LockedGeneration,
    mode: crate::inputs::CacheMode,
    /// True if it is current; else it is removed when dropped.
    committed: bool,
}

impl LocalCacheUse {
    /// Takes the locks and makes the folder for the export. A cache that cannot be used becomes a notice, because no cache fails
    /// a build. This blocks its thread, as [`commit`](Self::commit) does.
    #[must_use]
    pub fn open(caches: &LocalCaches) -> Self {
        let mut this = Self { read: Vec::new(), fresh: None, notices: Vec::new() };
        for cache in &caches.read {
            match current(&caches.root, cache) {
                Ok(Some(held)) => this.read.push(held),
                Ok(None) => {}
                Err(why) => this.notices.push(format!("local cache not read: {why}")),
            }
        }
        if let Some(cache) = &caches.write {
            match fresh(&caches.root, cache) {
                Ok(held) => {
                    // The new one begins with the layers of the cache's current generation, if that is read too. If it is not,
                    // it is broken, or the plan does not trust it.
                    let own = this.read.iter().find(|read| read.path.parent() == held.path.parent());
                    if let Some(own) = own {
                        seed(&own.path, &held.path);
                    }
                    let cache = cache.clone();
                    this.fresh = Some(Fresh { cache, held, mode: caches.mode, committed: false });
                }
                Err(why) => this.notices.push(format!("local cache not written: {why}")),
            }
        }
        this
    }

    /// The cache sources for buildx.
    #[must_use]
    pub fn sources(&self) -> Vec<String> {
        let source =
            |held: &LockedGeneration| CacheEntry::new("local").with("src", held.path.display().to_string());
        self.read.iter().map(|held| source(held).to_string()).collect()
    }

    /// The cache destination for buildx.
    #[must_use]
    pub fn destination(&self) -> Option<String> {
        let fresh = self.fresh.as_ref()?;
        let entry = CacheEntry::new("local").with("dest", fresh.held.path.display().to_string());
        Some(entry.to_write(fresh.mode).to_string())
    }

    /// Makes the new generation current and removes those that no run uses. Call it after a successful build. Returns a
    /// notice if that fails.
    #[must_use]
    pub fn commit(self) -> Option<String> {
        self.commit_with(&mut |_| {})
    }

    /// `at` is called with the name of each step, so that a test can stop there.
    fn commit_with(mut self, at: &mut dyn FnMut(&'static str)) -> Option<String> {
        let fresh = self.fresh.as_mut()?;
        let result = switch(&fresh.cache, &fresh.held.path, at);
        fresh.committed = result.is_ok();
        let cache = fresh.cache.clone();
        // This run uses no generation any more, so that only the newest stays.
        drop(self);
        let swept = result.and_then(|()| {
            at("before sweeping");
            match lock(&cache, SWEEP_WITHIN) {
                // The cache is written; the next run removes old generations.
                Err(Unwritten::Locked(_)) => Ok(()),
                Err(why) => Err(why),
                Ok(_lock) => sweep(&cache, at).map_err(Unwritten::Failed),
            }
        });
        swept.err().map(|why| why.to_string())
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.committed {
            // If that fails, the next run removes the folder.
            let _ = fs_err::remove_dir_all(&self.held.path);
        }
    }
}

/// Locks and verifies the current generation; `None` if there is none yet.
fn current(root: &Path, cache: &Path) -> Result<Option<LockedGeneration>, String> {
    // Before it is locked, another run may make another one current and remove this one.
    for _ in 0..3 {
        let Some(cache) = folder::enter(root, cache, false)? else { return Ok(None) };
        let Ok(target) = fs_err::read_link(cache.join("current")) else { return Ok(None) };
        let path = cache.join(folder::generation_name(&target)?);
        if let Some(held) = hold(&path)? {
            verify::generation(&path).map_err(|why| format!("{}: {why}", path.display()))?;
            return Ok(Some(held));
        }
    }
    Ok(None)
}

/// Takes a shared lock on a generation; `None` if another run has removed it or is removing it.
fn hold(path: &Path) -> Result<Option<LockedGeneration>, String> {
    let Ok(lock) = open_folder(path) else { return Ok(None) };
    match flock(&lock, FlockOperation::NonBlockingLockShared) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(format!("failed to lock {}: {error}", path.display())),
    }
    let lock = Locked(lock);
    // It may have been removed before it was locked.
    if !is_at(&lock.0, path) {
        return Ok(None);
    }
    folder::check(path)?;
    Ok(Some(LockedGeneration { path: path.to_owned(), _lock: lock }))
}

/// Opens a folder; a link is an error.
fn open_folder(path: &Path) -> Result<File, rustix::io::Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map(File::from)
}

/// Tells whether the path still is that of the opened folder.
fn is_at(file: &File, path: &Path) -> bool {
    let same = |a: std::fs::Metadata, b: std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    file.metadata().ok().zip(fs_err::symlink_metadata(path).ok()).is_some_and(|(a, b)| same(a, b))
}

/// Makes a new generation and locks it.
fn fresh(root: &Path, cache: &Path) -> Result<LockedGeneration, String> {
    let cache = folder::enter(root, cache, true)?.ok_or("its folder cannot be made")?;
    // Another run's sweep may remove the folder before it is locked.
    for _ in 0..3 {
        let name = random::hex_128().ok_or("the machine gives no random numbers")?;
        let path = cache.join(format!("gen-{name}"));
        folder::make(&path)?;
        if let Some(held) = hold(&path)? {
            return Ok(held);
        }
    }
    Err("its folder disappears as soon as it is made".to_owned())
}

/// Links the blobs of one generation into another, so that the export writes only new ones. That is safe, because a blob's
/// name is its digest and BuildKit never changes one. A blob that cannot be linked is exported again.
fn seed(from: &Path, to: &Path) {
    let blobs = Path::new("blobs").join("sha256");
    let made = folder::make(&to.join("blobs")).and_then(|()| folder::make(&to.join(&blobs)));
    let Ok(entries) = made.and_then(|()| fs_err::read_dir(from.join(&blobs)).map_err(|e| e.to_string()))
    else {
        return;
    };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())) {
        let _ = fs_err::hard_link(entry.path(), to.join(&blobs).join(entry.file_name()));
    }
}

/// Removes the blobs that the export does not list.
fn prune(generation: &Path, files: &[PathBuf]) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("failed to tidy up: {error}");
    for entry in fs_err::read_dir(generation.join("blobs").join("sha256")).map_err(failed)?.flatten() {
        if !files.contains(&entry.path()) {
            fs_err::remove_file(entry.path()).map_err(failed)?;
        }
    }
    // BuildKit's folder of blobs that are not complete.
    let _ = fs_err::remove_dir_all(generation.join("ingest"));
    Ok(())
}

/// Takes the lock that is needed to move `current`.
fn lock(cache: &Path, within: Duration) -> Result<Locked, Unwritten> {
    let failed = |error: rustix::io::Errno| format!("failed to lock {}: {error}", cache.display());
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(cache.join("lock"), flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
    let waited = Stopwatch::start();
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Locked(File::from(file))),
            Err(rustix::io::Errno::WOULDBLOCK) if waited.elapsed() < within => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(Unwritten::Locked(waited.elapsed())),
            Err(error) => return Err(failed(error).into()),
        }
    }
}

/// Verifies a generation, writes it to the disk and makes it current. `at`: as in [`LocalCacheUse::commit_with`].
fn switch(cache: &Path, generation: &Path, at: &mut dyn FnMut(&'static str)) -> Result<(), Unwritten> {
    at("before verifying");
    let files = verify::generation(generation)?;
    at("before tidying up");
    prune(generation, &files)?;
    at("before writing out");
    for path in files.iter().chain([&generation.to_path_buf()]) {
        sync(path)?;
    }
    let name = generation.file_name().ok_or_else(|| "a generation without a name".to_owned())?;
    at("before locking");
    let _lock = lock(cache, SWITCH_WITHIN)?;
    at("before linking");
    let link = cache.join(format!(".{}", name.to_string_lossy()));
    let failed = |error: std::io::Error| format!("failed to switch: {error}");
    std::os::unix::fs::symlink(name, &link).map_err(failed)?;
    at("before the switch");
    fs_err::rename(&link, cache.join("current")).map_err(failed)?;
    at("after the switch");
    Ok(sync(cache)?)
}

/// Waits until a file or folder is on the disk.
fn sync(path: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("failed to write out {}: {error}", path.display());
    fs_err::File::open(path).and_then(|file| file.sync_all()).map_err(failed)
}

/// Removes every generation that no run uses, but the current one. Called with the lock held.
fn sweep(cache: &Path, at: &mut dyn FnMut(&'static str)) -> Result<(), String> {
    let current = fs_err::read_link(cache.join("current")).map_err(|error| error.to_string())?;
    let entries = fs_err::read_dir(cache).map_err(|error| error.to_string())?;
    for entry in entries.flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let text = name.to_string_lossy();
        if text.starts_with(".gen-") {
            // A link of a run that was killed before it could move it.
            let _ = fs_err::remove_file(&path);
        } else if text.starts_with("gen-") && Path::new(&name) != current {
            let Ok(lock) = open_folder(&path) else { continue };
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                at("before removing");
                // What cannot be removed now is tried again by the next run.
                let _ = fs_err::remove_dir_all(&path);
            }
        }
    }
    Ok(())
}
