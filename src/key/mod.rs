//! The build key: SHA-256 over everything that decides an image's content.
//!
//! A key finds an image; it does not prove the image's origin. It covers everything that can change the image and can be
//! known before the build. Its entries travel with the image and can be compared. `docs/keys.md` lists what counts and
//! why.
//!
//! - [`dockerignore`]: matches the paths that the context leaves out.
//! - [`files`]: reads the files that count, in one of three scopes.
//! - [`dockerfile`]: finds everything that a target is built from.
//! - [`digest`]: makes the key from its entries.
//! - [`explain`]: compares the entries of two keys.
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
