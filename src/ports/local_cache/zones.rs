//! The folders of zones that are over: a closed pull request's, a branch's that is gone.

use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::{SWEEP_WITHIN, folder, lock, open_folder};

/// A zone's folder below a GitHub repository's, with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ZoneFolder {
    /// `pr-12`, `br-fix`, `trusted`.
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

/// The zones that have caches below `home`, a folder in `root`. None if the folder is not safe, or is not there.
pub(crate) fn zones(root: &Path, home: &Path) -> Vec<ZoneFolder> {
    let Ok(Some(home)) = folder::enter(root, home, false) else { return Vec::new() };
    let mut found: Vec<ZoneFolder> = folders(&home)
        .into_iter()
        .map(|name| ZoneFolder { bytes: size(&home.join(&name), 0), name })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Removes a zone's folder, unless a run uses one of its caches.
///
/// # Errors
/// The reason that something is left.
pub(crate) fn remove_zone(root: &Path, home: &Path, zone: &str) -> Result<(), String> {
    let Some(zone) = folder::enter(root, &home.join(zone), false)? else { return Ok(()) };
    for name in folders(&zone) {
        let cache = zone.join(name);
        folder::check(&cache)?;
        let _lock = lock(&cache, SWEEP_WITHIN).map_err(|why| why.to_string())?;
        let generations: Vec<_> = folders(&cache).into_iter().map(|name| cache.join(name)).collect();
        let mut held = Vec::new();
        for path in &generations {
            let file = open_folder(path).map_err(|error| error.to_string())?;
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                return Err(format!("{} is in use", cache.display()));
            }
            held.push(file);
        }
        let failed = |error: std::io::Error| error.to_string();
        // First the way to them, so that no run finds half a cache.
        if fs_err::symlink_metadata(cache.join("current")).is_ok() {
            fs_err::remove_file(cache.join("current")).map_err(failed)?;
        }
        fs_err::remove_dir_all(&cache).map_err(failed)?;
    }
    fs_err::remove_dir_all(&zone).map_err(|error| error.to_string())
}

fn folders(path: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(path).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Bytes of all files; a cache's folders are five deep.
fn size(path: &Path, depth: usize) -> u64 {
    let entries = fs_err::read_dir(path).into_iter().flatten().flatten();
    let of = |entry: fs_err::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() && depth < 8 => size(&entry.path(), depth + 1),
        Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |metadata| metadata.len()),
        _ => 0,
    };
    entries.map(of).sum()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_zone_goes_unless_a_run_uses_its_cache() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let home = root.join("o").join("r");
        let make = |zone: &str| {
            let generation = home.join(zone).join("app").join("gen-01");
            fs_err::create_dir_all(&generation).unwrap();
            fs_err::write(generation.join("blob"), [0; 100]).unwrap();
            std::os::unix::fs::symlink("gen-01", home.join(zone).join("app").join("current")).unwrap();
            generation
        };
        let used = make("pr-1");
        make("pr-2");
        make("trusted");
        for entry in ["", "o", "o/r", "o/r/pr-1", "o/r/pr-2", "o/r/pr-1/app", "o/r/pr-2/app"] {
            std::fs::set_permissions(root.join(entry), std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        let names: Vec<_> = zones(&root, &home).into_iter().map(|zone| (zone.name, zone.bytes)).collect();
        assert_eq!(names, [("pr-1".to_owned(), 100), ("pr-2".to_owned(), 100), ("trusted".to_owned(), 100)]);
        let held = open_folder(&used).unwrap();
        flock(&held, FlockOperation::NonBlockingLockShared).unwrap();
        assert!(remove_zone(&root, &home, "pr-1").unwrap_err().ends_with("is in use"));
        assert!(used.join("blob").exists());
        drop(held);
        // A process that another test is just starting has the lock until it runs its program.
        let removed = (0..1000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            remove_zone(&root, &home, "pr-1").is_ok()
        });
        assert!(removed);
        remove_zone(&root, &home, "pr-2").unwrap();
        remove_zone(&root, &home, "pr-3").unwrap();
        assert!(remove_zone(&root, &home, "..").is_err());
        assert_eq!(zones(&root, &home).len(), 1);
    }
}
