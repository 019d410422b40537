//! The decision, and every step it takes: pure, without clock and without ports.

mod asked;
mod assemble;
mod builder;
mod cache_set;
mod caches;
mod decide;
mod given;
mod held;
mod load;
mod platform;

mod render;
mod reuse;
mod spec;
mod steps;
mod user_caches;
mod verdict;
mod versions;

pub use assemble::{assemble, too_many_rights};
pub use builder::{Choice, Names, Needs, choose};
pub use decide::decide;
pub use given::Given;
pub use render::{Rendered, brief, describe, json, text};
pub use steps::{Plan, PlanWarning, PlannedTag, Step};
pub use verdict::{Outcome, Verdict};
