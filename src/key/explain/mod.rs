//! Explanations: a key's entries in a short form, which the image carries as an annotation, and the differences between
//! two of them. So a run that misses can say what has changed since an earlier image.

mod advice;
mod diff;
mod encode;
mod family;
mod listing;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::key::digest::{BuildKey, EntryKind, KeyEntry};
pub use advice::{Clues, advice};
pub use diff::{Change, diff, summarise};
pub(crate) use encode::encode_of_platform;
pub use encode::{decode, encode};
pub use family::no_platforms;
pub(crate) use listing::listing;
pub use listing::{from_listing, shown};

/// Most bytes of an encoded explanation: it must fit a label and an annotation.
pub const MAX_BYTES: usize = 16 * 1024;

/// Hexadecimal digits that are kept of a digest, enough to tell a change.
const SHORT: usize = 12;

/// A key's entries, shortened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explained {
    /// [`FORMAT_VERSION`](crate::key::FORMAT_VERSION) of the key.
    pub format: u32,
    /// The whole key, 64 hexadecimal digits.
    pub key: String,
    /// Everything but files.
    pub entries: Vec<Item>,
    /// The files of each context, by its name.
    pub trees: BTreeMap<String, Node>,
}

/// One entry; digests are cut to 12 digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    pub kind: EntryKind,
    /// Empty if several entries of the kind had to be put together.
    pub name: String,
    /// Empty for a build argument that looks like a secret: a short secret could be guessed from its digest.
    pub value: String,
}

/// A file, link or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A letter (`f` file, `x` executable, `l` link, `s` pipe, socket or device, a digit for set-id bits) and the digest,
    /// cut.
    Leaf(String),
    Folder {
        /// The digest over all that is below, cut.
        digest: String,
        /// The number of files and links below.
        count: u64,
        /// The entries by their escaped names; `None` for a *closed* folder, whose entries had to be left out.
        entries: Option<BTreeMap<String, Self>>,
    },
}

impl Explained {
    /// The explanation of a key in about `limit` bytes. Files that do not fit are told by their folders alone.
    #[must_use]
    pub fn of(key: &BuildKey, limit: usize) -> Self {
        Self::with_entries(key, &key.hex, &key.entries, limit)
    }

    /// As [`Self::of`], for the key `hex` with these entries, which shares the files of `key`.
    fn with_entries(key: &BuildKey, hex: &str, entries: &[KeyEntry], limit: usize) -> Self {
        let entries = shape::items(entries, limit / 2);
        let used: usize = entries.iter().map(shape::item_size).sum();
        // The names of members and the key itself take less than 200 bytes.
        let room = limit.saturating_sub(used + 200) / key.trees.len().max(1);
        let trees = key.trees.iter().map(|(name, tree)| (name.clone(), shape::tree(tree, room))).collect();
        Self { format: crate::key::digest::FORMAT_VERSION, key: hex.to_owned(), entries, trees }
    }
}
