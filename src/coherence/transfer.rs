//! What a build sends to BuildKit, and whether BuildKit would notice each change in it.
//!
//! BuildKit keeps the files that it was sent and asks again only for those whose size or time has
//! changed (moby/buildkit#4950). It keeps one copy for each session name and name of the context's
//! folder, so without more a file of one size and time is taken for another project's, or for that of
//! a run of less trust. Here each build that must not be mistaken for an earlier one gets a session
//! name that was never used: its *lineage*. A lineage goes on as long as everything that changed can
//! be told by size or time, so that a large context is not sent again.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use crate::key::BuildKey;
use crate::key::files::{Kind, Tree};

/// Bytes of one file in the written form: path, size, time, content.
const RECORD: usize = 16 + 8 + 4 + 16;
/// Begins the written form; another form is not read.
const HEADER: &[u8; 8] = b"bo-sent1";
/// Bytes of a lineage's name, which are hexadecimal digits.
const NAME: usize = 32;

/// What BuildKit compares of a file, and what it ought to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    size: u64,
    /// In seconds; a finer time changes more often, never less.
    modified: u32,
    content: [u8; 16],
}

/// The files of one build's contexts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent(HashMap<[u8; 16], Stamp>);

impl Sent {
    /// The files that the key has read; `None` if the build may send others too.
    #[must_use]
    pub fn of(key: &BuildKey) -> Option<Self> {
        if key.partial {
            return None;
        }
        let mut sent = Self::default();
        for (context, tree) in &key.trees {
            sent.tree(context, tree);
        }
        Some(sent)
    }

    fn tree(&mut self, context: &str, tree: &Tree) {
        tree.visit(|path, entry| {
            if entry.kind != Kind::Folder {
                let stamp = Stamp {
                    size: entry.fact.size,
                    modified: entry.fact.modified,
                    content: short(&entry.fact.digest),
                };
                self.0.insert(name(context, path), stamp);
            }
        });
    }

    /// A file that no tree has: the Dockerfile, rules of what to ignore, a file of a repository `.git`.
    /// `content` is its content, or anything that changes whenever that does.
    pub fn file(&mut self, path: &[u8], size: u64, modified: i64, content: &[u8]) {
        let digest: [u8; 32] = Sha256::digest(content).into();
        let stamp = Stamp { size, modified: modulo(modified), content: short(&digest) };
        self.0.insert(name("", path), stamp);
    }

    /// Whether a builder that was last sent `earlier` keeps an old file: one with other content and
    /// the same size and time.
    #[must_use]
    pub fn is_mistaken_for(&self, earlier: &Self) -> bool {
        self.0.iter().any(|(path, now)| {
            earlier.0.get(path).is_some_and(|then| {
                (then.size, then.modified) == (now.size, now.modified) && then.content != now.content
            })
        })
    }
}

/// Modulo 2^32, as in [`Fact::modified`](crate::key::files::Fact::modified).
fn modulo(seconds: i64) -> u32 {
    let [b0, b1, b2, b3, ..] = seconds.to_le_bytes();
    u32::from_le_bytes([b0, b1, b2, b3])
}

fn short(digest: &[u8; 32]) -> [u8; 16] {
    std::array::from_fn(|at| digest[at])
}

fn name(context: &str, path: &[u8]) -> [u8; 16] {
    let digest = Sha256::new().chain_update(context).chain_update([0]).chain_update(path).finalize();
    short(&digest.into())
}

/// The name under which a builder keeps what it was sent, and what that was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// 32 hexadecimal digits that no other builder's session has.
    pub name: String,
    /// What the builder was sent last.
    pub sent: Sent,
}

impl Lineage {
    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER.len() + NAME + self.sent.0.len() * RECORD);
        bytes.extend_from_slice(HEADER);
        bytes.extend_from_slice(self.name.as_bytes());
        for (path, stamp) in &self.sent.0 {
            bytes.extend_from_slice(path);
            bytes.extend_from_slice(&stamp.size.to_le_bytes());
            bytes.extend_from_slice(&stamp.modified.to_le_bytes());
            bytes.extend_from_slice(&stamp.content);
        }
        bytes
    }

    /// From [`Lineage::encode`]; `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(HEADER)?;
        let (name, records) = rest.split_at_checked(NAME)?;
        let name = std::str::from_utf8(name).ok()?;
        let (records, left) = records.as_chunks::<RECORD>();
        if !left.is_empty() || !name.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let mut sent = Sent::default();
        for record in records {
            let (path, rest) = record.split_first_chunk::<16>()?;
            let (size, rest) = rest.split_first_chunk::<8>()?;
            let (modified, rest) = rest.split_first_chunk::<4>()?;
            let stamp = Stamp {
                size: u64::from_le_bytes(*size),
                modified: u32::from_le_bytes(*modified),
                content: *rest.first_chunk::<16>()?,
            };
            sent.0.insert(*path, stamp);
        }
        Some(Self { name: name.to_owned(), sent })
    }
}

/// What is known of the files that a builder holds from earlier builds.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Past {
    /// There was no earlier build.
    None,
    /// This names the builder for as long as it keeps what it was sent.
    Of(String),
    /// Builds that this machine does not know of may have sent files.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sent(files: &[(&str, u32, &str)]) -> Sent {
        let mut sent = Sent::default();
        for (path, modified, content) in files {
            sent.file(path.as_bytes(), content.len() as u64, (*modified).into(), content.as_bytes());
        }
        sent
    }

    #[test]
    fn a_file_is_mistaken_only_by_size_and_time_together() {
        let before = sent(&[("a", 1, "one"), ("b", 1, "two")]);
        for (now, mistaken) in [
            (sent(&[("a", 1, "one"), ("b", 1, "two")]), false),
            (sent(&[("a", 1, "eno"), ("b", 1, "two")]), true),
            (sent(&[("a", 2, "eno")]), false),
            (sent(&[("a", 1, "other")]), false),
            (sent(&[("c", 1, "one")]), false),
            (sent(&[]), false),
        ] {
            assert_eq!(now.is_mistaken_for(&before), mistaken, "{now:?}");
        }
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
