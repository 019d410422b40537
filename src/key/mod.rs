//! The build key: SHA-256 over everything that decides an image's content.
//!
//! An image is found by its key; the key does not prove who built the image. It covers everything that can change the image
//! and can be known before the build. The image carries the key's entries, so that keys can be compared. `docs/keys.md`
//! lists what counts and why.
//!
//! - [`dockerignore`]: matches the paths that the context leaves out.
//! - [`files`]: reads the files that count, in one of three scopes.
//! - [`dockerfile`]: finds everything that a target is built from.
//! - [`digest`]: makes the key from its entries.
//! - [`platforms`]: makes the key of an image with several platforms from the keys of each.
//! - [`explain`]: compares the entries of two keys.
//!
//! Nothing here starts a process, reads the environment or asks for the time.

/// The main context's name, in entries and to BuildKit; other build contexts have the names that users gave them.
pub(crate) const MAIN_CONTEXT: &str = "context";

pub(crate) mod digest;
pub(crate) mod dockerfile;
pub(crate) mod dockerignore;
pub(crate) mod error;
pub mod explain;
pub(crate) mod files;
pub(crate) mod names;
pub(crate) mod period;
pub(crate) mod platforms;

pub use digest::EntryKind;
pub(crate) use digest::{BuildKey, KeyBuilder, KeyEntry, Scope, short};
pub(crate) use error::KeyError;
pub(crate) use period::period;
pub(crate) use platforms::PlatformKey;

#[cfg(test)]
mod tests;
