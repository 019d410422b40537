//! A registry with a GitHub repository in memory, made at random, which notes each removal that does harm.

use std::collections::{BTreeMap, BTreeSet};

use super::super::links::Maker;
use super::super::*;
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::image::{Digest, ImageName, Mark, TagScheme};
use crate::zone::Zone;

/// Seconds.
pub(super) const DAY: u64 = 24 * 60 * 60;
/// The time of the first run.
pub(super) const NOW: u64 = 1_800_000_000;

pub(super) fn own_mark() -> Mark {
    Mark::of(None, Some("1"), None).unwrap()
}

pub(super) fn policy() -> Policy {
    Policy {
        mark: own_mark(),
        scope: Scope::Everything,
        min_age: DAY,
        unused: 30 * DAY,
        commits: 90 * DAY,
        queue: 3 * DAY,
        untagged: Some(2 * DAY),
        keep_caches: 2,
        keep_keys: 2,
    }
}

/// Random numbers from a seed (`SplitMix64`).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % most as u64).unwrap()
    }

    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// What a tag is, as it was made: the test does not ask the parser.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Truth {
    Foreign,
    Pull(u64, bool),
    Branch(&'static str, bool),
    Queue,
    Trusted(&'static str),
}

#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) links: Links,
    pub(super) pushed: u64,
    pub(super) pulled: Option<u64>,
}

/// A registry and a GitHub repository.
pub(super) struct World {
    pub(super) manifests: BTreeMap<Digest, Held>,
    pub(super) tags: BTreeMap<String, (Digest, Truth)>,
    pub(super) closed: BTreeMap<u64, u64>,
    pub(super) branches: BTreeSet<String>,
    pub(super) now: u64,
    pub(super) dice: Dice,
    /// The registry lists manifests without a tag, and knows pulls.
    pub(super) lists_untagged: bool,
    pub(super) can_untag: bool,
    /// After so many removals the run is killed.
    pub(super) left: Option<usize>,
    /// One call in so many fails.
    pub(super) fails: Option<usize>,
    /// Others change things between the batches.
    pub(super) changes: bool,
    pub(super) removed: BTreeSet<Digest>,
    /// What removed indexes listed.
    pub(super) parts: BTreeSet<Digest>,
    /// It is listed, and its manifest is said to be absent.
    pub(super) hidden: Option<Digest>,
    pub(super) wrong: Vec<String>,
}

pub(super) const BRANCHES: [&str; 6] =
    ["fix", "fix-it", "team/fix", "key/x", "a-very-long-name-of-a-branch-that-is-cut", "é"];
pub(super) const LOOK_ALIKES: [&str; 8] = [
    "latest",
    "pr-1",
    "pr-1-mine",
    "pr-1-key-rd4b3670a-app-0123456789abcdef0123456789abcdef",
    "pr-01-cache-rf9d832d9-app",
    "key-app-0123456789abcdef0123456789abcdef",
    "br-fix-release",
    "cache-main",
];

impl World {
    pub(super) fn random(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let (lists_untagged, can_untag) = (!dice.one_in(3), !dice.one_in(4));
        let mut world = Self {
            manifests: BTreeMap::new(),
            tags: BTreeMap::new(),
            closed: BTreeMap::new(),
            branches: BTreeSet::new(),
            now: NOW,
            dice,
            lists_untagged,
            can_untag,
            left: None,
            fails: None,
            changes: false,
            removed: BTreeSet::new(),
            parts: BTreeSet::new(),
            hidden: None,
            wrong: Vec::new(),
        };
        for number in 1..=12 {
            if !world.dice.one_in(3) {
                let age = world.dice.below(10) as u64 * DAY / 2;
                world.closed.insert(number, NOW - age);
            }
        }
        for branch in BRANCHES {
            if world.dice.one_in(2) {
                world.branches.insert(branch.to_owned());
            }
        }
        let images = 1 + world.dice.below(25);
        for _ in 0..images {
            world.push();
        }
        for _ in 0..world.dice.below(4) {
            world.add_referrer();
        }
        for _ in 0..world.dice.below(40) {
            world.add_tag();
        }
        world
    }

    pub(super) fn store(&mut self, mut links: Links) -> Digest {
        let digest = Digest::of(&self.dice.next().to_le_bytes());
        let layer = |n: usize| (Digest::of(&n.to_le_bytes()), 1000 + n as u64);
        links.blobs = (0..self.dice.below(3)).map(|_| layer(self.dice.below(10))).collect();
        links.length = 100;
        let pushed = self.now - self.dice.below(200) as u64 * DAY / 2;
        let pulled = self.dice.one_in(3).then(|| pushed + (self.now - pushed) / 2);
        self.manifests.insert(digest.clone(), Held { links, pushed, pulled });
        digest
    }

    pub(super) fn image(&mut self) -> Digest {
        let maker = *self.dice.pick(&[Maker::BuildOnce, Maker::BuildOnce, Maker::LayerCache, Maker::Unknown]);
        self.store(Links { maker, ..Links::default() })
    }

    /// An image, an index, or an index with an index in it; some children are shared.
    pub(super) fn push(&mut self) -> Digest {
        if self.dice.one_in(2) {
            return self.image();
        }
        let mut children = Vec::new();
        for _ in 0..=self.dice.below(3) {
            let known: Vec<Digest> = self.manifests.keys().cloned().collect();
            let child = match self.dice.below(6) {
                0 | 1 if !known.is_empty() => self.dice.pick(&known).clone(),
                2 => self.store(Links { maker: Maker::Attestation, ..Links::default() }),
                3 => {
                    let inner = vec![self.image()];
                    self.store(Links { children: inner, ..Links::default() })
                }
                _ => self.image(),
            };
            children.push(child);
        }
        let maker = *self.dice.pick(&[Maker::BuildOnce, Maker::Unknown]);
        self.store(Links { children, maker, ..Links::default() })
    }

    pub(super) fn add_referrer(&mut self) {
        let known: Vec<Digest> = self.manifests.keys().cloned().collect();
        let subject = self.dice.pick(&known).clone();
        if self.dice.one_in(2) {
            self.store(Links { subject: Some(subject), ..Links::default() });
        } else {
            let signature = self.store(Links::default());
            let end = *self.dice.pick(&["", ".sig"]);
            let tag = subject.as_str().replace(':', "-") + end;
            self.tags.insert(tag, (signature, Truth::Foreign));
        }
    }

    pub(super) fn add_tag(&mut self) {
        let known: Vec<Digest> = self.manifests.keys().cloned().collect();
        let digest = self.dice.pick(&known).clone();
        let image = *self.dice.pick(&["app", "pr-1", "key"]);
        let image: ImageName = image.parse().unwrap();
        let mark = own_mark();
        let scheme = TagScheme::new(&image, Some(&mark));
        let kind = *self.dice.pick(&["key", "sha", "cache"]);
        let branch = *self.dice.pick(&BRANCHES);
        let number = 1 + self.dice.below(13) as u64;
        let (zone, truth) = match self.dice.below(8) {
            0 | 1 => (Zone::Trusted, Truth::Trusted(kind)),
            2 if kind != "cache" => (Zone::Queue, Truth::Queue),
            2..=4 => (Zone::PullRequest(number), Truth::Pull(number, kind == "cache")),
            5 | 6 => (Zone::Branch(branch.to_owned()), Truth::Branch(branch, kind == "cache")),
            _ => {
                let tag = (*self.dice.pick(&LOOK_ALIKES)).to_owned();
                self.tags.insert(tag, (digest, Truth::Foreign));
                return;
            }
        };
        let hex = format!("{:032x}", self.dice.below(5));
        let tag = match kind {
            "key" => scheme.key_tag(&zone, &hex),
            "sha" => scheme.commit_tag(&zone, &format!("{hex}00000000")),
            _ => scheme.cache_tag(&zone, Some(*self.dice.pick(&["main", "a-b"]))),
        };
        self.tags.insert(tag.unwrap(), (digest, truth));
    }

    /// What others do while a run is at work.
    pub(super) fn change(&mut self) {
        let tags: Vec<String> = self.tags.keys().cloned().collect();
        match self.dice.below(6) {
            0 => {
                let numbers: Vec<u64> = self.closed.keys().copied().collect();
                if !numbers.is_empty() {
                    let reopened = *self.dice.pick(&numbers);
                    self.closed.remove(&reopened);
                }
            }
            1 => {
                let branch = *self.dice.pick(&BRANCHES);
                self.branches.insert(branch.to_owned());
            }
            2 if !self.manifests.is_empty() => self.add_tag(),
            3 if !self.manifests.is_empty() => {
                // A release on an image that may be on its way out.
                let known: Vec<Digest> = self.manifests.keys().cloned().collect();
                let digest = self.dice.pick(&known).clone();
                self.tags.insert("v1".to_owned(), (digest, Truth::Foreign));
            }
            4 if !tags.is_empty() => {
                // Another run pulls it now.
                let digest = self.tags[self.dice.pick(&tags)].0.clone();
                let now = self.now;
                if let Some(held) = self.manifests.get_mut(&digest) {
                    held.pulled = Some(now);
                }
            }
            _ => {
                self.push();
            }
        }
    }

    /// When an image was last used, as far as this registry says.
    pub(super) fn used(&self, digest: &Digest) -> u64 {
        let held = &self.manifests[digest];
        held.pushed.max(held.pulled.filter(|_| self.lists_untagged).unwrap_or_default())
    }

    /// Whether a tag must stay, whatever else there is.
    pub(super) fn protects(&self, tag: &str) -> bool {
        let (digest, truth) = &self.tags[tag];
        let young = |age: u64| self.used(digest) + age > self.now;
        match truth {
            Truth::Foreign => {
                // A signature goes with what it is about.
                !tag.starts_with("sha256-")
                    || !self.removed.iter().any(|gone| tag.starts_with(&gone.as_str().replace(':', "-")))
            }
            Truth::Pull(number, cache) => !self.closed.contains_key(number) || (!cache && young(DAY)),
            Truth::Branch(branch, cache) => self.branches.contains(*branch) || (!cache && young(DAY)),
            Truth::Queue => self.manifests[digest].pushed + 3 * DAY > self.now,
            Truth::Trusted("sha") => young(90 * DAY),
            Truth::Trusted(_) => young(30 * DAY),
        }
    }

    /// Everything that the protected tags need.
    pub(super) fn needed(&self) -> BTreeSet<Digest> {
        let protected = self.tags.iter().filter(|(tag, _)| self.protects(tag));
        self.closure(protected.map(|(_, (digest, _))| digest.clone()).collect())
    }

    pub(super) fn closure(&self, mut open: Vec<Digest>) -> BTreeSet<Digest> {
        let mut found = BTreeSet::new();
        while let Some(digest) = open.pop() {
            if !found.insert(digest.clone()) {
                continue;
            }
            let links = self.manifests.get(&digest).map(|held| held.links.clone()).unwrap_or_default();
            open.extend(links.children);
            open.extend(links.subject);
            let about =
                self.manifests.iter().filter(|(_, held)| held.links.subject.as_ref() == Some(&digest));
            open.extend(about.map(|(referrer, _)| referrer.clone()));
        }
        found
    }

    pub(super) fn check(&mut self, step: &Step, needed: &BTreeSet<Digest>) {
        let mut wrong = Vec::new();
        match step {
            Step::Untag { tag, .. } => {
                if self.tags.contains_key(tag) && self.protects(tag) {
                    wrong.push(format!("the tag {tag} is protected: {:?}", self.tags[tag]));
                }
            }
            Step::Delete { digest, tags, .. } => {
                if needed.contains(digest) {
                    wrong.push(format!("{} ({tags:?}) is needed", digest.short()));
                }
                let names: Vec<&String> =
                    self.tags.iter().filter(|(_, (of, _))| of == digest).map(|(tag, _)| tag).collect();
                wrong.extend(
                    names.iter().filter(|tag| self.protects(tag)).map(|tag| format!("{tag} is protected")),
                );
                let links = &self.manifests[digest].links;
                let was_part = self.removed.iter().any(|gone| links.subject.as_ref() == Some(gone))
                    || self.parts.contains(digest);
                let foreign_index = links.children.is_empty();
                if names.is_empty() && links.maker == Maker::Unknown && !was_part && foreign_index {
                    wrong.push(format!("{} has no name, and nothing says whose it is", digest.short()));
                }
            }
        }
        self.wrong.extend(wrong);
    }

    pub(super) fn fails(&mut self) -> Result<()> {
        let failed = self.fails.is_some_and(|times| self.dice.one_in(times)) || self.left == Some(0);
        if failed { Err(Error::of(FailureKind::RegistryError, "an answer that fails")) } else { Ok(()) }
    }

    pub(super) fn remove(&mut self, step: &Step, needed: &BTreeSet<Digest>) -> Outcome {
        self.check(step, needed);
        match step {
            Step::Untag { tag, digest } => {
                if self.tags.get(tag).is_none_or(|(now, _)| now != digest) {
                    return Outcome::Changed;
                }
                let others = self.tags.values().filter(|(of, _)| of == digest).count();
                if others == 1 {
                    self.wrong.push(format!("{tag} is the last tag: the registry removes the image"));
                }
                self.tags.remove(tag);
            }
            Step::Delete { digest, .. } => {
                if !self.manifests.contains_key(digest) {
                    return Outcome::Absent;
                }
                // As ECR does. An index that the registry does not list is seen by nobody.
                if self.lists_untagged
                    && self.manifests.values().any(|held| held.links.children.contains(digest))
                {
                    self.wrong.push(format!("{} is still in an index", digest.short()));
                    return Outcome::Refused("ImageReferencedByManifestList".to_owned());
                }
                let held = self.manifests.remove(digest).unwrap();
                self.parts.extend(held.links.children);
                self.tags.retain(|_, (of, _)| of != digest);
                self.removed.insert(digest.clone());
            }
        }
        Outcome::Done
    }
}
