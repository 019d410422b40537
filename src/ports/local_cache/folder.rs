//! Checks the folders of local caches: only this user can write them, none is a link, and the file system's locks
//! hold. A *generation* is a folder with one export; `current` is a link to the newest (see [the module above](super)).

use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};

use crate::guards::Guard;

/// Returns the reason that caches cannot be kept below this folder; `None` if they can. Makes no folder.
#[must_use]
pub(crate) fn why_unusable(root: &Path) -> Option<String> {
    // BuildKit's client sends the path as a header as it is.
    if !root.as_os_str().as_encoded_bytes().iter().all(|byte| (b' '..=b'~').contains(byte)) {
        let path = crate::key::names::escape(root.as_os_str().as_encoded_bytes());
        return Some(format!(
            "{path} has letters that BuildKit does not take: name a folder of plain ASCII letters"
        ));
    }
    // The nearest part that exists decides: `enter` makes the rest.
    let existing = root.ancestors().find(|part| fs_err::symlink_metadata(part).is_ok())?;
    if existing == root {
        if let Err(why) = check_followed(root) {
            return Some(why);
        }
    } else if !fs_err::metadata(existing).is_ok_and(|metadata| metadata.is_dir()) {
        return Some(format!("{} is not a folder", existing.display()));
    }
    if rustix::fs::access(existing, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_err() {
        return Some(format!("{} cannot be written", existing.display()));
    }
    unsuited_file_system(existing)
        .map(|kind| format!("{} is on {kind}, where locks do not hold", existing.display()))
}

/// Checks the folder that the root leads to: the machine's owner may make the root itself a link.
fn check_followed(root: &Path) -> Result<(), String> {
    let real = fs_err::canonicalize(root).map_err(|error| error.to_string())?;
    check(&real)
}

/// Refuses a link, another user's folder, and a folder that other users can write.
pub(super) fn check(path: &Path) -> Result<(), String> {
    let metadata = fs_err::symlink_metadata(path).map_err(|error| error.to_string())?;
    let shown = path.display();
    if !Guard::CacheFolder.holds() {
        return Ok(());
    }
    if metadata.file_type().is_symlink() {
        return Err(format!("{shown} is a symbolic link"));
    }
    if !metadata.is_dir() {
        return Err(format!("{shown} is not a folder"));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(format!("{shown} belongs to another user"));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(format!("{shown} can be written by other users"));
    }
    Ok(())
}

/// Makes a folder that only this user can read and write, unless it is there.
pub(super) fn make(path: &Path) -> Result<(), String> {
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(format!("failed to make {}: {error}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Checks every folder from the root to a cache's folder and returns the latter's path. With `make_missing` it makes
/// those that are missing, else it returns `None` if one is.
pub(super) fn enter(root: &Path, cache: &Path, make_missing: bool) -> Result<Option<PathBuf>, String> {
    let below = cache.strip_prefix(root).map_err(|_| "it lies outside of cache-dir")?;
    if make_missing {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(root)
            .map_err(|error| format!("failed to make {}: {error}", root.display()))?;
    } else if fs_err::symlink_metadata(root).is_err() {
        return Ok(None);
    }
    let mut path = fs_err::canonicalize(root).map_err(|error| error.to_string())?;
    check(&path)?;
    for part in below.components() {
        let Component::Normal(part) = part else { return Err("its path is not plain".to_owned()) };
        path.push(part);
        if make_missing {
            make(&path)?;
        } else if fs_err::symlink_metadata(&path).is_err() {
            return Ok(None);
        }
        check(&path)?;
    }
    Ok(Some(path))
}

/// Returns the target of `current` if it is a generation in the same folder.
///
/// # Errors
/// If it leads anywhere else.
pub(super) fn generation_name(target: &Path) -> Result<&Path, String> {
    if !Guard::CacheFolder.holds() {
        return Ok(target);
    }
    let name = target.to_str().unwrap_or_default();
    let is_generation = name
        .strip_prefix("gen-")
        .is_some_and(|hex| !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if is_generation { Ok(target) } else { Err("`current` leads out of the cache".to_owned()) }
}

/// File systems whose locks do not hold, or only for this machine (linux `magic.h`).
const UNSUITED: [(u64, &str); 9] = [
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFF53_4D42, "SMB"),
    (0xFE53_4D42, "SMB"),
    (0x0102_1997, "9p"),
    (0x00C3_6400, "Ceph"),
    (0x5346_414F, "AFS"),
    (0x6573_5546, "FUSE"),
    (0x0BD0_0BD0, "Lustre"),
];

fn unsuited(magic: u64) -> Option<&'static str> {
    UNSUITED.iter().find(|(known, _)| *known == magic).map(|(_, name)| *name)
}

/// The name of the path's file system, if its locks do not hold. `None` also if the kernel does not tell: then a local file
/// system is assumed.
#[cfg(target_os = "linux")]
fn unsuited_file_system(path: &Path) -> Option<&'static str> {
    let magic = rustix::fs::statfs(path).ok()?.f_type;
    // The magic number has 32 bits; some platforms widen it with its sign.
    unsuited(u64::try_from(magic & 0xFFFF_FFFF).unwrap_or_default())
}

#[cfg(not(target_os = "linux"))]
const fn unsuited_file_system(_: &Path) -> Option<&'static str> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_file_systems_are_known_by_their_numbers() {
        assert_eq!(unsuited(0x6969), Some("NFS"));
        assert_eq!(unsuited(0xFF53_4D42), Some("SMB"));
        // ext4, overlayfs, tmpfs
        assert!([0xEF53, 0x794C_7630, 0x0102_1994].iter().all(|magic| unsuited(*magic).is_none()));
    }

    #[test]
    fn current_stays_inside() {
        for bad in ["..", "/etc", "gen-", "gen-../x", "gen-0/../..", "lock", ""] {
            assert!(generation_name(Path::new(bad)).is_err(), "{bad}");
        }
        assert!(generation_name(Path::new("gen-0aF9")).is_ok());
    }

    #[test]
    fn d69_a_path_that_buildkit_does_not_take_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(why_unusable(&folder.path().join("a b,c")), None);
        let why = why_unusable(&folder.path().join("ä")).unwrap();
        assert!(
            why.ends_with("/ä has letters that BuildKit does not take: name a folder of plain ASCII letters"),
            "{why}"
        );
    }
}
