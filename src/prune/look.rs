//! Reads what there is and makes the plan, with what the registry does not list.

use std::collections::BTreeSet;

use super::listing::Store;
use super::plan::{Plan, plan};
use super::policy::Policy;
use super::project::{Project, Wanted};
use super::survey::{Survey, read, survey};
use crate::budget::{REFERRERS, more_than};
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::image::Digest;

/// Makes the plan, and adds to it the signatures and attestations of what goes, where the registry does not list them: each
/// image that goes is asked for. They may be about each other, so it is asked again until there are no more.
///
/// `also`: what else GitHub is asked, besides what the tags name.
///
/// # Errors
/// If any part cannot be read: then it is not known what may go.
pub(crate) async fn survey_and_plan(
    store: &impl Store,
    project: &impl Project,
    policy: &Policy,
    also: &Wanted,
    now: u64,
) -> Result<(Survey, Plan)> {
    let mut found = survey(store, project, policy, also, now).await?;
    let mut asked: BTreeSet<Digest> = BTreeSet::new();
    let mut referrers = 0;
    loop {
        let plan = plan(&found, policy, now);
        let goes = plan.steps().filter(|planned| planned.step.deletes()).map(|planned| planned.step.digest());
        let about: Vec<Digest> = goes.filter(|digest| !asked.contains(*digest)).cloned().collect();
        let mut new = store.referrers(&about).await?;
        new.retain(|digest| !found.links.contains_key(digest));
        if new.is_empty() {
            return Ok((found, plan));
        }
        referrers += new.len();
        if referrers > REFERRERS {
            let what = more_than(REFERRERS, "manifests are about the images that would go");
            return Err(Error::of(FailureKind::BadAnswer, what).cause("nothing is removed"));
        }
        asked.extend(about);
        read(store, new.into_iter().collect(), &mut found.links).await?;
    }
}
