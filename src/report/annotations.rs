//! Annotations: one error on failure, one warning on a degraded run, at most a few notices.

use super::Report;
use crate::ports::actions::{Annotation, Level};

/// The runner keeps ten of a kind; more than a few are not read.
const NOTICES: usize = 5;

/// The most important first.
#[must_use]
pub fn annotations(report: &Report) -> Vec<Annotation<'_>> {
    let mut annotations = Vec::new();
    if let Some(error) = &report.error {
        annotations.push(Annotation {
            level: Level::Error,
            title: "build-once failed",
            message: error.to_string(),
            at: error.at.as_ref().map(|at| (at.file.as_str(), at.line)),
        });
    }
    if let Some(degraded) = &report.degraded {
        annotations.push(Annotation {
            level: Level::Warning,
            title: "build-once degraded",
            message: degraded.clone(),
            at: None,
        });
    }
    annotations.extend(report.notices.iter().take(NOTICES).map(|notice| Annotation {
        level: Level::Notice,
        title: "build-once",
        message: notice.clone(),
        at: None,
    }));
    annotations
}
