//! Where the engine and a registry know different images by one name, such as one that an earlier step of the job
//! has built under a name that a stranger has on Docker Hub.

use super::pin::{EngineImage, Pin};
use crate::env;
use crate::image::{Digest, ImageReference};
use crate::inputs::ImageRequest;
use crate::ports::Ports;
use crate::ports::buildx::Buildx;
use crate::ports::registry::Probe;
use crate::run::RunContext;
use crate::zone::Zone;

/// Whose image a name stands for, by the run's own settings.
#[derive(Clone, Copy)]
pub(super) struct Engine<'a> {
    ports: &'a Ports,
    inputs: &'a ImageRequest,
    run: &'a RunContext,
}

impl<'a> Engine<'a> {
    pub(super) const fn new(ports: &'a Ports, inputs: &'a ImageRequest, run: &'a RunContext) -> Self {
        Self { ports, inputs, run }
    }

    /// The engine's image where `docker build` would take it: its own BuildKit builds, and looks into its store first
    /// (buildx, `image-resolve-mode`). One that was pulled and is older by now does not count: a moved tag is another
    /// image. `digest`: what the registry has. Each difference is said in a line.
    pub(super) async fn instead_of(
        &self,
        reference: &ImageReference,
        name: &str,
        digest: &Digest,
    ) -> Option<Pin> {
        let Self { ports, inputs, run } = self;
        let asked = &inputs.settings.builder;
        let may_be_engine =
            asked.driver.is_none() && asked.name.as_deref().is_none_or(|name| name == "default");
        if !may_be_engine || inputs.build.pull {
            return None;
        }
        let docker = ports.docker().ok()?;
        let own = docker.inspect(name).await.ok()??;
        let own_digests: Vec<ImageReference> = own
            .digests
            .iter()
            .filter_map(|text| text.parse::<ImageReference>().ok())
            .filter(|known| known.repository() == reference.repository())
            .collect();
        if own_digests.iter().any(|known| known.digest() == Some(digest)) {
            return None;
        }
        let say = |what: &str| {
            ports
                .console
                .line(&format!("note: the engine has another {name} than {}: {what}", reference.registry()));
        };
        for known in &own_digests {
            // The engine calls what it has built by a digest too.
            if !matches!(ports.registry.probe(known).await, Probe::Absent { .. }) {
                say("an older one; the registry's is used");
                return None;
            }
        }
        let shared = ports.env.get(env::RUNNER_ENVIRONMENT) == Some("self-hosted");
        if shared && run.zone == Zone::Trusted {
            say(
                "the registry's is used, because other runs use this engine too; name the image so that no registry has it, or push it and name its digest",
            );
            return None;
        }
        let builder = Buildx::new(docker).builder(asked.name.as_deref()).await.ok()?;
        if !builder.is_engine() {
            say(&format!(
                "the registry's is used, because the builder {} does not see the engine's",
                builder.name
            ));
            return None;
        }
        say("the engine's is used, as docker build does");
        EngineImage::new(own).map(Pin::Engine)
    }
}
