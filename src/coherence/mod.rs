//! Keeps BuildKit's caches and the build key coherent: a build under a key holds the content of that key, whatever
//! BuildKit's caches hold (`docs/coherence.md`).
//!
//! BuildKit's caches miss three kinds of change that the key or the trust sees, one a module:
//!
//! - [`epoch`]: a setting that changes a step's result and is not in BuildKit's key of that step;
//! - [`transfer`]: a file whose content changed, but not its size and time;
//! - [`makers`]: a layer that a run of less trust has made on the same engine.

pub(crate) mod epoch;
pub(crate) mod makers;
pub(crate) mod transfer;
