//! What the GitHub repository says: which pull requests are closed, which branches exist.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;

/// What has to be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Pull requests that have names in the registry or in a cache.
    pub(crate) pulls: BTreeSet<u64>,
    /// Some branch has.
    pub(crate) branches: bool,
}

/// A pull request that is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    /// Seconds since 1970.
    pub(crate) at: u64,
}

/// The state of the GitHub repository. What is not in it is not known, and protects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProjectState {
    /// Pull requests that GitHub says are closed, merged ones too.
    pub(crate) closed: BTreeMap<u64, Closed>,
    /// All branches; `None` if they were not asked for.
    pub(crate) branches: Option<BTreeSet<String>>,
    /// GitHub's clock, if it told: seconds since 1970.
    pub(crate) clock: Option<u64>,
}

/// The GitHub repository.
pub(crate) trait Project {
    /// What it says now. Fails if a part cannot be read.
    async fn state(&self, wanted: &Wanted) -> Result<ProjectState>;
}
