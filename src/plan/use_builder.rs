//! The builder of a build: what is done before it is used, and what it cannot do.

use std::collections::BTreeSet;

use super::builder::Choice;
use super::given::PlanContext;
use super::steps::Step;
use crate::buildkit::Builder;
use crate::buildkit::owner::KEPT;
use crate::coherence::makers::{Lasting, Makers};
use crate::env;
use crate::error::{Error, Result};
use crate::facts::BuilderFacts;
use crate::guards::Guard;

/// What comes before the build, and the builder's name where it is not the current one.
pub(super) fn builder_steps(given: &PlanContext<'_>, choice: Choice) -> (Vec<Step>, Option<String>) {
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
pub(super) fn apart(given: &PlanContext<'_>) -> Option<String> {
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
    if given.access.keep_builder || !name.starts_with(KEPT) || !Guard::KeptBuilder.holds() {
        return Ok(());
    }
    Err(Error::input(format!("builder: {name} is kept for trusted runs"))
        .cause(format!("this is {}", given.run.zone_reason))
        .hint("leave builder and BUILDX_BUILDER out, and the run gets a builder of its own"))
}

/// Whether the engine's own BuildKit builds.
pub(super) fn is_engine(choice: &Choice, builder: Option<&Builder>) -> bool {
    match choice {
        Choice::AtHand { name, .. } => {
            name.as_deref() == Some("default") || builder.is_some_and(Builder::is_engine)
        }
        Choice::Kept { .. } | Choice::Fresh { .. } => false,
    }
}

/// What the builder cannot do, or does not.
pub(super) fn builder_notices(
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
