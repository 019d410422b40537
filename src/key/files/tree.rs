//! The files that count, with 48 bytes and the name for each: a context may have millions.
//!
//! `walk` fills numbered [`Folder`]s in any order; [`Tree::seal`] digests them. A folder's digest is over those of its
//! entries, so the root's is over all.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::git::Answers;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    Folder,
    /// A symbolic link.
    Symlink,
    /// A pipe, a socket or a device.
    Special,
}

/// What counts of an entry beside its name and kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    /// SHA-256 of a file's content, of a link's target, of a folder's entries, or of the kind and number of a device.
    pub digest: [u8; 32],
    /// Bytes of a file or of a link's target; of a folder, the number of entries below it that are no folders.
    pub size: u64,
    /// [`Fact::EXECUTABLE`], [`Fact::SETUID`] and [`Fact::SETGID`] of a file, else 0.
    pub flags: u8,
    /// The time of a file's last change of content, in seconds since 1970 modulo 2^32; else 0. It does not count in the
    /// key; `coherence::transfer` needs it.
    pub modified: u32,
    /// 16 bits of a digest over a file's inode and the time of that one's last change, which no program can set; else 0.
    /// They do not count in the key; they tell whether a file was changed during a build.
    pub touched: u16,
}

impl Fact {
    /// The owner may execute the file. It is the only permission that git keeps, and no umask takes it away.
    pub const EXECUTABLE: u8 = 1;
    /// The file is set-user-id. No umask changes that, and it changes what the image can do.
    pub const SETUID: u8 = 2;
    /// The file is set-group-id. New folders inherit that from the machine's folders, so it counts for files alone.
    pub const SETGID: u8 = 4;
    /// Nothing in the folder counts, so the folder does not count.
    const DROPPED: u8 = 128;
    const EMPTY: Self = Self { digest: [0; 32], size: 0, flags: 0, modified: 0, touched: 0 };

    pub(super) fn file(size: u64, mode: u32, (modified, touched): (u32, u16), digest: [u8; 32]) -> Self {
        let bit = |mask: u32, flag: u8| if mode & mask == 0 { 0 } else { flag };
        let flags = bit(0o100, Self::EXECUTABLE) | bit(0o4000, Self::SETUID) | bit(0o2000, Self::SETGID);
        Self { digest, size, flags, modified, touched }
    }

    /// The fact of a pipe, socket or device. BuildKit makes the same pipe or device of it, and of a socket an empty file with
    /// its permissions.
    pub(super) fn special(what: &str, mode: u32, device: i128) -> Self {
        let executable = if what == "socket" && mode & 0o100 != 0 { Self::EXECUTABLE } else { 0 };
        let digest = Sha256::digest(format!("{what} {device}")).into();
        Self { digest, flags: executable, ..Self::EMPTY }
    }

    pub(super) fn symlink(target: &[u8]) -> Self {
        Self { digest: Sha256::digest(target).into(), size: target.len() as u64, ..Self::EMPTY }
    }
}

/// The names of one folder, sorted by their bytes, and what each is.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// All names, one after the other.
    names: Vec<u8>,
    /// The end of each name.
    ends: Vec<u32>,
    kinds: Vec<Kind>,
}

impl Listing {
    /// Sorts the entries; `None` if their names have more than 4 GiB. An entry's index is its *slot*.
    pub(super) fn new(mut entries: Vec<(Vec<u8>, Kind)>) -> Option<Self> {
        entries.sort_unstable();
        let mut listing = Self {
            names: Vec::new(),
            ends: Vec::with_capacity(entries.len()),
            kinds: Vec::with_capacity(entries.len()),
        };
        for (name, kind) in entries {
            listing.names.extend_from_slice(&name);
            listing.ends.push(u32::try_from(listing.names.len()).ok()?);
            listing.kinds.push(kind);
        }
        listing.names.shrink_to_fit();
        Some(listing)
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn kind(&self, slot: usize) -> Option<Kind> {
        self.kinds.get(slot).copied()
    }

    pub(super) fn name(&self, slot: usize) -> &[u8] {
        let end = |slot: usize| self.ends.get(slot).map_or(0, |&end| end as usize);
        let start = if slot == 0 { 0 } else { end(slot - 1) };
        self.names.get(start..end(slot)).unwrap_or_default()
    }
}

/// One folder while and after it is read. Folders are numbered; a parent's number is lower than its child's.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// The number of the folder that it is in, and its slot there; `None` for the root.
    pub(super) parent: Option<(u32, u32)>,
    /// True if it counts even if it is empty.
    pub(super) listed: bool,
    pub(super) listing: Arc<Listing>,
    /// The fact of each slot.
    pub(super) facts: Vec<Fact>,
    /// The numbers of the folders among its entries, in the order of their slots.
    pub(super) folders: Vec<u32>,
}

impl Folder {
    pub(super) fn fill(&mut self, listing: Arc<Listing>) {
        self.facts = vec![Fact::EMPTY; listing.len()];
        self.listing = listing;
    }

    pub(super) fn set(&mut self, slot: usize, fact: Fact) {
        if let Some(old) = self.facts.get_mut(slot) {
            *old = fact;
        }
    }
}

/// One entry as seen by a caller.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The name in its folder.
    pub name: &'a [u8],
    pub kind: Kind,
    pub fact: &'a Fact,
    /// The number of a folder.
    folder: Option<u32>,
}

/// The entries that count below one root, and their digest.
#[derive(Debug, Default)]
pub struct Tree {
    /// The folders by their numbers; the first is the root.
    folders: Vec<Folder>,
    /// The fact of the root, with the digest over all.
    root: Fact,
    repositories: Vec<(Vec<u8>, Option<Answers>)>,
}

impl Default for Fact {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Tree {
    /// Drops folders in which nothing counts and digests the others. Parents have lower numbers, so they come last.
    pub(super) fn seal(mut folders: Vec<Folder>) -> Self {
        let mut root = Fact::EMPTY;
        for number in (0..folders.len()).rev() {
            let Some(folder) = folders.get(number) else { continue };
            let mut fact = summarise(folder);
            if fact.size == 0 && !folder.listed && !folder.facts.iter().any(|f| f.flags & Fact::DROPPED == 0)
            {
                fact.flags = Fact::DROPPED;
            }
            match folder.parent {
                Some((parent, slot)) => {
                    if let Some(parent) = folders.get_mut(parent as usize) {
                        parent.set(slot as usize, fact);
                    }
                }
                None => root = fact,
            }
        }
        root.flags = 0;
        Self { folders, root, repositories: Vec::new() }
    }

    pub(super) fn set_repositories(&mut self, mut repositories: Vec<(Vec<u8>, Option<Answers>)>) {
        repositories.sort();
        self.repositories = repositories;
    }

    /// The git repositories that count by what git would answer, sorted by path; none of their files is in the
    /// tree. Without answers: a file `.git` that names a place outside, where git answers nothing in the image.
    pub fn repositories(&self) -> impl Iterator<Item = (&[u8], Option<&Answers>)> {
        self.repositories.iter().map(|(path, answers)| (path.as_slice(), answers.as_ref()))
    }

    /// SHA-256 over the name, kind, flags, size and content of every entry.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.root.digest
    }

    /// Number of entries that are no folders.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.root.size
    }

    /// Tells whether there are only folders.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.root.size == 0
    }

    /// The root's entries, sorted by name.
    pub fn top(&self) -> impl Iterator<Item = Entry<'_>> {
        self.entries(0)
    }

    /// A folder's entries, sorted by name; none for anything else.
    pub fn below<'a>(&'a self, entry: &Entry<'_>) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        self.entries(entry.folder.map_or(usize::MAX, |number| number as usize))
    }

    fn entries(&self, number: usize) -> impl Iterator<Item = Entry<'_>> + use<'_> {
        self.folders.get(number).into_iter().flat_map(entries_of)
    }

    /// Visits every entry with its path from the root: a folder before its entries, the entries of a folder by name.
    pub fn visit(&self, mut each: impl FnMut(&[u8], &Entry<'_>)) {
        let mut path = Vec::new();
        self.descend(0, &mut path, &mut each);
    }

    fn descend(&self, number: usize, path: &mut Vec<u8>, each: &mut impl FnMut(&[u8], &Entry<'_>)) {
        let length = path.len();
        for entry in self.entries(number) {
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(entry.name);
            each(path, &entry);
            if let Some(folder) = entry.folder {
                self.descend(folder as usize, path, each);
            }
            path.truncate(length);
        }
    }
}

/// The entries of a folder that count.
fn entries_of(folder: &Folder) -> impl Iterator<Item = Entry<'_>> {
    let mut numbers = folder.folders.iter().copied();
    folder
        .facts
        .iter()
        .enumerate()
        .filter_map(move |(slot, fact)| {
            let kind = folder.listing.kind(slot)?;
            let number = if kind == Kind::Folder { numbers.next() } else { None };
            Some(Entry { name: folder.listing.name(slot), kind, fact, folder: number })
        })
        .filter(|entry| entry.fact.flags & Fact::DROPPED == 0)
}

/// Makes a folder's fact from those of its entries.
fn summarise(folder: &Folder) -> Fact {
    let mut hash = Sha256::new();
    hash.update(b"build-once folder\0");
    let mut size = 0;
    for entry in entries_of(folder) {
        hash.update([match entry.kind {
            Kind::File => b'f',
            Kind::Folder => b'd',
            Kind::Symlink => b'l',
            Kind::Special => b's',
        }]);
        hash.update([entry.fact.flags]);
        hash.update((entry.name.len() as u64).to_le_bytes());
        hash.update(entry.name);
        hash.update(entry.fact.size.to_le_bytes());
        hash.update(entry.fact.digest);
        size += if entry.kind == Kind::Folder { entry.fact.size } else { 1 };
    }
    Fact { digest: hash.finalize().into(), size, ..Fact::EMPTY }
}
