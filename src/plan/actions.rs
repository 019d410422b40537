//! The actions of a plan: each is one write, or the check that follows it.

use super::index::{Index, JoinedIndex};
use super::job::MatrixJob;
use super::order::{SkippedTag, TagGuard};
use super::repositories::RepositorySetUp;
pub(crate) use super::source::{ActionId, Source};
use super::store::OldImage;
use super::verdict::{Decision, Outcome};
use crate::buildkit::{BuildSpec, Finding, NewBuilder};
use crate::ecr::{LifecyclePolicy, Mutability, NewRepository};
use crate::error::{Error, SourceLine};
use crate::facts::Leftover;
use crate::image::{Digest, ImageReference, Platform, Repository};

/// An action with its place in the plan.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Planned {
    pub id: ActionId,
    /// The place in [`Plan::images`] of the image that the action is for; `None` if it serves several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<usize>,
    /// The platform, if the action is for one of several that are built apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The actions that must have succeeded before it begins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<ActionId>,
    #[serde(flatten)]
    pub action: Action,
}

/// What a build does without if the builder that only this needs does not boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum GoesWithout {
    /// Writing the layer cache.
    CacheExport,
    /// Layers that no other run has made.
    OwnLayers,
}

/// A change of an existing repository in ECR.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SetUpChange {
    /// Set the repository's own flag for scanning.
    ScanOnPush { scan: bool },
    /// Set whether tags can be moved.
    Mutability { mutability: Mutability },
    /// Preview a lifecycle policy, then write it. A policy of another author stays.
    Lifecycle {
        policy: LifecyclePolicy,
        /// The action that makes the repository, if one does: nothing in it could expire.
        #[serde(skip_serializing_if = "Option::is_none")]
        made_by: Option<ActionId>,
    },
}

impl SetUpChange {
    /// The setting, as tables name it.
    #[must_use]
    pub(crate) const fn setting(&self) -> &'static str {
        match self {
            Self::ScanOnPush { .. } => "scan on push",
            Self::Mutability { .. } => "tag mutability",
            Self::Lifecycle { .. } => "lifecycle policy",
        }
    }
}

/// One platform of an index, and the tag that it gets.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct PlatformTag {
    pub platform: Platform,
    /// Its own key, which its manifest carries.
    pub key: String,
    pub key_tag: ImageReference,
}

/// One write, or the check that follows it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub(crate) enum Action {
    /// Make a repository in ECR. One that another run has made meanwhile is compared.
    CreateRepository { repository: Repository, settings: Box<NewRepository> },
    /// Change a setting of a repository in ECR.
    SetUp {
        repository: Repository,
        change: SetUpChange,
        /// True if a refusal fails the run.
        required: bool,
    },
    /// Remove builders that killed runs left behind. What cannot be removed is told.
    RemoveBuilders { builders: Vec<Leftover> },
    /// Remove images of this GitHub repository from the engine that are older than the input `keep-local` allows. What
    /// cannot be removed is told.
    RemoveImages { images: Vec<OldImage> },
    /// Note in the engine that this run builds with its builder.
    NoteMaker {
        /// The volume that says so.
        volume: String,
    },
    /// Make and boot a builder; it is removed at the end unless `keep`.
    CreateBuilder {
        builder: NewBuilder,
        /// Leave the builder for later runs.
        keep: bool,
        /// What the builds do without if the builder does not boot; if `None`, they fail.
        #[serde(skip_serializing_if = "Option::is_none")]
        optional: Option<GoesWithout>,
    },
    /// Build, and push or load in the same go.
    Build {
        /// Everything that buildx is told.
        spec: Box<BuildSpec>,
        /// The action that makes the builder, if one does.
        #[serde(skip_serializing_if = "Option::is_none")]
        builder: Option<ActionId>,
        /// It is built in one go with all other builds that have this.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        together: bool,
    },
    /// Load one platform of what was just built, where the engine's store holds no more.
    Load {
        /// The same build for that platform.
        spec: Box<BuildSpec>,
    },
    /// Read back what was pushed: its digest is what the outputs report. If another run was
    /// first under this tag with the same key, its image is adopted; other content is an error.
    ReadBack {
        /// The build.
        build: ActionId,
        /// The tag that was pushed.
        reference: ImageReference,
    },
    /// Set the key's tag. The other names are then set to the image that has it.
    SetKeyTag {
        source: Source,
        /// The key's tag.
        key_tag: ImageReference,
        /// The other names.
        others: Vec<ImageReference>,
        guard: TagGuard,
    },
    /// Set the key tag of each platform of an index, unless another image of the same key has it: so each is found by itself.
    TagPlatforms { source: Source, platforms: Vec<PlatformTag>, guard: TagGuard },
    /// Store an index of images that the registry has.
    PutIndex {
        /// The index.
        index: Index,
        /// The index's name.
        target: ImageReference,
        guard: TagGuard,
    },
    /// Store an index of images of which earlier actions build some.
    JoinIndex {
        joined: Box<JoinedIndex>,
        /// The index's name.
        target: ImageReference,
    },
    /// Set a tag on an image in its registry; its digest must stay the same.
    Alias {
        source: Source,
        /// The new tag.
        target: ImageReference,
        guard: TagGuard,
        /// True if a refusal fails the run. Other jobs can do without a commit's alias: they use the digest.
        required: bool,
    },
    /// Fetch an image by digest into the engine's store.
    Pull {
        source: Source,
        /// The platform to take from an index; `None` means the engine's own.
        #[serde(skip_serializing_if = "Option::is_none")]
        platform: Option<Platform>,
    },
    /// Give an image of the engine's store its local name.
    Tag {
        /// A reference, or a name or an id in the engine's store.
        source: Source<String>,
        /// The local name.
        name: String,
        /// True if a refusal fails the run.
        required: bool,
    },
}

impl Action {
    /// True if docker carries the action out, and not the registry alone.
    #[must_use]
    pub(crate) const fn needs_docker(&self) -> bool {
        !matches!(
            self,
            Self::Alias { .. }
                | Self::SetKeyTag { .. }
                | Self::TagPlatforms { .. }
                | Self::PutIndex { .. }
                | Self::JoinIndex { .. }
                | Self::ReadBack { .. }
        )
    }

    /// Tells whether the action sets up a repository.
    #[must_use]
    pub(crate) const fn sets_up(&self) -> bool {
        matches!(self, Self::CreateRepository { .. } | Self::SetUp { .. })
    }

    /// True if the action may change how much of the engine's disk is taken. A name takes nothing.
    #[must_use]
    pub(crate) const fn changes_disk(&self) -> bool {
        !self.sets_up() && self.needs_docker() && !matches!(self, Self::Tag { .. })
    }
}

/// Collects the actions of a plan.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// The image whose actions are added.
    pub image: Option<usize>,
    /// The platform whose actions are added, if it is built apart from others.
    pub platform: Option<Platform>,
    pub actions: Vec<Planned>,
}

impl Draft {
    /// Adds an action that begins once those in `after` have succeeded.
    pub(super) fn add(&mut self, after: impl IntoIterator<Item = ActionId>, action: Action) -> ActionId {
        let id = ActionId::after(self.actions.len());
        let after = after.into_iter().collect();
        self.actions.push(Planned { id, image: self.image, platform: self.platform.clone(), after, action });
        id
    }
}

/// Something that the user should correct.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PlanWarning {
    /// What is wrong, and how to correct it.
    pub text: String,
    /// The line of a user's file that is the reason, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<SourceLine>,
}

impl PlanWarning {
    /// A finding of BuildKit's checks in `file`.
    #[must_use]
    pub fn found(finding: Finding, file: &str) -> Self {
        let at = finding.line.map(|line| SourceLine { file: file.to_owned(), line });
        Self { text: finding.text, at }
    }
}

/// A tag that the image has or gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlannedTag {
    pub reference: ImageReference,
    /// True if the image had the tag before the run.
    pub there: bool,
}

/// Every decision, and every action that follows from them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// In the request's order.
    pub images: Vec<ImagePlan>,
    /// Each after those that it waits for.
    pub actions: Vec<Planned>,
    /// The repositories that are set up.
    pub set_up: Vec<RepositorySetUp>,
}

/// The plan for one image; its actions are in [`Plan::actions`].
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub(crate) struct ImagePlan {
    /// False if nothing is to be done: the image was not asked for, and no build of this run uses it.
    #[serde(skip)]
    pub needed: bool,
    /// The decision, and its reason.
    #[serde(flatten)]
    pub decision: Decision,
    /// Why nothing can be done about the image.
    #[serde(skip)]
    pub error: Option<Error>,
    /// What the user should correct, though the run does what the inputs say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<PlanWarning>,
    /// Where the run does something else than the inputs say, one text each.
    pub notices: Vec<String>,
    /// Why the run does less than the inputs say, if it does: the text of the one warning.
    pub degraded: Option<String>,
    /// The digest, if it is known before the first action.
    pub digest: Option<Digest>,
    /// What docker calls the image's id, if it is known before the first action: the digest of the configuration, for
    /// an index its own digest.
    #[serde(skip)]
    pub image_id: Option<String>,
    /// Bytes of the image as the registry stores it, if it is there before the first action.
    #[serde(skip)]
    pub size: Option<u64>,
    /// The repository that has the digest, or will have it.
    #[serde(skip)]
    pub repository: Option<Repository>,
    /// The key's tag.
    #[serde(skip)]
    pub key_tag: Option<PlannedTag>,
    /// The commit's tag.
    #[serde(skip)]
    pub commit_tag: Option<PlannedTag>,
    /// The name in the engine's store, if the image is there before the first action.
    #[serde(skip)]
    pub local_image: Option<String>,
    /// Tags that are not set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped_tags: Vec<SkippedTag>,
    /// With `mode: plan`, the jobs that would build what is missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<MatrixJob>,
}

impl ImagePlan {
    /// The plan for an image that nothing can be done about.
    #[must_use]
    pub(crate) fn failed(error: Error) -> Self {
        let decision = Decision { outcome: Outcome::Failed, reason: error.headline(), changes: Vec::new() };
        Self { error: Some(error), ..Self::from_decision(decision) }
    }

    /// The plan for an image that is not needed.
    #[must_use]
    pub(super) fn unneeded() -> Self {
        let reason = "no image that is built needs it".to_owned();
        let decision = Decision { outcome: Outcome::ReusedKey, reason, changes: Vec::new() };
        Self { needed: false, ..Self::from_decision(decision) }
    }

    /// The same plan with one more notice, if there is one.
    #[must_use]
    pub(super) fn with_notice(mut self, notice: Option<String>) -> Self {
        self.notices.extend(notice);
        self
    }

    /// A plan with the decision alone.
    #[must_use]
    pub(super) fn from_decision(decision: Decision) -> Self {
        Self { needed: true, decision, ..Self::default() }
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
