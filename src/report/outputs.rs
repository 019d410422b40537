//! The outputs of the step, and how each is made from the report.

use std::path::PathBuf;

use super::{ImageReport, Report, images};
use crate::buildkit::ProgressSummary;

/// Every output with its meaning and how it is made; `action.yml` and `docs/inputs.md` are checked against it.
pub const OUTPUTS: [Output; 27] = [
    (
        "outcome",
        "reused-local, reused-digest, reused-tag, reused-key, built, built-local, merged (mode: merge), missing (mode: plan), checked (call: check) or failed; of several images the one that says most",
        |report| report.outcome().map(|outcome| outcome.name().to_owned()).unwrap_or_default(),
    ),
    ("reason", "Why, in one sentence", |report| one_sentence(&report.reason())),
    ("digest", "Manifest digest, read back from the registry; pass it to the jobs that pull", |report| {
        of_image(report, |image| image.digest.as_ref().map(ToString::to_string))
    }),
    ("tag", "The key's tag, where the image has it in the repository", |report| {
        of_image(report, |image| image.tag.clone())
    }),
    (
        "commit-tag",
        "The commit's tag, where the image has it; jobs of one commit that build different images under one name share it",
        |report| of_image(report, |image| image.commit_tag.clone()),
    ),
    (
        "tags",
        "What came of each item of the input tags, as JSON: tag, result (set, there, skipped, left-out, failed or not-tried), and why",
        |report| {
            let tags = of_image(report, |image| serde_json::to_string(&image.tag_reports).ok());
            if tags.is_empty() { "[]".to_owned() } else { tags }
        },
    ),
    (
        "image",
        "Reference by digest; use digest across jobs, because a masked account id empties this one",
        |report| of_image(report, |image| image.reference.as_ref().map(ToString::to_string)),
    ),
    (
        "local-image",
        "Name of the image in the local engine, if this run found or put it there; runs of other zones use other names",
        |report| of_image(report, |image| image.local_image.clone()),
    ),
    ("key", "Build key, 64 hex digits", |report| of_image(report, |image| image.key.clone())),
    ("zone", "Trust of the run: trusted, queue, pr or fork", |report| {
        report.zone.as_ref().map(|(zone, _)| (*zone).to_owned()).unwrap_or_default()
    }),
    ("built", "true if this run built the image", |report| any(report, |image| image.built)),
    ("pushed", "true if this run published what it built", |report| any(report, |image| image.pushed)),
    (
        "degraded",
        "true if the run did less than was asked, for example a local build; the warning says what",
        |report| any(report, |image| image.degraded.is_some()),
    ),
    ("cached-steps", "Build steps that came from the layer cache", |report| {
        steps(report, |progress| progress.cached_steps)
    }),
    ("total-steps", "Build steps that can come from the layer cache", |report| {
        steps(report, |progress| progress.total_steps)
    }),
    ("attempts", "Builds that were started", |report| {
        report.images.iter().map(|image| image.attempts).sum::<u32>().to_string()
    }),
    (
        "failure-class",
        "Class of the failure: input, build, access, unavailable, integrity, resource, unsupported, bug or cancelled",
        |report| report.worst().map(|error| error.class.name().to_owned()).unwrap_or_default(),
    ),
    (
        "failure-cause",
        "What failed, more narrowly than its class: registry-5xx, throttled, builder-lost, dockerfile-error and so on; the class where nothing narrower is known",
        |report| report.worst().map(|error| error.cause_name().to_owned()).unwrap_or_default(),
    ),
    ("seconds", "Seconds from start to finish", |report| format!("{:.3}", report.seconds)),
    (
        "imageid",
        "What docker calls the image's id: the digest of its configuration; of an index its own digest",
        |report| of_image(report, |image| image.image_id.clone()),
    ),
    (
        "metadata",
        "What buildx wrote of the build, as JSON; of an image that was there its digests and names under the same keys",
        |report| of_image(report, |image| image.metadata.clone()),
    ),
    ("metadata-file", "Path of the file that buildx wrote; empty where nothing was built", |report| {
        path(report.only().and_then(|image| image.metadata_file.as_ref()))
    }),
    ("plan", "Path of the plan as JSON", |report| path(report.plan.as_ref())),
    (
        "images",
        "What came of each image, as JSON by its name: outcome, reason, digest, tag, commit-tag, key, reference, local-image, built, pushed and seconds; what is not known is left out",
        images::images,
    ),
    (
        "digests",
        "The digest of each image that has one, as JSON by its name; pass it to the jobs that pull several",
        images::digests,
    ),
    (
        "missing",
        "The names of the images that are not there, as a JSON list: [] only if every image is known to be there",
        images::missing,
    ),
    (
        "matrix",
        "With mode plan, the jobs that would build what is missing, as a JSON list for strategy.matrix.include: image, platform and runs-on, and the target with bake",
        images::matrix,
    ),
];

/// An output: its name, its meaning, its value.
type Output = (&'static str, &'static str, fn(&Report) -> String);

/// Every output with its value; all of them on every exit.
#[must_use]
pub fn outputs(report: &Report) -> Vec<(&'static str, String)> {
    OUTPUTS.iter().map(|(name, _, value)| (*name, value(report))).collect()
}

/// Longest `reason`, in characters: a job may have 1 MiB of outputs, and an error may quote a long text.
const LONGEST_REASON: usize = 2000;

fn one_sentence(text: &str) -> String {
    let text = text.lines().collect::<Vec<_>>().join(" ");
    crate::shown::cut(&text, LONGEST_REASON)
}

/// The value of the run's only image; empty in a run of several.
fn of_image(report: &Report, get: fn(&ImageReport) -> Option<String>) -> String {
    report.only().and_then(get).unwrap_or_default()
}

fn any(report: &Report, get: fn(&ImageReport) -> bool) -> String {
    report.images.iter().any(get).to_string()
}

fn path(path: Option<&PathBuf>) -> String {
    path.map(|path| path.display().to_string()).unwrap_or_default()
}

/// The sum over the images that were built; empty if none was.
fn steps(report: &Report, get: fn(&ProgressSummary) -> usize) -> String {
    let counts: Vec<usize> =
        report.images.iter().filter_map(|image| image.progress.as_ref()).map(get).collect();
    if counts.is_empty() { String::new() } else { counts.iter().sum::<usize>().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::failure::FailureClass;

    #[test]
    fn every_output_is_there_even_when_nothing_is_known() {
        let mut report = Report::default();
        report.fail(Error::new(FailureClass::Access, "no\nlogin"));
        let outputs = outputs(&report);
        assert_eq!(outputs.len(), OUTPUTS.len());
        let get = |name: &str| outputs.iter().find(|(known, _)| *known == name).unwrap().1.clone();
        assert_eq!(get("outcome"), "failed");
        assert_eq!((get("failure-class"), get("failure-cause")), ("access".into(), "access".into()));
        assert_eq!(get("reason"), "no login");
        assert_eq!(get("degraded"), "false");
        assert_eq!(one_sentence(&"ä".repeat(LONGEST_REASON)).chars().count(), LONGEST_REASON);
        assert_eq!(one_sentence(&"ä".repeat(LONGEST_REASON + 1)).chars().count(), LONGEST_REASON + 1);
        assert!(one_sentence(&"ä".repeat(1 << 20)).ends_with('…'));
    }
}
