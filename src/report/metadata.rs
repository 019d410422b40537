//! The output `metadata`: what buildx wrote of a build, as docker/build-push-action hands it on.

use std::path::Path;

use serde_json::{Map, Value};

use super::ImageReport;
use crate::{budget, shown};

/// The longest output `metadata`, in UTF-16 units: GitHub takes 1 MiB of outputs from a job, two bytes a unit, and the
/// other outputs need room.
const LONGEST_METADATA: usize = 400 * 1024;

/// The output, and a notice of what it lacks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Metadata {
    pub text: Option<String>,
    /// The notice, if something is left out.
    pub left_out: Option<String>,
}

/// Makes the output from buildx's `file`; without one, or if it cannot be read, from what is known of the image.
pub(super) fn image_metadata(file: Option<&Path>, report: &ImageReport) -> Metadata {
    let bytes = file.and_then(|path| budget::read_file(path, budget::METADATA).ok());
    match bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        Some(Value::Object(written)) => shortened(written),
        _ => Metadata { text: known_metadata(report), left_out: None },
    }
}

/// Digests and names under buildx's keys; `None` if there is no image.
fn known_metadata(report: &ImageReport) -> Option<String> {
    let id = report.image_id.as_ref()?;
    let mut fields = Map::new();
    let digest = report.digest.as_ref().map(ToString::to_string);
    // The id of an index is its own digest; it has no configuration.
    if digest.as_ref() != Some(id) {
        fields.insert("containerimage.config.digest".to_owned(), id.clone().into());
    }
    fields.extend(digest.map(|digest| ("containerimage.digest".to_owned(), digest.into())));
    let name = report.reference.as_ref().map(ToString::to_string).or_else(|| report.local_image.clone());
    let names = if report.tags.is_empty() { name } else { Some(report.tags.join(",")) };
    fields.extend(names.map(|names| ("image.name".to_owned(), names.into())));
    Some(Value::Object(fields).to_string())
}

/// Leaves out what makes the text too long: first the provenance, which has the whole build, then all but the image.
fn shortened(written: Map<String, Value>) -> Metadata {
    let mut whole = Value::Object(written);
    shown::hide_in(&mut whole);
    let text = whole.to_string();
    if length(&text) <= LONGEST_METADATA {
        return Metadata { text: Some(text), left_out: None };
    }
    let Value::Object(mut fields) = whole else { return Metadata::default() };
    let is_image = |name: &str| name.starts_with("containerimage.") || name.starts_with("image.");
    let is_no_provenance = |name: &str| !name.starts_with("buildx.build.provenance");
    for (what, stays) in [
        ("the provenance", &is_no_provenance as &dyn Fn(&str) -> bool),
        ("all but the image's digests and names", &is_image),
    ] {
        fields.retain(|name, _| stays(name));
        let text = Value::Object(fields.clone()).to_string();
        if length(&text) <= LONGEST_METADATA {
            let left_out = format!(
                "the output metadata is without {what}: it is too large for GitHub; the file that metadata-file names has it"
            );
            return Metadata { text: Some(text), left_out: Some(left_out) };
        }
    }
    let left_out =
        "the output metadata is empty: it is too large for GitHub; the file that metadata-file names has it"
            .to_owned();
    Metadata { text: None, left_out: Some(left_out) }
}

/// The length as GitHub counts it, in UTF-16 units.
fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(fields: &[(&str, &str)]) -> Metadata {
        shortened(fields.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect())
    }

    #[test]
    fn d47_metadata_too_large_for_github_is_shortened_with_a_notice() {
        let (image, long) = (("containerimage.digest", "sha256:1"), "x".repeat(LONGEST_METADATA));
        let small = written(&[image, ("buildx.build.provenance", "p")]);
        assert_eq!(small.left_out, None);
        assert!(small.text.unwrap().contains(r#""buildx.build.provenance":"p""#));
        for (name, what) in [
            ("buildx.build.provenance/linux/amd64", "without the provenance"),
            ("buildx.build.warnings", "without all but the image's digests and names"),
        ] {
            let large = written(&[image, (name, &long)]);
            assert_eq!(large.text.unwrap(), r#"{"containerimage.digest":"sha256:1"}"#, "{name}");
            assert!(large.left_out.unwrap().contains(what), "{name}");
        }
        let all = written(&[("image.name", &long)]);
        assert!(all.text.is_none() && all.left_out.unwrap().contains("is empty"));
    }
}
