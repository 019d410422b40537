//! Reads the parts of `mode: merge` with their platforms.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use oci_spec::image::{Descriptor, MediaType};
use serde_json::{Value, json};

use crate::error::Result;
use crate::image::{DOCKER_MANIFEST, ImageReference, Manifest, Platform, Repository};
use crate::inputs::Part;
use crate::ports::registry::{Probe, Registry};

/// A part of the input `digests`, and the registry's answer.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct PartFact {
    pub(crate) part: Part,
    /// `None` if no repository of the run has it.
    pub(crate) found: Option<FoundPart>,
}

/// A part that a repository has.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct FoundPart {
    pub(crate) repository: Repository,
    /// The annotations of its manifest or index.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
    /// The lines that it adds to the merged index.
    pub(crate) lines: Vec<Line>,
    /// Bytes of the image as the registry stores it; `None` for an index, whose images are not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
}

impl FoundPart {
    /// Each image and attestation by its digest, in the repository that has it.
    pub(crate) fn references(&self) -> impl Iterator<Item = ImageReference> {
        self.lines.iter().filter_map(|line| Some(self.repository.at(line.digest.parse().ok()?)))
    }
}

/// One line of an index: a descriptor.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Line {
    pub(crate) kind: LineKind,
    /// The digest of the manifest that the line names.
    pub(crate) digest: String,
    /// The line as JSON.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(crate) descriptor: Value,
}

impl Line {
    /// The platform and the digest of the image; `None` if the line names none.
    pub(crate) const fn image(&self) -> Option<(&Platform, &String)> {
        match &self.kind {
            LineKind::Image(platform) => Some((platform, &self.digest)),
            LineKind::Attestation(_) | LineKind::Other => None,
        }
    }
}

/// The kind of manifest that a line of an index names.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LineKind {
    Image(Platform),
    /// An attestation; the digest is that of its image.
    Attestation(String),
    Other,
}

/// Asks the repositories for every part, one repository after the other until one has it.
///
/// # Errors
/// If a registry does not answer, or its answer cannot be read.
pub(super) async fn gather(
    registry: &Registry,
    parts: &[Part],
    repositories: &[&Repository],
) -> Result<Vec<PartFact>> {
    try_join_all(parts.iter().map(async |part| {
        let mut found = None;
        for repository in repositories {
            found = read_part(registry, &repository.at(part.digest.clone())).await?;
            if found.is_some() {
                break;
            }
        }
        Ok(PartFact { part: part.clone(), found })
    }))
    .await
}

/// Reads an image or index that is to be part of another index; `None` if it is not there.
///
/// # Errors
/// As [`gather`].
pub(crate) async fn read_part(registry: &Registry, reference: &ImageReference) -> Result<Option<FoundPart>> {
    match registry.probe(reference).await {
        Probe::Present(manifest) => {
            let lines = read_lines(registry, reference, &manifest).await?;
            let annotations = manifest.annotations().into_iter().flatten();
            let annotations = annotations.map(|(name, value)| (name.clone(), value.clone())).collect();
            let (repository, size) = (reference.repository().clone(), manifest.size());
            Ok(Some(FoundPart { repository, annotations, lines, size }))
        }
        Probe::Absent { .. } => Ok(None),
        Probe::Unknown(error) => Err(error),
    }
}

/// The lines of an index, or one line for a single image.
async fn read_lines(
    registry: &Registry,
    reference: &ImageReference,
    manifest: &Manifest,
) -> Result<Vec<Line>> {
    if manifest.config().is_none() {
        return Ok(manifest.descriptors().iter().map(index_line).collect());
    }
    let config = registry.platform(reference, manifest).await?;
    let text = |name: &str| config.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let platform = platform(&text("os"), &text("architecture"), &text("variant"));
    let mut descriptor = json!({
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": manifest.length,
    });
    let kind = match platform {
        Some(platform) => {
            descriptor["platform"] = config.clone().into();
            LineKind::Image(platform)
        }
        None => LineKind::Other,
    };
    Ok(vec![Line { kind, digest: manifest.digest.to_string(), descriptor }])
}

fn platform(os: &str, architecture: &str, variant: &str) -> Option<Platform> {
    let variant = if variant.is_empty() { String::new() } else { format!("/{variant}") };
    format!("{os}/{architecture}{variant}").parse().ok()
}

/// Reads a line of an index. Attestations have the form that BuildKit writes (`docs/attestations/attestation-storage.md`).
pub(super) fn index_line(descriptor: &Descriptor) -> Line {
    let annotation = |name: &str| descriptor.annotations().as_ref()?.get(name).cloned();
    let platform = descriptor.platform().as_ref().and_then(|given| {
        let variant = given.variant().as_deref().unwrap_or_default();
        platform(&given.os().to_string(), &given.architecture().to_string(), variant)
    });
    let is_attestation =
        annotation("vnd.docker.reference.type").is_some_and(|kind| kind == "attestation-manifest");
    let is_image = *descriptor.media_type() == MediaType::ImageManifest
        || descriptor.media_type().to_string() == DOCKER_MANIFEST;
    let kind = match (platform, annotation("vnd.docker.reference.digest")) {
        (_, Some(image)) if is_attestation => LineKind::Attestation(image),
        (Some(platform), _)
            if is_image && !is_attestation && !platform.to_string().starts_with("unknown/") =>
        {
            LineKind::Image(platform)
        }
        _ => LineKind::Other,
    };
    let digest = descriptor.digest().to_string();
    Line { kind, digest, descriptor: serde_json::to_value(descriptor).unwrap_or_default() }
}
