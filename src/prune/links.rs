//! What a manifest refers to.

use serde_json::Value;

use crate::image::{ANNOTATION_KEY, Digest};

/// The references of one manifest, and who made it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Links {
    /// Manifests that an index lists.
    pub(crate) children: Vec<Digest>,
    /// The manifest that this one is about (signatures, attestations by the referrers API).
    pub(crate) subject: Option<Digest>,
    /// Layers and configuration with their bytes.
    pub(crate) blobs: Vec<(Digest, u64)>,
    /// Bytes of the manifest itself.
    pub(crate) length: u64,
    /// Who made it, if the content tells.
    pub(crate) maker: Maker,
}

/// Who made a manifest, by its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Maker {
    /// build-once: it carries a build key.
    BuildOnce,
    /// BuildKit: a layer cache.
    LayerCache,
    /// BuildKit: attestations of an image of the same index.
    Attestation,
    #[default]
    Unknown,
}

/// The text is no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoManifest(String);

/// The type of the configuration of a layer cache (BuildKit, `cache/remotecache/v1`).
const CACHE_CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";
/// The type of an attestation (in-toto).
const IN_TOTO: &str = "application/vnd.in-toto+json";

/// Reads a manifest of any type: an image, an index, an artifact, docker's schema 1.
///
/// # Errors
/// If it is not JSON, or a reference in it cannot be read: then it is not known what it needs.
pub(crate) fn read_links(bytes: &[u8]) -> Result<Links, NoManifest> {
    let document: Value =
        serde_json::from_slice(bytes).map_err(|error| NoManifest(format!("it is not JSON ({error})")))?;
    if !document.is_object() || document.get("schemaVersion").and_then(Value::as_u64).is_none() {
        return Err(NoManifest("it is no manifest: schemaVersion is missing".to_owned()));
    }
    let mut links = Links { length: bytes.len() as u64, ..Links::default() };
    let mut layers = 0;
    let mut attestations = 0;
    for descriptor in list(&document, "manifests")? {
        let (digest, size) = reference(descriptor)?;
        // An older layer cache is an index of layers.
        if is_manifest(descriptor) {
            links.children.push(digest);
        } else {
            if descriptor["mediaType"] == CACHE_CONFIG {
                links.maker = Maker::LayerCache;
            }
            links.blobs.push((digest, size));
        }
    }
    for name in ["layers", "blobs"] {
        for descriptor in list(&document, name)? {
            layers += 1;
            attestations += usize::from(descriptor["mediaType"] == IN_TOTO);
            links.blobs.push(reference(descriptor)?);
        }
    }
    if let Some(config) = document.get("config").filter(|config| !config.is_null()) {
        links.blobs.push(reference(config)?);
        if config["mediaType"] == CACHE_CONFIG {
            links.maker = Maker::LayerCache;
        }
    }
    if let Some(subject) = document.get("subject").filter(|subject| !subject.is_null()) {
        links.subject = Some(reference(subject)?.0);
    }
    if layers > 0 && layers == attestations {
        links.maker = Maker::Attestation;
    }
    if document["annotations"][ANNOTATION_KEY].is_string() {
        links.maker = Maker::BuildOnce;
    }
    Ok(links)
}

/// A list of the document; `null` is an empty one, as Go writes it.
fn list<'a>(document: &'a Value, name: &str) -> Result<&'a [Value], NoManifest> {
    match document.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(NoManifest(format!("its {name} are no list"))),
    }
}

fn reference(descriptor: &Value) -> Result<(Digest, u64), NoManifest> {
    let digest = descriptor["digest"].as_str().unwrap_or_default();
    let digest =
        digest.parse().map_err(|_| NoManifest(format!("it refers to {digest:?}, which is no digest")))?;
    Ok((digest, descriptor["size"].as_u64().unwrap_or_default()))
}

/// Tells whether an index lists a manifest there. A descriptor without a type may be one.
fn is_manifest(descriptor: &Value) -> bool {
    descriptor["mediaType"].as_str().is_none_or(|kind| {
        kind.contains(".manifest.") || kind.contains(".index.") || kind.contains("manifest.list")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn digest(n: u8) -> String {
        Digest::of(&[n]).to_string()
    }

    fn read(document: &Value) -> Result<Links, NoManifest> {
        read_links(document.to_string().as_bytes())
    }

    #[test]
    fn every_type_is_read() {
        let of = |n: u8| digest(n).parse::<Digest>().unwrap();
        let image = json!({
            "schemaVersion": 2, "config": {"digest": digest(1), "size": 7},
            "layers": [{"digest": digest(2), "size": 9}], "annotations": {ANNOTATION_KEY: "k"},
            "subject": {"digest": digest(3), "size": 1},
        });
        let links = read(&image).unwrap();
        assert_eq!((links.blobs, links.subject), (vec![(of(2), 9), (of(1), 7)], Some(of(3))));
        assert_eq!((links.maker, links.children), (Maker::BuildOnce, Vec::new()));
        let index = json!({"schemaVersion": 2, "manifests": [
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(1), "size": 1},
            {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest(2), "size": 1},
            {"mediaType": "application/vnd.docker.distribution.manifest.list.v2+json", "digest": digest(3), "size": 1},
            {"digest": digest(4), "size": 1},
        ]});
        assert_eq!(read(&index).unwrap().children, [of(1), of(2), of(3), of(4)]);
        let cache = json!({"schemaVersion": 2, "manifests": [
            {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "digest": digest(1), "size": 5},
            {"mediaType": CACHE_CONFIG, "digest": digest(2), "size": 3},
        ]});
        let links = read(&cache).unwrap();
        assert_eq!((links.children.len(), links.blobs.len(), links.maker), (0, 2, Maker::LayerCache));
        let cache = json!({"schemaVersion": 2, "config": {"mediaType": CACHE_CONFIG, "digest": digest(2)}, "layers": null});
        assert_eq!(read(&cache).unwrap().maker, Maker::LayerCache);
        let attestation =
            json!({"schemaVersion": 2, "layers": [{"mediaType": IN_TOTO, "digest": digest(2)}]});
        assert_eq!(read(&attestation).unwrap().maker, Maker::Attestation);
        let schema1 = json!({"schemaVersion": 1, "fsLayers": [{"blobSum": digest(1)}]});
        assert_eq!(read(&schema1).unwrap().maker, Maker::Unknown);
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for document in [
            json!([]),
            json!({}),
            json!({"schemaVersion": 2, "manifests": 3}),
            json!({"schemaVersion": 2, "manifests": [{"digest": "sha512:00"}]}),
            json!({"schemaVersion": 2, "manifests": [{}]}),
            json!({"schemaVersion": 2, "subject": {"digest": ""}}),
            json!({"schemaVersion": 2, "config": {"digest": 1}}),
        ] {
            assert!(read(&document).is_err(), "{document}");
        }
        assert!(read_links(b"<html>").is_err());
    }
}
