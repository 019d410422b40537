//! The files that count, compactly: one record of 48 bytes and a name per file.

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

/// What decides an entry's place in the image, beside its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    /// SHA-256 of a file's contents, of a link's target, of a folder's entries, or of what else it is.
    pub digest: [u8; 32],
    /// Bytes of a file or of a link's target; files and links below a folder.
    pub size: u64,
    /// [`Fact::EXECUTABLE`], [`Fact::SETUID`] and [`Fact::SETGID`] of a file, else 0.
    pub flags: u8,
    /// When a file's content was last changed, in seconds since 1970 modulo 2^32; else 0. It decides
    /// nothing in the image and is in no digest.
    pub modified: u32,
    /// 16 bits that change whenever a file does, however its times are set: a digest of its inode and
    /// when that was last changed; else 0. In no digest.
    pub touched: u16,
}

impl Fact {
    /// The owner may execute the file. The one permission git keeps and no umask takes away.
    pub const EXECUTABLE: u8 = 1;
    /// The file is set-user-id. No umask touches it, and it changes what the image can do.
    pub const SETUID: u8 = 2;
    /// The file is set-group-id. On folders it is inherited from the machine's own, so it counts on files only.
    pub const SETGID: u8 = 4;
    /// A folder nothing in which counts.
    const DROPPED: u8 = 128;
    const EMPTY: Self = Self { digest: [0; 32], size: 0, flags: 0, modified: 0, touched: 0 };

    pub(super) fn file(size: u64, mode: u32, (modified, touched): (u32, u16), digest: [u8; 32]) -> Self {
        let bit = |mask: u32, flag: u8| if mode & mask == 0 { 0 } else { flag };
        let flags = bit(0o100, Self::EXECUTABLE) | bit(0o4000, Self::SETUID) | bit(0o2000, Self::SETGID);
        Self { digest, size, flags, modified, touched }
    }

    /// What BuildKit makes of it: the same pipe or device, and of a socket an empty file with its permissions.
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
    names: Vec<u8>,
    ends: Vec<u32>,
    kinds: Vec<Kind>,
}

impl Listing {
    /// From unsorted names; `None` if they do not fit 4 GiB.
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
    /// Its parent's number and its place there.
    pub(super) place: Option<(u32, u32)>,
    /// It counts even if it is empty.
    pub(super) listed: bool,
    pub(super) listing: Arc<Listing>,
    pub(super) facts: Vec<Fact>,
    /// Numbers of the folders among its entries, in order.
    pub(super) folders: Vec<u32>,
}

impl Folder {
    pub(super) fn fill(&mut self, listing: Arc<Listing>) {
        self.facts = vec![Fact::EMPTY; listing.len()];
        self.listing = listing;
    }

    pub(super) fn set(&mut self, slot: usize, fact: Fact) {
        if let Some(place) = self.facts.get_mut(slot) {
            *place = fact;
        }
    }
}

/// One entry as seen by a caller.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its name in its folder.
    pub name: &'a [u8],
    pub kind: Kind,
    /// Its digest, size and flags.
    pub fact: &'a Fact,
    folder: Option<u32>,
}

/// The entries that count below one root, and their digest.
#[derive(Debug, Default)]
pub struct Tree {
    folders: Vec<Folder>,
    root: Fact,
    repositories: Vec<(Vec<u8>, Option<Answers>)>,
}

impl Default for Fact {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Tree {
    /// Drops folders in which nothing counts and digests the rest, deepest first.
    pub(super) fn seal(mut folders: Vec<Folder>) -> Self {
        let mut root = Fact::EMPTY;
        for number in (0..folders.len()).rev() {
            let Some(folder) = folders.get(number) else { continue };
            let mut fact = summarise(folder);
            if fact.size == 0 && !folder.listed && !folder.facts.iter().any(|f| f.flags & Fact::DROPPED == 0)
            {
                fact.flags = Fact::DROPPED;
            }
            match folder.place {
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

    /// SHA-256 over every entry: name, kind, permission flags, size and content, each length-prefixed.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.root.digest
    }

    /// Number of entries that are no folders.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.root.size
    }

    /// Whether there is neither a file nor a link.
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

    /// Visits every entry with its path from the root, folders before what they hold, siblings by name.
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
