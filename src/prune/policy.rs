//! How long what is kept.

use crate::image::Mark;

/// What a run may remove, and after how long. Ages are seconds.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// The GitHub repository whose tags these are.
    pub(crate) mark: Mark,
    pub(crate) scope: Scope,
    /// Everything younger stays: a job may be using it.
    pub(crate) min_age: u64,
    /// Trusted images and layer caches go that were neither pushed nor pulled for so long.
    pub(crate) unused: u64,
    /// Tags of commits go when their image was not used for so long.
    pub(crate) commits: u64,
    /// Names of the merge queue go after so long.
    pub(crate) queue: u64,
    /// Manifests without a name go after so long; `None`: they stay.
    pub(crate) untagged: Option<u64>,
    /// So many of the newest trusted layer caches stay, however old.
    pub(crate) keep_caches: usize,
    /// So many of the newest trusted images stay, however old, where the registry does not know when one was pulled.
    pub(crate) keep_keys: usize,
}

/// Whose names a run may remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// A trusted run: all zones of its GitHub repository.
    Everything,
    /// The run of a pull request that was closed: its own.
    PullRequest(u64),
}
