//! Plans with `mode: plan`: says which images are missing, and which jobs would build them. Nothing is built or written.

use super::actions::{ImagePlan, Plan};
use super::context::{PlanContext, decision, no_repository_notice, warnings};
use super::job::MatrixJob;
use super::verdict::{Build, Outcome};
use crate::budget::JOBS;
use crate::error::{Error, Result};
use crate::facts::{ImageFacts, Lookup};
use crate::image::Platform;
use crate::inputs::{Mode, RegistryPolicy};
use crate::shown;
use crate::trust::ImageRun;

/// Whether the run only says what is missing.
pub(super) fn only_says(image: ImageRun<'_>) -> bool {
    image.request.settings.mode == Mode::Plan
}

/// The plan for an image that is missing.
///
/// # Errors
/// If the registry does not say which platforms are there, with `registry-policy: required`.
pub(super) fn missing(given: &PlanContext<'_>, verdict: Build) -> Result<ImagePlan> {
    let PlanContext { image, facts, .. } = given;
    let mut notices: Vec<String> = no_repository_notice(facts).into_iter().collect();
    notices.extend(verdict.notes.notices);
    let settings = &image.request.settings;
    let unknown = unknown_platform(facts);
    if let Some((_, error)) = unknown.filter(|_| settings.reliability.policy == RegistryPolicy::Required) {
        return Err(error.clone());
    }
    let unknown = unknown.map(|(platform, error)| {
        format!("it is not known if {platform} is there ({}); it counts as missing", error.headline())
    });
    let (missing, there) = platforms(*image, facts);
    let job = |platform: &Platform| MatrixJob {
        image: image.request.image.to_string(),
        target: image.request.bake_target.clone(),
        platform: platform.clone(),
        runs_on: settings.runners.of(platform),
    };
    let mut decision = decision(given, Outcome::Missing, verdict.reason);
    if !there.is_empty() {
        decision.reason = format!("{}; there apart: {}", decision.reason, shown::list(there));
    }
    Ok(ImagePlan {
        warnings: warnings(facts),
        notices,
        degraded: verdict.notes.degraded.or(unknown),
        jobs: missing.into_iter().map(job).collect(),
        ..ImagePlan::from_decision(decision)
    })
}

/// The first platform of which the registry did not say if it is there.
fn unknown_platform(facts: &ImageFacts) -> Option<(&Platform, &Error)> {
    facts
        .platforms
        .iter()
        .find_map(|own| Some((&own.platform, own.lookups.iter().find_map(Lookup::unknown)?)))
}

/// The platforms that need a job, and those that are there. If all are there apart, and only the image of all is missing,
/// the first one has a job: an image that is missing has one in any case.
fn platforms<'a>(image: ImageRun<'a>, facts: &ImageFacts) -> (Vec<&'a Platform>, Vec<&'a Platform>) {
    let is_there = |platform: &&Platform| {
        let own = facts.platforms.iter().find(|own| own.platform == **platform);
        own.is_some_and(|own| own.found().is_some())
    };
    let asked = &image.request.build.platforms;
    let (there, mut missing): (Vec<&Platform>, Vec<&Platform>) = asked.iter().partition(is_there);
    if missing.is_empty() {
        missing.extend(asked.first());
    }
    (missing, there)
}

/// Checks that GitHub starts all the jobs.
///
/// # Errors
/// If there are more than a matrix may have.
pub(super) fn check(plan: &Plan) -> Result<()> {
    let count = plan.images.iter().map(|image| image.jobs.len()).sum::<usize>();
    if count <= JOBS {
        return Ok(());
    }
    Err(Error::input(format!("{count} jobs would build what is missing, and GitHub starts at most {JOBS} of one matrix"))
        .hint("plan fewer images at once (targets), or let one job build several: mode build with all of them builds only what is missing"))
}
