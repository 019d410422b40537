//! Makes the plan from the verdicts: every action, in order.

use super::actions::{Action, Draft, ImagePlan, Plan, PlannedTag, Source};
use super::builder::{Choice, Needs};
use super::cache_set::Caches;
use super::caches::caches;
use super::chain::Chain;
use super::context::{PlanContext, bug, decision, no_repository_notice, unknown_stages_notice, warnings};
use super::foreign::refuse_foreign_bases;
use super::held::hold;
use super::join;
use super::load::{Loading, for_classic_store, load_of_platform, loading};
use super::merge;
use super::order::{TagGuard, ordered};
use super::platform::platforms;
use super::publish::{key_tag_guard, platform_tags, publish, pull};
use super::reuse::{PublicNames, name_actions, public_names, reuse, reuse_local, size};
use super::set_up::SetUpPlan;
use super::spec::build_inputs;
use super::store::{OldImage, old_images, room_for};
use super::use_builder::{
    BeforeBuild, SharedBuilder, builder_notices, cache_mount_namespace, is_engine, refuse_kept_builder,
};
use super::verdict::{Build, Outcome, Reuse, Verdict};
use super::versions;
use super::wanted;
use crate::buildkit::{BuildSpec, OutputTarget, Versions};
use crate::error::Result;
use crate::facts::{StoreFacts, Toolchain};
use crate::image::{ImageReference, Repository};
use crate::inputs::extra_args::{Extra, extra};
use crate::inputs::{BuildInputs, ImageRequest};
use crate::key::BuildKey;
use crate::trust::{Access, ImageRun, Published, UserReferences};

/// The plan for the verdicts, in the order of the images. An image about which nothing can be done does not stop the
/// others. `builder`: the one that builds, with what was asked of it; an error if there is none.
///
/// # Errors
/// If there is one image, and nothing can be done about it.
pub(crate) fn assemble(
    images: Vec<(Option<PlanContext<'_>>, Verdict)>,
    builder: Option<(Needs, Result<Choice>)>,
    store: &StoreFacts,
) -> Result<Plan> {
    let mut draft = Draft::default();
    let mut builder = builder.map(|(needs, choice)| choice.map(|choice| SharedBuilder::new(needs, choice)));
    let mut plan = Plan::default();
    let known: Vec<&PlanContext<'_>> = images.iter().filter_map(|(given, _)| given.as_ref()).collect();
    let mut set_up = SetUpPlan::new(&known, &mut draft);
    let old = evicted(&images, store);
    let freed = old.iter().map(|image| image.bytes).sum();
    if !old.is_empty() {
        draft.add([], Action::RemoveImages { images: old });
    }
    let mut chain = Chain::new(&images);
    plan.images = images.iter().map(|_| ImagePlan::failed(bug("an image without a plan"))).collect();
    let mut images: Vec<Option<_>> = images.into_iter().map(Some).collect();
    for at in chain.order() {
        let Some((given, verdict)) = images[at].take() else { continue };
        let verdict = set_up.error.take().map_or(verdict, Verdict::Fail);
        draft.image = Some(at);
        let before = draft.actions.len();
        let room = room(given.as_ref(), &verdict, store, freed);
        let planned = match (given, verdict) {
            (_, Verdict::Fail(error)) => Err(error),
            (None, _) => Err(bug("an image without facts")),
            (Some(_), Verdict::Unneeded) => Ok(ImagePlan::unneeded()),
            (Some(given), Verdict::Reuse(verdict)) => Ok(reuse(&given, verdict, &mut draft)),
            (Some(given), Verdict::ReuseLocal(verdict)) => Ok(reuse_local(&given, verdict, &mut draft)),
            (Some(given), Verdict::Merge(verdict)) => merge::plan(&given, verdict, &mut draft),
            (Some(given), Verdict::Build(_))
                if wanted::only_says(given.image) && !given.image.request.asked =>
            {
                Ok(ImagePlan::unneeded())
            }
            (Some(given), Verdict::Build(verdict)) if wanted::only_says(given.image) => {
                wanted::missing(&given, verdict)
            }
            (Some(given), Verdict::Build(verdict)) => match &mut builder {
                Some(Ok(builder)) => build(&given, verdict, (builder, &mut chain), &set_up, &mut draft),
                Some(Err(error)) => Err(error.clone()),
                None => Err(bug("a build without a builder")),
            },
        };
        let planned = room.and_then(|warning| planned.map(|planned| planned.with_notice(warning)));
        plan.images[at] = planned.unwrap_or_else(|error| {
            draft.actions.truncate(before);
            chain.fail(at, &error);
            ImagePlan::failed(error)
        });
    }
    plan.images.first_mut().into_iter().for_each(|first| set_up.say(first));
    plan.set_up = set_up.repositories;
    plan.actions = draft.actions;
    wanted::check(&plan)?;
    match plan.images.as_slice() {
        [ImagePlan { error: Some(error), .. }] => Err(error.clone()),
        _ => Ok(plan),
    }
}

/// The images that the engine no longer keeps; none if this run puts none there.
fn evicted(images: &[(Option<PlanContext<'_>>, Verdict)], store: &StoreFacts) -> Vec<OldImage> {
    let adds =
        |(given, verdict): &(Option<PlanContext<'_>>, Verdict)| given.is_some() && verdict.adds_to_engine();
    let Some((Some(PlanContext { image, .. }), _)) = images.iter().find(|image| adds(image)) else {
        return Vec::new();
    };
    let Some(keep) = image.request.settings.store.keep.filter(|_| store.lasts) else { return Vec::new() };
    let given = images.iter().filter_map(|(given, _)| given.as_ref());
    let needed = given.flat_map(|given| [&given.facts.local.of_key, &given.facts.local.of_digest]).flatten();
    let needed = needed.map(|local| local.id.as_str()).collect();
    old_images(store, keep, (&image.access.place, image.run.mark.as_ref()), &needed)
}

/// Checks that the engine's disk has room for an image that it is to get; returns a warning if it may have none.
fn room(
    given: Option<&PlanContext<'_>>,
    verdict: &Verdict,
    store: &StoreFacts,
    freed: u64,
) -> Result<Option<String>> {
    let Some(given) = given else { return Ok(None) };
    let packed = match verdict {
        Verdict::Reuse(Reuse { pull: true, digest, .. }) => size(given.facts, digest),
        Verdict::Build(Build { load: true, .. }) => given.late.miss.as_ref().and_then(|miss| miss.bytes),
        _ => None,
    };
    let Some(packed) = packed else { return Ok(None) };
    let private = given.image.private_name("");
    room_for(given.image.request.image.as_str(), &private, packed, store, freed)
}

fn build(
    given: &PlanContext<'_>,
    verdict: Build,
    (builder, chain): (&mut SharedBuilder, &mut Chain),
    set_up: &SetUpPlan,
    draft: &mut Draft,
) -> Result<ImagePlan> {
    if let Some(only) = verdict.only.clone() {
        return join::build_missing(given, verdict, &only, draft, |own, verdict, draft| {
            build_one(own, verdict, (&mut *builder, &mut *chain), set_up, draft)
        });
    }
    build_one(given, verdict, (builder, chain), set_up, draft).map(|(plan, _)| plan)
}

/// The plan for one build, and its image, if it is published.
fn build_one(
    given: &PlanContext<'_>,
    verdict: Build,
    (builder, chain): (&mut SharedBuilder, &mut Chain),
    set_up: &SetUpPlan,
    draft: &mut Draft,
) -> Result<(ImagePlan, Option<Source>)> {
    let PlanContext { image, facts, .. } = given;
    let ImageRun { request, run, access } = *image;
    let toolchain = given.late.toolchain.as_deref().ok_or_else(|| bug("a build without its tools"))?;
    let key = facts.key.as_ref().ok_or_else(|| bug("a build without a key"))?;
    let at_hand = toolchain.builder.as_ref();
    let shared = facts.repository.repository();
    let user_refs = UserReferences::new(run, access, shared, request.settings.pr_repository.as_ref());
    refuse_foreign_bases(given, &user_refs)?;
    let names =
        shared.filter(|_| verdict.shared && verdict.publish).map(|repository| image.names(repository));
    let published = names.map(|names| names.written(key.short())).unwrap_or_default();
    let tags = ordered(published.user_tags.clone(), facts, None, request.settings.on_older)?;
    let mut extra = extra(request, run, given.env, &key.hex)?;
    let by_user = std::mem::take(&mut extra.caches);
    let own_repository = names.map(|names| names.own_repository());
    let mut caches = caches(given, own_repository, &user_refs, &published.all(), by_user)?;
    if builder.choice.is_without_cache_export() {
        caches.drop_export();
    }
    refuse_kept_builder(given, &builder.choice, at_hand)?;
    let on_engine = is_engine(&builder.choice, at_hand);
    let tools = Tools { toolchain, builder: &*builder, on_engine };

    let engine = toolchain.engine.as_ref();
    let loading = loading(&request.build, engine, verdict.publish, verdict.load, on_engine);
    let mut notices = notices(given, &verdict, &tools, &loading, &caches);
    let private = image.private_name(key.short());
    let names = result_names(&verdict, &published, &private);
    let mut spec = tools.spec(given, key, extra, &caches, names, loading.output)?;
    chain.link(request, &mut spec)?;
    let without = versions::check(&spec, tools.versions(request), !request.build.annotations.is_empty())?;
    notices.extend(without.notices);
    if without.pull_afterwards {
        spec.output = OutputTarget::Push;
    }
    let pulls = without.pull_afterwards || loading.pulls;
    if !request.is_part {
        chain.built(request, &spec);
    }
    if !request.asked {
        return Ok((ImagePlan::from_decision(decision(given, Outcome::BuiltLocal, verdict.reason)), None));
    }

    let mut before = builder.before_build(given, draft);
    before.actions.extend(own_repository.and_then(|own| set_up.made(own)));
    let together = !request.is_part && chain.goes_together(&spec);
    let built = Built { spec, loading, pulls, on_engine, private, together };
    let made = built.add_actions(given, &published, tags.set, before, draft);
    let degraded = degraded(verdict.notes.degraded, &mut caches.off, &mut notices);
    let planned = |reference: ImageReference| PlannedTag { reference, there: false };
    let outcome = if verdict.publish { Outcome::Built } else { Outcome::BuiltLocal };
    let plan = ImagePlan {
        warnings: warnings(facts),
        notices,
        degraded,
        repository: published.name.map(|reference| reference.repository().clone()),
        key_tag: published.key_tag.map(planned),
        commit_tag: published.commit_tag.map(planned),
        skipped_tags: tags.skipped,
        ..ImagePlan::from_decision(decision(given, outcome, verdict.reason))
    };
    Ok((plan, made))
}

/// All names that buildx gives the result: that of the push, else the private one in the engine's store.
fn result_names(verdict: &Build, published: &Published, private: &str) -> Vec<String> {
    if verdict.publish {
        published.name.iter().map(ToString::to_string).collect()
    } else {
        vec![private.to_owned()]
    }
}

/// What is known of a build before its tools' versions are looked at, for the user.
fn notices(
    given: &PlanContext<'_>,
    verdict: &Build,
    tools: &Tools<'_>,
    loading: &Loading,
    caches: &Caches,
) -> Vec<String> {
    let compression = given.image.request.build.compression;
    let nowhere = (!verdict.publish && !verdict.load)
        .then(|| "the image is built and kept nowhere: load and push are both off".to_owned());
    let zstd = (verdict.publish && compression.zstd && !compression.force).then(|| "compression: zstd packs new layers alone: those of base images, and those that the builder or a layer cache has as gzip, stay so (zstd,force packs all)".to_owned());
    let mut notices: Vec<String> = no_repository_notice(given.facts).into_iter().collect();
    notices.extend_from_slice(&verdict.notes.notices);
    let at_hand = tools.toolchain.builder.as_ref();
    notices.extend(builder_notices(given, &tools.builder.choice, at_hand).into_iter().chain(nowhere));
    notices.extend_from_slice(&loading.notices);
    notices.extend(zstd);
    notices.extend_from_slice(&caches.notices);
    notices.extend(unknown_stages_notice(given));
    notices
}

/// The tools that build an image.
struct Tools<'a> {
    toolchain: &'a Toolchain,
    builder: &'a SharedBuilder,
    /// True if the engine's own BuildKit builds.
    on_engine: bool,
}

impl<'a> Tools<'a> {
    fn versions(&self, request: &'a ImageRequest) -> Versions<'a> {
        let is_at_hand = matches!(self.builder.choice, Choice::AtHand { .. });
        versions::in_use(self.toolchain, request, is_at_hand)
    }

    /// The build as buildx gets it. `names` are all names that its result gets.
    fn spec(
        &self,
        given: &PlanContext<'a>,
        key: &BuildKey,
        extra: Extra,
        caches: &Caches,
        names: Vec<String>,
        output: OutputTarget,
    ) -> Result<BuildSpec> {
        let Self { toolchain, builder, on_engine } = *self;
        let PlanContext { image: ImageRun { request, .. }, facts, .. } = *given;
        let choice = &builder.choice;
        let platforms = platforms(&request.build, facts, toolchain, choice)?;
        let held = hold(facts, self.versions(request))?;
        let inputs = build_inputs(given, toolchain, key, on_engine, output, extra, held.contexts);
        let mut inputs = BuildInputs { platforms, ..inputs };
        let apart = builder.needs.own_layers.then(|| cache_mount_namespace(given)).flatten();
        let without_layers = matches!(choice, Choice::AtHand { without_layers: true, .. });
        if let Some(namespace) = apart.as_deref().filter(|_| without_layers) {
            inputs = inputs.apart(namespace);
        }
        let is_classic = toolchain.engine.as_ref().is_some_and(|engine| !engine.containerd_store);
        if output == OutputTarget::Load && is_classic {
            inputs = for_classic_store(inputs);
        }
        Ok(BuildSpec {
            image: request.image.to_string(),
            links: Vec::new(),
            builder: choice.name().map(str::to_owned),
            build: inputs,
            sources: facts.pins.sources.clone(),
            images: held.images.into_iter().collect(),
            ignore: facts.pins.ignore.clone(),
            reads: facts.pins.registries.clone(),
            cache_from: caches.from.clone(),
            cache_to: caches.to.clone(),
            local_caches: caches.local.clone(),
            names,
            output,
            fresh_builder: matches!(choice, Choice::Fresh { keep: false, .. }),
            apart,
        })
    }
}

/// A build with what happens to its image.
struct Built {
    spec: BuildSpec,
    loading: Loading,
    /// True if the image is pushed, then pulled.
    pulls: bool,
    on_engine: bool,
    /// The image's private name in the engine's store.
    private: String,
    /// True if it is built in one go with others.
    together: bool,
}

impl Built {
    /// Adds the build and all actions that follow it.
    ///
    /// Returns the image, if it is published.
    fn add_actions(
        self,
        given: &PlanContext<'_>,
        published: &Published,
        tags: Vec<(ImageReference, TagGuard)>,
        before: BeforeBuild,
        draft: &mut Draft,
    ) -> Option<Source> {
        let Self { spec, loading, pulls, on_engine, private, together } = self;
        let platform_tags = platform_tags(given, &spec);
        let own = loading.own_platform.filter(|_| loading.loads);
        let load = own.clone().filter(|_| published.name.is_none()).map(|own| load_of_platform(&spec, own));
        let mut last = draft
            .add(before.actions, Action::Build { spec: Box::new(spec), builder: before.builder, together });
        if let Some(spec) = load {
            last = draft.add([last], Action::Load { spec: Box::new(spec) });
        }
        let Some(pushed) = &published.name else {
            if loading.loads {
                public_names(given, &private, PublicNames { published: false, has: &[] }, &[last], draft);
            }
            return None;
        };
        let last = draft.add([last], Action::ReadBack { build: last, reference: pushed.clone() });
        let last = publish(published, pushed, tags, key_tag_guard(given), last, draft);
        if !platform_tags.is_empty() {
            let source = Source::BuiltBy { action: last, name: pushed.clone() };
            let guard = key_tag_guard(given);
            draft.add([last], Action::TagPlatforms { source, platforms: platform_tags, guard });
        }
        let pull = pulls.then(|| pull(last, pushed, own, draft));
        let image = Source::BuiltBy { action: last, name: pushed.clone() };
        let after = [pull.unwrap_or(last)];
        if loading.loads {
            name_actions(given, &image, private, &after, draft);
        } else if on_engine && !given.image.request.is_part {
            // The engine has the image anyway; its private name tells later runs which zone built it.
            draft.add(after, Action::Tag { source: image, name: private, required: false });
        }
        Some(Source::BuiltBy { action: last, name: pushed.clone() })
    }
}

/// The one warning of the image: `why`, else why caches are off. If there is both, the caches become notices.
fn degraded(why: Option<String>, off: &mut Vec<String>, notices: &mut Vec<String>) -> Option<String> {
    if why.is_some() {
        notices.append(off);
        return why;
    }
    (!off.is_empty()).then(|| off.join("; "))
}

/// The notice for a run whose credentials can do more than this program uses: other code in the job has them too.
#[must_use]
pub(crate) fn too_many_rights(access: &Access, home: &Repository) -> String {
    let and_writes = if access.write_images { " there and writes in pr-repository" } else { "" };
    let instead = format!("give its job a role that only reads{and_writes}");
    format!(
        "this run may push to {home}, so its code can replace the images that trusted runs use: {instead}"
    )
}
