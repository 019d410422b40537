//! The input of the planner, and the warnings that follow from it alone.

use super::actions::PlanWarning;
use crate::env::Env;
use crate::error::{Error, SourceLine};
use crate::facts::{ImageFacts, LateFacts, RepositoryFact};
use crate::failure::FailureClass;
use crate::trust::ImageRun;

/// Everything the plan is made from.
pub(crate) struct PlanContext<'a> {
    pub image: ImageRun<'a>,
    /// What was found out.
    pub facts: &'a ImageFacts,
    /// What was found out after the verdict.
    pub late: &'a LateFacts,
    /// The environment, for `extra-args`.
    pub env: &'a Env,
}

/// What of the key the user should mend.
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

pub(super) fn no_repository_notice(facts: &ImageFacts) -> Vec<String> {
    match &*facts.repository {
        // What failed is told by the warning.
        RepositoryFact::None(reason) if !reason.is_failure() => vec![reason.explain()],
        _ => Vec::new(),
    }
}

pub(super) fn bug(what: &str) -> Error {
    Error::new(FailureClass::Bug, format!("planned {what}"))
}
