//! Makes the inputs of `docker buildx build`: the user's, with what the key and the plan add to them.

use super::context::PlanContext;
use crate::buildkit::OutputTarget;
use crate::coherence::epoch::Epoch;
use crate::facts::Toolchain;
use crate::guards::Guard;
use crate::image::{
    ANNOTATION_ENTRIES, ANNOTATION_KEY, ANNOTATION_MERGE_REVISION, ANNOTATION_REVISION, ANNOTATION_ZONE,
};
use crate::inputs::extra_args::Extra;
use crate::inputs::{BuildInputs, ContextSource, without_login};
use crate::key::{BuildKey, explain};

/// The build argument that makes an index of one platform.
const MULTI_PLATFORM_ARG: &str = "BUILDKIT_MULTI_PLATFORM";
/// The build argument that says which frontend reads the Dockerfile.
const SYNTAX_ARG: &str = "BUILDKIT_SYNTAX";

/// The user's inputs of the build, with pinned contexts, the key, and extra arguments expanded. `on_engine`: the engine's
/// own BuildKit builds. `bases`: the base images that are held as named contexts.
pub(super) fn build_inputs(
    given: &PlanContext<'_>,
    toolchain: &Toolchain,
    key: &BuildKey,
    on_engine: bool,
    output: OutputTarget,
    extra: Extra,
    bases: Vec<(String, String)>,
) -> BuildInputs {
    let inputs = &given.image.request.build;
    let pins = bases.into_iter().chain(given.facts.pins.contexts.iter().cloned());
    // No build context can stand for the frontend.
    let frontend = given.facts.pins.frontend.clone().map(|value| (SYNTAX_ARG.to_owned(), value));
    let pinned = frontend.is_some();
    let args = inputs.build_args.iter().chain(&extra.build_args);
    let args = args.filter(|(name, _)| !pinned || name != SYNTAX_ARG).cloned();
    let mut annotations = annotations(given, toolchain, key, on_engine, output);
    for (_, value) in &mut annotations {
        *value = value.replace("${KEY}", &key.hex);
    }
    // One platform makes an index only if that is asked for (BuildKit, `frontend/dockerui`, `multi-platform`).
    let index = inputs.annotates_index() && inputs.platforms.len() == 1 && !inputs.attests();
    let index = (index && !annotations.is_empty()).then(|| (MULTI_PLATFORM_ARG.to_owned(), "1".to_owned()));
    let own = [(ANNOTATION_KEY.to_owned(), key.hex.clone())];
    let mut labels = inputs.labels.clone();
    // This program's last: if a name is set twice, the last value counts.
    if Guard::OwnLabels.holds() {
        labels.extend(extra.labels.into_iter().chain(own));
    } else {
        labels.extend(own.into_iter().chain(extra.labels));
    }
    // A function of the key alone, as the key's own label is: equal keys keep equal configurations.
    let travels = annotations.iter().any(|(name, _)| name.ends_with(ANNOTATION_ENTRIES));
    if !travels || !toolchain.buildx.has_annotations() {
        labels.push((ANNOTATION_ENTRIES.to_owned(), explain::encode(key)));
    }
    let epoch = given.facts.pins.epoch.as_ref().map(Epoch::host);
    let mut secrets = inputs.secrets.clone();
    let context = match given.facts.pins.context.as_ref() {
        Some(pinned) => ContextSource::Remote(without_login(pinned, &mut secrets)),
        None => inputs.context.clone(),
    };
    let contexts = inputs.build_contexts.iter().cloned().chain(pins);
    let build_contexts = contexts.map(|(name, value)| (name, without_login(&value, &mut secrets))).collect();
    BuildInputs {
        context,
        file: Some(inputs.dockerfile()),
        build_args: args.chain(frontend).chain(index).collect(),
        build_contexts,
        secrets,
        labels,
        annotations,
        add_hosts: inputs.add_hosts.iter().cloned().chain(epoch).collect(),
        extra_args: extra.args,
        ..inputs.clone()
    }
}

/// The facts that travel with a published image. They are annotations, not labels: a label
/// would give the same content another configuration in every commit. The engine's old image
/// store cannot write them; there the key's label alone must do.
fn annotations(
    given: &PlanContext<'_>,
    toolchain: &Toolchain,
    key: &crate::key::BuildKey,
    on_engine: bool,
    output: OutputTarget,
) -> Vec<(String, String)> {
    let inputs = &given.image.request.build;
    let classic = toolchain.engine.as_ref().is_some_and(|engine| !engine.containerd_store);
    match output {
        OutputTarget::Discard => return Vec::new(),
        // A label has the key.
        OutputTarget::Load if classic => return Vec::new(),
        OutputTarget::Load => return inputs.annotations.clone(),
        // The user's own annotations lead to another builder, so there are none here.
        OutputTarget::Push | OutputTarget::PushAndLoad if classic && on_engine => return Vec::new(),
        OutputTarget::Push | OutputTarget::PushAndLoad => {}
    }
    let level = if inputs.makes_index() { "index" } else { "manifest" };
    let commit = given.image.run.commit.as_ref();
    let facts = [
        (ANNOTATION_KEY, Some(key.hex.clone())),
        (ANNOTATION_ENTRIES, Some(explain::encode(key))),
        (ANNOTATION_ZONE, Some(given.image.run.zone.name().to_owned())),
        (ANNOTATION_REVISION, commit.map(|commit| commit.head.clone())),
        (ANNOTATION_MERGE_REVISION, commit.and_then(|commit| commit.merge.clone())),
    ];
    let own = facts.into_iter().filter_map(|(name, value)| Some((format!("{level}:{name}"), value?)));
    // This program's last: if a name is set twice, the last value counts.
    let (mut first, mut last): (Vec<_>, Vec<_>) = (inputs.annotations.clone(), own.collect());
    if !Guard::OwnLabels.holds() {
        std::mem::swap(&mut first, &mut last);
    }
    first.into_iter().chain(last).collect()
}
