//! Makes the inputs of `docker buildx build`: the user's, with what the key and the plan add to them.

use super::context::PlanContext;
use crate::buildkit::{Feature, OutputTarget};
use crate::coherence::epoch::Epoch;
use crate::facts::{PlatformFacts, Toolchain};
use crate::guards::Guard;
use crate::image::{
    ANNOTATION_COMMITTED, ANNOTATION_ENTRIES, ANNOTATION_KEY, ANNOTATION_MERGE_REVISION, ANNOTATION_REVISION,
    ANNOTATION_ZONE,
};
use crate::inputs::extra_args::Extra;
use crate::inputs::{BuildInputs, ContextSource, without_login};
use crate::key::{BuildKey, explain};

/// The build argument that makes an index of one platform.
const MULTI_PLATFORM_ARG: &str = "BUILDKIT_MULTI_PLATFORM";
/// The build argument that says which frontend reads the Dockerfile.
const SYNTAX_ARG: &str = "BUILDKIT_SYNTAX";

/// The user's inputs of the build, with pinned contexts, the key, and what `extra` (the extra arguments) adds.
/// `on_engine`: the engine's own BuildKit builds. `bases`: the base images that are held as named contexts.
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
    let mut annotations = annotations(given, toolchain, key, on_engine, output);
    for (_, value) in &mut annotations {
        *value = value.replace("${KEY}", &key.hex);
    }
    let epoch = given.facts.pins.epoch.as_ref().map(Epoch::host);
    let mut secrets = inputs.secrets.clone();
    let context = match given.facts.pins.context.as_ref() {
        Some(pinned) => ContextSource::Remote(without_login(pinned, &mut secrets)),
        None => inputs.context.clone(),
    };
    // Of two contexts with one name buildx takes the last: the pinned one.
    let contexts = inputs.build_contexts.iter().cloned().chain(bases);
    let contexts = contexts.chain(given.facts.pins.contexts.iter().cloned());
    let build_contexts = contexts.map(|(name, value)| (name, without_login(&value, &mut secrets))).collect();
    BuildInputs {
        context,
        file: Some(inputs.dockerfile()),
        build_args: build_args(given, &extra, !annotations.is_empty()),
        build_contexts,
        secrets,
        labels: labels(inputs, extra.labels, key, has_entries(toolchain, &annotations)),
        annotations,
        add_hosts: inputs.add_hosts.iter().cloned().chain(epoch).collect(),
        extra_args: extra.args,
        ..inputs.clone()
    }
}

/// The user's build arguments, and those that say which frontend reads the file and that the result is an index.
fn build_args(given: &PlanContext<'_>, extra: &Extra, is_annotated: bool) -> Vec<(String, String)> {
    let inputs = &given.image.request.build;
    // The frontend is pinned by an argument, because no build context can stand for it.
    let frontend = given.facts.pins.frontend.clone().map(|value| (SYNTAX_ARG.to_owned(), value));
    let is_pinned = frontend.is_some();
    let of_user = inputs.build_args.iter().chain(&extra.build_args);
    let of_user = of_user.filter(|(name, _)| !is_pinned || name != SYNTAX_ARG).cloned();
    // One platform makes an index only if that is asked for (BuildKit, `frontend/dockerui`, `multi-platform`).
    let needs_index =
        is_annotated && inputs.annotates_index() && inputs.platforms.len() == 1 && !inputs.attests();
    let index = needs_index.then(|| (MULTI_PLATFORM_ARG.to_owned(), "1".to_owned()));
    of_user.chain(frontend).chain(index).collect()
}

/// Whether the image gets the key's entries as an annotation.
fn has_entries(toolchain: &Toolchain, annotations: &[(String, String)]) -> bool {
    toolchain.buildx.has(Feature::Annotations)
        && annotations.iter().any(|(name, _)| name.ends_with(ANNOTATION_ENTRIES))
}

/// The user's labels and this program's own. Those depend on the key alone, so that equal keys keep equal configurations.
fn labels(
    inputs: &BuildInputs,
    of_extra_args: Vec<(String, String)>,
    key: &BuildKey,
    has_entries: bool,
) -> Vec<(String, String)> {
    let own = [(ANNOTATION_KEY.to_owned(), key.hex.clone())];
    let mut labels = inputs.labels.clone();
    // This program's last: if a name is set twice, the last value counts.
    if Guard::OwnLabels.holds() {
        labels.extend(of_extra_args.into_iter().chain(own));
    } else {
        labels.extend(own.into_iter().chain(of_extra_args));
    }
    if !has_entries {
        labels.push((ANNOTATION_ENTRIES.to_owned(), explain::encode(key)));
    }
    labels
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
    let is_classic = toolchain.engine.as_ref().is_some_and(|engine| !engine.containerd_store);
    match output {
        OutputTarget::Discard => return Vec::new(),
        OutputTarget::Load if is_classic => return Vec::new(),
        OutputTarget::Load => return inputs.annotations.clone(),
        // If the user asked for annotations, another builder was chosen (`Needs::manifest`), so there are none here.
        OutputTarget::Push | OutputTarget::PushAndLoad if is_classic && on_engine => return Vec::new(),
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
        (ANNOTATION_COMMITTED, given.image.run.commit_time.map(|time| time.to_string())),
    ];
    let own = facts.iter().filter_map(|(name, value)| Some((format!("{level}:{name}"), value.clone()?)));
    let each = given.facts.platforms.iter().flat_map(|own| of_platform(own, key, &facts));
    // This program's last: if a name is set twice, the last value counts.
    let (mut first, mut last): (Vec<_>, Vec<_>) = (inputs.annotations.clone(), own.chain(each).collect());
    if !Guard::OwnLabels.holds() {
        std::mem::swap(&mut first, &mut last);
    }
    first.into_iter().chain(last).collect()
}

/// The annotations of one platform's image in an index: the same `facts`, with its own key.
fn of_platform<'a>(
    own: &'a PlatformFacts,
    key: &BuildKey,
    facts: &'a [(&str, Option<String>)],
) -> impl Iterator<Item = (String, String)> {
    let entries = explain::encode_of_platform(key, &own.platform, &own.key);
    facts.iter().filter_map(move |(name, value)| {
        let value = match *name {
            ANNOTATION_KEY => own.key.clone(),
            ANNOTATION_ENTRIES => entries.clone(),
            _ => value.clone()?,
        };
        Some((format!("manifest[{}]:{name}", own.platform), value))
    })
}
