//! Plans with `mode: plan`: says which images are missing, and which jobs would build them. Nothing is built or written.

use super::actions::{ImagePlan, Plan};
use super::context::{PlanContext, decision, no_repository_notice, warnings};
use super::job::MatrixJob;
use super::verdict::{Build, Outcome};
use crate::budget::JOBS;
use crate::error::{Error, Result};
use crate::image::Platform;
use crate::inputs::Mode;
use crate::trust::ImageRun;

/// Whether the run only says what is missing.
pub(super) fn only_says(image: ImageRun<'_>) -> bool {
    image.request.settings.mode == Mode::Plan
}

/// The plan for an image that is missing.
pub(super) fn missing(given: &PlanContext<'_>, verdict: Build) -> ImagePlan {
    let PlanContext { image, facts, .. } = given;
    let mut notices: Vec<String> = no_repository_notice(facts).into_iter().collect();
    notices.extend(verdict.notes.notices);
    let runners = &image.request.settings.runners;
    let job = |platform: &Platform| MatrixJob {
        image: image.request.image.to_string(),
        platform: platform.clone(),
        runs_on: runners.of(platform),
    };
    ImagePlan {
        warnings: warnings(facts),
        notices,
        degraded: verdict.notes.degraded,
        jobs: image.request.build.platforms.iter().map(job).collect(),
        ..ImagePlan::from_decision(decision(given, Outcome::Missing, verdict.reason))
    }
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
