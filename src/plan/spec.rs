//! What exactly is built: the inputs, and what the key and the plan add to them.

use super::assemble::Given;
use super::extra_args;
use crate::env;
use crate::error::{Error, Result};
use crate::facts::{Pin, Toolchain};
use crate::image::{ANNOTATION_ENTRIES, ANNOTATION_KEY};
use crate::inputs::BuildInputs;
use crate::key::{BuildKey, explain};
use crate::ports::buildx::OutputTarget;

/// The build's own inputs, with pinned bases, the key, and extra arguments expanded.
///
/// # Errors
/// If an extra argument is refused or names what is not known.
pub(super) fn build_inputs(
    given: &Given<'_>,
    toolchain: &Toolchain,
    key: &BuildKey,
    output: OutputTarget,
) -> Result<BuildInputs> {
    let inputs = &given.inputs.build;
    // A base that was resolved for the key is the base that is built on, whatever its tag
    // names by then.
    let pins = given.facts.bases.iter().filter_map(|base| match &base.pin {
        Pin::Registry(reference) => Some((base.name.clone(), format!("docker-image://{reference}"))),
        Pin::Engine(_) | Pin::AsWritten => None,
    });
    let annotations = annotations(given, toolchain, key, output);
    let mut labels = inputs.labels.clone();
    labels.push((ANNOTATION_KEY.to_owned(), key.hex.clone()));
    // A function of the key alone, as the key's own label is: equal keys keep equal configurations.
    let travels = annotations.iter().any(|(name, _)| name.ends_with(ANNOTATION_ENTRIES));
    if !travels || !toolchain.buildx.has_annotations() {
        labels.push((ANNOTATION_ENTRIES.to_owned(), explain::encode(key)));
    }
    Ok(BuildInputs {
        file: Some(inputs.dockerfile()),
        build_contexts: inputs.build_contexts.iter().cloned().chain(pins).collect(),
        labels,
        annotations,
        extra_args: extra(given, &key.hex)?,
        ..inputs.clone()
    })
}

/// The facts that travel with a published image. They are annotations, not labels: a label
/// would give the same content another configuration in every commit. The engine's old image
/// store cannot write them; there the key's label alone must do.
fn annotations(
    given: &Given<'_>,
    toolchain: &Toolchain,
    key: &crate::key::BuildKey,
    output: OutputTarget,
) -> Vec<(String, String)> {
    let engine_builder = toolchain.builder.as_ref().is_some_and(crate::ports::buildx::Builder::is_engine);
    let containerd = toolchain.engine.as_ref().is_some_and(|engine| engine.containerd_store);
    if output == OutputTarget::Load || output == OutputTarget::Discard {
        return Vec::new();
    }
    let inputs = &given.inputs.build;
    if engine_builder && !containerd {
        return inputs.annotations.clone();
    }
    let level = if inputs.makes_index() { "index" } else { "manifest" };
    let commit = given.run.commit.as_ref();
    let facts = [
        (ANNOTATION_KEY, Some(key.hex.clone())),
        (ANNOTATION_ENTRIES, Some(explain::encode(key))),
        ("io.github.build-once.zone", Some(given.run.zone.name().to_owned())),
        ("org.opencontainers.image.revision", commit.map(|commit| commit.head.clone())),
        ("io.github.build-once.merge-revision", commit.and_then(|commit| commit.merge.clone())),
    ];
    let own = facts.into_iter().filter_map(|(name, value)| Some((format!("{level}:{name}"), value?)));
    inputs.annotations.iter().cloned().chain(own).collect()
}

fn extra(given: &Given<'_>, key: &str) -> Result<Vec<String>> {
    let inputs = given.inputs;
    let platforms = inputs.build.platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let names = [
        ("IMAGE", inputs.image.as_str().replace([':', '/'], "-")),
        ("TARGET", inputs.build.target.clone().unwrap_or_default()),
        ("KEY", key.to_owned()),
        ("ZONE", given.run.zone.name().to_owned()),
        ("BRANCH", given.run.branch.as_deref().map(crate::image::sanitise).unwrap_or_default()),
        ("PLATFORM", platforms),
    ];
    let owner = shell_words::split(given.env.get(env::BUILD_ONCE_EXTRA_ARGS).unwrap_or_default())
        .map_err(|error| Error::input(env::BUILD_ONCE_EXTRA_ARGS).because(&error))?;
    let mut expanded = Vec::new();
    for (args, source) in [(&inputs.build.extra_args, "extra-args"), (&owner, env::BUILD_ONCE_EXTRA_ARGS)] {
        extra_args::check(args, source)?;
        expanded.extend(extra_args::expand(args, &names, given.env, source)?);
    }
    Ok(expanded)
}
