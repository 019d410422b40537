//! Collects the registry logins that the actions of a plan need.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::image::ImageReference;
use crate::plan::{Action, Plan, Source};
use crate::ports::Ports;
use crate::ports::docker_config::PrivateDockerConfig;

/// Writes a docker configuration with the credentials that the plan's actions need, for docker and buildx alone.
///
/// # Errors
/// If there is no login for a registry that is written to, or the configuration cannot be written.
pub(super) async fn collected(plan: &Plan, ports: &Ports) -> Result<PrivateDockerConfig> {
    let needed = Needed::of(plan);
    let credentials = ports.registry.credentials();
    for registry in needed.registries.union(&needed.bases) {
        match credentials.for_registry(registry).await {
            Err(error) if needed.publishes && needed.registries.contains(registry) => return Err(error),
            // Reading may work without a login; if it does not, the action says so.
            Ok(_) | Err(_) => {}
        }
    }
    PrivateDockerConfig::create(&ports.env, &ports.user_config, &credentials.collected().await)
}

/// The registries that a plan's actions talk to.
#[derive(Default)]
struct Needed {
    /// Those that images are pushed to, tagged in or pulled from.
    registries: BTreeSet<String>,
    /// The registries of base images. A base with a digest was not looked up, so its login is not known yet.
    bases: BTreeSet<String>,
    /// True if docker pushes or sets a tag. Other writes go through [`crate::ports::registry`], which reports a missing
    /// login itself.
    publishes: bool,
}

impl Needed {
    fn of(plan: &Plan) -> Self {
        let mut needed = Self::default();
        plan.actions.iter().for_each(|planned| needed.add(&planned.action));
        needed
    }

    fn add(&mut self, action: &Action) {
        match action {
            Action::Alias { source, target, .. } => {
                self.publishes = true;
                self.add_registry(reference(source));
                self.add_registry(target);
            }
            Action::PutIndex { target, .. } | Action::JoinIndex { target, .. } => self.add_registry(target),
            Action::Pull { source, .. } | Action::TagPlatforms { source, .. } => {
                self.add_registry(reference(source));
            }
            Action::ReadBack { reference, .. } | Action::SetKeyTag { key_tag: reference, .. } => {
                self.add_registry(reference);
            }
            Action::Build { spec, .. } | Action::Load { spec } => {
                self.publishes |= spec.output.pushes();
                self.registries.extend(spec.registries());
                let linked = spec.with_linked();
                self.bases.extend(linked.into_iter().flat_map(|spec| spec.reads.iter().cloned()));
            }
            // BuildKit's image may be in a registry that only this run is logged in to.
            Action::CreateBuilder { builder, .. } => {
                let images = builder.options.iter().filter_map(|option| option.strip_prefix("image="));
                images.filter_map(|image| image.parse().ok()).for_each(|image| self.add_registry(&image));
            }
            Action::CreateRepository { .. }
            | Action::SetUp { .. }
            | Action::RemoveBuilders { .. }
            | Action::RemoveImages { .. }
            | Action::NoteMaker { .. }
            | Action::Tag { .. } => {}
        }
    }

    fn add_registry(&mut self, reference: &ImageReference) {
        self.registries.insert(reference.registry().to_owned());
    }
}

/// The image's name, for its registry.
const fn reference(source: &Source) -> &ImageReference {
    match source {
        Source::Known(reference) | Source::BuiltBy { name: reference, .. } => reference,
    }
}
