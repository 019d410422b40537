//! Annotations: one error on failure, one warning on a degraded run, at most a few notices.

use super::Report;
use crate::error::Error;
use crate::ports::actions::{Annotation, Level};

/// The runner keeps ten of a kind; more than a few are not read.
const NOTICES: usize = 5;

/// Most notices that the runner keeps of a step.
const CHECKS: usize = 10;

/// Most of a headline that is told: the runner keeps 4,096 characters, the hint's among them.
const HEADLINE: usize = 3000;

fn message(error: &Error) -> String {
    let text = crate::shown::cut(&error.headline(), HEADLINE);
    match &error.hint {
        Some(hint) => format!("{text}\nhint: {hint}"),
        None => text,
    }
}

/// The most important first.
#[must_use]
pub fn annotations(report: &Report) -> Vec<Annotation<'_>> {
    let mut annotations = Vec::new();
    if let Some(error) = &report.error {
        annotations.push(Annotation {
            level: Level::Error,
            title: "build-once failed",
            message: message(error),
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
    annotations.extend(report.warnings.iter().take(NOTICES).map(|warning| Annotation {
        level: Level::Warning,
        title: "build-once",
        message: warning.text.clone(),
        at: warning.at.as_ref().map(|at| (at.file.as_str(), at.line)),
    }));
    // At most what the runner keeps of a kind, with the notices.
    let room = CHECKS - report.notices.len().min(NOTICES);
    annotations.extend(report.checks.iter().filter(|_| report.check_annotations).take(room).map(|check| {
        Annotation {
            level: Level::Notice,
            title: "Dockerfile check",
            message: check.text.clone(),
            at: check.at.as_ref().map(|at| (at.file.as_str(), at.line)),
        }
    }));
    annotations.extend(report.notices.iter().take(NOTICES).map(|notice| Annotation {
        level: Level::Notice,
        title: "build-once",
        message: notice.clone(),
        at: None,
    }));
    annotations
}
