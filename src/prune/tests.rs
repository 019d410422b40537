//! The planner and the executor against a registry in memory: 1,000 random registries and histories, with kills, failures
//! and changes meanwhile.

mod world;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::error::Result;
use crate::image::Digest;
use world::*;

struct Model(RefCell<World>);

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

    async fn referrers(&self, about: &[Digest]) -> Result<BTreeSet<Digest>> {
        let mut world = self.0.borrow_mut();
        world.fails()?;
        let is_hidden = |digest: &Digest| !world.tags.values().any(|(of, _)| of == digest);
        let of = |held: &Held| held.links.subject.as_ref().is_some_and(|subject| about.contains(subject));
        let found = world.manifests.iter().filter(|(digest, held)| of(held) && is_hidden(digest));
        Ok(found.filter(|_| !world.lists_untagged).map(|(digest, _)| digest.clone()).collect())
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
        Ok(block(survey_and_plan(self, self, &policy(), &Wanted::default(), now))?.1)
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

/// Manifests that only tags of the referrers' tag schema name.
fn signatures(world: &World) -> BTreeSet<Digest> {
    let others = world.tags.iter().filter(|(tag, _)| !tag.starts_with("sha256-"));
    let others: BTreeSet<&Digest> = others.map(|(_, (digest, _))| digest).collect();
    world.tags.values().map(|(digest, _)| digest).filter(|digest| !others.contains(digest)).cloned().collect()
}

/// Their tags that are about images that have gone, but for those in an index.
fn signatures_of_nothing<'a>(world: &'a World, signatures: &BTreeSet<Digest>) -> Vec<&'a String> {
    let is_about = |tag: &str, gone: &Digest| tag.starts_with(&gone.as_str().replace(':', "-"));
    let in_index =
        |digest: &Digest| world.manifests.values().any(|held| held.links.children.contains(digest));
    let left = world.tags.iter().filter(|(tag, (digest, _))| {
        signatures.contains(digest)
            && world.removed.iter().any(|gone| is_about(tag, gone))
            && !in_index(digest)
    });
    left.map(|(tag, _)| tag).collect()
}

/// Seeds of one test. `BUILD_ONCE_PRUNE_SEEDS` sets another number, for a longer search.
fn seeds() -> std::ops::Range<u64> {
    0..option_env!("BUILD_ONCE_PRUNE_SEEDS").and_then(|text| text.parse().ok()).unwrap_or(1000)
}

#[test]
fn nothing_that_is_needed_goes_and_what_should_go_goes() {
    let (mut removed, mut untagged, mut hidden) = (0, 0, 0);
    for seed in seeds() {
        let model = Model(World::random(seed).into());
        let before = model.0.borrow().tags.len();
        let signatures = signatures(&model.0.borrow());
        let is_referrer =
            |(digest, held): (&Digest, &Held)| held.links.subject.as_ref().map(|_| digest.clone());
        let referrers: Vec<Digest> = model.0.borrow().manifests.iter().filter_map(is_referrer).collect();
        assert_eq!(model.run(), [""; 0], "seed {seed}");
        let world = model.0.borrow();
        assert_eq!(left_over(&world), [""; 0], "seed {seed}");
        let orphans = world.manifests.values().filter_map(|held| held.links.subject.as_ref());
        assert_eq!(orphans.filter(|subject| world.removed.contains(*subject)).count(), 0, "seed {seed}");
        assert_eq!(signatures_of_nothing(&world, &signatures), [""; 0], "seed {seed}");
        removed += world.removed.len();
        untagged += before - world.tags.len();
        let gone = referrers.iter().filter(|digest| world.removed.contains(*digest) && !world.lists_untagged);
        hidden += gone.count();
    }
    assert!(removed > 3000 && untagged > 3000 && hidden > 30, "{removed} {untagged} {hidden}");
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
        let (_, plan) = block(survey_and_plan(&model, &model, &policy, &Wanted::default(), NOW)).unwrap();
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
    let mut passed_over = 0;
    for seed in seeds().step_by(5) {
        let model = Model(World::random(seed).into());
        let found = block(survey_and_plan(&model, &model, &policy(), &Wanted::default(), NOW));
        let (survey, mut limited) = found.unwrap();
        let all = limited.steps().count();
        let whole: BTreeSet<usize> = limited.groups.iter().map(|group| group.steps.len()).collect();
        limited.limit(&survey, 3, 3);
        let kept = limited.steps().count();
        let too_large = limited.too_large;
        assert!(kept <= 3 && kept + limited.left + too_large.removals == all, "{kept} {limited:?} {all}");
        let largest = whole.last().copied().filter(|size| *size > 3).unwrap_or_default();
        assert_eq!(too_large.largest, largest, "seed {seed}");
        // Something goes if anything can: no group is in the way of those after it.
        assert!(kept > 0 || limited.left == 0 || too_large.groups > 0, "seed {seed}: {limited:?}");
        let applied = model.apply(&limited);
        assert_eq!(model.0.borrow().wrong, [""; 0], "seed {seed}");
        assert_eq!(applied.removed().count(), kept, "seed {seed}: the plan says what can be done");
        passed_over += usize::from(too_large.groups > 0 && kept > 0);
    }
    assert!(passed_over > 5, "{passed_over}");
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
    let found = block(survey_and_plan(&model, &model, &policy(), &Wanted::default(), NOW + 400 * DAY));
    assert!(found.unwrap_err().to_string().contains("clock of this machine differs"));
}
