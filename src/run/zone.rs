//! How far a run is trusted.

use crate::guards::Guard;
use crate::image::branch_prefix;

/// A zone of trust; who may read and write what follows from it (`plan::access`).
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

    /// What this zone's tags begin with; `None` if it never writes one. No zone's prefix begins
    /// another's tags (`image::tags` proves it).
    #[must_use]
    pub fn tag_prefix(&self) -> Option<String> {
        match self {
            Self::Fork => None,
            _ if !Guard::ZonePrefix.holds() => Some(String::new()),
            Self::Trusted => Some(String::new()),
            Self::Queue => Some("queue-".to_owned()),
            Self::PullRequest(number) => Some(format!("pr-{number}-")),
            Self::Branch(branch) if !Guard::BranchMark.holds() => Some(format!("{branch}-")),
            Self::Branch(branch) => Some(branch_prefix(branch)),
        }
    }
}

impl serde::Serialize for Zone {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
