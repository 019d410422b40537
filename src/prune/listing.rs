//! What a repository holds, and what removes it.

use std::collections::{BTreeMap, BTreeSet};

use super::links::Links;
use crate::error::Result;
use crate::image::Digest;

/// Everything that a repository lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// Each manifest that has a tag, and each other one that the registry lists.
    pub(crate) versions: BTreeMap<Digest, Version>,
    /// True if the registry knows when an image was last pulled.
    pub(crate) knows_pulls: bool,
    /// True if the registry can remove a tag and keep the image.
    pub(crate) can_untag: bool,
    /// The registry's clock, if it told: seconds since 1970.
    pub(crate) clock: Option<u64>,
}

/// One manifest of a repository. Times are seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) tags: BTreeSet<String>,
    /// When it was pushed, if the registry says so.
    pub(crate) pushed: Option<u64>,
    /// When a run first saw it, if the registry knows no times: it was pushed then or before.
    pub(crate) seen: Option<u64>,
    /// When it was last pulled.
    pub(crate) pulled: Option<u64>,
    /// The number by which GitHub can restore it.
    pub(crate) restore: Option<u64>,
    /// When an earlier run first saw these tags here, where the registry does not know pulls.
    pub(crate) tags_seen: BTreeMap<String, u64>,
}

impl Version {
    /// When it was last pushed or pulled, by the registry's word.
    pub(crate) fn recorded(&self) -> Option<u64> {
        self.pushed.max(self.pulled)
    }

    /// The same; where the registry knows no times, when it was first seen.
    pub(crate) fn used(&self) -> Option<u64> {
        self.recorded().or(self.seen)
    }
}

/// One removal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Step {
    /// Removes a tag; the image stays, under other tags.
    Untag { tag: String, digest: Digest },
    /// Removes a manifest with all its tags.
    Delete {
        digest: Digest,
        tags: BTreeSet<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        restore: Option<u64>,
    },
}

impl Step {
    pub(crate) const fn digest(&self) -> &Digest {
        match self {
            Self::Untag { digest, .. } | Self::Delete { digest, .. } => digest,
        }
    }

    pub(crate) const fn deletes(&self) -> bool {
        matches!(self, Self::Delete { .. })
    }
}

/// What became of a removal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Done,
    /// It was gone.
    Absent,
    /// The registry keeps it, for a reason that is no failure: the last version of a package, one that was downloaded
    /// very often, one that an index names since.
    Refused(String),
    /// It names another image by now.
    Changed,
    Failed(crate::error::Error),
}

/// A repository in a registry.
pub(crate) trait Store {
    /// Everything that it holds now. Fails if a part cannot be read.
    async fn listing(&self) -> Result<Listing>;

    /// The references of these manifests; one that is not there is left out.
    async fn links(&self, digests: &[Digest]) -> Result<BTreeMap<Digest, Links>>;

    /// Manifests about these ones that [`Self::listing`] leaves out. None where it leaves none out, or where the registry
    /// does not say.
    async fn referrers(&self, _about: &[Digest]) -> Result<BTreeSet<Digest>> {
        Ok(BTreeSet::new())
    }

    /// Carries these removals out, in any order, and says of each what became of it. Those that were not tried are left
    /// out.
    async fn remove(&self, steps: &[Step]) -> Vec<(Step, Outcome)>;
}
