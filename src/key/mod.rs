//! The build key: SHA-256 over everything that decides an image's content.
//!
//! A key is a look-up key, not a proof of origin. It is complete (what can change the image and can be known
//! before building is in it), explained (its entries travel with the image and can be compared) and fast (one
//! parallel walk). What counts, what does not and why stands in `docs/keys.md`.
//!
//! - [`dockerignore`]: which paths of a context the build engine never sees.
//! - [`files`]: the files that count, in one of three scopes.
//! - [`dockerfile`]: what a target is built from.
//! - [`digest`]: entries to key.
//! - [`explain`]: entries to sentences.
//!
//! Nothing here starts a process, reads the environment or asks for the time.

/// Name of the main context among build contexts, in entries and to BuildKit.
pub(crate) const MAIN_CONTEXT: &str = "context";

pub(crate) mod digest;
pub(crate) mod dockerfile;
pub(crate) mod dockerignore;
pub(crate) mod error;
pub mod explain;
pub(crate) mod files;
pub(crate) mod names;
pub(crate) mod period;

pub use digest::EntryKind;
pub(crate) use digest::{BuildKey, KeyBuilder, KeyEntry, Scope};
pub(crate) use error::KeyError;
pub(crate) use period::period;

#[cfg(test)]
mod tests;
