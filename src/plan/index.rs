//! An index that the program writes itself. A *line* is one entry of its `manifests`. The same lines and annotations
//! give the same bytes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::parts::{check_platform, common};
use super::source::Source;
use crate::error::{Error, Result};
use crate::facts::{FoundPart, Line, LineKind};
use crate::failure::FailureKind;
use crate::image::{Digest, ImageReference, OCI_INDEX, Platform};
use crate::shown;

/// An image index, complete.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Index {
    /// The digest of `text`.
    pub(crate) digest: Digest,
    /// Each image's platform and digest.
    pub(crate) images: Vec<(Platform, String)>,
    /// Each image and attestation, by its digest in the repository that has it.
    #[serde(skip)]
    pub(crate) parts: Vec<ImageReference>,
    /// Bytes of all images as the registry stores them, if each one's are known.
    #[serde(skip)]
    pub(crate) size: Option<u64>,
    /// The JSON that is stored.
    #[serde(skip)]
    pub(crate) text: String,
}

impl Index {
    pub(crate) const MEDIA_TYPE: &'static str = OCI_INDEX;

    /// Makes the index of the images and attestations of these parts. Besides `annotations` it gets what all parts say of
    /// their commit, so that the same parts are the same index in every later commit.
    pub(crate) fn of_parts(parts: &[&FoundPart], mut annotations: BTreeMap<String, String>) -> Self {
        annotations.extend(common(parts));
        let lines: Vec<Line> = parts.iter().flat_map(|part| part.lines.iter().cloned()).collect();
        let sizes: Option<Vec<u64>> = parts.iter().map(|part| part.size).collect();
        Self {
            parts: parts.iter().flat_map(|part| part.references()).collect(),
            size: sizes.and_then(|sizes| sizes.into_iter().try_fold(0, u64::checked_add)),
            ..Self::new(&lines, &annotations)
        }
    }

    /// Makes the index. Images are sorted by platform, each before its attestations; the order of `lines` does not
    /// count. `plan::merge` lets no other lines in, and each platform once.
    pub(crate) fn new(lines: &[Line], annotations: &BTreeMap<String, String>) -> Self {
        let own = |(platform, digest): (&Platform, &String)| (platform.clone(), digest.clone());
        let mut images: Vec<_> = lines.iter().filter_map(Line::image).map(own).collect();
        images.sort();
        let rank = |line: &Line| {
            let image = match &line.kind {
                LineKind::Attestation(image) => image,
                LineKind::Image(_) | LineKind::Other => &line.digest,
            };
            let at = images.iter().position(|(_, digest)| digest == image);
            let is_attestation = matches!(line.kind, LineKind::Attestation(_));
            (at, is_attestation, line.digest.clone(), line.descriptor.to_string())
        };
        let mut lines: Vec<&Line> = lines.iter().collect();
        lines.sort_by_key(|line| rank(line));
        let manifests: Vec<Value> = lines.into_iter().map(|line| line.descriptor.clone()).collect();
        let mut document =
            json!({ "schemaVersion": 2, "mediaType": Self::MEDIA_TYPE, "manifests": manifests });
        if !annotations.is_empty() {
            document["annotations"] = json!(annotations);
        }
        document.sort_all_objects();
        let text = document.to_string();
        Self { digest: Digest::of(text.as_bytes()), images, parts: Vec::new(), size: None, text }
    }

    /// The platforms, as people read them.
    pub(crate) fn platforms(&self) -> String {
        shown::list(self.images.iter().map(|(platform, _)| platform))
    }
}

/// An index of images of which this run builds some.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(crate) struct JoinedIndex {
    /// Images from before the run.
    pub(crate) there: Vec<FoundPart>,
    /// Images that earlier actions build.
    pub(crate) built: Vec<BuiltPart>,
    /// The annotations that do not depend on the images.
    #[serde(skip)]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// An image for one platform that an earlier action builds.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(crate) struct BuiltPart {
    pub(crate) platform: Platform,
    pub(crate) source: Source,
}

impl JoinedIndex {
    /// The index, once all images are there. `built`: in the order of [`Self::built`].
    ///
    /// # Errors
    /// If an image is not for its platform.
    pub(crate) fn index(&self, built: &[FoundPart]) -> Result<Index> {
        for (own, part) in self.built.iter().zip(built) {
            check_platform(part, &own.platform).map_err(|why| {
                let what = format!("the image for {} was not built right: {why}", own.platform);
                Error::of(FailureKind::BadAnswer, what)
                    .hint("the builder made something else than it was asked for")
            })?;
        }
        let parts: Vec<&FoundPart> = self.there.iter().chain(built).collect();
        Ok(Index::of_parts(&parts, self.annotations.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: LineKind, digest: &str) -> Line {
        Line { kind, digest: digest.to_owned(), descriptor: json!({"size": 1, "digest": digest}) }
    }

    #[test]
    fn the_order_of_the_lines_does_not_count() {
        let image = |platform: &str, digest| line(LineKind::Image(platform.parse().unwrap()), digest);
        let proof = |of: &str, digest| line(LineKind::Attestation(of.to_owned()), digest);
        let mut lines = vec![
            proof("sha256:1", "sha256:0"),
            image("linux/arm64", "sha256:1"),
            image("linux/arm/v7", "sha256:3"),
            proof("sha256:1", "sha256:9"),
            image("linux/amd64", "sha256:8"),
        ];
        let annotations =
            BTreeMap::from([("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())]);
        let index = Index::new(&lines, &annotations);
        assert_eq!(index.platforms(), "linux/amd64, linux/arm/v7, linux/arm64");
        let line = |digest: u8| format!(r#"{{"digest":"sha256:{digest}","size":1}}"#);
        let expected = format!(
            r#"{{"annotations":{{"a":"1","b":"2"}},"manifests":[{}],"mediaType":"{}","schemaVersion":2}}"#,
            [8, 3, 1, 0, 9].map(line).join(","),
            Index::MEDIA_TYPE
        );
        assert_eq!(
            (index.text.as_str(), &index.digest),
            (expected.as_str(), &Digest::of(expected.as_bytes()))
        );
        for _ in 0..lines.len() {
            lines.rotate_left(1);
            assert_eq!(Index::new(&lines, &annotations), index);
        }
        assert!(!Index::new(&lines, &BTreeMap::new()).text.contains("annotations"));
    }
}
