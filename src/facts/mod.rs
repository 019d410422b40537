//! Facts: everything the plan is decided from. Reads only, side by side where they can be.

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
pub(crate) use builders::{BuilderFacts, Leftover, entitlements};
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

/// What was found out about one image.
#[derive(Debug)]
pub(crate) struct ImageFacts {
    /// Where shared copies live, and who said so.
    pub repository: Arc<RepositoryFact>,
    /// The key; none for a pull by digest.
    pub key: Option<BuildKey>,
    /// Base images with their digests.
    pub bases: Vec<Base>,
    /// What else the key held still.
    pub pins: Pins,
    /// What the registry said, in the order it was asked.
    pub lookups: Vec<Lookup>,
    /// What the engine has.
    pub local: Local,
    /// What is to be merged.
    pub parts: Vec<PartFact>,
}

impl ImageFacts {
    /// Nothing, but where shared copies live.
    pub(crate) fn of(repository: Arc<RepositoryFact>) -> Self {
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

    /// Takes an image that is gone for absent, also where a tag still names it: a registry may
    /// answer from what it knew before.
    pub(crate) fn forget(&mut self, gone: &Digest) {
        for lookup in &mut self.lookups {
            if matches!(&lookup.seen, LookupResult::Match { digest, .. } if digest == gone) {
                lookup.seen = LookupResult::Absent { no_repository: false };
            }
        }
    }
}

/// What is read only once the decision asks for it: a hit needs none of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct LateFacts {
    /// docker, buildx, the builder.
    pub toolchain: Option<Arc<Toolchain>>,
    /// Builders of this program's that are there.
    pub builders: Arc<BuilderFacts>,
    /// Layer caches.
    pub caches: CacheFacts,
    /// Why no image has the key.
    pub miss: Option<explain::Miss>,
}
