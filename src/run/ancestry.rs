//! How commits stand to each other.

/// How one commit stands to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ancestry {
    Same,
    /// It is an ancestor.
    Before,
    /// It is a descendant.
    After,
    /// Neither is an ancestor of the other.
    Apart,
}

/// Where a commit is on a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OnBranch {
    /// It is there. The newest commits after it, newest first, at most as many as were asked for.
    Before(Vec<String>),
    /// It is not: the branch was pushed by force, or never had it.
    Left,
}
