//! Carries a plan out: before each batch everything is read again, and only what both plans have is removed.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::listing::{Outcome, Step, Store};
use super::look::survey_and_plan;
use super::plan::{Group, Plan, Planned};
use super::policy::Policy;
use super::project::{Project, Wanted};
use crate::error::{Error, Result};
use crate::image::Digest;

/// The most removals between two looks at what there is: as many as ECR takes in one request.
const BATCH: usize = 100;

/// What a plan's execution did.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// Each removal that was tried, in order, with what became of it.
    pub(crate) done: Vec<(Step, Outcome)>,
    /// Removals that were left out because something had changed, or because what they wait for was not removed.
    pub(crate) changed: usize,
    /// Why the rest was not tried.
    pub(crate) stopped: Option<Error>,
}

impl Applied {
    /// What is gone now.
    pub(crate) fn removed(&self) -> impl Iterator<Item = &Step> {
        self.done.iter().filter(|(_, outcome)| *outcome == Outcome::Done).map(|(step, _)| step)
    }

    /// The bytes that the plan counts for what is gone now.
    pub(crate) fn freed(&self, plan: &Plan) -> u64 {
        let gone: HashSet<&Step> = self.removed().collect();
        plan.steps().filter(|planned| gone.contains(&planned.step)).map(|planned| planned.bytes).sum()
    }

    /// The first failure, else why it stopped.
    pub(crate) fn failure(&self) -> Option<&Error> {
        let failed = self.done.iter().find_map(|(_, outcome)| match outcome {
            Outcome::Failed(error) => Some(error),
            _ => None,
        });
        failed.or(self.stopped.as_ref())
    }
}

/// Carries the plan out. `clock` gives the seconds since 1970; `tell` gets each removal that was tried.
pub(crate) async fn apply(
    planned: &Plan,
    store: &impl Store,
    project: &impl Project,
    policy: &Policy,
    clock: impl Fn() -> u64,
    tell: impl Fn(&Step, &Outcome),
) -> Applied {
    let mut applied = Applied::default();
    let mut gone: HashSet<Digest> = HashSet::new();
    for batch in batches(&planned.groups) {
        let again = async {
            let now = clock();
            let (_, again) = survey_and_plan(store, project, policy, &Wanted::default(), now).await?;
            Ok::<_, Error>(again)
        };
        let again = match again.await {
            Ok(again) => again,
            Err(error) => {
                applied.stopped = Some(error);
                return applied;
            }
        };
        let still: HashMap<&Step, &Planned> = again.steps().map(|planned| (&planned.step, planned)).collect();
        let mut open: Vec<&Planned> = Vec::new();
        for planned in batch {
            match still.get(&planned.step) {
                Some(planned) => open.push(planned),
                None => applied.changed += 1,
            }
        }
        if let Err(error) = remove(&open, &mut applied, &mut gone, store, &again, &tell).await {
            applied.stopped = Some(error);
            return applied;
        }
    }
    applied
}

/// Removes a batch, what others refer to after those.
async fn remove(
    batch: &[&Planned],
    applied: &mut Applied,
    gone: &mut HashSet<Digest>,
    store: &impl Store,
    again: &Plan,
    tell: &impl Fn(&Step, &Outcome),
) -> Result<()> {
    // What is still there and goes later, if at all, keeps what it needs.
    let present: HashSet<&Digest> =
        again.steps().filter(|planned| planned.step.deletes()).map(|planned| planned.step.digest()).collect();
    let mut open: Vec<&Planned> = batch.to_vec();
    loop {
        let is_free = |planned: &&Planned| {
            planned.after.iter().all(|digest| gone.contains(digest) || !present.contains(digest))
        };
        let (ready, waiting): (Vec<&Planned>, Vec<&Planned>) = open.into_iter().partition(is_free);
        open = waiting;
        if ready.is_empty() {
            applied.changed += open.len();
            return Ok(());
        }
        let steps: Vec<Step> = ready.iter().map(|planned| planned.step.clone()).collect();
        let outcomes = store.remove(&steps).await;
        let tried: BTreeSet<&Step> = outcomes.iter().map(|(step, _)| step).collect();
        let left_out = steps.iter().filter(|step| !tried.contains(step)).count();
        for (step, outcome) in outcomes {
            tell(&step, &outcome);
            if step.deletes() && matches!(outcome, Outcome::Done | Outcome::Absent) {
                gone.insert(step.digest().clone());
            }
            applied.done.push((step, outcome));
        }
        if left_out > 0 {
            applied.changed += left_out + open.len();
            let why = applied.failure().cloned();
            return why.map_or(Ok(()), Err);
        }
    }
}

/// The groups' removals in batches. A group is never split, unless it alone is larger.
fn batches(groups: &[Group]) -> Vec<Vec<&Planned>> {
    let mut batches: Vec<Vec<&Planned>> = vec![Vec::new()];
    for group in groups {
        if batches.last().is_some_and(|last| !last.is_empty() && last.len() + group.steps.len() > BATCH) {
            batches.push(Vec::new());
        }
        if let Some(last) = batches.last_mut() {
            last.extend(&group.steps);
        }
    }
    batches.retain(|batch| !batch.is_empty());
    batches
}
