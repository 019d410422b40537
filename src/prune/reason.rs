//! Why something goes or stays.

use std::fmt;

use crate::texts::words;

/// Why a tag or a manifest goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "why", content = "of")]
pub(crate) enum Reason {
    /// The pull request is closed.
    PullRequestClosed(u64),
    /// The branch does not exist any more.
    BranchGone(String),
    /// A run of the merge queue made it, long ago.
    QueueOver,
    /// Nothing pushed or pulled it for longer than `unused` allows.
    Unused,
    /// The commit's tag is older than `commits` allows.
    OldCommit,
    /// A layer cache that is not among the newest.
    OldCache,
    /// It has no name, and none that stays refers to it.
    Untagged,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PullRequestClosed(number) => write!(f, "pull request {number} is closed"),
            Self::BranchGone(prefix) => write!(f, "no branch has the tags {prefix}…"),
            Self::QueueOver => f.write_str("the merge queue's run is over"),
            Self::Unused => f.write_str("unused for long"),
            Self::OldCommit => f.write_str("an old commit's tag"),
            Self::OldCache => f.write_str("an old layer cache"),
            Self::Untagged => f.write_str("without a tag, and nothing refers to it"),
        }
    }
}

words! {
    /// Why a tag stays.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
    #[serde(rename_all = "kebab-case")]
    pub(crate) enum Stays {
        /// The tag scheme did not make it, or another GitHub repository did.
        Foreign = "not a tag of this GitHub repository's runs",
        /// The pull request is open, or GitHub does not say that it is closed.
        OpenPullRequest = "of a pull request that is not known to be closed",
        /// The branch exists, or may exist.
        LiveBranch = "of a branch that exists",
        /// It is younger than `min-age`, or its age is not known.
        Young = "young, or of unknown age",
        /// It is in use, or among the newest.
        InUse = "in use, or among the newest",
        /// An index or another image that stays needs it.
        Needed = "part of an image that stays",
        /// The run may not remove it: it is of another zone.
        OutOfScope = "not this run's to remove",
        /// The registry cannot remove this tag without its image, which stays.
        CannotUntag = "on an image that stays, and the registry removes no tag alone",
    }
    /// The reason in words.
    pub(crate) const fn words;
}
