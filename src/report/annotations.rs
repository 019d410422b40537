//! Makes the annotations: errors, warnings and notices, each text once and only a few of each.

use super::{Report, unique};
use crate::error::Error;
use crate::plan::PlanWarning;
use crate::ports::actions::{Annotation, Level};
use crate::shown;

/// The most texts about a degraded run, the most other warnings, and the most notices; people do not read more.
const MOST_NOTICES: usize = 5;

/// The most annotations of one level that the runner keeps of a step (actions/runner, `ExecutionContext`).
const KEPT_OF_A_LEVEL: usize = 10;

/// The longest headline and the longest hint, in characters: the runner keeps 4,096 of a message.
const LONGEST_HEADLINE: usize = 3000;
const LONGEST_HINT: usize = 900;

fn message(error: &Error) -> String {
    let text = shown::cut(&error.headline(), LONGEST_HEADLINE);
    match &error.hint {
        Some(hint) => format!("{text}\nhint: {}", shown::cut(hint, LONGEST_HINT)),
        None => text,
    }
}

/// The annotations, the most important first.
#[must_use]
pub fn annotations(report: &Report) -> Vec<Annotation<'_>> {
    let degraded = report.images.iter().filter_map(|image| image.degraded.as_ref());
    let degraded = unique(degraded)
        .take(MOST_NOTICES)
        .map(|degraded| Annotation::new(Level::Warning, "build-once degraded", degraded.clone()));
    let warnings = report.warnings.iter().chain(report.images.iter().flat_map(|image| &image.warnings));
    let warnings =
        unique(warnings).take(MOST_NOTICES).map(|warning| at_line(Level::Warning, "build-once", warning));
    // The run's own come first: that its credentials can do too much is among them.
    let notices = report.notices.iter().chain(report.images.iter().flat_map(|image| &image.notices));
    let notices: Vec<&String> = unique(notices).take(MOST_NOTICES).collect();
    // Findings have the same level, of which the runner keeps ten: they get the places that the notices leave.
    let checks = report.images.iter().flat_map(|image| &image.checks).filter(|_| report.check_annotations);
    let checks = unique(checks)
        .take(KEPT_OF_A_LEVEL - notices.len())
        .map(|check| at_line(Level::Notice, "Dockerfile check", check));
    let notices =
        notices.into_iter().map(|notice| Annotation::new(Level::Notice, "build-once", notice.clone()));
    errors(report).chain(degraded).chain(warnings).chain(checks).chain(notices).collect()
}

/// The error of the run, and those of the images, each with the names of the images that have it if there are several.
fn errors(report: &Report) -> impl Iterator<Item = Annotation<'_>> {
    failures(report).into_iter().take(KEPT_OF_A_LEVEL).map(|(names, error)| {
        let prefix = match names.as_slice() {
            [] => String::new(),
            names => format!("{}: ", shown::first(names, MOST_NOTICES)),
        };
        Annotation {
            level: Level::Error,
            title: "build-once failed",
            message: prefix + &message(error),
            at: error.at.as_ref().map(|at| (at.file.as_str(), at.line)),
        }
    })
}

/// Each failure once, with the names of its images; without a name that of the run, or of its only image.
fn failures(report: &Report) -> Vec<(Vec<&str>, &Error)> {
    let mut failures: Vec<(Vec<&str>, &Error)> =
        report.error.iter().map(|error| (Vec::new(), error)).collect();
    let several = report.images.len() > 1;
    for image in &report.images {
        let Some(error) = &image.error else { continue };
        let name = several.then_some(image.image.as_str());
        match failures.iter_mut().find(|(names, known)| several && !names.is_empty() && *known == error) {
            Some((names, _)) => names.extend(name),
            None => failures.push((name.into_iter().collect(), error)),
        }
    }
    failures
}

/// A line of the log for the failures that have no annotation.
pub(crate) fn more_failures(report: &Report) -> Option<String> {
    let failures = failures(report);
    let more: Vec<&str> =
        failures.iter().skip(KEPT_OF_A_LEVEL).flat_map(|(names, _)| names).copied().collect();
    (!more.is_empty()).then(|| format!("{} more failed: {}", more.len(), shown::first(&more, MOST_NOTICES)))
}

fn at_line<'a>(level: Level, title: &'static str, warning: &'a PlanWarning) -> Annotation<'a> {
    let at = warning.at.as_ref().map(|at| (at.file.as_str(), at.line));
    Annotation { level, title, message: warning.text.clone(), at }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureClass;

    #[test]
    fn a_message_fits_what_the_runner_keeps() {
        let mut report = Report::default();
        report.fail(Error::new(FailureClass::Access, "x".repeat(9000)).hint("y".repeat(9000)));
        let all = annotations(&report);
        assert!(all[0].message.chars().count() < 4096, "{}", all[0].message.len());
        assert!(all[0].message.contains("\nhint: yyy"));
    }
}
