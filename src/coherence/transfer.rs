//! Decides under which session name a build sends its files, so that BuildKit notices each change.
//!
//! Under one session name BuildKit keeps the files that it was sent, and asks again only for those whose size or time
//! has changed (moby/buildkit#4950). It could take another project's file of the same path, size and time for this
//! one's. So the builds of a *lineage* share a session name: in one lineage a path with a size and a time stands for one
//! content. A build that would break this starts a new lineage and sends everything. This holds also after builds that
//! failed or were killed.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use crate::key::BuildKey;
use crate::key::files::{Kind, Tree};

/// Bytes of one file in the encoded form: 16 of the identity that BuildKit compares, 16 of the content.
const FILE_BYTES: usize = 16 + 16;
/// The encoded form begins with this; other versions are not decoded.
const HEADER: &[u8; 8] = b"bo-sent2";
/// Bytes of a lineage's name, which are hexadecimal digits.
const NAME_BYTES: usize = 32;
/// A lineage ends when it holds this many files more than twice those of its newest build: its file would only grow, and
/// a new lineage costs one transfer of all files.
const OLD_FILES: usize = 10_000;

/// The files that a build sends. The key is a hash of what BuildKit compares (context, path, size and time), the value a
/// hash of the content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent(HashMap<[u8; 16], [u8; 16]>);

impl Sent {
    /// Collects the files that the key has read; `None` if the build may send others too.
    #[must_use]
    pub fn of(key: &BuildKey) -> Option<Self> {
        if key.partial {
            return None;
        }
        let mut sent = Self::default();
        for (context, tree) in &key.trees {
            sent.add_tree(context, tree);
        }
        Some(sent)
    }

    fn add_tree(&mut self, context: &str, tree: &Tree) {
        tree.visit(|path, entry| {
            // Of folders and devices no content is sent.
            if !matches!(entry.kind, Kind::Folder | Kind::Special) {
                let fact = entry.fact;
                self.0.insert(identity(context, path, fact.size, fact.modified), half(&fact.digest));
            }
        });
    }

    /// Adds a file that no tree has, such as the Dockerfile, an ignore file or a file in `.git`. `content` is its content,
    /// or anything that changes whenever the content does.
    pub fn add_file(&mut self, path: &[u8], size: u64, modified: i64, content: &[u8]) {
        let digest: [u8; 32] = Sha256::digest(content).into();
        self.0.insert(identity("", path, size, low_seconds(modified)), half(&digest));
    }

    /// Tells whether one path, size and time stands for two contents in these two.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        self.0.iter().any(|(file, content)| other.0.get(file).is_some_and(|known| known != content))
    }
}

/// The seconds modulo 2^32, as in [`Fact::modified`](crate::key::files::Fact::modified).
fn low_seconds(seconds: i64) -> u32 {
    let [b0, b1, b2, b3, ..] = seconds.to_le_bytes();
    u32::from_le_bytes([b0, b1, b2, b3])
}

/// The first half of a digest, which suffices to tell files apart and halves the file of the lineage.
fn half(digest: &[u8; 32]) -> [u8; 16] {
    std::array::from_fn(|at| digest[at])
}

/// Hashes what BuildKit compares. Whole seconds are coarser than the times that BuildKit compares, so a lineage may end
/// too often, never too seldom.
fn identity(context: &str, path: &[u8], size: u64, modified: u32) -> [u8; 16] {
    let digest = Sha256::new()
        .chain_update((context.len() as u64).to_le_bytes())
        .chain_update(context)
        .chain_update(size.to_le_bytes())
        .chain_update(modified.to_le_bytes())
        .chain_update(path);
    half(&digest.finalize().into())
}

/// A session name with every file that was ever sent under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The session name: 32 hexadecimal digits, of this builder alone.
    pub name: String,
    pub sent: Sent,
}

impl Lineage {
    /// Adds the files of the next build; `None` if that build must begin a new lineage.
    #[must_use]
    pub fn extended_to(mut self, now: &Sent) -> Option<Self> {
        if now.contradicts(&self.sent) {
            return None;
        }
        self.sent.0.extend(now.0.iter().map(|(file, content)| (*file, *content)));
        Some(self).filter(|this| this.sent.0.len() <= 2 * now.0.len() + OLD_FILES)
    }

    /// Encodes the lineage: the header, the name, then [`FILE_BYTES`] for each file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER.len() + NAME_BYTES + self.sent.0.len() * FILE_BYTES);
        bytes.extend_from_slice(HEADER);
        bytes.extend_from_slice(self.name.as_bytes());
        for (file, content) in &self.sent.0 {
            bytes.extend_from_slice(file);
            bytes.extend_from_slice(content);
        }
        bytes
    }

    /// Reads bytes that [`Lineage::encode`] has written; `None` for any others.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(HEADER)?;
        let (name, records) = rest.split_at_checked(NAME_BYTES)?;
        let name = std::str::from_utf8(name).ok()?;
        let (records, left) = records.as_chunks::<FILE_BYTES>();
        if !left.is_empty() || !name.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let mut sent = Sent::default();
        for record in records {
            let (file, content) = record.split_first_chunk::<16>()?;
            sent.0.insert(*file, *content.first_chunk::<16>()?);
        }
        Some(Self { name: name.to_owned(), sent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sent(files: &[(&str, u32, &str)]) -> Sent {
        let mut sent = Sent::default();
        for (path, modified, content) in files {
            sent.add_file(path.as_bytes(), content.len() as u64, (*modified).into(), content.as_bytes());
        }
        sent
    }

    #[test]
    fn a_lineage_goes_on_while_size_and_time_tell_each_change() {
        let lineage = Lineage { name: "0".repeat(32), sent: sent(&[("a", 1, "one"), ("b", 1, "two")]) };
        for (now, goes_on) in [
            (sent(&[("a", 1, "one"), ("b", 1, "two")]), true),
            (sent(&[("a", 1, "eno"), ("b", 1, "two")]), false),
            (sent(&[("a", 2, "eno")]), true),
            (sent(&[("a", 1, "other")]), true),
            (sent(&[("c", 1, "eno")]), true),
            (sent(&[]), true),
        ] {
            assert_eq!(lineage.clone().extended_to(&now).is_some(), goes_on, "{now:?}");
        }
        // Also when builds lie between that sent the file with another time, or did not send it.
        let later = lineage.extended_to(&sent(&[("a", 2, "eno")])).unwrap().extended_to(&sent(&[])).unwrap();
        assert_eq!(later.extended_to(&sent(&[("a", 1, "eno")])), None);
    }

    #[test]
    fn a_lineage_ends_when_most_of_it_is_old() {
        let mut lineage = Lineage { name: "0".repeat(32), sent: sent(&[]) };
        for build in 0..OLD_FILES + 2 {
            let now = sent(&[("a", u32::try_from(build).unwrap(), "x")]);
            lineage = lineage.extended_to(&now).unwrap();
        }
        assert_eq!(lineage.extended_to(&sent(&[("b", 0, "x")])), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_written_is_read(files in proptest::collection::vec((".{0,8}", any::<u32>(), ".{0,8}"), 0..8)) {
            let files: Vec<_> = files.iter().map(|(p, m, c)| (p.as_str(), *m, c.as_str())).collect();
            let lineage = Lineage { name: "0123456789abcdef".repeat(2), sent: sent(&files) };
            prop_assert_eq!(Lineage::decode(&lineage.encode()), Some(lineage));
        }

        #[test]
        fn junk_is_not_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(Lineage::decode(&bytes), None);
        }
    }
}
