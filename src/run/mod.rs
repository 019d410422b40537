//! The GitHub run: which event, which commit, how far it is trusted.

mod classify;
mod essence;
mod event;
mod lean;

pub(crate) use essence::essence;
pub(crate) use event::Commit;
pub use event::RunContext;
