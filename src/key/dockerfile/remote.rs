//! Whether a source is a path, a URL or a git repository: `dir/x`, `https://h/x.tar.gz`, `https://h/r.git#main`.

use super::git_ref::GitRef;

/// Where an `ADD` source or a build context lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A path.
    Local,
    /// A file behind a URL.
    Http,
    /// A git repository.
    Git(GitRef),
}

/// What `source` is as a build context.
///
/// # Errors
/// What BuildKit refuses in a repository's URL, as a reason.
pub(crate) fn context_place(source: &str) -> Result<Place, String> {
    match GitRef::parse(source) {
        Some(git) => git.map(Place::Git),
        None if source.starts_with("http://") || source.starts_with("https://") => Ok(Place::Http),
        None => Ok(Place::Local),
    }
}

/// What `source` is as a source of `COPY` or `ADD`: there, `github.com/…` is a path.
///
/// # Errors
/// As for [`context_place`].
pub(crate) fn place(source: &str) -> Result<Place, String> {
    if source.starts_with("github.com/") { Ok(Place::Local) } else { context_place(source) }
}
