//! What came of a call of buildx that builds.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use super::Build;
use crate::buildkit::failure::{classify, classify_at};
use crate::buildkit::{BuildMetadata, BuildSpec, Progress, ProgressSummary};
use crate::error::{Error, Result};
use crate::failure::FailureKind;

/// What came of a call that builds one or several images.
pub(crate) struct Built {
    /// What buildx wrote of each image, if all are built; else the failure.
    pub result: Result<Vec<BuildMetadata>>,
    /// What the progress stream told of each image, also of a failure.
    pub progress: Vec<ProgressSummary>,
    /// Of each image the error of a step of its own; `None` for images that were stopped because another one failed.
    pub errors: Vec<Option<Error>>,
}

impl Built {
    /// The result of a call that could not begin.
    pub(super) fn not_begun(error: Error, images: usize) -> Self {
        let summary = || Progress::new(true).into_summary();
        Self {
            result: Err(error),
            progress: (0..images).map(|_| summary()).collect(),
            errors: (0..images).map(|_| None).collect(),
        }
    }

    pub(super) fn of(result: Result<Vec<BuildMetadata>>, progress: Progress, builds: &[Build<'_>]) -> Self {
        let text = progress.error().unwrap_or_default();
        let at = progress.failed_at();
        let each = progress.into_each();
        let own_error = |(progress, build): (&Progress, &Build<'_>)| {
            let own = progress.error_of_vertex()?;
            // The last message tells more, if it is about this image.
            let (told, at) =
                if text.contains(&own) { (text.as_str(), at.clone()) } else { (own.as_str(), None) };
            let error = classify_at(WHAT, told, progress.failed_phase());
            Some(match at {
                Some((file, line)) => error.at(as_given(&file, build.spec), line),
                None => error,
            })
        };
        let errors = each.iter().zip(builds).map(own_error).collect();
        let mut progress: Vec<ProgressSummary> = each.into_iter().map(Progress::into_summary).collect();
        if result.is_ok() {
            // A failure on the way, such as a cache that is not there, did not matter.
            for summary in &mut progress {
                summary.failed = None;
            }
        }
        Self { result, progress, errors }
    }
}

const WHAT: &str = "the build failed";

/// The error of a failed call, from buildx's last messages and the vertex that failed.
pub(super) fn failed(progress: &Progress, status: ExitStatus, builds: &[Build<'_>]) -> Error {
    let error = match (progress.error(), status.signal()) {
        (Some(text), _) => classify_at(WHAT, &text, progress.failed_phase()),
        // This program never sends SIGKILL to a build that it still waits for.
        (None, Some(9)) => classify(WHAT, "docker buildx was ended by a signal: killed"),
        (None, Some(signal)) => classify(WHAT, &format!("docker buildx was ended by signal {signal}")),
        (None, None) => classify(WHAT, "docker buildx said nothing"),
    };
    match (progress.failed_at(), builds) {
        (Some((file, line)), [build]) => error.at(as_given(&file, build.spec), line),
        (Some((file, line)), _) => error.at(file, line),
        (None, _) => error,
    }
}

/// The error of a call in which nothing moved for `limit`.
pub(super) fn hung(progress: &Progress, limit: Duration) -> Error {
    let silent = if progress.waits() { "" } else { ", and the builder does not answer" };
    Error::of(FailureKind::Hang, "the build hangs")
        .cause(format!("nothing moved for {}s while {}{silent}", limit.as_secs(), progress.doing()))
        .hint(FailureKind::Hang.hint())
}

/// The Dockerfile's path as the user gave it, for the name in a message of BuildKit's, which has only the last part.
fn as_given(file: &str, spec: &BuildSpec) -> String {
    let given = spec.build.dockerfile();
    if given.file_name().is_some_and(|name| name == file) {
        given.display().to_string()
    } else {
        file.to_owned()
    }
}
