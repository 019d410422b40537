//! What is to be done about the image, and how that is reported.

use crate::buildkit::LocalImage;
use crate::error::Error;
use crate::facts::{ForBuild, LookupBy};
use crate::image::{Digest, ImageReference};

/// What is to be done about the image.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It is in the registry.
    Reuse {
        /// How it was found.
        found_by: LookupBy,
        /// Where.
        reference: ImageReference,
        /// Its content.
        digest: Digest,
        /// The key's tag, where the image lacks it.
        missing_key_tag: Option<ImageReference>,
        /// The key's tag, where the image has it beside the commit's.
        key_tag: Option<ImageReference>,
        /// Tags it lacks; the flag says whether each is required.
        aliases: Vec<(ImageReference, bool)>,
        /// Fetch it.
        pull: bool,
        /// The engine has it already.
        have_local: bool,
        /// Why less than asked, if so.
        degraded: Option<String>,
        /// What else to say.
        notices: Vec<String>,
    },
    /// The engine has it, and no registry names one, or can be asked.
    ReuseLocal {
        /// The engine's image.
        image: LocalImage,
        /// Why the registry's does not do.
        why: String,
        /// Why less than asked, if so.
        degraded: Option<String>,
        /// What else to say.
        notices: Vec<String>,
    },
    /// No registry and no engine has it.
    Build {
        /// Why.
        reason: String,
        /// Whether it is published.
        publish: bool,
        /// Whether the registry can be used at all: caches, pins.
        shared: bool,
        /// Whether it is wanted in the engine's store.
        load: bool,
        /// Why less than asked, if so.
        degraded: Option<String>,
        /// What else to say.
        notices: Vec<String>,
    },
    /// It cannot be done.
    Fail(Error),
}

impl Verdict {
    /// What a build needs to know; nothing if there is none.
    #[must_use]
    pub(crate) const fn for_build(&self) -> Option<ForBuild> {
        match *self {
            Self::Build { shared, load, .. } => Some(ForBuild { shared, load }),
            _ => None,
        }
    }
}

/// The decision as it is reported.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Decision {
    /// The outcome if all goes well.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
    /// On a miss, all that differs from the nearest earlier image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

/// Values of the `outcome` output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
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
    /// Built and published.
    Built,
    /// Built for this machine alone.
    BuiltLocal,
    /// The Dockerfile's checks were run, and found nothing.
    Checked,
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
            Self::Checked => "checked",
            Self::Failed => "failed",
        }
    }
}
