//! Checks what old tools cannot do, and plans what is done instead. A build whose result would differ is refused.

use crate::buildkit::{BuildSpec, Builder, Feature, Lack, OutputTarget, Versions};
use crate::error::{Error, Result};
use crate::facts::Toolchain;
use crate::failure::FailureKind;
use crate::inputs::ImageRequest;

/// How a build goes on without some features.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Without {
    /// One text for each missing feature.
    pub notices: Vec<String>,
    /// True if the build pushes and the engine pulls, instead of both at once.
    pub pull_afterwards: bool,
}

/// The versions of the tools that build. If a builder at hand does not tell its version, the engine's version tells it;
/// that of a new builder is its image's tag. An unknown version counts as new.
pub(super) fn in_use<'a>(toolchain: &'a Toolchain, inputs: &'a ImageRequest, at_hand: bool) -> Versions<'a> {
    let told = toolchain.builder.as_ref().and_then(|builder| builder.buildkit.as_deref());
    let buildkit = if !at_hand {
        inputs.settings.builder.image.as_deref().and_then(|image| image.rsplit_once(':')).map(|(_, tag)| tag)
    } else if toolchain.builder.as_ref().is_some_and(Builder::is_engine) && is_silent(told) {
        toolchain.engine.as_ref().and_then(|engine| of_engine(&engine.version))
    } else {
        told
    };
    Versions { buildx: &toolchain.buildx, buildkit }
}

/// True for a BuildKit that tells no version, as those that distributions build.
fn is_silent(buildkit: Option<&str>) -> bool {
    buildkit.is_none_or(|text| text.starts_with("v0.0.0"))
}

/// The BuildKit in an old engine (moby, `vendor.mod`); `None` for a newer one, which has every feature.
fn of_engine(version: &str) -> Option<&'static str> {
    match version.split('.').next()?.parse::<u32>().ok()? {
        ..=22 => Some("v0.8.0"),
        23 | 24 => Some("v0.11.0"),
        25 => Some("v0.12.0"),
        _ => None,
    }
}

/// Checks every feature that this build uses. `own_annotations`: the user sets some.
///
/// # Errors
/// If a feature is missing without which the result would differ.
pub(super) fn check(spec: &BuildSpec, versions: Versions<'_>, own_annotations: bool) -> Result<Without> {
    let attests = spec.build.provenance.is_on() || spec.build.sbom.is_on();
    let uses = [
        (Feature::Floor, true),
        (Feature::UserAnnotations, own_annotations),
        (Feature::Attestations, attests),
        (Feature::SourcePolicy, !spec.sources.is_empty()),
        (Feature::Annotations, !spec.build.annotations.is_empty()),
        (Feature::RawJson, true),
        (Feature::PushAndLoad, spec.output == OutputTarget::PushAndLoad),
    ];
    let mut without = Without::default();
    for (feature, _) in uses.into_iter().filter(|(_, used)| *used) {
        let Some(lack) = versions.lacks(feature) else { continue };
        if lack.instead.is_none() {
            return Err(too_old(&lack));
        }
        without.pull_afterwards |= feature == Feature::PushAndLoad;
        without.notices.push(lack.to_string());
    }
    Ok(without)
}

/// The error for a feature that these tools lack.
pub(super) fn too_old(lack: &Lack) -> Error {
    Error::of(FailureKind::ToolTooOld, "failed to do what is asked with these tools")
        .cause(lack.to_string())
        .hint("update docker buildx (docker/setup-buildx-action installs a recent one) and the builder")
}
