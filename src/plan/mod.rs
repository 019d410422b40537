//! The decision, and every step it takes: pure, without clock and without ports.

mod access;
mod asked;
mod assemble;
mod build_flags;
mod builder;
mod caches;
mod decide;
mod extra_args;
mod flag_inputs;
mod held;
mod load;
mod names;
mod owner;
mod platform;
mod raw_caches;
mod render;
mod reuse;
mod spec;
mod steps;
mod versions;
mod written;

pub use access::{Access, access};
pub use assemble::{Given, assemble, too_many_rights};
pub use build_flags::Extra;
pub use builder::{Choice, KEPT, Names, Needs, choose};
pub use caches::{CacheName, cache_home, own_cache, readable_caches};
pub use decide::{Decision, FoundBy, Outcome, Verdict, decide};
pub use extra_args::{for_key as extra_args_for_key, take as take_extra_args};
pub use names::{AllNames, LocalNames, Published, ZoneNames};
pub use owner::{Owner, PREFIX as BUILDER_PREFIX};
pub use render::{Rendered, brief, describe, json, text};
pub use steps::{Plan, PlanWarning, PlannedTag, Step};
