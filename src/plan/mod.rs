//! The decision, and every step it takes: pure, without clock and without ports.

mod asked;
mod assemble;
mod builder;
mod caches;
mod decide;
mod held;
mod load;
mod platform;

mod render;
mod reuse;
mod spec;
mod steps;
mod user_caches;
mod versions;

pub use assemble::{Given, assemble, too_many_rights};
pub use builder::{Choice, Names, Needs, choose};
pub use decide::{Decision, FoundBy, Outcome, Verdict, decide};
pub use render::{Rendered, brief, describe, json, text};
pub use steps::{Plan, PlanWarning, PlannedTag, Step};
