//! Makes the annotations: one error for a failure, one warning for a degraded run, and a few notices.

use super::Report;
use crate::error::Error;
use crate::ports::actions::{Annotation, Level};

/// The most warnings and the most notices; people do not read more.
const MOST_NOTICES: usize = 5;

/// The most notices that the runner keeps of a step.
const NOTICES_KEPT: usize = 10;

/// The longest headline: the runner keeps 4,096 characters, the hint's among them.
const LONGEST_HEADLINE: usize = 3000;

/// The most errors that the runner keeps of a step.
const ERRORS_KEPT: usize = 10;

fn message(error: &Error) -> String {
    let text = crate::shown::cut(&error.headline(), LONGEST_HEADLINE);
    match &error.hint {
        Some(hint) => format!("{text}\nhint: {hint}"),
        None => text,
    }
}

/// The annotations, the most important first.
#[must_use]
pub fn annotations(report: &Report) -> Vec<Annotation<'_>> {
    let mut annotations = Vec::new();
    let several = report.images.len() > 1;
    let of_images = report.images.iter().filter_map(|image| {
        let of = if several { format!("{}: ", image.image) } else { String::new() };
        Some((of, image.error.as_ref()?))
    });
    let errors = report.error.iter().map(|error| (String::new(), error)).chain(of_images);
    annotations.extend(errors.take(ERRORS_KEPT).map(|(of, error)| Annotation {
        level: Level::Error,
        title: "build-once failed",
        message: of + &message(error),
        at: error.at.as_ref().map(|at| (at.file.as_str(), at.line)),
    }));
    let degraded = report.images.iter().filter_map(|image| image.degraded.as_ref());
    annotations.extend(unique(degraded).take(MOST_NOTICES).map(|degraded| Annotation {
        level: Level::Warning,
        title: "build-once degraded",
        message: degraded.clone(),
        at: None,
    }));
    let warnings = report.warnings.iter().chain(report.images.iter().flat_map(|image| &image.warnings));
    annotations.extend(unique(warnings).take(MOST_NOTICES).map(|warning| Annotation {
        level: Level::Warning,
        title: "build-once",
        message: warning.text.clone(),
        at: warning.at.as_ref().map(|at| (at.file.as_str(), at.line)),
    }));
    // The run's own come first: that its credentials can do too much is among them.
    let notices = report.notices.iter().chain(report.images.iter().flat_map(|image| &image.notices));
    let notices: Vec<&String> = unique(notices).take(MOST_NOTICES).collect();
    // At most what the runner keeps of a kind, with the notices.
    let room = NOTICES_KEPT - notices.len();
    let checks = report.images.iter().flat_map(|image| &image.checks).filter(|_| report.check_annotations);
    annotations.extend(unique(checks).take(room).map(|check| Annotation {
        level: Level::Notice,
        title: "Dockerfile check",
        message: check.text.clone(),
        at: check.at.as_ref().map(|at| (at.file.as_str(), at.line)),
    }));
    annotations.extend(notices.into_iter().map(|notice| Annotation {
        level: Level::Notice,
        title: "build-once",
        message: notice.clone(),
        at: None,
    }));
    annotations
}

/// Each item once, in order: several images may have the same.
fn unique<'a, T: PartialEq + 'a>(items: impl Iterator<Item = &'a T>) -> impl Iterator<Item = &'a T> {
    let mut seen: Vec<&T> = Vec::new();
    items.filter(move |item| {
        let new = !seen.contains(item);
        if new {
            seen.push(item);
        }
        new
    })
}
