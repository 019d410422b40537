//! The job summary, in GitHub's Markdown. Each text from outside goes through [`cell`], [`code`] or [`add_fenced`], which
//! keep it from being Markdown.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::markdown::{add_fenced, cell, code};
use super::{ImageReport, Report, unique};
use crate::buildkit::ProgressSummary;
use crate::env::SLUG;
use crate::error::Error;
use crate::phase::Phase;
use crate::plan::{MatrixJob, Outcome, PlanWarning};
use crate::run::Commit;
use crate::shown;

/// The most findings of the Dockerfile's checks that are listed.
const MOST_CHECKS: usize = 10;

/// Adds everything about the only image.
pub(super) fn add_image(text: &mut String, report: &Report, image: &ImageReport) {
    let error = image.error.as_ref().or_else(|| report.error.as_ref().filter(|_| !image.done));
    // Writing to a String cannot fail; the results are dropped.
    let _ = writeln!(
        text,
        "### {}\n",
        format_args!("{} in {}", headline(image, error), duration(report.seconds))
    );
    if let Some(error) = error {
        add_failure(text, Some(image), error);
    }
    if let Some(degraded) = &image.degraded {
        let _ = writeln!(text, "> [!WARNING]\n> {}\n", cell(degraded));
    }
    for warning in report.warnings.iter().chain(&image.warnings) {
        let _ = writeln!(text, "> [!WARNING]\n> {}\n", cell(&warning.text));
    }
    add_values(text, report, image);
}

/// Adds what is known of an image, besides its failure and its warnings.
pub(super) fn add_values(text: &mut String, report: &Report, image: &ImageReport) {
    let failed = image.error.is_some() || (report.error.is_some() && !image.done);
    let outcome = image.outcome.map_or("failed", Outcome::name);
    let mut rows = vec![("outcome".to_owned(), code(outcome))];
    rows.extend(of_image(image, failed));
    // With several images those of the run stand apart.
    let alone = report.images.len() < 2;
    rows.extend(of_run(report).into_iter().filter(|_| alone));
    rows.extend(image.platforms.iter().map(|(platform, digest)| (cell(&platform.to_string()), code(digest))));
    let notices = report.notices.iter().filter(|_| alone).chain(&image.notices);
    rows.extend(unique(notices).map(|notice| ("note".to_owned(), cell(notice))));
    add_rows(text, &rows);
    add_tags(text, image);
    if !failed {
        add_pull_commands(text, image);
    }
}

/// Says in one line what came of the image.
pub(super) fn headline(image: &ImageReport, error: Option<&Error>) -> String {
    let name = code(if image.image.is_empty() { "build-once" } else { &image.image });
    let (mark, what) = match image.outcome {
        Some(Outcome::ReusedLocal) => ("✅", "already on this machine, ready"),
        Some(Outcome::ReusedDigest | Outcome::ReusedTag | Outcome::ReusedKey) => {
            ("✅", "already built, ready")
        }
        Some(Outcome::Missing) => ("🔎", "missing"),
        Some(Outcome::Built) => ("🔨", "built and published"),
        Some(Outcome::Merged) => ("🔗", "merged and published"),
        Some(Outcome::Checked) => ("✅", "checked"),
        Some(Outcome::BuiltLocal) => ("🔨", "built for this machine alone"),
        Some(Outcome::Failed) | None => {
            if error.is_some_and(Error::is_stopped) {
                ("⏹️", "cancelled")
            } else {
                ("❌", "failed")
            }
        }
    };
    format!("{mark} {name}: {what}")
}

/// Adds what is known of the run beside its images.
pub(super) fn add_run(text: &mut String, report: &Report) {
    let rows = of_run(report);
    if !rows.is_empty() {
        add_rows(text, &rows);
    }
}

/// A table of names and the Markdown beside them. The first row is its head, which a table has to have.
fn add_rows(text: &mut String, rows: &[Row]) {
    for (at, (name, value)) in rows.iter().enumerate() {
        let line = if at == 0 { "\n| --- | --- |" } else { "" };
        let _ = writeln!(text, "| {name} | {value} |{line}");
    }
    let _ = writeln!(text);
}

/// A name and the Markdown beside it.
type Row = (String, String);

/// The rows that have a value.
fn with_value(rows: impl IntoIterator<Item = (&'static str, Option<String>)>) -> Vec<Row> {
    let rows = rows.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    rows.filter(|(_, value)| !value.is_empty()).collect()
}

/// The rows about the run.
fn of_run(report: &Report) -> Vec<Row> {
    with_value([
        ("zone", report.zone.as_ref().map(|(zone, why)| format!("{zone} ({})", cell(why)))),
        ("repository", report.repository.as_deref().map(cell)),
        ("commit", report.commit.as_ref().map(commit)),
        ("tried again", Some(lines(report.retries.iter().map(|retry| cell(retry))))),
    ])
}

/// The rows about the image.
fn of_image(image: &ImageReport, failed: bool) -> Vec<Row> {
    let why = (!failed).then(|| cell(&image.reason));
    let changes = crate::facts::explain::list_for_log(&image.changes);
    let reference = image.reference.as_ref().map(|reference| code(&reference.to_string()));
    // The reference has the digest already.
    let digest = image.digest.as_ref().filter(|_| reference.is_none()).map(|digest| code(digest.as_str()));
    let steps = image.progress.as_ref().filter(|progress| progress.total_steps > 0);
    let cached =
        |steps: &ProgressSummary| format!("{} of {} steps cached", steps.cached_steps, steps.total_steps);
    with_value([
        ("why", why),
        ("changed", Some(lines(changes.iter().map(|change| cell(change))))),
        ("image", reference),
        ("digest", digest),
        ("tags", Some(lines(tags(image).into_iter().map(code)))),
        ("to build", Some(lines(image.jobs.iter().map(job_words)))),
        ("local name", image.local_image.as_deref().map(code)),
        ("key", image.key.as_deref().map(code)),
        ("Dockerfile checks", Some(checks(image))),
        ("layer cache", steps.map(cached)),
        ("attempts", (image.attempts > 1).then(|| image.attempts.to_string())),
    ])
}

/// A job that would build the image.
pub(super) fn job_words(job: &MatrixJob) -> String {
    format!("{} on {}", code(&job.platform.to_string()), code(&job.runs_on.to_string()))
}

/// Several lines in one cell.
fn lines(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join("<br>")
}

/// Every tag of the image once, those of the key and the commit first.
fn tags(image: &ImageReport) -> Vec<&str> {
    let set = image.tags.iter().map(|reference| reference.rsplit(':').next().unwrap_or(reference));
    let mut seen = BTreeSet::new();
    // Another registry may have a tag of the same name.
    let mut tags: Vec<&str> = set.filter(|tag| seen.insert(*tag)).collect();
    for tag in [&image.commit_tag, &image.tag].into_iter().flatten() {
        if !tags.contains(&tag.as_str()) {
            tags.insert(0, tag);
        }
    }
    tags
}

fn commit(commit: &Commit) -> String {
    let merge = commit.merge.as_ref().map(|merge| format!(", checked out as merge {}", code(merge)));
    format!("{}{}", code(&commit.head), merge.unwrap_or_default())
}

/// The first findings of the Dockerfile's checks, and the number of the others.
fn checks(image: &ImageReport) -> String {
    let check = |check: &PlanWarning| match &check.at {
        Some(at) => format!("{} line {}", cell(&check.text), at.line),
        None => cell(&check.text),
    };
    let more = image.checks.len().saturating_sub(MOST_CHECKS);
    let more = (more > 0).then(|| format!("{more} more"));
    lines(image.checks.iter().take(MOST_CHECKS).map(check).chain(more))
}

/// What came of each item of the input `tags`.
fn add_tags(text: &mut String, image: &ImageReport) {
    if image.tag_reports.is_empty() {
        return;
    }
    let _ = writeln!(text, "| tag | result |\n| --- | --- |");
    for report in &image.tag_reports {
        let why = report.why.as_ref().map(|why| format!(": {}", cell(why))).unwrap_or_default();
        let _ = writeln!(text, "| {} | {}{why} |", code(&report.tag), report.result.words());
    }
    let _ = writeln!(text);
}

/// Adds why the run failed, or the image.
pub(super) fn add_failure(text: &mut String, image: Option<&ImageReport>, error: &Error) {
    let lines: Vec<String> = error.headline().lines().map(|line| cell(line.trim())).collect();
    let _ = writeln!(text, "> [!CAUTION]\n> {}", lines.join("<br>"));
    if let Some(at) = &error.at {
        let _ = writeln!(text, ">\n> at {}", code(&format!("{}:{}", at.file, at.line)));
    }
    if let Some(hint) = &error.hint {
        let _ = writeln!(text, ">\n> **hint:** {}", cell(hint));
    }
    let cause = Some(error.cause_name()).filter(|cause| *cause != error.class.name());
    let cause = cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
    let _ =
        writeln!(text, ">\n> class {}{cause}, exit code {}\n", error.class.name(), error.class.exit_code());
    if let Some(failed) =
        image.and_then(|image| image.progress.as_ref()).and_then(|progress| progress.failed.as_ref())
    {
        let _ = writeln!(text, "Failed at {}\n", code(&failed.name));
        if !failed.log.is_empty() {
            add_fenced(text, &failed.log.join("\n"));
        }
    }
}

fn add_pull_commands(text: &mut String, image: &ImageReport) {
    let Some(reference) = &image.reference else { return };
    let _ = writeln!(text, "<details><summary>How to pull it</summary>\n");
    add_fenced(text, &format!("docker pull {reference}"));
    if let Some(digest) = &image.digest {
        let name = &image.image;
        let _ = writeln!(text, "In a job of this workflow, without a checkout:\n");
        add_fenced(
            text,
            &format!("- uses: {SLUG}@v1\n  with:\n    image: {name}\n    mode: pull\n    digest: {digest}"),
        );
    }
    let _ = writeln!(text, "</details>\n");
}

/// Adds how long each part of the run took.
pub(super) fn add_times(text: &mut String, report: &Report) {
    let _ = writeln!(
        text,
        "<details><summary>Where the time went</summary>\n\n| step | time | |\n| --- | ---: | --- |"
    );
    let mut row = |name: &str, seconds: f64| {
        let _ = writeln!(text, "| {name} | {} | {} |", duration(seconds), bar(seconds, report.seconds));
    };
    row("find the key, the repository and the image", report.read_seconds);
    for entry in &report.entries {
        row(&cell(&shorten(&entry.label)), entry.seconds);
        for (phase, seconds) in &entry.phases {
            row(&format!("&emsp;{}", phase_name(*phase)), *seconds);
        }
    }
    let _ = writeln!(text);
    for progress in report.images.iter().filter_map(|image| image.progress.as_ref()) {
        add_slowest_steps(text, progress);
    }
    // The blank line keeps a later summary's Markdown out of this block.
    let _ = writeln!(text, "</details>\n");
}

fn add_slowest_steps(text: &mut String, progress: &ProgressSummary) {
    // A faster one is not worth a line.
    let slow: Vec<_> = progress.slowest.iter().filter(|step| step.seconds >= 0.05).collect();
    if slow.is_empty() {
        return;
    }
    let _ = writeln!(text, "| slowest steps | time |\n| --- | ---: |");
    for step in slow {
        let _ = writeln!(text, "| {} | {} |", code(&shorten(&step.name)), duration(step.seconds));
    }
    let _ = writeln!(text);
}

const fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Context => "send the context",
        Phase::CacheImport => "read the layer cache",
        Phase::Base => "fetch base images",
        Phase::Steps => "run the steps",
        Phase::Export => "pack the layers",
        Phase::Push => "push",
        Phase::CacheExport => "write the layer cache",
    }
}

/// Draws a time as a part of the whole run's, which has 20 blocks.
fn bar(seconds: f64, whole: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 20")]
    let blocks = (seconds / whole.max(0.001) * 20.0).round().clamp(0.0, 20.0) as usize;
    "▇".repeat(blocks)
}

/// Words a time. The bounds are those of the rounded figures: 59.97 is `1 min 0 s`, not `60.0 s`.
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 0.9995 {
        format!("{:.0} ms", seconds * 1000.0)
    } else if seconds < 59.95 {
        format!("{seconds:.1} s")
    } else {
        let whole = seconds.round();
        format!("{:.0} min {:.0} s", (whole / 60.0).floor(), whole % 60.0)
    }
}

/// Cuts the text of a step, which may be a command of many lines.
fn shorten(text: &str) -> String {
    shown::cut(text, 160)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::failure::FailureClass;
    use crate::report::summary;

    fn report() -> Report {
        let image = ImageReport {
            image: "app-ci".into(),
            outcome: Some(Outcome::ReusedKey),
            reason: "an image of the same content is there: h.example/ci:key-rf9d832d9-app-ci-abc".into(),
            digest: Some(crate::image::Digest::of(b"x")),
            reference: Some(
                "h.example/ci"
                    .parse::<crate::image::Repository>()
                    .unwrap()
                    .at(crate::image::Digest::of(b"x")),
            ),
            tag: Some("sha-rf9d832d9-app-ci-1".into()),
            key: Some("k".repeat(64)),
            ..ImageReport::default()
        };
        Report {
            images: vec![image],
            zone: Some(("trusted", "push on the default branch".into())),
            read_seconds: 0.08,
            seconds: 0.4,
            ..Report::default()
        }
    }

    #[test]
    fn times_are_rounded_before_they_are_split() {
        for (seconds, text) in [
            (0.004, "4 ms"),
            (0.9996, "1.0 s"),
            (59.94, "59.9 s"),
            (59.97, "1 min 0 s"),
            (119.7, "2 min 0 s"),
            (125.2, "2 min 5 s"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn a_tag_of_two_registries_is_one_tag() {
        let tags = ["a.example/ci:v1", "b.example/ci:v1", "b.example/ci:latest"].map(str::to_owned).to_vec();
        let image = ImageReport { tags, tag: Some("key-1".into()), ..ImageReport::default() };
        assert_eq!(super::tags(&image), ["key-1", "v1", "latest"]);
    }

    #[test]
    fn inputs_that_cannot_be_read_hide_no_notice() {
        let notices = vec!["this account may do more than it needs".to_owned()];
        let mut report = Report { notices, ..Report::default() };
        report.fail(Error::input("`mode` is none of these"));
        let text = summary(&report);
        assert!(text.contains("| note | this account may do more than it needs |"), "{text}");
    }

    #[test]
    fn a_hit() {
        insta::assert_snapshot!(summary(&report()));
    }

    #[test]
    fn a_failure() {
        let mut failed = report();
        failed.fail(
            Error::new(FailureClass::Access, "failed to push")
                .cause("denied <b>")
                .hint("log in")
                .at("Dockerfile", 3),
        );
        insta::assert_snapshot!(summary(&failed));
    }
}
