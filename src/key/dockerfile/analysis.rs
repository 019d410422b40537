//! The result of the analysis of a Dockerfile. A stage is *reached* if the requested target cannot be built without it;
//! *global* arguments are the `ARG`s before the first `FROM`.

use std::collections::BTreeSet;

use super::frontend::Frontend;
use super::git_ref::GitRef;
use super::globals::is_read_undeclared;
use crate::key::files::CopySource;

/// The instruction that needs an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `FROM`.
    From,
    /// `COPY --from=`.
    Copy,
    /// `RUN --mount=from=`.
    Mount,
}

/// An image from outside that the target needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUse {
    /// As in the file, variables replaced; not normalised.
    pub reference: String,
    /// Line of the instruction, from 1.
    pub line: usize,
    pub role: Role,
    /// `FROM --platform=`, if it is not the target's.
    pub platform: Option<String>,
}

/// How the content of a remote source becomes known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    /// The Dockerfile gives this checksum or commit, and BuildKit enforces it.
    Fixed(String),
    /// A file whose present checksum must be looked up.
    File,
    /// A repository whose present commit must be looked up. What the instruction's flags add is in it.
    Repository(GitRef),
    /// The source depends on a variable that only the base image defines.
    Unknown { variable: String },
}

/// A source of an `ADD` that is not in the context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteSource {
    /// As in the file, variables replaced; as written for [`Pin::Unknown`].
    pub url: String,
    /// Line of the instruction, from 1.
    pub line: usize,
    pub pin: Pin,
}

/// The part of the main context that the target needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Copied {
    /// These sources of `COPY`, `ADD` and bind mounts.
    Known(Vec<CopySource>),
    /// It cannot be told, so the whole context counts. The reason is a clause for the user.
    Unknown(String),
}

/// Secrets and SSH sockets that the target's `RUN` steps mount, by the names that they have in a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretMounts {
    /// Ids of secrets; those of SSH sockets after `ssh:`.
    pub(super) ids: BTreeSet<String>,
    /// An id cannot be told, so any secret may be mounted.
    pub(super) any: bool,
}

impl SecretMounts {
    /// Whether a step may read this secret.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.any || self.ids.contains(id)
    }

    /// For a file whose mounts cannot be told: any secret may be mounted.
    #[must_use]
    pub const fn unknown() -> Self {
        Self { ids: BTreeSet::new(), any: true }
    }
}

/// Everything that a target is built from.
#[derive(Debug)]
pub struct Analysis {
    /// SHA-256 of everything in the text that decides the target.
    pub digest: [u8; 32],
    /// As `digest`, without the arguments in `unread`. Valid only if no base has `ONBUILD` instructions, which might
    /// read them.
    pub narrow_digest: [u8; 32],
    /// Global arguments that no reached stage reads, whatever the platform.
    pub(super) unread: BTreeSet<String>,
    /// SHA-256 of the names of images and build contexts that the reached stages use, in order, variables replaced. It
    /// is no part of `digest`, because build arguments change it without changing the text.
    pub uses: [u8; 32],
    /// Why the whole text counts, as a clause; `None` if only the reached stages do.
    pub whole_text_reason: Option<String>,
    /// The image that interprets the file; `None` if the file names none.
    pub frontend: Option<Frontend>,
    /// Names of the stages that are reached for the last platform, in order; `stage-<n>` for those without.
    pub stages: Vec<String>,
    /// The target as the key counts it: the stage's name, empty for the last stage, which needs none. The target as the
    /// request spells it where the file can read that (`TARGETSTAGE`), or where only its frontend reads the file.
    pub target: String,
    /// `FROM --platform=` of the image that the target stage begins with, variables replaced.
    pub from_platform: Option<String>,
    /// Names of all stages of the file, reached or not, in lower case.
    pub stage_names: BTreeSet<String>,
    /// Images from outside; each use is listed once.
    pub images: Vec<ImageUse>,
    /// The given build contexts that the target uses.
    pub contexts: BTreeSet<String>,
    /// The part of the main context that the target needs.
    pub copied: Copied,
    /// `ADD` of URLs and git repositories.
    pub remote: Vec<RemoteSource>,
    /// Arguments that the reached stages or the file's head declare.
    pub declared_args: BTreeSet<String>,
    /// Secrets that the target's steps may read.
    pub secrets: SecretMounts,
    /// The target may have `RUN` steps.
    pub runs: bool,
    /// The `ONBUILD` instructions of the image, for those that are built on it; `None` if that cannot be told.
    pub onbuild: Option<Vec<String>>,
}

impl Analysis {
    /// Whether the target may depend on a build argument: one that it declares, or one that BuildKit reads without
    /// (`BUILDKIT_…`, `BUILDPLATFORM`, `TARGETARCH` and the others of these names, `SOURCE_DATE_EPOCH`).
    #[must_use]
    pub fn may_read(&self, name: &str) -> bool {
        self.declared_args.contains(name) && !self.unread.contains(name) || is_read_undeclared(name)
    }

    /// Notes that the base image `reference` has `ONBUILD` instructions that cannot be read, and so may copy and mount
    /// anything.
    pub(super) fn note_unread_triggers(&mut self, reference: &str, why: &str) {
        (self.secrets, self.runs) = (SecretMounts::unknown(), true);
        if let Copied::Known(_) = self.copied {
            let reason = format!("base `{reference}` has ONBUILD instructions, and {why}");
            self.copied = Copied::Unknown(reason);
        }
    }

    /// The analysis of a file that only its own frontend can read: nothing is known, and so anything may count.
    pub(super) fn opaque() -> Self {
        Self {
            digest: [0; 32],
            narrow_digest: [0; 32],
            unread: BTreeSet::new(),
            uses: [0; 32],
            whole_text_reason: None,
            target: String::new(),
            frontend: None,
            stages: Vec::new(),
            from_platform: None,
            stage_names: BTreeSet::new(),
            images: Vec::new(),
            contexts: BTreeSet::new(),
            copied: Copied::Unknown(String::new()),
            remote: Vec::new(),
            declared_args: BTreeSet::new(),
            secrets: SecretMounts::unknown(),
            runs: true,
            onbuild: None,
        }
    }
}
