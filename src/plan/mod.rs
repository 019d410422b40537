//! Decides about each image, and plans every action: pure, without clock and without ports.

mod actions;
mod assemble;
mod builder;
mod cache_set;
mod caches;
mod chain;
mod context;
mod decide;
mod foreign;
mod held;
mod index;
mod job;
mod join;
mod judge;
mod load;
mod merge;
mod order;
mod parts;
mod platform;
mod publish;
mod render;
mod repositories;
mod reuse;
#[cfg(test)]
mod secret_tests;
mod set_up;
mod source;
mod spec;
mod store;
mod table;
mod undone;
mod use_builder;
mod user_caches;
mod verdict;
mod versions;
mod wanted;

pub(crate) use actions::{
    Action, ActionId, GoesWithout, ImagePlan, Plan, PlanWarning, Planned, PlannedTag, PlatformTag,
    SetUpChange, Source,
};
pub(crate) use assemble::{assemble, too_many_rights};
pub(crate) use builder::{Choice, Needs};
pub(crate) use context::PlanContext;
pub(crate) use index::{Index, JoinedIndex};
pub(crate) use judge::{Judged, builder_for};
pub(crate) use order::{TagGuard, TagOrder, order, refused};
pub(crate) use render::{Rendered, brief, describe, json, text};
pub(crate) use store::OldImage;

pub use job::MatrixJob;
pub(crate) use repositories::{RepositorySetUp, drift_notice, foreign_policy};
pub use verdict::Outcome;
pub(crate) use verdict::{Build, Decision, Verdict};
