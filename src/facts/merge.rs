//! What `mode: merge` reads: each part with its platforms.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use oci_spec::image::{Descriptor, MediaType};
use serde_json::{Value, json};

use crate::error::Result;
use crate::image::{DOCKER_MANIFEST, ImageReference, Manifest, Platform, Repository};
use crate::inputs::Part;
use crate::ports::registry::{Probe, Registry};

/// A part, and what the registry has of it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(crate) struct PartFact {
    /// As the input names it.
    pub(crate) part: Part,
    /// What it is; nothing where no repository of the run has it.
    pub(crate) found: Option<FoundPart>,
}

/// A part that is there.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(crate) struct FoundPart {
    /// Where.
    pub(crate) repository: Repository,
    /// Its own annotations.
    #[serde(skip)]
    pub(crate) annotations: BTreeMap<String, String>,
    /// What it adds to an index.
    pub(crate) lines: Vec<Line>,
}

/// One line of an index.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Line {
    /// What it names.
    pub(crate) kind: LineKind,
    /// The digest of what it names.
    pub(crate) digest: String,
    /// The line as it stands in an index.
    #[serde(skip)]
    pub(crate) descriptor: Value,
}

impl Line {
    /// The platform and the digest, if it names an image.
    pub(crate) const fn image(&self) -> Option<(&Platform, &String)> {
        match &self.kind {
            LineKind::Image(platform) => Some((platform, &self.digest)),
            LineKind::Attestation(_) | LineKind::Other => None,
        }
    }
}

/// What a line of an index names.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LineKind {
    /// An image.
    Image(Platform),
    /// An attestation of the image with this digest.
    Attestation(String),
    /// Neither.
    Other,
}

/// Asks for every part, in each of these repositories until one has it.
///
/// # Errors
/// If a registry does not say, or sends what cannot be read.
pub(super) async fn gather(
    registry: &Registry,
    parts: &[Part],
    repositories: &[&Repository],
) -> Result<Vec<PartFact>> {
    try_join_all(parts.iter().map(async |part| {
        for repository in repositories {
            let reference = repository.at(part.digest.clone());
            match registry.probe(&reference).await {
                Probe::Present(manifest) => {
                    let lines = lines(registry, &reference, &manifest).await?;
                    let annotations = manifest.annotations().into_iter().flatten();
                    let annotations =
                        annotations.map(|(name, value)| (name.clone(), value.clone())).collect();
                    let found = FoundPart { repository: (*repository).clone(), annotations, lines };
                    return Ok(PartFact { part: part.clone(), found: Some(found) });
                }
                Probe::Absent { .. } => {}
                Probe::Unknown(error) => return Err(error),
            }
        }
        Ok(PartFact { part: part.clone(), found: None })
    }))
    .await
}

async fn lines(registry: &Registry, reference: &ImageReference, manifest: &Manifest) -> Result<Vec<Line>> {
    if manifest.config().is_none() {
        return Ok(manifest.descriptors().iter().map(of_index).collect());
    }
    let said = registry.platform(reference, manifest).await?;
    let text = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let platform = platform(&text("os"), &text("architecture"), &text("variant"));
    let mut descriptor = json!({
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": manifest.length,
    });
    let kind = match platform {
        Some(platform) => {
            descriptor["platform"] = said.clone().into();
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

/// A line that stands in an index already. Attestations are those that BuildKit writes (BuildKit,
/// `docs/attestations/attestation-storage.md`).
fn of_index(descriptor: &Descriptor) -> Line {
    let annotation = |name: &str| descriptor.annotations().as_ref()?.get(name).cloned();
    let said = descriptor.platform().as_ref();
    let platform = said.and_then(|said| {
        let variant = said.variant().as_deref().unwrap_or_default();
        platform(&said.os().to_string(), &said.architecture().to_string(), variant)
    });
    let is_attestation =
        annotation("vnd.docker.reference.type").is_some_and(|kind| kind == "attestation-manifest");
    let is_image = *descriptor.media_type() == MediaType::ImageManifest
        || descriptor.media_type().to_string() == DOCKER_MANIFEST;
    let kind = match (platform, annotation("vnd.docker.reference.digest")) {
        (_, Some(of)) if is_attestation => LineKind::Attestation(of),
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
