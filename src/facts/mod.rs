//! Reads the facts that the plan is decided from, side by side where possible. Nothing here writes.

mod bases;
mod builders;
mod caches;
mod engine_base;
pub(crate) mod explain;
mod gather;
mod key;
mod local;
mod lookups;
mod merge;
mod pin;
mod repository;
mod sources;
mod toolchain;

pub(crate) use bases::Base;
pub(crate) use builders::{BuilderFacts, KeptBuilder, Leftover, entitlements};
pub(crate) use caches::CacheFacts;
pub(crate) use gather::{ForBuild, gather, gather_late, wants_local};
pub(crate) use key::Pins;
pub(crate) use key::compute as compute_key;
pub(crate) use local::Local;
pub(crate) use lookups::{Lookup, LookupBy, LookupResult, look_up, wait_for};
pub(crate) use merge::{FoundPart, Line, LineKind, PartFact};
pub(crate) use pin::Pin;
#[cfg(test)]
pub(crate) use repository::NoRepository;
pub(crate) use repository::RepositoryFact;
pub(crate) use repository::resolve as resolve_repository;
pub(crate) use toolchain::Toolchain;

use std::sync::Arc;

use crate::image::Digest;
use crate::key::BuildKey;

/// The facts of one image.
#[derive(Debug)]
pub(crate) struct ImageFacts {
    pub repository: Arc<RepositoryFact>,
    /// `None` for a pull by digest and for `mode: merge`.
    pub key: Option<BuildKey>,
    pub bases: Vec<Base>,
    pub pins: Pins,
    /// The registry's answers, in the order of the questions.
    pub lookups: Vec<Lookup>,
    pub local: Local,
    /// The parts of `mode: merge`.
    pub parts: Vec<PartFact>,
}

impl ImageFacts {
    /// Facts with the repository only.
    pub(crate) fn empty(repository: Arc<RepositoryFact>) -> Self {
        Self {
            repository,
            key: None,
            bases: Vec::new(),
            pins: Pins::default(),
            lookups: Vec::new(),
            local: Local::default(),
            parts: Vec::new(),
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
#[derive(Clone, Debug, Default)]
pub(crate) struct LateFacts {
    pub toolchain: Option<Arc<Toolchain>>,
    pub builders: Arc<BuilderFacts>,
    pub caches: CacheFacts,
    /// The comparison with an earlier image; `None` with `rebuild: true`.
    pub miss: Option<explain::Miss>,
}
