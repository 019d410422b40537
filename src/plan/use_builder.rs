//! Plans the use of a builder: the actions before its first build, and the notices of what it cannot do.

use std::collections::BTreeSet;

use super::actions::{Action, ActionId, Draft, GoesWithout};
use super::builder::{Choice, Needs};
use super::context::PlanContext;
use crate::buildkit::Builder;
use crate::buildkit::owner::KEPT;
use crate::coherence::makers::{Lasting, Makers};
use crate::env;
use crate::error::{Error, Result};
use crate::facts::BuilderFacts;
use crate::guards::Guard;

/// The builder of all builds of a run.
pub(super) struct SharedBuilder {
    /// What the builds need of it.
    pub needs: Needs,
    pub choice: Choice,
    /// The actions before the first build, once they are planned.
    before: Option<BeforeBuild>,
}

/// The actions that a build waits for.
#[derive(Clone, Default)]
pub(super) struct BeforeBuild {
    pub actions: Vec<ActionId>,
    /// The one that makes the builder, if one does.
    pub builder: Option<ActionId>,
}

impl SharedBuilder {
    pub(super) const fn new(needs: Needs, choice: Choice) -> Self {
        Self { needs, choice, before: None }
    }

    /// The actions that a build waits for; the first call adds them to the draft.
    pub(super) fn before_build(&mut self, given: &PlanContext<'_>, draft: &mut Draft) -> BeforeBuild {
        if self.before.is_none() {
            let (image, platform) = (draft.image.take(), draft.platform.take());
            self.before = Some(self.add(given, draft));
            (draft.image, draft.platform) = (image, platform);
        }
        self.before.clone().unwrap_or_default()
    }

    fn add(&self, given: &PlanContext<'_>, draft: &mut Draft) -> BeforeBuild {
        let mut actions = Vec::new();
        let BuilderFacts { leftovers, makers, .. } = &*given.late.builders;
        if !leftovers.is_empty() {
            actions.push(draft.add([], Action::RemoveBuilders { builders: leftovers.clone() }));
        }
        // Also if a builder is made for the run: the build may fall back on the one at hand.
        let at_hand = given.late.toolchain.as_ref().and_then(|toolchain| toolchain.builder.as_ref());
        let engine = is_engine(&self.choice, at_hand).then_some(Lasting::Engine);
        let used: BTreeSet<Lasting<'_>> =
            at_hand.and_then(Builder::lasting).into_iter().chain(engine).collect();
        let missing =
            |makers: &Makers| used.iter().filter_map(|one| makers.missing(*one)).collect::<Vec<_>>();
        for volume in makers.iter().flat_map(missing) {
            actions.push(draft.add([], Action::NoteMaker { volume }));
        }
        let Choice::Fresh { builder, keep, optional } = &self.choice else {
            return BeforeBuild { actions, builder: None };
        };
        let without = if self.needs.own_layers && given.late.builders.makers.is_some() {
            GoesWithout::OwnLayers
        } else {
            GoesWithout::CacheExport
        };
        let optional = optional.then_some(without);
        let made = draft.add([], Action::CreateBuilder { builder: builder.clone(), keep: *keep, optional });
        actions.push(made);
        BeforeBuild { actions, builder: Some(made) }
    }
}

/// The namespace of this run's cache mounts on a builder that others use too.
pub(super) fn cache_mount_namespace(given: &PlanContext<'_>) -> Option<String> {
    given.late.builders.makers.as_ref().map(|makers| makers.own().to_owned())
}

/// Refuses a kept builder to runs that are not trusted: such a run could leave layers and cache mounts in it.
pub(super) fn refuse_kept_builder(
    given: &PlanContext<'_>,
    choice: &Choice,
    current: Option<&Builder>,
) -> Result<()> {
    let Choice::AtHand { name, .. } = choice else { return Ok(()) };
    let by_variable = given.env.get(env::BUILDX_BUILDER);
    let name = name.as_deref().or(by_variable).or(current.map(|builder| builder.name.as_str()));
    let name = name.unwrap_or_default();
    if given.image.access.keep_builder || !name.starts_with(KEPT) || !Guard::KeptBuilder.holds() {
        return Ok(());
    }
    Err(Error::input(format!("builder: {name} is kept for trusted runs"))
        .cause(format!("this is {}", given.image.run.zone_reason))
        .hint("leave builder and BUILDX_BUILDER out, and the run gets a builder of its own"))
}

/// True if the engine's own BuildKit builds.
pub(super) fn is_engine(choice: &Choice, builder: Option<&Builder>) -> bool {
    match choice {
        Choice::AtHand { name, .. } => {
            name.as_deref() == Some("default") || builder.is_some_and(Builder::is_engine)
        }
        Choice::Kept { .. } | Choice::Fresh { .. } => false,
    }
}

/// The notices of what the builder cannot do, or does not.
pub(super) fn builder_notices(
    given: &PlanContext<'_>,
    choice: &Choice,
    builder: Option<&Builder>,
) -> Vec<String> {
    let mut notices = Vec::new();
    match choice {
        Choice::Fresh { .. } if given.late.builders.kept.is_some() && !given.image.access.keep_builder => notices.push(
            "the builder is not kept: what this run leaves in one (cache mounts, imported layers) must not reach trusted runs".to_owned(),
        ),
        Choice::AtHand { without_cache_export, without_layers, .. } => {
            if *without_layers {
                notices.push(
                    "neither the builder's layers nor its cache mounts are used, because other repositories or runs of less trust have built with it".to_owned(),
                );
            }
            if *without_cache_export {
                let instead = match given.image.request.settings.builder.name {
                    Some(_) => "leave the input builder out, or use an engine with the containerd image store",
                    None => "use an engine with the containerd image store",
                };
                notices.push(format!("the layer cache is not written: this builder cannot export it; {instead}"));
            }
            if let Some(platform) = builder.and_then(|builder| builder.lacks(&given.image.request.build.platforms)) {
                notices.push(format!(
                    "the builder runs no {platform}: RUN steps for it fail where the Dockerfile does not cross-compile (docker/setup-qemu-action, or an endpoint that does)"
                ));
            }
        }
        Choice::Kept { .. } | Choice::Fresh { .. } => {}
    }
    notices
}
