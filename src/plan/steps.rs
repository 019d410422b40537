//! The steps of a plan: each is one write, or the check that follows it.

use super::index::Index;
use super::verdict::Decision;
use crate::buildkit::{BuildSpec, Finding, NewBuilder};
use crate::error::SourceLine;
use crate::facts::Leftover;
use crate::image::{Digest, ImageReference, Platform, Repository};

/// One write, or the check that follows it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// Remove builders that killed runs left behind. What cannot be removed is told.
    Sweep { builders: Vec<Leftover> },
    /// Note in the engine that this run builds with its builder.
    NoteMaker {
        /// The volume that says so.
        volume: String,
    },
    /// Make and boot a builder; it is removed at the end unless `keep`.
    CreateBuilder {
        builder: NewBuilder,
        /// Leave it behind.
        keep: bool,
        /// Whether only the layer cache needs it: then the build goes on with the builder at
        /// hand if this one does not boot.
        optional: bool,
    },
    /// Build, and push or load in the same go.
    Build {
        /// Everything about it.
        spec: Box<BuildSpec>,
    },
    /// Load one platform of what was just built, where the engine's store holds no more.
    Load {
        /// The same build for that platform.
        spec: Box<BuildSpec>,
    },
    /// Read back what was pushed: its digest is what the outputs report. If another run was
    /// first under this tag with the same key, theirs is adopted; other content is an error.
    ReadBack {
        /// The tag that was pushed.
        reference: ImageReference,
    },
    /// Set the key's tag to what was read back, unless an image with this key stands there by
    /// now: then that one counts, and the other names follow it.
    SetKeyTag {
        /// The key's tag.
        key_tag: ImageReference,
        /// The other names.
        others: Vec<ImageReference>,
        /// Set it whatever stands there.
        replace: bool,
    },
    /// Store an index of images that are there.
    PutIndex {
        /// The index.
        index: Index,
        /// Its name.
        target: ImageReference,
    },
    /// Set a tag on an image in its registry; its digest must stay the same.
    Alias {
        /// The image, by digest; of a new image a tag, whose digest is known once it is read back.
        source: ImageReference,
        /// The new tag.
        target: ImageReference,
        /// Whether a refusal fails the run. A commit's alias is a convenience: the digest
        /// carries the hand-over.
        required: bool,
    },
    /// Fetch an image by digest into the engine's store.
    Pull {
        reference: ImageReference,
        /// Which one of an index; the engine's own without it.
        #[serde(skip_serializing_if = "Option::is_none")]
        platform: Option<Platform>,
    },
    /// Give an image of the engine's store its local name.
    Tag {
        /// A reference or an id.
        image: String,
        /// The local name.
        name: String,
        /// Whether a refusal fails the run.
        required: bool,
    },
}

/// What the user should mend.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PlanWarning {
    /// What, and how.
    pub text: String,
    /// Where, if a line of the user's is the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<SourceLine>,
}

impl PlanWarning {
    /// What a check of BuildKit's found in this file.
    #[must_use]
    pub fn found(finding: Finding, file: &str) -> Self {
        let at = finding.line.map(|line| SourceLine { file: file.to_owned(), line });
        Self { text: finding.text, at }
    }
}

/// A tag that the image has or gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedTag {
    /// The tag.
    pub reference: ImageReference,
    /// Whether the image has it before anything is done.
    pub there: bool,
}

/// The decision and every step it takes.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Plan {
    /// What was decided, and why.
    pub decision: Decision,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// What the user should mend, though the run does as asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<PlanWarning>,
    /// What the run does otherwise than asked, each said once.
    pub notices: Vec<String>,
    /// Why the run makes do with less, if it does: one warning, and `degraded`.
    pub degraded: Option<String>,
    /// The digest, where it is known before anything is done.
    pub digest: Option<Digest>,
    /// The digest of its configuration, of an index its own, or the engine's id, where it is known so early.
    #[serde(skip)]
    pub image_id: Option<String>,
    /// Where that digest is, or will be.
    #[serde(skip)]
    pub repository: Option<Repository>,
    /// The key's tag.
    #[serde(skip)]
    pub key_tag: Option<PlannedTag>,
    /// The commit's tag.
    #[serde(skip)]
    pub commit_tag: Option<PlannedTag>,
    /// The name in the engine's store, where the image is there before anything is done.
    #[serde(skip)]
    pub local_image: Option<String>,
}

impl Plan {
    /// The index that it stores, if it merges platforms.
    #[must_use]
    pub(crate) fn merged(&self) -> Option<&Index> {
        self.steps.iter().find_map(|step| match step {
            Step::PutIndex { index, .. } => Some(index),
            _ => None,
        })
    }
}
