//! Reads the GitHub run: event, commit and zone of trust.

mod classify;
mod essence;
mod event;
mod lean;

pub(crate) use essence::essence;
pub(crate) use event::Commit;
pub use event::RunContext;
