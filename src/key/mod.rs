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

pub mod digest;
pub mod dockerfile;
pub mod dockerignore;
pub mod error;
pub mod explain;
pub mod files;
pub mod names;
pub mod period;

pub use digest::{BuildKey, EntryKind, KeyBuilder, KeyEntry, Scope};
pub use error::KeyError;
pub use period::period;

#[cfg(test)]
mod tests;
