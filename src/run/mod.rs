//! The GitHub run: which event, which commit, how far it is trusted.

mod classify;
mod event;
mod lean;
mod zone;

pub use event::{Commit, PullRequest, RunContext};
pub use zone::Zone;
