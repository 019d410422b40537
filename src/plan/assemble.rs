//! From the verdict to every step it takes.

use super::builder::{Choice, Names, Needs, choose};
use super::caches::caches;
use super::foreign::refuse_foreign_bases;
use super::given::{PlanContext, bug, no_repository_notice, warnings};
use super::held::hold;
use super::load::{bare, loading, of_platform};
use super::merge;
use super::platform::platforms;
use super::reuse::{name_steps, public_names, reuse, reuse_local};
use super::spec::build_inputs;
use super::steps::{Plan, PlannedTag, Step};
use super::use_builder::{apart, builder_notices, builder_steps, is_engine, refuse_kept_builder};
use super::verdict::{Build, Decision, Outcome, Verdict};
use super::versions;
use crate::buildkit::{BuildSpec, OutputTarget};
use crate::error::Result;
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
    let needs = Needs::of(given.inputs, given.access, given.facts, &verdict);
    match verdict {
        Verdict::Reuse(verdict) => Ok(reuse(given, verdict)),
        Verdict::ReuseLocal(verdict) => Ok(reuse_local(given, verdict)),
        Verdict::Build(verdict) => build(
            given,
            verdict,
            needs.with(&given.late.builders, given.access, given.late.toolchain.as_ref()),
        ),
        Verdict::Merge(verdict) => merge::plan(given, verdict),
        Verdict::Fail(error) => Err(error),
    }
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
    notices.extend(verdict.notes.notices);

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
    let degraded = degraded(verdict.notes.degraded, &mut caches.off, &mut notices);
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

/// One warning is enough; what else is missing is told beside it.
fn degraded(why: Option<String>, off: &mut Vec<String>, notices: &mut Vec<String>) -> Option<String> {
    if why.is_some() {
        notices.append(off);
        return why;
    }
    (!off.is_empty()).then(|| off.join("; "))
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
