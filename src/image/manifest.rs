//! Reads manifests and indexes as a registry returns them.

use std::collections::{BTreeSet, HashMap};

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
use serde_json::Value;

use super::Digest;
use crate::guards::Guard;

/// The annotation (manifest, index) and label (config) that carries the build key.
pub const ANNOTATION_KEY: &str = "io.github.build-once.key";

/// The annotation or label that carries what the key was made from (`key::explain`).
pub(crate) const ANNOTATION_ENTRIES: &str = "io.github.build-once.entries";

/// The annotation that carries the zone of the run that published the image.
pub(crate) const ANNOTATION_ZONE: &str = "io.github.build-once.zone";

/// The annotation that carries the commit.
pub(crate) const ANNOTATION_REVISION: &str = "org.opencontainers.image.revision";

/// The annotation that carries the commit's time: seconds since 1970, UTC, by the clock of who committed.
pub(crate) const ANNOTATION_COMMITTED: &str = "io.github.build-once.committed";

/// The annotation or label with the image's version, which docker/metadata-action writes.
pub(crate) const ANNOTATION_VERSION: &str = "org.opencontainers.image.version";

/// The annotation that carries the merge of that commit which GitHub checked out.
pub(crate) const ANNOTATION_MERGE_REVISION: &str = "io.github.build-once.merge-revision";

/// Tells whether a label or annotation, with or without its type (`manifest:`), is set by build-once.
#[must_use]
pub(crate) fn is_own_label(name: &str) -> bool {
    Guard::OwnLabels.holds() && name.contains("io.github.build-once.")
}

/// Reads the `ONBUILD` instructions in an image's configuration. An entry that is not a string is kept as JSON, which no
/// Dockerfile parser accepts.
#[must_use]
pub(crate) fn triggers(config: &Value) -> Vec<String> {
    let list = config["OnBuild"].as_array().into_iter().flatten();
    list.map(|entry| entry.as_str().map_or_else(|| entry.to_string(), str::to_owned)).collect()
}

/// The types in the header `Accept`: indexes and single images, of OCI and of docker.
pub const MEDIA_TYPES: [&str; 4] = [OCI_INDEX, DOCKER_INDEX, OCI_MANIFEST, DOCKER_MANIFEST];
/// The type of an OCI index.
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The type of docker's index (`image-manifest-v2-2`, "manifest list").
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// The type of the OCI manifest of a single image.
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The type of docker's manifest of a single image (`image-manifest-v2-2`).
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A manifest or an index, with the digest of its exact bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Digest of the bytes as received.
    pub digest: Digest,
    /// The type in the document, else in the registry's answer.
    pub media_type: String,
    /// Bytes of the document.
    pub length: u64,
    body: Body,
}

#[derive(Clone, Debug, PartialEq)]
enum Body {
    Image(Box<ImageManifest>),
    Index(Box<ImageIndex>),
}

/// The bytes are neither an image manifest nor an index.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The bytes are not JSON of the expected shape.
    #[error("the manifest is not readable")]
    Syntax(#[from] serde_json::Error),
    /// The document has another type, for example Docker's schema 1.
    #[error("`{0}` is not a type of image manifest")]
    MediaType(String),
}

/// Removes each `null`, which Go writes for an empty list or map, and adds the list that the document must have.
fn repair(document: &mut Value) {
    without_nulls(document);
    let list = if document.get("config").is_some() { "layers" } else { "manifests" };
    if let Some(members) = document.as_object_mut() {
        members.entry(list).or_insert_with(|| Value::Array(Vec::new()));
    }
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

impl Manifest {
    /// Reads a response body. `content_type` counts if the document does not name its type.
    ///
    /// # Errors
    /// If the bytes are no manifest of a known type.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self, ManifestError> {
        let mut document: Value = serde_json::from_slice(bytes)?;
        let guess = if document["manifests"].is_null() { OCI_MANIFEST } else { OCI_INDEX };
        let media_type = document["mediaType"].as_str().or(content_type).unwrap_or(guess).to_owned();
        repair(&mut document);
        let body = match media_type.as_str() {
            OCI_INDEX | DOCKER_INDEX => Body::Index(Box::new(serde_json::from_value(document)?)),
            OCI_MANIFEST | DOCKER_MANIFEST => Body::Image(Box::new(serde_json::from_value(document)?)),
            _ => return Err(ManifestError::MediaType(media_type)),
        };
        Ok(Self { digest: Digest::of(bytes), media_type, length: bytes.len() as u64, body })
    }

    /// The digest of a single image's configuration.
    #[must_use]
    pub fn config_digest(&self) -> Option<Digest> {
        self.config()?.digest().to_string().parse().ok()
    }

    /// The document's own annotations.
    #[must_use]
    pub fn annotations(&self) -> Option<&HashMap<String, String>> {
        match &self.body {
            Body::Image(manifest) => manifest.annotations().as_ref(),
            Body::Index(index) => index.annotations().as_ref(),
        }
    }

    /// An annotation of the document itself.
    #[must_use]
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations()?.get(name).map(String::as_str)
    }

    /// The image's configuration, which has its labels; `None` for an index.
    #[must_use]
    pub fn config(&self) -> Option<&Descriptor> {
        match &self.body {
            Body::Image(manifest) => Some(manifest.config()),
            Body::Index(_) => None,
        }
    }

    /// The configuration and the layers of a single image, those that only their own URLs have left out; empty for an index.
    #[must_use]
    pub(crate) fn blobs(&self) -> Vec<&Descriptor> {
        let Body::Image(manifest) = &self.body else { return Vec::new() };
        let elsewhere = |blob: &&Descriptor| {
            let kind = blob.media_type().to_string();
            kind.contains(".foreign.") || kind.contains(".nondistributable.")
        };
        let layers = manifest.layers().iter().filter(|layer| !elsewhere(layer));
        std::iter::once(manifest.config()).chain(layers).collect()
    }

    /// All manifests of an index, attestations too; empty for a single image.
    #[must_use]
    pub fn descriptors(&self) -> &[Descriptor] {
        match &self.body {
            Body::Image(_) => &[],
            Body::Index(index) => index.manifests(),
        }
    }

    /// The images of an index without attestations; empty for a single image.
    pub fn children(&self) -> impl Iterator<Item = &Descriptor> {
        self.descriptors().iter().filter(|child| {
            // BuildKit gives an attestation the platform `unknown/unknown`. A type that is not OCI's may be docker's.
            matches!(child.media_type(), MediaType::ImageManifest | MediaType::Other(_))
                && child.platform().as_ref().is_none_or(|platform| platform.os().to_string() != "unknown")
        })
    }

    /// The images of an index that a build for these platforms may take: those of the same operating system and
    /// architecture, or all if a platform has no such image.
    #[must_use]
    pub fn children_for(&self, platforms: &[String]) -> BTreeSet<Digest> {
        let all: Vec<(String, Digest)> = self
            .children()
            .filter_map(|child| {
                let platform = child.platform().as_ref();
                let platform =
                    platform.map(|platform| format!("{}/{}", platform.os(), platform.architecture()));
                Some((platform.unwrap_or_default(), child.digest().to_string().parse().ok()?))
            })
            .collect();
        let mut wanted = BTreeSet::new();
        for platform in platforms {
            // `linux/arm` serves `linux/arm/v7`.
            let serves = |child: &str| {
                platform.strip_prefix(child).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            let is_listed = all.iter().any(|(child, _)| serves(child));
            wanted.extend(
                all.iter().filter(|(child, _)| !is_listed || serves(child)).map(|(_, digest)| digest.clone()),
            );
        }
        wanted
    }

    /// Bytes of configuration and layers as stored (compressed); `None` for an index, and if the sum overflows.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        match &self.body {
            Body::Image(manifest) => {
                let mut sizes = manifest.layers().iter().map(Descriptor::size);
                sizes.try_fold(manifest.config().size(), u64::checked_add)
            }
            Body::Index(_) => None,
        }
    }

    /// The number of layers; `None` for an index.
    #[must_use]
    pub fn layers(&self) -> Option<usize> {
        match &self.body {
            Body::Image(manifest) => Some(manifest.layers().len()),
            Body::Index(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"mediaType":"application/vnd.oci.image.config.v1+json","size":7,"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}"#;

    #[test]
    fn reads_an_image_and_its_key() {
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{CONFIG},"layers":[],"annotations":{{"{ANNOTATION_KEY}":"abc"}}}}"#,
            MEDIA_TYPES[2]
        );
        let manifest = Manifest::parse(text.as_bytes(), None).unwrap();
        assert_eq!(manifest.annotation(ANNOTATION_KEY), Some("abc"));
        assert_eq!(manifest.size(), Some(7));
        assert_eq!(manifest.digest, Digest::of(text.as_bytes()));
    }

    #[test]
    fn an_index_lists_images_not_attestations() {
        let child = |os: &str| {
            format!(
                r#"{{"mediaType":"{}","size":1,"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","platform":{{"os":"{os}","architecture":"amd64"}}}}"#,
                MEDIA_TYPES[2]
            )
        };
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{},{}]}}"#,
            MEDIA_TYPES[0],
            child("linux"),
            child("unknown")
        );
        let manifest = Manifest::parse(text.as_bytes(), None).unwrap();
        assert_eq!(manifest.children().count(), 1);
        assert!(manifest.config().is_none());
    }

    /// What `FROM scratch` and `LABEL` alone make, as BuildKit writes it.
    #[test]
    fn d72_null_is_an_empty_list() {
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{CONFIG},"layers":null,"annotations":null}}"#,
            MEDIA_TYPES[2]
        );
        let manifest = Manifest::parse(text.as_bytes(), None).unwrap();
        assert_eq!((manifest.size(), manifest.layers()), (Some(7), Some(0)));
        assert_eq!(manifest.digest, Digest::of(text.as_bytes()), "of the bytes as they came");
        let config = CONFIG.replace('}', r#","urls":null,"annotations":null,"platform":null}"#);
        let text = format!(r#"{{"schemaVersion":2,"mediaType":"{}","config":{config}}}"#, MEDIA_TYPES[2]);
        assert_eq!(Manifest::parse(text.as_bytes(), None).unwrap().layers(), Some(0));
        for list in ["null", "[]"] {
            let text =
                format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":{list}}}"#, MEDIA_TYPES[0]);
            assert_eq!(Manifest::parse(text.as_bytes(), None).unwrap().children().count(), 0);
        }
    }

    #[test]
    fn d32_sizes_without_a_sum_are_no_size() {
        let layer = CONFIG.replace(":7,", ":18446744073709551615,");
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{CONFIG},"layers":[{layer}]}}"#,
            MEDIA_TYPES[2]
        );
        assert_eq!(Manifest::parse(text.as_bytes(), None).unwrap().size(), None);
    }

    #[test]
    fn refuses_what_is_no_manifest() {
        assert!(Manifest::parse(b"<html>", None).is_err());
        let schema1 =
            br#"{"schemaVersion":1,"mediaType":"application/vnd.docker.distribution.manifest.v1+json"}"#;
        assert!(matches!(Manifest::parse(schema1, None), Err(ManifestError::MediaType(_))));
    }
}
