//! Verifies that a generation is an OCI layout (OCI image layout specification) with every blob, each in its size.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::budget::{self, CACHE_DOCUMENT, CACHE_DOCUMENTS, Most};
use crate::image::Digest;

/// Verifies a generation and lists its files.
///
/// # Errors
/// Says which file is missing or wrong.
pub(super) fn generation(path: &Path) -> Result<Vec<PathBuf>, String> {
    let index = path.join("index.json");
    let mut files = BTreeSet::from([index.clone()]);
    let is_file = fs_err::symlink_metadata(&index).is_ok_and(|metadata| metadata.is_file());
    let text =
        budget::read_file(&index, CACHE_DOCUMENT).ok().filter(|_| is_file).ok_or("nothing was exported")?;
    let mut documents = vec![parse(&text)?];
    let mut bytes_read = text.len() as u64;
    while let Some(document) = documents.pop() {
        for descriptor in descriptors(&document) {
            let (digest, blob) = find_blob(path, descriptor)?;
            let kind = descriptor["mediaType"].as_str().unwrap_or_default();
            let is_document = kind.contains("manifest") || kind.contains("image.index");
            // A document is read, because the blobs that it lists would else be removed as unknown.
            if files.insert(blob.clone()) && is_document {
                let bytes = budget::read_file(&blob, CACHE_DOCUMENT).map_err(|error| error.to_string())?;
                if Digest::of(&bytes) != digest {
                    return Err(format!("{digest} has other content"));
                }
                bytes_read += bytes.len() as u64;
                if bytes_read > CACHE_DOCUMENTS {
                    return Err(format!("its manifests are larger than {}", Most::Bytes(CACHE_DOCUMENTS)));
                }
                documents.push(parse(&bytes)?);
            }
        }
    }
    if files.len() < 2 {
        return Err("nothing was exported".to_owned());
    }
    Ok(files.into_iter().collect())
}

/// Finds the blob of a descriptor, which must have the size that the descriptor says. Layers are not read: that would take
/// as long as to load them, and BuildKit checks their digests.
fn find_blob(layout: &Path, descriptor: &Value) -> Result<(Digest, PathBuf), String> {
    let (Some(digest), Some(size)) = (descriptor["digest"].as_str(), descriptor["size"].as_u64()) else {
        return Err("a descriptor has no digest or no size".to_owned());
    };
    let digest: Digest = digest.parse().map_err(|error| format!("{error}"))?;
    let (algorithm, hex) = digest.as_str().split_once(':').unwrap_or_default();
    let blob = layout.join("blobs").join(algorithm).join(hex);
    match fs_err::symlink_metadata(&blob).ok().filter(std::fs::Metadata::is_file) {
        Some(metadata) if metadata.len() == size => Ok((digest, blob)),
        Some(metadata) => Err(format!("{digest} has {} bytes instead of {size}", metadata.len())),
        None => Err(format!("{digest} is not there")),
    }
}

fn parse(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("a document is not JSON: {error}"))
}

/// The descriptors of an index or a manifest.
fn descriptors(document: &Value) -> Vec<&Value> {
    let list = |name: &str| document[name].as_array().into_iter().flatten();
    list("manifests")
        .chain(list("layers"))
        .chain(document["config"].as_object().map(|_| &document["config"]))
        .collect()
}
