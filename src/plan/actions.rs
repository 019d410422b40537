//! The actions of a plan: each is one write, or the check that follows it.

use std::fmt;

use super::index::Index;
use super::verdict::{Decision, Outcome};
use crate::buildkit::{BuildSpec, Finding, NewBuilder};
use crate::error::{Error, SourceLine};
use crate::facts::Leftover;
use crate::image::{Digest, ImageReference, Platform, Repository};

/// The number of an action in its plan, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub(crate) struct ActionId(usize);

impl ActionId {
    /// Its place in [`Plan::actions`].
    #[must_use]
    pub(crate) const fn index(self) -> usize {
        self.0 - 1
    }
}

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An action with its place in the plan.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Planned {
    pub id: ActionId,
    /// The image it is done for, by its place in [`Plan::images`]; none where it serves several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<usize>,
    /// The actions that must have succeeded before it begins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<ActionId>,
    #[serde(flatten)]
    pub action: Action,
}

/// The image that an action works on.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Source<T = ImageReference> {
    /// It was there before the run.
    Known(T),
    /// An earlier action makes it, and knows its digest then.
    BuiltBy {
        action: ActionId,
        /// What it is pushed under.
        name: ImageReference,
    },
}

impl<T> Source<T> {
    /// The action that makes it.
    #[must_use]
    pub(crate) const fn action(&self) -> Option<ActionId> {
        match self {
            Self::Known(_) => None,
            Self::BuiltBy { action, .. } => Some(*action),
        }
    }
}

/// What may stand under a tag for it to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TagGuard {
    /// Anything.
    Any,
    /// Anything but an image with this run's key: that one wins.
    UnlessSameKey,
}

/// What a build goes without if the builder that only this needs does not boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum GoesWithout {
    /// Writing the layer cache.
    CacheExport,
    /// Layers that no other run has made.
    OwnLayers,
}

/// One write, or the check that follows it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub(crate) enum Action {
    /// Remove builders that killed runs left behind. What cannot be removed is told.
    RemoveBuilders { builders: Vec<Leftover> },
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
        /// What the builds go without if it does not boot; they fail where this is absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        optional: Option<GoesWithout>,
    },
    /// Build, and push or load in the same go.
    Build {
        /// Everything about it.
        spec: Box<BuildSpec>,
        /// The action that makes its builder.
        #[serde(skip_serializing_if = "Option::is_none")]
        builder: Option<ActionId>,
    },
    /// Load one platform of what was just built, where the engine's store holds no more.
    Load {
        /// The same build for that platform.
        spec: Box<BuildSpec>,
    },
    /// Read back what was pushed: its digest is what the outputs report. If another run was
    /// first under this tag with the same key, theirs is adopted; other content is an error.
    ReadBack {
        /// The build.
        build: ActionId,
        /// The tag that was pushed.
        reference: ImageReference,
    },
    /// Set the key's tag. The other names follow the image that has it then.
    SetKeyTag {
        source: Source,
        /// The key's tag.
        key_tag: ImageReference,
        /// The other names.
        others: Vec<ImageReference>,
        guard: TagGuard,
    },
    /// Store an index of images that are there.
    PutIndex {
        /// The index.
        index: Index,
        /// Its name.
        target: ImageReference,
        guard: TagGuard,
    },
    /// Set a tag on an image in its registry; its digest must stay the same.
    Alias {
        source: Source,
        /// The new tag.
        target: ImageReference,
        guard: TagGuard,
        /// Whether a refusal fails the run. A commit's alias is a convenience: the digest
        /// carries the hand-over.
        required: bool,
    },
    /// Fetch an image by digest into the engine's store.
    Pull {
        source: Source,
        /// Which one of an index; the engine's own without it.
        #[serde(skip_serializing_if = "Option::is_none")]
        platform: Option<Platform>,
    },
    /// Give an image of the engine's store its local name.
    Tag {
        /// A reference, a name or an id of the engine's.
        source: Source<String>,
        /// The local name.
        name: String,
        /// Whether a refusal fails the run.
        required: bool,
    },
}

/// Collects the actions of a plan.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// The image whose actions are added.
    pub image: Option<usize>,
    actions: Vec<Planned>,
}

impl Draft {
    /// Adds one that begins once those have succeeded.
    pub(super) fn add(&mut self, after: impl IntoIterator<Item = ActionId>, action: Action) -> ActionId {
        let id = ActionId(self.actions.len() + 1);
        let after = after.into_iter().collect();
        self.actions.push(Planned { id, image: self.image, after, action });
        id
    }

    /// How many there are, for [`Self::forget`].
    pub(super) const fn len(&self) -> usize {
        self.actions.len()
    }

    /// Drops those that were added since there were this many.
    pub(super) fn forget(&mut self, len: usize) {
        self.actions.truncate(len);
    }

    pub(super) fn finish(self) -> Vec<Planned> {
        self.actions
    }
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
pub(crate) struct PlannedTag {
    /// The tag.
    pub reference: ImageReference,
    /// Whether the image has it before anything is done.
    pub there: bool,
}

/// Every decision, and every action they take.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// In the request's order.
    pub images: Vec<ImagePlan>,
    /// Each stands behind those that it comes after.
    pub actions: Vec<Planned>,
}

/// What was decided about one image.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(crate) struct ImagePlan {
    /// What was decided, and why.
    #[serde(flatten)]
    pub decision: Decision,
    /// Why nothing can be done about it.
    #[serde(skip)]
    pub error: Option<Error>,
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

impl ImagePlan {
    /// Of an image that nothing can be done about.
    #[must_use]
    pub(crate) fn failed(error: Error) -> Self {
        let decision = Decision { outcome: Outcome::Failed, reason: error.headline(), changes: Vec::new() };
        Self { error: Some(error), ..Self::of(decision) }
    }

    /// Of a decision, with nothing else said or known.
    #[must_use]
    pub(super) const fn of(decision: Decision) -> Self {
        Self {
            decision,
            error: None,
            warnings: Vec::new(),
            notices: Vec::new(),
            degraded: None,
            digest: None,
            image_id: None,
            repository: None,
            key_tag: None,
            commit_tag: None,
            local_image: None,
        }
    }
}

impl Plan {
    /// The actions of one image.
    pub(crate) fn of_image(&self, image: usize) -> impl Iterator<Item = &Planned> {
        self.actions.iter().filter(move |planned| planned.image == Some(image))
    }

    #[must_use]
    pub(crate) fn builds(&self) -> bool {
        self.actions.iter().any(|planned| matches!(planned.action, Action::Build { .. }))
    }
}
