//! What is planned for repositories in ECR, and what is said of them.

use serde::Serialize;

use crate::ecr::{RowState, SettingRow};
use crate::error::Error;
use crate::failure::FailureKind;
use crate::image::Repository;

/// The setting that has texts of its own.
pub(super) const LIFECYCLE: &str = "lifecycle policy";

/// What is planned for one repository.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RepositorySetUp {
    pub repository: Repository,
    /// True if the run makes it.
    pub makes: bool,
    /// The settings that the inputs name.
    pub settings: Vec<SettingRow>,
}

/// The error about a policy of another author.
#[must_use]
pub(crate) fn foreign_policy(repository: &Repository) -> Error {
    Error::of(
        FailureKind::NotSetUp,
        format!("{repository} has a lifecycle policy that build-once did not write, and it stays as it is"),
    )
    .hint(format!(
        "set lifecycle: off, or delete it (aws ecr delete-lifecycle-policy --repository-name {})",
        repository.path()
    ))
}

/// One notice for the settings that differ and stay so.
#[must_use]
pub(crate) fn drift_notice(repository: &Repository, rows: &[SettingRow]) -> Option<String> {
    // A policy of another author has a text of its own.
    let differs = |row: &&SettingRow| row.state == RowState::Differs && row.setting != LIFECYCLE;
    let list: Vec<String> = rows
        .iter()
        .filter(differs)
        .map(|row| format!("{}: wanted {}, is {}", row.setting, row.want, row.have))
        .collect();
    (!list.is_empty())
        .then(|| format!("{repository} differs from the inputs and is left so ({})", list.join("; ")))
}
