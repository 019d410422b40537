//! The errors of computing a key.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

/// The reason that a key cannot be computed. Each message names the file, and the line where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The context folder is missing or no folder.
    #[error("context {} is not a folder", .path.display())]
    Context {
        /// The folder as given.
        path: PathBuf,
    },
    /// A file or folder that counts cannot be read.
    #[error("cannot read {}", shown(.path))]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// A file kept changing while it was read.
    #[error("{} changed while it was being read", shown(.path))]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// An ignore pattern the build engine refuses.
    #[error("{}:{line}: ignore pattern `{pattern}` is not valid: {reason}", shown(.file))]
    Ignore {
        /// The ignore file.
        file: PathBuf,
        /// The pattern's line, from 1.
        line: usize,
        /// The pattern as written.
        pattern: String,
        /// The fault, as a clause.
        reason: String,
    },
    /// The Dockerfile cannot be built as it stands.
    #[error("{file}:{line}: {reason}")]
    Dockerfile {
        /// The Dockerfile.
        file: String,
        /// Its line, from 1.
        line: usize,
        /// The fault, as a clause.
        reason: String,
    },
    /// A `FROM` names no image, because variables have no value.
    #[error("{file}:{line}: `FROM {image}` names no image: {variables} without a value")]
    Unset {
        /// The Dockerfile.
        file: String,
        /// Its line, from 1.
        line: usize,
        /// The image as it is written.
        image: String,
        variables: String,
    },
    /// The input `target` names no stage.
    #[error("target `{target}` is not a stage of {file} (stages: {})", list(.stages))]
    Target {
        /// The Dockerfile.
        file: String,
        /// The input `target`.
        target: String,
        /// The stages that have names.
        stages: Vec<String>,
    },
    /// A `key-files` pattern that cannot be read.
    #[error("key-files pattern `{pattern}` is not valid: {reason}")]
    Pattern {
        /// The pattern as given.
        pattern: String,
        /// The fault, as a clause.
        reason: String,
    },
    /// A `key-files` pattern that names no file.
    #[error("key-files pattern `{pattern}` matches no file under {}", shown(.root))]
    NoMatch {
        /// The pattern as given.
        pattern: String,
        /// The folder in which files were looked for.
        root: PathBuf,
    },
    /// A `key-files` sub-key whose file is neither JSON nor TOML, or cannot be parsed.
    #[error("{}: cannot look up `{key}`: {reason}", shown(.file))]
    SubKey {
        /// The file.
        file: PathBuf,
        /// The path to the value inside the file, such as `a.b`.
        key: String,
        /// The reason that it has no value.
        reason: String,
    },
    /// More of something than a key can hold.
    #[error("{what}: too many for one key")]
    TooMany {
        /// Such as "more than 5,000,000 files", from [`crate::budget::more_than`].
        what: String,
    },
    /// The patterns of a folder take too long.
    #[error("matching the paths with the patterns of .dockerignore, key-files and COPY takes {what}")]
    Matching {
        /// Such as "more than 20,000,000,000 steps", from [`crate::budget::more_than`].
        what: String,
    },
    /// An explanation that cannot be read back.
    #[error("not an explanation of a build key: {reason}")]
    Explanation {
        /// The fault, as a clause.
        reason: String,
    },
}

impl KeyError {
    /// Tells whether BuildKit would refuse this too (exit 10). Other errors are bad input for the key (exit 2).
    #[must_use]
    pub fn is_user_build_error(&self) -> bool {
        matches!(self, Self::Dockerfile { .. } | Self::Unset { .. } | Self::Ignore { .. })
    }

    /// The next step for the user.
    #[must_use]
    pub fn hint(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Unset { variables, .. } => return format!("give {variables} in build-args").into(),
            Self::Context { .. } => {
                "check out the repository first, and give `context` relative to the working folder"
            }
            Self::Read { .. } => "make it readable, or leave it out with .dockerignore",
            Self::Changed { .. } => {
                "finish the step that writes it before this one, or leave it out with .dockerignore"
            }
            Self::Ignore { .. } => "correct the pattern; its language is Go's filepath.Match plus `**`",
            Self::Dockerfile { .. } => "correct the Dockerfile at that line",
            Self::Target { .. } => "set `target` to one of the stages named after AS",
            Self::Pattern { .. } | Self::NoMatch { .. } => {
                "patterns are relative to the working folder; `**/` stands for any depth"
            }
            Self::SubKey { .. } => "write `file.json#name.inner`, or name the whole file",
            Self::TooMany { .. } => "narrow the context with .dockerignore",
            Self::Matching { .. } => "write fewer patterns, or begin them with a plain folder",
            Self::Explanation { .. } => "the image was made by another program or another version",
        })
    }
}

/// The path as one line of text, whatever bytes are in it.
fn shown(path: &Path) -> String {
    crate::key::names::escape(path.as_os_str().as_encoded_bytes())
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none has a name".to_owned() } else { names.join(", ") }
}
