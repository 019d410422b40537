//! The decision, and every step it takes: pure, without clock and without ports.

mod asked;
mod assemble;
mod builder;
mod cache_set;
mod caches;
mod decide;
mod foreign;
mod given;
mod held;
mod index;
mod load;
mod merge;
mod platform;

mod render;
mod reuse;
mod spec;
mod steps;
mod use_builder;
mod user_caches;
mod verdict;
mod versions;

pub(crate) use assemble::{assemble, too_many_rights};
pub(crate) use builder::{Choice, Names, Needs, choose};
pub(crate) use decide::decide;
pub(crate) use given::PlanContext;
pub(crate) use index::Index;
pub(crate) use render::{Rendered, brief, describe, json, text};
pub(crate) use steps::{Plan, PlanWarning, PlannedTag, Step};
pub use verdict::Outcome;
pub(crate) use verdict::Verdict;
