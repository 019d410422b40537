//! Finds, selects and digests the files that decide an image, in one walk by several threads.
//!
//! Files count as they are on the disk, whatever git knows of them. What counts of a file is its name, its content, and
//! whether it is executable (see [`Fact`]). Owner, times, other permission bits and extended attributes do not count,
//! because they differ between machines with the same checkout.
//!
//! [`Selector`] decides which entries count, [`walk`] reads them into a [`Tree`], and the tree's digest goes into the key.

mod copied;
mod follow;
mod git;
mod git_credential;
mod listed;
mod read;
mod select;
mod subkey;
#[cfg(test)]
mod tests;
mod tree;
mod walk;

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::key::error::KeyError;
use crate::key::names::{self, escape};
pub(crate) use copied::CopySource;
pub(crate) use listed::KeyFiles;
pub use listed::key_files;
pub(crate) use read::touched;
pub use select::Selector;
pub use tree::Tree;
pub(crate) use tree::{Entry, Fact, Kind};

/// A finding of the walk that the user should know. Paths are relative to the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Warning {
    /// A git repository counts, so every commit has another key.
    Git(Taken),
    /// An entry that is no file, folder or link counts by its name and its kind.
    Special {
        #[serde(with = "names::escaped")]
        path: Vec<u8>,
        /// The kind, such as `socket`.
        what: Cow<'static, str>,
    },
}

/// A git repository that the build gets.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Taken {
    /// The repository's `.git`, relative to the context.
    #[serde(with = "names::escaped")]
    pub path: Vec<u8>,
    /// The named build context that it is in; `None` for the main context.
    pub context: Option<String>,
    /// The reason that the build gets it, as a clause such as "line 3 of Dockerfile takes it".
    pub by: String,
    /// The Dockerfile and the line, from 1, of the instruction that takes it.
    pub at: Option<(String, usize)>,
    /// True if the repository counts in the key.
    pub counts: bool,
    /// True if the key covers the repository, but no instruction takes it.
    pub needless: bool,
    /// The reason that its bytes count, not git's answers; `None` if the answers count.
    pub unreadable: Option<Cow<'static, str>>,
    /// A file of the repository that holds or may hold a credential, escaped.
    pub credential: Option<String>,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Git(Taken { path, context, by, counts, needless, unreadable, credential, .. }) => {
                let path = escape(path);
                let of =
                    context.as_ref().map(|name| format!(" of build context `{name}`")).unwrap_or_default();
                if let Some(file) = credential {
                    let too = if *counts { ", and every commit has another key" } else { "" };
                    return write!(
                        f,
                        "`{file}`{of} holds a credential, and the build gets it ({by}): whoever has the image may have the credential{too}"
                    );
                }
                let how = if *needless { "counts in the key" } else { "is in what the build gets" };
                write!(f, "`{path}`{of} {how} ({by}), so every commit has another key")?;
                match unreadable {
                    Some(why) => write!(f, "; two clones differ too, because {why} and its bytes count"),
                    None => Ok(()),
                }
            }
            Self::Special { path, what } => {
                let becomes = if what == "socket" { "an empty file of that name" } else { "it" };
                let path = escape(path);
                write!(
                    f,
                    "`{path}` is a {what}: the build gets {becomes}, and its name and kind count in the key"
                )
            }
        }
    }
}

impl Warning {
    /// A grave warning concerns hits or a secret; any other is a note.
    #[must_use]
    pub const fn is_grave(&self) -> bool {
        matches!(self, Self::Git(_))
    }

    /// The Dockerfile and the line, from 1, that the warning is about.
    #[must_use]
    pub const fn at(&self) -> Option<&(String, usize)> {
        match self {
            Self::Git(taken) => taken.at.as_ref(),
            Self::Special { .. } => None,
        }
    }

    /// The next step for the user.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Git(Taken { context: Some(_), path, .. }) => {
                format!("add `{}` to the .dockerignore of that folder", escape(path))
            }
            Self::Git(Taken { needless: true, .. }) => "leave `key` at auto".to_owned(),
            Self::Git(Taken { path, credential: None, .. }) => {
                format!("if the image needs no git, set `exclude: {}`", escape(path))
            }
            Self::Git(Taken { path, .. }) => {
                format!(
                    "set `exclude: {}`, or `persist-credentials: false` at actions/checkout",
                    escape(path)
                )
            }
            Self::Special { .. } => "leave it out with .dockerignore".to_owned(),
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

/// Finds the repository at `root`, if `selector` takes all of its `.git` and that holds a credential.
#[must_use]
pub fn leaking(root: &Path, selector: &Selector) -> Option<Taken> {
    let config = b".git/config";
    if !selector.takes(b".git") || !selector.reaches(config) {
        return None;
    }
    let file = git_credential::find_credential(root, &root.join(".git"))?;
    let credential = Some(escape(file.as_os_str().as_bytes()));
    Some(Taken { path: b".git".to_vec(), credential, ..Taken::default() })
}

/// Joins `root` and a relative path in bytes.
pub(crate) fn full(root: &Path, path: &[u8]) -> PathBuf {
    root.join(OsStr::from_bytes(path))
}
