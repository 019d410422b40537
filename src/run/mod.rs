//! Reads the GitHub run: event, commit and zone of trust.

mod ancestry;
mod classify;
mod essence;
mod event;
mod lean;

pub(crate) use ancestry::{Ancestry, OnBranch};
pub(crate) use essence::essence;
pub(crate) use event::Commit;
pub use event::RunContext;
