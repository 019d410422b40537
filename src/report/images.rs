//! The outputs about every image of the run, as JSON for `fromJSON`: `images`, `digests`, `missing`, `matrix`.

use serde_json::{Map, Value, json};

use super::{ImageReport, Report};
use crate::plan::Outcome;
use crate::shown::cut;

/// The most characters of all reasons in the output `images`: a job may have 1 MiB of outputs.
const ALL_REASONS: usize = 256 * 1024;

/// The most characters of one reason.
const ONE_REASON: usize = 2000;

/// What came of each image, by its name. What is not known of an image is left out.
pub(super) fn images(report: &Report) -> String {
    let longest = ONE_REASON.min(ALL_REASONS / report.images.len().max(1));
    let named = report.images.iter().map(|image| (image.image.clone(), of_image(image, longest)));
    Value::Object(named.collect()).to_string()
}

fn of_image(image: &ImageReport, longest_reason: usize) -> Value {
    let text = |text: Option<String>| text.map(Value::from);
    let reason = image.reason.lines().collect::<Vec<_>>().join(" ");
    let members = [
        ("outcome", text(image.outcome.map(|outcome| outcome.name().to_owned()))),
        ("reason", text((!reason.is_empty()).then(|| cut(&reason, longest_reason)))),
        ("digest", text(image.digest.as_ref().map(ToString::to_string))),
        ("tag", text(image.tag.clone())),
        ("commit-tag", text(image.commit_tag.clone())),
        ("key", text(image.key.clone())),
        ("reference", text(image.reference.as_ref().map(ToString::to_string))),
        ("local-image", text(image.local_image.clone())),
        ("built", Some(image.built.into())),
        ("pushed", Some(image.pushed.into())),
        ("seconds", Some(json!((image.seconds * 1000.0).round() / 1000.0))),
    ];
    let known = |(name, value): (&str, Option<Value>)| Some((name.to_owned(), value?));
    Value::Object(members.into_iter().filter_map(known).collect::<Map<_, _>>())
}

/// The digest of each image that has one, by its name. No host is in it, so that no mask empties it.
pub(super) fn digests(report: &Report) -> String {
    let digest = |image: &ImageReport| Some((image.image.clone(), image.digest.as_ref()?.to_string().into()));
    Value::Object(report.images.iter().filter_map(digest).collect()).to_string()
}

/// The names of the images that are not there, or of which that is not known. Empty if no image is known: then nobody may
/// read it as "none is missing".
pub(super) fn missing(report: &Report) -> String {
    if report.images.is_empty() {
        return String::new();
    }
    let is_missing =
        |image: &&ImageReport| matches!(image.outcome, None | Some(Outcome::Missing | Outcome::Failed));
    let names = report.images.iter().filter(is_missing).map(|image| image.image.clone());
    names.collect::<Value>().to_string()
}

/// The jobs that would build what is missing; empty without a plan, so that nobody reads it as "no job is needed".
pub(super) fn matrix(report: &Report) -> String {
    if !report.is_plan || report.error.is_some() {
        return String::new();
    }
    let jobs = report.images.iter().flat_map(|image| &image.jobs);
    json!(jobs.collect::<Vec<_>>()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::failure::FailureClass;

    fn image(name: &str, outcome: Option<Outcome>) -> ImageReport {
        ImageReport { image: name.into(), outcome, ..ImageReport::default() }
    }

    #[test]
    fn what_is_not_known_is_never_there() {
        let mut report = Report::default();
        assert_eq!((missing(&report), matrix(&report)), (String::new(), String::new()));
        report.images = vec![
            image("a", Some(Outcome::ReusedKey)),
            image("b", Some(Outcome::Missing)),
            image("c", None),
            image("d", Some(Outcome::BuiltLocal)),
        ];
        assert_eq!(missing(&report), r#"["b","c"]"#);
        report.is_plan = true;
        assert_eq!(matrix(&report), "[]");
        report.fail(Error::new(FailureClass::Access, "no login"));
        assert_eq!((missing(&report), matrix(&report)), (r#"["a","b","c","d"]"#.into(), String::new()));
    }

    #[test]
    fn a_long_reason_leaves_room_for_other_outputs() {
        let reason = "x\n".repeat(4096);
        let of = |at: usize| ImageReport { reason: reason.clone(), ..image(&format!("i{at}"), None) };
        let report = Report { images: (0..500).map(of).collect(), ..Report::default() };
        assert!(images(&report).len() < 400 * 1024);
    }
}
