//! The part of the job summary that is about several images: one row an image, what failed, what hangs on what.

use std::fmt::Write as _;

use super::markdown::{cell, code};
use super::summary::{add_failure, add_run, add_values, duration, headline, job_words};
use super::{ImageReport, Report, unique};
use crate::plan::{Outcome, PlanWarning};
use crate::shown::{self, bytes, cut};

/// The most failures that are shown with their causes; the table names all.
pub(super) const MOST_FAILURES: usize = 10;

/// The most characters of a reason in the table.
const LONGEST_WHY: usize = 300;

/// The most images of a graph: GitHub draws no larger ones in a useful time.
const MOST_IN_GRAPH: usize = 100;

/// Adds everything about the images.
pub(super) fn add(text: &mut String, report: &Report) {
    // Writing to a String cannot fail; the results are dropped.
    let _ = writeln!(text, "### {}\n", heading(report));
    if let Some(error) = &report.error {
        add_failure(text, None, error);
    }
    add_warnings(text, report);
    add_table(text, report);
    for notice in unique(report.notices.iter()) {
        let _ = writeln!(text, "> [!NOTE]\n> {}\n", cell(notice));
    }
    add_failures(text, report);
    if let Some(graph) = graph(report) {
        text.push_str(&graph);
    }
    let _ = writeln!(text, "<details><summary>Each image</summary>\n");
    add_run(text, report);
    for image in &report.images {
        let _ = writeln!(text, "#### {}\n", headline(image, image_error(report, image)));
        add_values(text, report, image);
    }
    let _ = writeln!(text, "</details>\n");
}

/// Why the image failed: by itself, or with the run.
fn image_error<'a>(report: &'a Report, image: &'a ImageReport) -> Option<&'a crate::error::Error> {
    image.error.as_ref().or_else(|| report.error.as_ref().filter(|_| !image.done))
}

/// How many images came to what, the gravest first: `3 images: 1 failed, 2 built in 12.3 s`.
fn heading(report: &Report) -> String {
    let mut outcomes: Vec<Outcome> =
        report.images.iter().map(|image| image.outcome.unwrap_or(Outcome::Failed)).collect();
    outcomes.sort_unstable_by(|one, other| other.cmp(one));
    let counts = outcomes.chunk_by(PartialEq::eq).map(|same| format!("{} {}", same.len(), same[0].name()));
    let counts = shown::list(counts);
    let mark = match report.outcome() {
        Some(outcome) => mark(outcome),
        None => mark(Outcome::Failed),
    };
    format!("{mark} {} images: {counts} in {}", report.images.len(), duration(report.seconds))
}

const fn mark(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::ReusedLocal
        | Outcome::ReusedDigest
        | Outcome::ReusedTag
        | Outcome::ReusedKey
        | Outcome::Checked => "✅",
        Outcome::Missing => "🔎",
        Outcome::Merged => "🔗",
        Outcome::Built | Outcome::BuiltLocal => "🔨",
        Outcome::Failed => "❌",
    }
}

/// Each warning once, with the images that have it.
fn add_warnings(text: &mut String, report: &Report) {
    let degraded: Vec<&String> = report.images.iter().filter_map(|image| image.degraded.as_ref()).collect();
    for warning in unique(degraded.into_iter()) {
        let has = |image: &&ImageReport| image.degraded.as_ref() == Some(warning);
        let _ = writeln!(text, "> [!WARNING]\n> {}: {}\n", names(report, has), cell(warning));
    }
    for PlanWarning { text: warning, .. } in unique(report.warnings.iter()) {
        let _ = writeln!(text, "> [!WARNING]\n> {}\n", cell(warning));
    }
    for warning in unique(report.images.iter().flat_map(|image| &image.warnings)) {
        let has = |image: &&ImageReport| image.warnings.contains(warning);
        let _ = writeln!(text, "> [!WARNING]\n> {}: {}\n", names(report, has), cell(&warning.text));
    }
}

/// The names of the first images for which that holds, and how many more there are.
fn names(report: &Report, has: impl Fn(&&ImageReport) -> bool) -> String {
    let all: Vec<String> = report.images.iter().filter(has).map(|image| code(&image.image)).collect();
    shown::first(&all, MOST_FAILURES)
}

fn add_table(text: &mut String, report: &Report) {
    let (last, align) = if report.is_plan { ("to build", "---") } else { ("time | size", "---: | ---:") };
    let _ =
        writeln!(text, "| image | outcome | why | digest | {last} |\n| --- | --- | --- | --- | {align} |");
    for image in &report.images {
        let outcome = image.outcome.unwrap_or(Outcome::Failed);
        let digest = image.digest.as_ref().map(|digest| code(digest.as_str().get(..19).unwrap_or_default()));
        let last = if report.is_plan {
            image.jobs.iter().map(job_words).collect::<Vec<_>>().join("<br>")
        } else {
            let time = (image.seconds > 0.0).then(|| duration(image.seconds));
            format!("{} | {}", time.unwrap_or_default(), image.size.map(bytes).unwrap_or_default())
        };
        let _ = writeln!(
            text,
            "| {} | {} {} | {} | {} | {last} |",
            code(&image.image),
            mark(outcome),
            outcome.name(),
            cell(&cut(image.reason.lines().next().unwrap_or_default(), LONGEST_WHY)),
            digest.unwrap_or_default(),
        );
    }
    let _ = writeln!(text);
}

/// The first failures, and how many more there are.
fn add_failures(text: &mut String, report: &Report) {
    let failed: Vec<_> =
        report.images.iter().filter_map(|image| Some((image, image.error.as_ref()?))).collect();
    for (image, error) in failed.iter().take(MOST_FAILURES) {
        let _ = writeln!(text, "#### ❌ {}\n", code(&image.image));
        add_failure(text, Some(image), error);
    }
    let more = failed.len().saturating_sub(MOST_FAILURES);
    if more > 0 {
        let _ = writeln!(text, "{more} more images failed: the table says why.\n");
    }
}

/// The graph of the images that are built on others, for GitHub's Mermaid; `None` if none is, or there are too many to draw.
/// A base that was not asked for has no outcome.
fn graph(report: &Report) -> Option<String> {
    let mut drawn: Vec<&String> = Vec::new();
    for name in report.links.iter().flat_map(|(base, image)| [base, image]) {
        if !drawn.contains(&name) {
            drawn.push(name);
        }
    }
    if drawn.is_empty() || drawn.len() > MOST_IN_GRAPH {
        return None;
    }
    let mut text = "```mermaid\ngraph LR\n".to_owned();
    for (at, name) in drawn.iter().enumerate() {
        let image = report.images.iter().find(|image| image.image == **name);
        let _ = match image.map(|image| image.outcome.unwrap_or(Outcome::Failed)) {
            Some(outcome) => {
                writeln!(text, "  i{at}[\"{} {}<br>{}\"]", mark(outcome), label(name), outcome.name())
            }
            None => writeln!(text, "  i{at}[\"{}\"]", label(name)),
        };
    }
    let place = |name: &String| drawn.iter().position(|drawn| *drawn == name);
    for (base, image) in report.links.iter().filter_map(|(base, image)| place(base).zip(place(image))) {
        let _ = writeln!(text, "  i{base} --> i{image}");
    }
    text.push_str("```\n\n");
    Some(text)
}

/// A name in Mermaid's double quotes, where `#NUMBER;` is a character.
fn label(name: &str) -> String {
    let mut clean = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ' ') {
            clean.push(c);
        } else if !c.is_control() {
            let _ = write!(clean, "#{};", c as u32);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::failure::FailureClass;
    use crate::image::Digest;
    use crate::inputs::RunsOn;
    use crate::plan::MatrixJob;
    use crate::report::summary;

    fn image(name: &str, outcome: Outcome, reason: &str) -> ImageReport {
        let digest = (outcome != Outcome::Failed).then(|| Digest::of(name.as_bytes()));
        let done = outcome != Outcome::Failed;
        let image = ImageReport { image: name.into(), outcome: Some(outcome), ..ImageReport::default() };
        ImageReport { reason: reason.into(), digest, done, ..image }
    }

    fn report(images: Vec<ImageReport>) -> Report {
        Report { images, seconds: 75.0, read_seconds: 0.2, ..Report::default() }
    }

    #[test]
    fn a_chain_of_which_one_failed() {
        let denied = Error::new(FailureClass::Access, "failed to push").cause("denied <b>").hint("log in");
        let mut images = vec![
            image("base", Outcome::ReusedKey, "an image of the same content is there: h.example/ci:key-1"),
            image("api", Outcome::Built, "miss: `api/main.go` changed; compared with the image of commit 0a"),
            ImageReport {
                error: Some(denied),
                ..image("web", Outcome::Failed, "failed to push: denied <b>")
            },
            image("docs", Outcome::Built, "no image has this key"),
        ];
        images[1].seconds = 12.34;
        images[1].size = Some(12_345_678);
        images[3].degraded = Some("the layer cache is not written".into());
        let links = [("base", "api"), ("base", "web"), ("api", "web"), ("tools", "web")];
        let links = links.iter().map(|(base, image)| ((*base).into(), (*image).into())).collect();
        let zone = Some(("trusted", "push on the default branch".into()));
        insta::assert_snapshot!(summary(&Report { links, zone, ..report(images) }));
    }

    #[test]
    fn a_plan_of_several() {
        let mut missing = image("api", Outcome::Missing, "no image has this key");
        missing.digest = None;
        missing.jobs = ["linux/amd64", "linux/arm64"]
            .map(|platform| MatrixJob {
                image: "api".into(),
                target: None,
                platform: platform.parse().unwrap(),
                runs_on: RunsOn::Label("big".into()),
            })
            .to_vec();
        let base = image("base", Outcome::ReusedTag, "this commit's image is there: h.example/ci:sha-1");
        insta::assert_snapshot!(summary(&Report { is_plan: true, ..report(vec![base, missing]) }));
    }

    #[test]
    fn ten_failures_are_shown_and_the_others_counted() {
        let failed = |at: usize| {
            let error = Error::new(FailureClass::Build, format!("step {at} failed"));
            ImageReport { error: Some(error), ..image(&format!("i{at}"), Outcome::Failed, "failed") }
        };
        let text = summary(&report((0..23).map(failed).collect()));
        assert_eq!(text.matches("[!CAUTION]").count(), 10);
        assert!(text.contains("\n13 more images failed"), "{text}");
        assert_eq!(text.matches("| ❌ failed |").count(), 23);
    }

    #[test]
    fn no_name_leaves_its_place_in_the_graph() {
        assert_eq!(label("a\"]-->b;`\n<x>#"), "a#34;#93;--#62;b#59;#96;#60;x#62;#35;");
        let mut report = report(vec![image("```\n# x", Outcome::Built, ""), image("b", Outcome::Built, "")]);
        report.links = vec![("```\n# x".into(), "b".into())];
        let graph = graph(&report).unwrap();
        assert_eq!(graph.matches("```").count(), 2);
        assert_eq!(graph.matches("-->").count(), 1, "{graph}");
    }
}
