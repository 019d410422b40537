//! From the verdict to every step it takes.

use std::collections::BTreeSet;

use super::builder::{Choice, Names, Needs, choose};
use super::caches::caches;
use super::given::{PlanContext, bug, no_repository_notice, warnings};
use super::held::hold;
use super::load::{bare, loading, of_platform};
use super::platform::platforms;
use super::reuse::{name_steps, public_names, reuse};
use super::spec::build_inputs;
use super::steps::{Plan, PlannedTag, Step};
use super::verdict::{Decision, Outcome, Verdict};
use super::versions;
use crate::buildkit::owner::KEPT;
use crate::buildkit::{BuildSpec, Builder, OutputTarget};
use crate::coherence::makers::{Lasting, Makers};
use crate::env::{self};
use crate::error::{Error, Result};
use crate::facts::{BuilderFacts, Pin};
use crate::guards::Guard;
use crate::image::{ImageReference, Repository};
use crate::inputs::extra_args::extra;
use crate::trust::Access;
use crate::trust::UserReferences;
use crate::trust::{LocalNames, Published, ZoneNames};

/// The plan for a verdict.
///
/// # Errors
/// If the verdict is a failure, or what is asked cannot be done here.
pub(crate) fn assemble(given: &PlanContext<'_>, verdict: Verdict) -> Result<Plan> {
    match verdict {
        Verdict::Fail(error) => Err(error),
        verdict @ (Verdict::Reuse { .. } | Verdict::ReuseLocal { .. }) => reuse(given, verdict),
        verdict @ Verdict::Build { .. } => {
            let needs = Needs::of(given.inputs, given.access, given.facts, &verdict);
            let needs = needs.with(&given.late.builders, given.access, given.late.toolchain.as_ref());
            let Verdict::Build { reason, publish, shared, load, degraded, notices } = verdict else {
                return Err(bug("a build that is none"));
            };
            build(given, Build { reason, publish, shared, load, degraded, notices }, needs)
        }
    }
}

struct Build {
    reason: String,
    publish: bool,
    shared: bool,
    load: bool,
    degraded: Option<String>,
    notices: Vec<String>,
}

#[expect(clippy::too_many_lines, reason = "one build, from its facts to its steps, in order")]
fn build(given: &PlanContext<'_>, verdict: Build, needs: Needs) -> Result<Plan> {
    let PlanContext { inputs, facts, access, .. } = given;
    let toolchain = given.late.toolchain.as_ref().ok_or_else(|| bug("a build without its tools"))?;
    let key = facts.key.as_ref().ok_or_else(|| bug("a build without a key"))?;
    let shared = facts.repository.repository();
    let written = UserReferences::new(given.run, access, shared, inputs.pr_repository.as_ref());
    refuse_foreign_bases(given, &written)?;
    let mut notices = no_repository_notice(facts);
    notices.extend(verdict.notices);

    let home = shared.filter(|_| verdict.shared && verdict.publish);
    let zone_names = home.map(|home| ZoneNames::new(inputs, given.run, access, home));
    let published = zone_names.map(|names| names.written(key.short())).unwrap_or_default();
    let private = LocalNames::new(inputs, access).own_of_key(key.short());
    let mut extra = extra(inputs, given.run, given.env, &key.hex)?;
    let by_user = std::mem::take(&mut extra.caches);
    let images = published.all();
    let own_repository = zone_names.map(|names| names.own_repository());
    let mut caches = caches(given, own_repository, &written, &images, by_user)?;
    let names = Names::new(given.unique, given.owner, &given.late.builders, access);
    let choice = choose(inputs, toolchain, needs, names)?;
    refuse_kept_builder(given, &choice, toolchain.builder.as_ref())?;
    if matches!(choice, Choice::AtHand { without_cache_export: true, .. }) {
        caches.drop_export();
    }
    notices.extend(builder_notices(given, &choice, names.kept.is_some(), toolchain.builder.as_ref()));
    let on_engine = is_engine(&choice, toolchain.builder.as_ref());
    let at_hand = matches!(choice, Choice::AtHand { .. });
    let named_platforms = platforms(&inputs.build, facts, toolchain, &choice)?;
    let fresh_builder = matches!(choice, Choice::Fresh { keep: false, .. });
    let without_layers = matches!(choice, Choice::AtHand { without_layers: true, .. });
    let (mut steps, builder) = builder_steps(given, choice);
    if !verdict.publish && !verdict.load {
        notices.push("the image is built and kept nowhere: load and push are both off".to_owned());
    }
    let engine = toolchain.engine.as_ref();
    let mut loading = loading(&inputs.build, engine, (verdict.publish, verdict.load), on_engine);
    notices.append(&mut loading.notices);
    if verdict.publish && inputs.build.compression.zstd && !inputs.build.compression.force {
        notices.push("compression: zstd packs new layers alone: those of base images, and those that the builder or a layer cache has as gzip, stay so (zstd,force packs all)".to_owned());
    }
    notices.append(&mut caches.notices);
    notices.extend(no_such_stages(given));

    let names = if verdict.publish {
        published.name.iter().map(ToString::to_string).collect()
    } else {
        vec![private.clone()]
    };
    let versions = versions::of(toolchain, inputs, at_hand);
    let held = hold(facts, versions)?;
    let mut build = build_inputs(given, toolchain, key, on_engine, loading.output, extra, held.contexts);
    build.platforms = named_platforms;
    let apart = needs.own_layers.then(|| apart(given)).flatten();
    if let Some(namespace) = apart.as_deref().filter(|_| without_layers) {
        build = build.apart(namespace);
    }
    if loading.output == OutputTarget::Load && engine.is_some_and(|engine| !engine.containerd_store) {
        build = bare(build);
    }
    let mut spec = BuildSpec {
        builder,
        build,
        sources: facts.pins.sources.clone(),
        images: held.images.into_iter().collect(),
        ignore: facts.pins.ignore.clone(),
        reads: facts.pins.registries.clone(),
        cache_from: caches.from,
        cache_to: caches.to,
        local_caches: caches.local,
        names,
        output: loading.output,
        fresh_builder,
        apart,
    };
    let without = versions::check(&spec, versions, !inputs.build.annotations.is_empty())?;
    notices.extend(without.notices);
    if without.pull_afterwards {
        spec.output = OutputTarget::Push;
    }
    let own = loading.own.filter(|_| loading.loads);
    let load = own.clone().filter(|_| !verdict.publish).map(|own| of_platform(&spec, own));
    steps.push(Step::Build { spec: Box::new(spec) });
    steps.extend(load.map(|spec| Step::Load { spec: Box::new(spec) }));
    let pulls = without.pull_afterwards || loading.pulls;
    steps.extend(match &published.name {
        Some(pushed) => {
            let names = if loading.loads {
                name_steps(given, pushed.to_string(), private)
            } else if on_engine {
                // It is there anyway: without this the next run would not know whose it is.
                vec![Step::Tag { image: pushed.to_string(), name: private, required: false }]
            } else {
                Vec::new()
            };
            let pull = pulls.then(|| Step::Pull { reference: pushed.clone(), platform: own });
            publish_steps(&published, pushed, inputs.rebuild, pull.into_iter().chain(names))
        }
        None if loading.loads => public_names(given, &private, false).collect(),
        None => Vec::new(),
    });
    let degraded = degraded(verdict.degraded, &mut caches.off, &mut notices);
    Ok(Plan {
        decision: decision(given, verdict.publish, verdict.reason),
        steps,
        warnings: warnings(facts),
        notices,
        degraded,
        digest: None,
        image_id: None,
        repository: published.name.map(|reference| reference.repository().clone()),
        key_tag: published.key_tag.map(|reference| PlannedTag { reference, there: false }),
        commit_tag: published.commit_tag.map(|reference| PlannedTag { reference, there: false }),
        local_image: None,
    })
}

/// Stages of `no-cache-filters` that the Dockerfile does not have: BuildKit passes over them. A frontend of the
/// user's own may have others.
fn no_such_stages(given: &PlanContext<'_>) -> Option<String> {
    let (filters, pins) = (&given.inputs.build.no_cache_filters, &given.facts.pins);
    let unnamed =
        |name: &str| name.strip_prefix("stage-").is_some_and(|number| number.parse::<u32>().is_ok());
    let known = |name: &&String| {
        let name = name.to_lowercase();
        pins.stage_names.contains(&name) || unnamed(&name)
    };
    let missing: Vec<&str> = filters.iter().filter(|name| !known(name)).map(String::as_str).collect();
    (!missing.is_empty() && !pins.foreign_frontend)
        .then(|| format!("no-cache-filters: the Dockerfile has no stage {}", missing.join(", ")))
}

fn decision(given: &PlanContext<'_>, publish: bool, reason: String) -> Decision {
    let outcome = if publish { Outcome::Built } else { Outcome::BuiltLocal };
    let (reason, changes) = match &given.late.miss {
        Some(miss) => (miss.reason(&reason, given.inputs.image.as_str()), miss.changes.clone()),
        None => (reason, Vec::new()),
    };
    Decision { outcome, reason, changes }
}

/// What follows a push under one name: its digest, every other name by itself, and what the
/// engine's store needs.
fn publish_steps(
    published: &Published,
    pushed: &ImageReference,
    replace: bool,
    engine: impl Iterator<Item = Step>,
) -> Vec<Step> {
    let mut steps = vec![Step::ReadBack { reference: pushed.clone() }];
    if let Some(key_tag) = published.key_tag.clone() {
        let others = Some(pushed.clone()).filter(|name| *name != key_tag).into_iter().collect();
        steps.push(Step::SetKeyTag { key_tag, others, replace });
    }
    let source = || pushed.clone();
    let alias =
        |target: &ImageReference| Step::Alias { source: source(), target: target.clone(), required: true };
    steps.extend(published.asked.iter().map(alias));
    steps.extend(engine);
    steps
}

/// What the builder cannot do, or does not.
fn builder_notices(
    given: &PlanContext<'_>,
    choice: &Choice,
    may_keep: bool,
    builder: Option<&Builder>,
) -> Vec<String> {
    let mut notices = Vec::new();
    match choice {
        Choice::Fresh { .. } if given.late.builders.kept.is_some() && !may_keep => notices.push(
            "the builder is not kept: what this run leaves in one (cache mounts, imported layers) must not reach trusted runs".to_owned(),
        ),
        Choice::AtHand { without_cache_export, without_layers, .. } => {
            if *without_layers {
                notices.push(
                    "neither the builder's layers nor its cache mounts are used, because other repositories or runs of less trust have built with it".to_owned(),
                );
            }
            if *without_cache_export {
                let instead = match given.inputs.builder.name {
                    Some(_) => "leave the input builder out, or use an engine with the containerd image store",
                    None => "use an engine with the containerd image store",
                };
                notices.push(format!("the layer cache is not written: this builder cannot export it; {instead}"));
            }
            if let Some(platform) = builder.and_then(|builder| builder.lacks(&given.inputs.build.platforms)) {
                notices.push(format!(
                    "the builder runs no {platform}: RUN steps for it fail where the Dockerfile does not cross-compile (docker/setup-qemu-action, or an endpoint that does)"
                ));
            }
        }
        Choice::Kept { .. } | Choice::Fresh { .. } => {}
    }
    notices
}

/// One warning is enough; what else is missing is told beside it.
fn degraded(why: Option<String>, off: &mut Vec<String>, notices: &mut Vec<String>) -> Option<String> {
    if why.is_some() {
        notices.append(off);
        return why;
    }
    (!off.is_empty()).then(|| off.join("; "))
}

/// What comes before the build, and the builder's name where it is not the current one.
fn builder_steps(given: &PlanContext<'_>, choice: Choice) -> (Vec<Step>, Option<String>) {
    let mut steps = Vec::new();
    let BuilderFacts { leftovers, makers, .. } = &given.late.builders;
    if !leftovers.is_empty() {
        steps.push(Step::Sweep { builders: leftovers.clone() });
    }
    // Also where a builder of its own is made: the build falls back on the one at hand.
    let at_hand = given.late.toolchain.as_ref().and_then(|toolchain| toolchain.builder.as_ref());
    let engine = is_engine(&choice, at_hand).then_some(Lasting::Engine);
    let used: BTreeSet<Lasting<'_>> = at_hand.and_then(Builder::lasting).into_iter().chain(engine).collect();
    let missing = |makers: &Makers| used.iter().filter_map(|one| makers.missing(*one)).collect::<Vec<_>>();
    steps.extend(makers.iter().flat_map(missing).map(|volume| Step::NoteMaker { volume }));
    let name = match choice {
        Choice::AtHand { name, .. } => name,
        Choice::Kept { name } => Some(name),
        Choice::Fresh { builder, keep, optional } => {
            let name = builder.name.clone();
            steps.push(Step::CreateBuilder { builder, keep, optional });
            Some(name)
        }
    };
    (steps, name)
}

/// What keeps this run's cache mounts apart from those of others on one builder.
fn apart(given: &PlanContext<'_>) -> Option<String> {
    given.late.builders.makers.as_ref().map(|makers| makers.own().to_owned())
}

/// A builder that trusted runs keep is theirs alone: whoever builds in it can leave layers and cache mounts there.
fn refuse_kept_builder(given: &PlanContext<'_>, choice: &Choice, current: Option<&Builder>) -> Result<()> {
    let Choice::AtHand { name, .. } = choice else { return Ok(()) };
    let by_variable = given.env.get(env::BUILDX_BUILDER);
    let name = name.as_deref().or(by_variable).or(current.map(|builder| builder.name.as_str()));
    let name = name.unwrap_or_default();
    if given.access.keep_builder || !name.starts_with(KEPT) || !Guard::KeptBuilder.holds() {
        return Ok(());
    }
    Err(Error::input(format!("builder: {name} is kept for trusted runs"))
        .cause(format!("this is {}", given.run.zone_reason))
        .hint("leave builder and BUILDX_BUILDER out, and the run gets a builder of its own"))
}

/// Whether the engine's own BuildKit builds.
fn is_engine(choice: &Choice, builder: Option<&Builder>) -> bool {
    match choice {
        Choice::AtHand { name, .. } => {
            name.as_deref() == Some("default") || builder.is_some_and(Builder::is_engine)
        }
        Choice::Kept { .. } | Choice::Fresh { .. } => false,
    }
}

/// The names of zones are kept by this program alone; what else runs in the job need not.
#[must_use]
pub(crate) fn too_many_rights(access: &Access, home: &Repository) -> String {
    let instead = if access.write_images {
        "give its job a role that only reads there and writes in pr-repository"
    } else {
        "give its job a role that only reads"
    };
    format!(
        "this run may push to {home}, so its code can replace the images that trusted runs use: {instead}"
    )
}

/// Bases and build contexts are read like any other image.
fn refuse_foreign_bases(given: &PlanContext<'_>, written: &UserReferences<'_>) -> Result<()> {
    let refused = |what: String, why: String| {
        Error::input(format!("{what}: {why}"))
            .cause(format!("this is {}", given.run.zone_reason))
            .hint("build on an image that this run may trust, or pin it by digest if it is known to be good")
    };
    for base in &given.facts.bases {
        if let Pin::Engine(image) = &base.pin {
            written
                .read_engine(&image.private)
                .map_err(|why| refused(format!("base image {}", base.name), why))?;
        }
        if let Ok(reference) = base.name.parse() {
            written.read(&reference).map_err(|why| refused(format!("base image {}", base.name), why))?;
        }
    }
    for (what, name) in named_images(given) {
        // What is no reference is refused by the tool that reads it.
        if let Ok(reference) = name.parse() {
            written.read(&reference).map_err(|why| refused(format!("{what} {name}"), why))?;
        }
    }
    for (name, value) in &given.inputs.build.build_contexts {
        written.read_context(value).map_err(|why| refused(format!("build-contexts: {name}"), why))?;
    }
    Ok(())
}

/// Images that decide what is built without being its base: the frontend, the scanner, BuildKit itself.
fn named_images(given: &PlanContext<'_>) -> Vec<(&'static str, String)> {
    let PlanContext { inputs, facts, .. } = given;
    let mut images: Vec<(&str, String)> = Vec::new();
    images.extend(facts.pins.frontend_name.clone().map(|name| ("frontend", name)));
    images.extend(inputs.builder.image.clone().map(|name| ("buildkit-image", name)));
    for option in &inputs.builder.driver_opts {
        images.extend(option.strip_prefix("image=").map(|name| ("driver-opts: image", name.to_owned())));
    }
    let attributes = inputs.build.sbom.to_string();
    for field in attributes.split(',').map(|field| field.trim_matches('"').trim()) {
        images.extend(field.strip_prefix("generator=").map(|name| ("sbom: generator", name.to_owned())));
    }
    images
}
