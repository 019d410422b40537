//! How far a run is trusted. [`crate::run`] classifies a run; [`crate::trust`] derives its rights.

/// A zone of trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Zone {
    /// The default branch, a protected branch, a tag.
    Trusted,
    /// The merge queue: approved, not merged.
    Queue,
    /// A pull request from a branch of the same repository.
    PullRequest(u64),
    /// A push to a branch without protection.
    Branch(String),
    /// Everything else: forks, Dependabot, comments, unknown events, a developer's machine.
    Fork,
}

impl Zone {
    /// The value of the `zone` output.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Queue => "queue",
            Self::PullRequest(_) | Self::Branch(_) => "pr",
            Self::Fork => "fork",
        }
    }
}

impl serde::Serialize for Zone {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
