//! The input of the planner, and the warnings that follow from it alone.

use super::steps::PlanWarning;
use crate::buildkit::owner::Owner;
use crate::env::Env;
use crate::error::{Error, SourceLine};
use crate::facts::{Facts, LateFacts, RepositoryFact};
use crate::failure::FailureClass;
use crate::inputs::Inputs;
use crate::run::RunContext;
use crate::trust::Access;

/// Everything the plan is made from.
pub(crate) struct PlanContext<'a> {
    pub inputs: &'a Inputs,
    pub run: &'a RunContext,
    /// Its rights.
    pub access: &'a Access,
    /// What was found out.
    pub facts: &'a Facts,
    /// What was found out after the verdict.
    pub late: &'a LateFacts,
    /// The environment, for `extra-args`.
    pub env: &'a Env,
    /// A part of the builder's name that no other run uses.
    pub unique: &'a str,
    /// Says in the builder's name whose it is.
    pub owner: Option<&'a Owner>,
}

/// What of the key the user should mend.
pub(super) fn warnings(facts: &Facts) -> Vec<PlanWarning> {
    let warnings = facts.key.iter().flat_map(|key| &key.warnings);
    let grave = warnings.filter(|warning| warning.is_grave());
    grave
        .map(|warning| PlanWarning {
            text: format!("{warning}; {}", warning.hint()),
            at: warning.at().map(|(file, line)| SourceLine { file: file.clone(), line: *line }),
        })
        .collect()
}

pub(super) fn no_repository_notice(facts: &Facts) -> Vec<String> {
    match &facts.repository {
        // What failed is told by the warning.
        RepositoryFact::None(reason) if !reason.is_failure() => vec![reason.explain()],
        _ => Vec::new(),
    }
}

pub(super) fn bug(what: &str) -> Error {
    Error::new(FailureClass::Bug, format!("planned {what}"))
}
