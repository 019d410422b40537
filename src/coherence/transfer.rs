//! What a build sends to BuildKit, and whether BuildKit would notice each change in it.
//!
//! BuildKit keeps the files that it was sent and asks again only for those whose size or time has
//! changed (moby/buildkit#4950). It keeps one copy for each session name and name of the context's
//! folder, so without more a file of one size and time is taken for another project's, or for that of
//! a run of less trust. Here builds have session names of their own, their *lineage*: in one lineage a
//! path with a size and a time stands for one content, always. A build that would break this starts a
//! new lineage, and everything is sent to it. So whatever a builder holds under a lineage's name, from
//! builds that succeeded, failed or were killed, is what the build means.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use crate::key::BuildKey;
use crate::key::files::{Kind, Tree};

/// Bytes of one file in the written form: what BuildKit compares, and the content.
const RECORD: usize = 16 + 16;
/// Begins the written form; another form is not read.
const HEADER: &[u8; 8] = b"bo-sent2";
/// Bytes of a lineage's name, which are hexadecimal digits.
const NAME: usize = 32;
/// A lineage holds at most twice the files of its newest build, and this many more: what is older goes
/// with the lineage.
const SLACK: usize = 10_000;

/// The files of a build's contexts: what BuildKit compares (context, path, size and time, hashed), and
/// the content that it stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent(HashMap<[u8; 16], [u8; 16]>);

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
            if !matches!(entry.kind, Kind::Folder | Kind::Special) {
                let fact = entry.fact;
                self.0.insert(compared(context, path, fact.size, fact.modified), short(&fact.digest));
            }
        });
    }

    /// A file that no tree has: the Dockerfile, rules of what to ignore, a file of a repository `.git`.
    /// `content` is its content, or anything that changes whenever that does.
    pub fn file(&mut self, path: &[u8], size: u64, modified: i64, content: &[u8]) {
        let digest: [u8; 32] = Sha256::digest(content).into();
        self.0.insert(compared("", path, size, modulo(modified)), short(&digest));
    }

    /// Whether one path, size and time stands for another content here than there.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        self.0.iter().any(|(file, content)| other.0.get(file).is_some_and(|known| known != content))
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

/// In whole seconds: a finer time changes more often, never less.
fn compared(context: &str, path: &[u8], size: u64, modified: u32) -> [u8; 16] {
    let digest = Sha256::new()
        .chain_update((context.len() as u64).to_le_bytes())
        .chain_update(context)
        .chain_update(size.to_le_bytes())
        .chain_update(modified.to_le_bytes())
        .chain_update(path);
    short(&digest.finalize().into())
}

/// A session name, and every file that was ever sent under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// 32 hexadecimal digits that no other builder's session has.
    pub name: String,
    /// What was sent.
    pub sent: Sent,
}

impl Lineage {
    /// The same lineage with what is sent now; `None` if a new one must begin.
    #[must_use]
    pub fn extended_to(mut self, now: &Sent) -> Option<Self> {
        if now.contradicts(&self.sent) {
            return None;
        }
        self.sent.0.extend(now.0.iter().map(|(file, content)| (*file, *content)));
        Some(self).filter(|this| this.sent.0.len() <= 2 * now.0.len() + SLACK)
    }

    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER.len() + NAME + self.sent.0.len() * RECORD);
        bytes.extend_from_slice(HEADER);
        bytes.extend_from_slice(self.name.as_bytes());
        for (file, content) in &self.sent.0 {
            bytes.extend_from_slice(file);
            bytes.extend_from_slice(content);
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
            sent.file(path.as_bytes(), content.len() as u64, (*modified).into(), content.as_bytes());
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
        for build in 0..SLACK + 2 {
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
