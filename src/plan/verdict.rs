//! What is to be done about the image, and how that is reported.

use super::index::Index;
use crate::buildkit::LocalImage;
use crate::error::Error;
use crate::facts::LookupBy;
use crate::image::{Digest, ImageReference};

/// What is to be done about the image.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It is in the registry.
    Reuse(Reuse),
    /// The engine has it, and no registry names one, or can be asked.
    ReuseLocal(ReuseLocal),
    /// No registry and no engine has it.
    Build(Build),
    /// Platforms that were built apart become one image.
    Merge(Merge),
    /// It cannot be done.
    Fail(Error),
}

/// What a verdict says beside what is done.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Notes {
    /// Why less is done than was asked for, if so.
    pub degraded: Option<String>,
    /// What else the user is told.
    pub notices: Vec<String>,
}

/// An image of the registry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reuse {
    /// How it was found.
    pub found_by: LookupBy,
    /// Where it was found.
    pub reference: ImageReference,
    pub digest: Digest,
    /// The key's tag, where the image lacks it.
    pub missing_key_tag: Option<ImageReference>,
    /// The key's tag, where the image has it beside the commit's.
    pub key_tag: Option<ImageReference>,
    /// Tags it lacks; the flag says whether each is required.
    pub aliases: Vec<(ImageReference, bool)>,
    /// Whether the engine fetches it.
    pub pull: bool,
    /// Whether the engine has it already.
    pub have_local: bool,
    pub notes: Notes,
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
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Build {
    /// Why it is built.
    pub reason: String,
    /// Whether it is published.
    pub publish: bool,
    /// Whether the registry can be used at all: caches, pins.
    pub shared: bool,
    /// Whether it is wanted in the engine's store.
    pub load: bool,
    pub notes: Notes,
}

/// An image of platforms that were built apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Merge {
    pub index: Index,
    pub notes: Notes,
}

impl Verdict {
    /// What it says beside what is done; nothing if it is a failure.
    pub(crate) const fn notes_mut(&mut self) -> Option<&mut Notes> {
        match self {
            Self::Reuse(Reuse { notes, .. })
            | Self::ReuseLocal(ReuseLocal { notes, .. })
            | Self::Build(Build { notes, .. })
            | Self::Merge(Merge { notes, .. }) => Some(notes),
            Self::Fail(_) => None,
        }
    }
}

/// The decision as it is reported.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
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

/// Values of the `outcome` output. Of several images the last of these is the run's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The engine had it.
    ReusedLocal,
    /// The digest asked for named it.
    ReusedDigest,
    /// This commit's tag named it.
    ReusedTag,
    /// An image of the same key was there.
    ReusedKey,
    /// The Dockerfile's checks were run, and found nothing.
    Checked,
    /// Platforms that were built apart are one image.
    Merged,
    /// Built for this machine alone.
    BuiltLocal,
    /// Built and published.
    Built,
    /// Neither.
    Failed,
}

impl Outcome {
    /// The value of the `outcome` output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReusedLocal => "reused-local",
            Self::ReusedDigest => "reused-digest",
            Self::ReusedTag => "reused-tag",
            Self::ReusedKey => "reused-key",
            Self::Built => "built",
            Self::BuiltLocal => "built-local",
            Self::Merged => "merged",
            Self::Checked => "checked",
            Self::Failed => "failed",
        }
    }
}
