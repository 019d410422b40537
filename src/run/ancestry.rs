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
