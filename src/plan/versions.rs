//! What old tools cannot do, and what is done instead: never another result without a word.

use crate::error::{Error, FailureClass, Result};
use crate::facts::Toolchain;
use crate::ports::buildx::{BuildSpec, Feature, OutputTarget, Versions};

/// What goes on without a feature.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Without {
    /// Said once each.
    pub notices: Vec<String>,
    /// Push, then pull, instead of both at once.
    pub pull_afterwards: bool,
}

/// Looks at what this build uses. `own_annotations`: the user asked for some.
///
/// # Errors
/// If the result would be another one.
pub(super) fn check(
    spec: &BuildSpec,
    toolchain: &Toolchain,
    at_hand: bool,
    own_annotations: bool,
) -> Result<Without> {
    let builder = toolchain.builder.as_ref().filter(|_| at_hand);
    let versions = Versions {
        buildx: &toolchain.buildx,
        buildkit: builder.and_then(|builder| builder.buildkit.as_deref()),
    };
    let attests = [&spec.build.provenance, &spec.build.sbom].iter().any(|value| *value != "false");
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
            return Err(Error::new(FailureClass::Unsupported, "failed to do what is asked with these tools")
                .cause(lack.to_string())
                .hint(
                    "update docker buildx (docker/setup-buildx-action installs a recent one) and the builder",
                ));
        }
        without.pull_afterwards |= feature == Feature::PushAndLoad;
        without.notices.push(lack.to_string());
    }
    Ok(without)
}
