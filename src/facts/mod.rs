//! Reads the facts that the plan is decided from, side by side where possible. Nothing here writes.

pub(crate) mod bake;
mod bases;
mod builders;
mod caches;
mod elsewhere;
mod engine_base;
pub(crate) mod explain;
mod gather;
mod key;
mod keys;
mod local;
mod lookups;
mod merge;
mod pin;
mod platforms;
mod repository;
mod search;
mod search_all;
mod set_up;
mod sources;
mod store;
mod tags;
mod toolchain;

pub(crate) use bases::Base;
pub(crate) use builders::{BuilderFacts, KeptBuilder, Leftover, entitlements};
pub(crate) use caches::CacheFacts;
pub(crate) use gather::{ForBuild, Gathered, explain_misses, gather, gather_late};
pub(crate) use key::Pins;
pub(crate) use keys::keys;
pub(crate) use local::Local;
pub(crate) use lookups::{Lookup, LookupBy, LookupResult, look_up, wait_for};
pub(crate) use merge::{FoundPart, Line, LineKind, PartFact, read_part};
pub(crate) use pin::Pin;
pub(crate) use platforms::PlatformFacts;
pub(crate) use repository::resolve as resolve_repository;
pub(crate) use repository::{NoRepository, RepositoryFact};
pub(crate) use search::wants_local;
pub(crate) use set_up::{EcrFacts, SetUpFacts, is_private};
pub(crate) use store::{Disk, StoreFacts, gather_store};
pub(crate) use tags::{Holder, Standing, TagFact, VersionFact, look as look_at_tag};
pub(crate) use toolchain::Toolchain;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::image::Digest;
use crate::key::BuildKey;

/// The facts of one image.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ImageFacts {
    pub repository: Arc<RepositoryFact>,
    /// `None` for a pull by digest and for `mode: merge` of digests.
    pub key: Option<BuildKey>,
    /// The platforms, if there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<PlatformFacts>,
    pub bases: Vec<Base>,
    pub pins: Pins,
    /// The registry's answers, in the order of the questions.
    pub lookups: Vec<Lookup>,
    pub local: Local,
    /// The parts of `mode: merge` of digests.
    pub parts: Vec<PartFact>,
    /// What has the tags of the input `tags`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<TagFact>,
    /// What ECR says of the repositories that the run sets up.
    #[serde(skip_serializing_if = "SetUpFacts::is_none")]
    pub set_up: Arc<SetUpFacts>,
}

impl Default for ImageFacts {
    fn default() -> Self {
        Self::empty(Arc::new(RepositoryFact::None(NoRepository::NotNamed)))
    }
}

impl ImageFacts {
    /// Facts with the repository only.
    pub(crate) fn empty(repository: Arc<RepositoryFact>) -> Self {
        Self {
            repository,
            key: None,
            platforms: Vec::new(),
            bases: Vec::new(),
            pins: Pins::default(),
            lookups: Vec::new(),
            local: Local::default(),
            parts: Vec::new(),
            tags: Vec::new(),
            set_up: Arc::default(),
        }
    }

    /// Marks an image as absent that the registry no longer has, also under tags that still name it: a registry may answer
    /// from a cache.
    pub(crate) fn forget(&mut self, gone: &Digest) {
        for lookup in &mut self.lookups {
            if matches!(&lookup.seen, LookupResult::Match { digest, .. } if digest == gone) {
                lookup.seen = LookupResult::Absent { no_repository: false };
            }
        }
    }
}

/// The facts that only a build needs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LateFacts {
    pub toolchain: Option<Arc<Toolchain>>,
    pub builders: Arc<BuilderFacts>,
    pub caches: CacheFacts,
    /// The comparison with an earlier image; `None` with `rebuild: true`.
    pub miss: Option<explain::Miss>,
}
