//! Explanations: a key's entries in a bounded form that travels with the image, and what differs between two.

mod advice;
mod diff;
mod encode;
mod family;
mod listing;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::key::digest::{BuildKey, EntryKind};
pub use advice::{Clues, advice};
pub use diff::{Change, diff, summarise};
pub use encode::{decode, encode};
pub use family::no_platforms;
pub use listing::{from_listing, listing, shown};

/// Most bytes of an encoded explanation: it must fit a label and an annotation.
pub const MAX_BYTES: usize = 16 * 1024;

/// Hexadecimal digits kept of a digest: enough to tell a change, too few to be a promise.
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
    /// Files by root.
    pub trees: BTreeMap<String, Node>,
}

/// One entry; digests are cut to 12 digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// What it is about.
    pub kind: EntryKind,
    /// Empty if several entries of the kind had to be put together.
    pub name: String,
    /// Empty if it must not be told even as a digest (the value of a secret-looking build argument).
    pub value: String,
}

/// A file, link or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// What it is (`f` file, `x` executable, `l` link, a digit for set-id bits) and its digest, cut.
    Leaf(String),
    Folder {
        /// Of all that is below, cut.
        digest: String,
        /// Files and links below.
        count: u64,
        /// By escaped name; `None` if they had to be left out.
        entries: Option<BTreeMap<String, Self>>,
    },
}

impl Explained {
    /// The explanation of a key in about `limit` bytes. Large trees lose their inner folders first, and before
    /// that any single folder that would eat a quarter of the room.
    pub fn of(key: &BuildKey, limit: usize) -> Self {
        let entries = shape::items(key, limit / 2);
        let used: usize = entries.iter().map(shape::item_size).sum();
        let room = limit.saturating_sub(used + 200) / key.trees.len().max(1);
        let trees = key.trees.iter().map(|(name, tree)| (name.clone(), shape::tree(tree, room))).collect();
        Self { format: crate::key::digest::FORMAT_VERSION, key: key.hex.clone(), entries, trees }
    }
}
