//! What old tools cannot do, and what is done instead: never another result without a word.

use crate::buildkit::{BuildSpec, Builder, Feature, Lack, OutputTarget, Versions};
use crate::error::{Error, Result};
use crate::facts::Toolchain;
use crate::failure::FailureKind;
use crate::inputs::ImageRequest;

/// What goes on without a feature.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Without {
    /// Said once each.
    pub notices: Vec<String>,
    /// Push, then pull, instead of both at once.
    pub pull_afterwards: bool,
}

/// The versions that build. What a builder that is at hand does not say, its engine's version or its
/// image's tag may; else it counts as new.
pub(super) fn of<'a>(toolchain: &'a Toolchain, inputs: &'a ImageRequest, at_hand: bool) -> Versions<'a> {
    let said = toolchain.builder.as_ref().and_then(|builder| builder.buildkit.as_deref());
    let buildkit = if !at_hand {
        inputs.settings.builder.image.as_deref().and_then(|image| image.rsplit_once(':')).map(|(_, tag)| tag)
    } else if toolchain.builder.as_ref().is_some_and(Builder::is_engine) && is_silent(said) {
        toolchain.engine.as_ref().and_then(|engine| of_engine(&engine.version))
    } else {
        said
    };
    Versions { buildx: &toolchain.buildx, buildkit }
}

/// What distributions build says no version.
fn is_silent(buildkit: Option<&str>) -> bool {
    buildkit.is_none_or(|text| text.starts_with("v0.0.0"))
}

/// The BuildKit in an old engine (moby, `vendor.mod`); `None` where it can all that is asked for.
fn of_engine(version: &str) -> Option<&'static str> {
    match version.split('.').next()?.parse::<u32>().ok()? {
        ..=22 => Some("v0.8.0"),
        23 | 24 => Some("v0.11.0"),
        25 => Some("v0.12.0"),
        _ => None,
    }
}

/// Looks at what this build uses. `own_annotations`: the user asked for some.
///
/// # Errors
/// If the result would be another one.
pub(super) fn check(spec: &BuildSpec, versions: Versions<'_>, own_annotations: bool) -> Result<Without> {
    let attests = spec.build.provenance.is_on() || spec.build.sbom.is_on();
    let uses = [
        (Feature::Floor, true),
        (Feature::OwnAnnotations, own_annotations),
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

/// What cannot be done with these tools at all.
pub(super) fn too_old(lack: &Lack) -> Error {
    Error::of(FailureKind::ToolTooOld, "failed to do what is asked with these tools")
        .cause(lack.to_string())
        .hint("update docker buildx (docker/setup-buildx-action installs a recent one) and the builder")
}
