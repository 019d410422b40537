//! Follows links inside one folder, as if that were the root of the file system: so BuildKit follows an ignore file that is
//! a link, because it has only the folder that it was sent (containerd `continuity/fs`, `RootPath`).

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

/// The most links that are followed, as in `RootPath`.
const MOST_LINKS: usize = 255;

/// Finds the file that `name` in `root` leads to; `None` if there is none, or the links run in a circle.
///
/// # Errors
/// If a folder on the way cannot be read.
pub(crate) fn follow(root: &Path, name: &OsStr) -> io::Result<Option<PathBuf>> {
    // The parts that are still to be resolved, and those below `root` that are.
    let mut rest: VecDeque<OsString> = VecDeque::from([name.to_owned()]);
    let mut at: Vec<OsString> = Vec::new();
    let mut links = 0;
    while let Some(part) = rest.pop_front() {
        if part == ".." {
            at.pop();
            continue;
        }
        let full = root.join(at.iter().collect::<PathBuf>()).join(&part);
        match fs_err::symlink_metadata(&full) {
            Ok(metadata) if metadata.is_symlink() => {
                links += 1;
                if links > MOST_LINKS {
                    return Ok(None);
                }
                let target = fs_err::read_link(&full)?;
                if target.is_absolute() {
                    at.clear();
                }
                for part in target.components().rev() {
                    match part {
                        Component::Normal(name) => rest.push_front(name.to_owned()),
                        Component::ParentDir => rest.push_front("..".into()),
                        _ => {}
                    }
                }
            }
            Ok(_) => at.push(part),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Some(root.join(at.iter().collect::<PathBuf>())))
}
