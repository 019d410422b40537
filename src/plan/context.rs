//! The input of the planner, the warnings and the notice that come from it alone, and the error of a wrong plan.

use super::actions::PlanWarning;
use super::verdict::{Decision, Outcome};
use crate::env::Env;
use crate::error::{Error, SourceLine};
use crate::facts::{ImageFacts, LateFacts, RepositoryFact};
use crate::failure::FailureClass;
use crate::shown;
use crate::trust::ImageRun;

/// Everything the plan is made from.
pub(crate) struct PlanContext<'a> {
    pub image: ImageRun<'a>,
    /// What was read of the image.
    pub facts: &'a ImageFacts,
    /// What was read after the verdict, for a build.
    pub late: &'a LateFacts,
    /// For what the runner's owner sets there: caches and extra arguments.
    pub env: &'a Env,
}

/// The key's grave warnings, which a plan reports; the others are notes in the log.
pub(super) fn warnings(facts: &ImageFacts) -> Vec<PlanWarning> {
    let warnings = facts.key.iter().flat_map(|key| &key.warnings);
    let grave = warnings.filter(|warning| warning.is_grave());
    grave
        .map(|warning| PlanWarning {
            text: format!("{warning}; {}", warning.hint()),
            at: warning.at().map(|(file, line)| SourceLine { file: file.clone(), line: *line }),
        })
        .collect()
}

/// Why there is no repository. `None` if there is one, or if a look-up failed: `Notes::degraded` tells that.
pub(super) fn no_repository_notice(facts: &ImageFacts) -> Option<String> {
    match &*facts.repository {
        RepositoryFact::None(reason) if !reason.is_failure() => Some(reason.explain()),
        _ => None,
    }
}

/// A notice of stages in `no-cache-filters` that the Dockerfile does not have, which BuildKit ignores. `None` also for a
/// frontend of the user's own, which may have other stages.
pub(super) fn unknown_stages_notice(given: &PlanContext<'_>) -> Option<String> {
    let (filters, pins) = (&given.image.request.build.no_cache_filters, &given.facts.pins);
    let unnamed =
        |name: &str| name.strip_prefix("stage-").is_some_and(|number| number.parse::<u32>().is_ok());
    let known = |name: &&String| {
        let name = name.to_lowercase();
        pins.stage_names.contains(&name) || unnamed(&name)
    };
    let missing = shown::list(filters.iter().filter(|name| !known(name)));
    (!missing.is_empty() && !pins.foreign_frontend)
        .then(|| format!("no-cache-filters: the Dockerfile has no stage {missing}"))
}

/// The decision about an image that is not there, with what differs from the nearest earlier image.
pub(super) fn decision(given: &PlanContext<'_>, outcome: Outcome, reason: String) -> Decision {
    let (reason, changes) = match &given.late.miss {
        Some(miss) => (miss.reason(&reason, given.image.request.image.as_str()), miss.changes.clone()),
        None => (reason, Vec::new()),
    };
    Decision { outcome, reason, changes }
}

/// An error for a plan that contradicts itself: a defect of this program.
pub(super) fn bug(what: &str) -> Error {
    Error::new(FailureClass::Bug, format!("planned {what}"))
}
