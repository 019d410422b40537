//! The verdict about an image, and the decision as it is reported.

use super::index::Index;
use super::order::{SkippedTag, TagGuard};
use crate::buildkit::LocalImage;
use crate::error::Error;
use crate::facts::LookupBy;
use crate::image::{Digest, ImageReference, Platform};
use crate::texts::words;

/// What to do about an image.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Use the registry's image.
    Reuse(Reuse),
    /// Use the engine's image: the registry has none, or cannot be asked.
    ReuseLocal(ReuseLocal),
    /// Build it: neither the registry nor the engine has it, or the input `rebuild` asks for it.
    Build(Build),
    /// Make one image of platforms that were built apart.
    Merge(Merge),
    /// Fail.
    Fail(Error),
    /// Nothing: it was not asked for, and no image that is built needs it.
    Unneeded,
}

/// What a verdict tells the user.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Notes {
    /// Why the run does less than the inputs say, if it does.
    pub degraded: Option<String>,
    /// What else the user is told.
    pub notices: Vec<String>,
}

/// An image of the registry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reuse {
    /// The name by which the image was found.
    pub found_by: LookupBy,
    /// The reference under which the image was found.
    pub reference: ImageReference,
    pub digest: Digest,
    /// The key's tag, if the image lacks it and this run may set it.
    pub missing_key_tag: Option<ImageReference>,
    /// The key's tag, if the image was found by the commit's tag and has the key's tag too. This and
    /// `missing_key_tag` are `None` if the image was found otherwise.
    pub key_tag: Option<ImageReference>,
    /// Tags that the run sets on the image.
    pub aliases: Vec<WantedAlias>,
    /// Tags that stay where they are.
    pub skipped: Vec<SkippedTag>,
    /// True if the engine has to pull it.
    pub pull: bool,
    /// True if the engine has it, and it is wanted there.
    pub have_local: bool,
    pub notes: Notes,
}

/// A tag to be set on an image that is there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WantedAlias {
    pub tag: ImageReference,
    /// Which image it may have to be set.
    pub guard: TagGuard,
    /// True if a refusal fails the run.
    pub required: bool,
}

/// An image of the engine's.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ReuseLocal {
    pub image: LocalImage,
    /// Why no image of the registry is used.
    pub why: String,
    pub notes: Notes,
}

/// An image that is to be built.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Build {
    /// Why the image is built.
    pub reason: String,
    /// True if the image is published.
    pub publish: bool,
    /// True if the registry answers, so that layer caches may be read and written there; also for a build that is not
    /// published.
    pub shared: bool,
    /// True if the image is wanted in the engine's store.
    pub load: bool,
    /// The platforms that are missing, if others are there; `None` if all are built.
    pub only: Option<Vec<Platform>>,
    pub notes: Notes,
}

/// An image of platforms that were built apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Merge {
    pub index: Index,
    /// True if the image is wanted in the engine's store.
    pub load: bool,
    pub notes: Notes,
}

impl Verdict {
    /// Tells whether the engine gets an image by it.
    pub(crate) const fn adds_to_engine(&self) -> bool {
        matches!(self, Self::Build(Build { load: true, .. }) | Self::Reuse(Reuse { pull: true, .. }))
    }

    /// The notes; `None` for a failure.
    pub(crate) const fn notes_mut(&mut self) -> Option<&mut Notes> {
        match self {
            Self::Reuse(Reuse { notes, .. })
            | Self::ReuseLocal(ReuseLocal { notes, .. })
            | Self::Build(Build { notes, .. })
            | Self::Merge(Merge { notes, .. }) => Some(notes),
            Self::Fail(_) | Self::Unneeded => None,
        }
    }
}

/// The decision as it is reported.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Decision {
    /// The outcome if all goes well.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
    /// On a miss, all that differs from the nearest earlier image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

words! {
    /// Values of the `outcome` output. If the images of a run have several, the last in this order is the run's.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum Outcome {
        /// The engine had the image.
        ReusedLocal = "reused-local",
        /// The input `digest` named it.
        ReusedDigest = "reused-digest",
        /// This commit's tag named it.
        ReusedTag = "reused-tag",
        /// An image of the same key was there.
        ReusedKey = "reused-key",
        /// The Dockerfile's checks were run, and found nothing.
        Checked = "checked",
        /// `mode: plan`: no image has the key, or the registry does not say.
        Missing = "missing",
        /// Platforms that were built apart are one image.
        Merged = "merged",
        /// Built for this machine alone.
        BuiltLocal = "built-local",
        /// Built and published.
        Built = "built",
        /// The run failed.
        #[default]
        Failed = "failed",
    }
    /// The value of the `outcome` output.
    pub const fn name;
}
