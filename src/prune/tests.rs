//! The planner and the executor against a registry in memory: 1,000 random registries and histories, with kills, failures
//! and changes meanwhile.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::links::Maker;
use super::*;
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::image::{Digest, ImageName, Mark, TagScheme};
use crate::zone::Zone;

/// Seconds.
const DAY: u64 = 24 * 60 * 60;
/// The time of the first run.
const NOW: u64 = 1_800_000_000;

fn own_mark() -> Mark {
    Mark::of(None, Some("1"), None).unwrap()
}

fn policy() -> Policy {
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
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % most as u64).unwrap()
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// What a tag is, as it was made: the test does not ask the parser.
#[derive(Clone, Debug, PartialEq)]
enum Truth {
    Foreign,
    Pull(u64, bool),
    Branch(&'static str, bool),
    Queue,
    Trusted(&'static str),
}

#[derive(Clone, Debug)]
struct Held {
    links: Links,
    pushed: u64,
    pulled: Option<u64>,
}

/// A registry and a GitHub repository.
struct World {
    manifests: BTreeMap<Digest, Held>,
    tags: BTreeMap<String, (Digest, Truth)>,
    closed: BTreeMap<u64, u64>,
    branches: BTreeSet<String>,
    now: u64,
    dice: Dice,
    /// The registry lists manifests without a tag, and knows pulls.
    lists_untagged: bool,
    can_untag: bool,
    /// After so many removals the run is killed.
    left: Option<usize>,
    /// One call in so many fails.
    fails: Option<usize>,
    /// Others change things between the batches.
    changes: bool,
    removed: BTreeSet<Digest>,
    /// What removed indexes listed.
    parts: BTreeSet<Digest>,
    /// It is listed, and its manifest is said to be absent.
    hidden: Option<Digest>,
    wrong: Vec<String>,
}

struct Model(RefCell<World>);

const BRANCHES: [&str; 6] =
    ["fix", "fix-it", "team/fix", "key/x", "a-very-long-name-of-a-branch-that-is-cut", "é"];
const LOOK_ALIKES: [&str; 8] = [
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
    fn random(seed: u64) -> Self {
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

    fn store(&mut self, mut links: Links) -> Digest {
        let digest = Digest::of(&self.dice.next().to_le_bytes());
        let layer = |n: usize| (Digest::of(&n.to_le_bytes()), 1000 + n as u64);
        links.blobs = (0..self.dice.below(3)).map(|_| layer(self.dice.below(10))).collect();
        links.length = 100;
        let pushed = self.now - self.dice.below(200) as u64 * DAY / 2;
        let pulled = self.dice.one_in(3).then(|| pushed + (self.now - pushed) / 2);
        self.manifests.insert(digest.clone(), Held { links, pushed, pulled });
        digest
    }

    fn image(&mut self) -> Digest {
        let maker = *self.dice.pick(&[Maker::BuildOnce, Maker::BuildOnce, Maker::LayerCache, Maker::Unknown]);
        self.store(Links { maker, ..Links::default() })
    }

    /// An image, an index, or an index with an index in it; some children are shared.
    fn push(&mut self) -> Digest {
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

    fn add_referrer(&mut self) {
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

    fn add_tag(&mut self) {
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
    fn change(&mut self) {
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
    fn used(&self, digest: &Digest) -> u64 {
        let held = &self.manifests[digest];
        held.pushed.max(held.pulled.filter(|_| self.lists_untagged).unwrap_or_default())
    }

    /// Whether a tag must stay, whatever else there is.
    fn protects(&self, tag: &str) -> bool {
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
    fn needed(&self) -> BTreeSet<Digest> {
        let protected = self.tags.iter().filter(|(tag, _)| self.protects(tag));
        self.closure(protected.map(|(_, (digest, _))| digest.clone()).collect())
    }

    fn closure(&self, mut open: Vec<Digest>) -> BTreeSet<Digest> {
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

    fn check(&mut self, step: &Step, needed: &BTreeSet<Digest>) {
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

    fn fails(&mut self) -> Result<()> {
        let failed = self.fails.is_some_and(|times| self.dice.one_in(times)) || self.left == Some(0);
        if failed { Err(Error::of(FailureKind::RegistryError, "an answer that fails")) } else { Ok(()) }
    }

    fn remove(&mut self, step: &Step, needed: &BTreeSet<Digest>) -> Outcome {
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

impl Store for Model {
    async fn listing(&self) -> Result<Listing> {
        let mut world = self.0.borrow_mut();
        if world.changes && world.dice.one_in(2) {
            world.change();
        }
        world.fails()?;
        let mut listing =
            Listing { knows_pulls: world.lists_untagged, can_untag: world.can_untag, ..Listing::default() };
        for (digest, held) in &world.manifests {
            let names = world.tags.iter().filter(|(_, (of, _))| of == digest);
            let tags: BTreeSet<String> = names.map(|(tag, _)| tag.clone()).collect();
            if tags.is_empty() && !world.lists_untagged {
                continue;
            }
            let tags_seen = tags.iter().map(|tag| (tag.clone(), held.pushed)).collect();
            let pulled = held.pulled.filter(|_| world.lists_untagged);
            let version =
                Version { tags, pushed: Some(held.pushed), pulled, tags_seen, ..Version::default() };
            listing.versions.insert(digest.clone(), version);
        }
        Ok(listing)
    }

    async fn links(&self, digests: &[Digest]) -> Result<BTreeMap<Digest, Links>> {
        let mut world = self.0.borrow_mut();
        world.fails()?;
        let hidden = world.hidden.clone();
        let found = digests
            .iter()
            .filter(|digest| hidden.as_ref() != Some(digest))
            .filter_map(|digest| Some((digest.clone(), world.manifests.get(digest)?.links.clone())));
        Ok(found.collect())
    }

    async fn remove(&self, steps: &[Step]) -> Vec<(Step, Outcome)> {
        let mut world = self.0.borrow_mut();
        let mut done = Vec::new();
        let needed = world.needed();
        for step in steps {
            match &mut world.left {
                Some(0) => return done,
                Some(left) => *left -= 1,
                None => {}
            }
            let outcome = match world.fails() {
                Err(error) if world.left != Some(0) => Outcome::Failed(error),
                _ => world.remove(step, &needed),
            };
            done.push((step.clone(), outcome));
        }
        done
    }
}

impl Project for Model {
    async fn state(&self, wanted: &Wanted) -> Result<ProjectState> {
        let mut world = self.0.borrow_mut();
        world.fails()?;
        let closed = wanted
            .pulls
            .iter()
            .filter_map(|number| Some((*number, Closed { at: *world.closed.get(number)? })));
        let (closed, branches) = (closed.collect(), wanted.branches.then(|| world.branches.clone()));
        Ok(ProjectState { closed, branches, clock: Some(world.now) })
    }
}

/// Nothing in the model waits.
fn block<T>(work: impl Future<Output = T>) -> T {
    futures_util::FutureExt::now_or_never(work).unwrap()
}

impl Model {
    fn now(&self) -> u64 {
        self.0.borrow().now
    }

    fn plan(&self) -> Result<Plan> {
        let now = self.now();
        let survey = block(survey(self, self, &policy(), &Wanted::default(), now))?;
        Ok(plan(&survey, &policy(), now))
    }

    fn apply(&self, plan: &Plan) -> Applied {
        block(apply(plan, self, self, &policy(), || self.now(), |_, _| ()))
    }

    /// Plans and carries out; what went wrong.
    fn run(&self) -> Vec<String> {
        if let Ok(plan) = self.plan() {
            self.apply(&plan);
        }
        std::mem::take(&mut self.0.borrow_mut().wrong)
    }
}

/// Names that should have gone and are there.
fn left_over(world: &World) -> Vec<String> {
    let needed = world.needed();
    // What has no name and is there was kept, for itself or as a part; so are trusted images.
    let named: BTreeSet<&Digest> = world.tags.values().map(|(digest, _)| digest).collect();
    let trusted = world.tags.values().filter(|(_, truth)| matches!(truth, Truth::Trusted(_)));
    let kept = world.manifests.keys().filter(|digest| !named.contains(digest)).cloned();
    let kept = world.closure(kept.chain(trusted.map(|(digest, _)| digest.clone())).collect());
    let is_over = |tag: &str, truth: &Truth| {
        matches!(truth, Truth::Pull(..) | Truth::Branch(..) | Truth::Queue) && !world.protects(tag)
    };
    let left = world.tags.iter().filter(|(tag, (digest, truth))| {
        let protects = |other: &str| world.protects(other) || other.starts_with("sha256-");
        let shares = world.tags.iter().any(|(other, (of, _))| of == digest && protects(other));
        // Part of an index that stays: it stays with all its names. A registry that removes no tag alone keeps those of
        // images that stay.
        let stays = if shares { !world.can_untag } else { needed.contains(digest) };
        is_over(tag, truth) && !stays && !kept.contains(digest)
    });
    left.map(|(tag, _)| tag.clone()).collect()
}

/// Seeds of one test. `BUILD_ONCE_PRUNE_SEEDS` sets another number, for a longer search.
fn seeds() -> std::ops::Range<u64> {
    0..option_env!("BUILD_ONCE_PRUNE_SEEDS").and_then(|text| text.parse().ok()).unwrap_or(1000)
}

#[test]
fn nothing_that_is_needed_goes_and_what_should_go_goes() {
    let (mut removed, mut untagged) = (0, 0);
    for seed in seeds() {
        let model = Model(World::random(seed).into());
        let before = model.0.borrow().tags.len();
        assert_eq!(model.run(), [""; 0], "seed {seed}");
        let world = model.0.borrow();
        assert_eq!(left_over(&world), [""; 0], "seed {seed}");
        removed += world.removed.len();
        untagged += before - world.tags.len();
    }
    assert!(removed > 3000 && untagged > 3000, "{removed} {untagged}");
}

#[test]
fn a_kill_at_any_step_leaves_nothing_worse() {
    for seed in seeds() {
        let mut world = World::random(seed);
        world.left = Some(world.dice.below(12));
        let model = Model(world.into());
        assert_eq!(model.run(), [""; 0], "seed {seed}, the run that is killed");
        model.0.borrow_mut().left = None;
        model.0.borrow_mut().now += 4 * DAY;
        assert_eq!(model.run(), [""; 0], "seed {seed}, the next run");
        assert_eq!(left_over(&model.0.borrow()), [""; 0], "seed {seed}");
    }
}

#[test]
fn answers_that_fail_do_no_harm() {
    for seed in seeds() {
        let mut world = World::random(seed);
        world.fails = Some(2 + world.dice.below(8));
        let model = Model(world.into());
        for _ in 0..3 {
            assert_eq!(model.run(), [""; 0], "seed {seed}");
        }
        model.0.borrow_mut().fails = None;
        model.0.borrow_mut().now += 4 * DAY;
        assert_eq!(model.run(), [""; 0], "seed {seed}");
        assert_eq!(left_over(&model.0.borrow()), [""; 0], "seed {seed}");
    }
}

#[test]
fn what_changes_meanwhile_is_heeded() {
    for seed in seeds() {
        let mut world = World::random(seed);
        world.changes = true;
        let model = Model(world.into());
        assert_eq!(model.run(), [""; 0], "seed {seed}");
    }
}

#[test]
fn two_runs_at_once_do_no_harm() {
    for seed in seeds() {
        let model = Model(World::random(seed).into());
        let (Ok(first), Ok(second)) = (model.plan(), model.plan()) else { panic!("{seed}") };
        model.0.borrow_mut().changes = true;
        model.apply(&first);
        model.apply(&second);
        assert_eq!(model.0.borrow().wrong, [""; 0], "seed {seed}");
    }
}

#[test]
fn a_closed_pull_requests_run_removes_its_own_names_alone() {
    for seed in seeds() {
        let model = Model(World::random(seed).into());
        let policy = Policy { scope: Scope::PullRequest(1), ..policy() };
        let before = model.0.borrow().tags.clone();
        let survey = block(survey(&model, &model, &policy, &Wanted::default(), NOW)).unwrap();
        let plan = plan(&survey, &policy, NOW);
        block(apply(&plan, &model, &model, &policy, || NOW, |_, _| ()));
        let world = model.0.borrow();
        assert_eq!(world.wrong, [""; 0], "seed {seed}");
        for (tag, (_, truth)) in before.iter().filter(|(tag, _)| !world.tags.contains_key(*tag)) {
            let own = matches!(truth, Truth::Pull(1, _)) || tag.starts_with("sha256-");
            assert!(own, "seed {seed}: {tag} {truth:?}");
        }
    }
}

#[test]
fn a_limit_leaves_whole_groups_to_the_next_run() {
    for seed in seeds().step_by(10) {
        let model = Model(World::random(seed).into());
        let Ok(mut limited) = model.plan() else { panic!("{seed}") };
        let all = limited.steps().count();
        limited.limit(3);
        let kept = limited.steps().count();
        assert!(kept <= 3 && kept + limited.left == all, "{kept} {} {all}", limited.left);
        model.apply(&limited);
        assert_eq!(model.0.borrow().wrong, [""; 0], "seed {seed}");
    }
}

#[test]
fn what_is_listed_and_cannot_be_read_stops_everything() {
    let mut stopped = 0;
    for seed in seeds().step_by(10) {
        let model = Model(World::random(seed).into());
        let tagged = model.0.borrow().tags.values().next().map(|(digest, _)| digest.clone());
        let Some(tagged) = tagged else { continue };
        model.0.borrow_mut().hidden = Some(tagged);
        let error = model.plan().unwrap_err();
        assert!(error.to_string().contains("nothing is removed"), "{error}");
        stopped += 1;
    }
    assert!(stopped > 50);
}

#[test]
fn a_clock_that_is_wrong_stops_everything() {
    let model = Model(World::random(1).into());
    let found = block(survey(&model, &model, &policy(), &Wanted::default(), NOW + 400 * DAY));
    assert!(found.unwrap_err().to_string().contains("clock of this machine differs"));
}
