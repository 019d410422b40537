//! Two caches, one truth: a build under a key holds the content of that key, whatever BuildKit's
//! own caches hold (`docs/coherence.md`).
//!
//! A key sees things that BuildKit's caches do not see. Each has its cure here:
//!
//! - [`epoch`]: what changes the result of a step and is not in BuildKit's key of that step;
//! - [`transfer`]: a file whose content changed, but not its size and time;
//! - [`makers`]: layers that a run of less trust has made on the same engine.

pub(crate) mod epoch;
pub(crate) mod makers;
pub(crate) mod transfer;
