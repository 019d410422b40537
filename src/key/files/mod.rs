//! The files that decide an image: found, selected and digested in one parallel walk.
//!
//! No git is involved: generated, untracked and LFS files count as they lie on the disk.
//! What counts of a file is its name, its contents, and whether it is executable (see [`Fact`]); owner, times,
//! other permission bits and extended attributes do not, because they differ between machines that hold the
//! same checkout.

mod copied;
mod follow;
mod listed;
mod read;
mod select;
mod subkey;
#[cfg(test)]
mod tests;
mod tree;
mod walk;

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::key::error::KeyError;
use crate::key::names::escape;
pub use copied::CopySource;
pub use listed::{KeyFiles, SubKey, key_files};
pub use select::Selector;
pub use tree::{Entry, Fact, Kind, Tree};

/// Something the walk met that the user should know of. Paths are relative to the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Warning {
    /// A `.git` folder counts: it changes with every fetch, so no two keys will agree.
    Git {
        /// The folder.
        path: Vec<u8>,
    },
    /// Neither file, folder nor link; no key can hold its content.
    Skipped {
        /// Where it is.
        path: Vec<u8>,
        /// What it is, such as `socket`.
        what: &'static str,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Git { path } => {
                write!(f, "`{}` is part of the context and makes every key unique", escape(path))
            }
            Self::Skipped { path, what } => {
                write!(f, "`{}` is a {what} and does not count in the key", escape(path))
            }
        }
    }
}

impl Warning {
    /// The one next thing to do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Git { .. } => "add `.git` to .dockerignore",
            Self::Skipped { .. } => "leave it out with .dockerignore",
        }
    }
}

/// Reads everything `selector` picks below `root`, which may itself be a link to a folder.
///
/// # Errors
/// A root that is no folder, anything that counts and cannot be read, a file that changes twice while it is read.
pub fn walk(root: &Path, selector: &Selector) -> Result<(Tree, Vec<Warning>), KeyError> {
    walk::run(root, selector)
}

/// `path`, a relative path in bytes, below `root`.
pub(crate) fn full(root: &Path, path: &[u8]) -> PathBuf {
    root.join(OsStr::from_bytes(path))
}
