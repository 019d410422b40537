//! Chooses between the engine's image and a registry's, where both have one of the same name. An earlier step of the job
//! may have built it under a name that another user has on Docker Hub.

use super::pin::{EngineImage, Pin};
use crate::image::{Digest, ImageReference};
use crate::inputs::ImageRequest;
use crate::ports::Ports;
use crate::ports::buildx::Buildx;
use crate::ports::registry::Probe;
use crate::run::RunContext;
use crate::zone::Zone;

/// The engine's store as a source of base images.
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

    /// Finds the engine's own image of this name, if `docker build` would use it: the engine's BuildKit builds, and looks
    /// into its store first (buildx, `image-resolve-mode`). An image that was pulled before the tag moved does not
    /// count. `digest` is the registry's image. The log tells of each difference.
    pub(super) async fn own_image(
        &self,
        reference: &ImageReference,
        name: &str,
        digest: &Digest,
    ) -> Option<Pin> {
        let Self { ports, inputs, run } = self;
        let wanted = &inputs.settings.builder;
        let may_be_engine =
            wanted.driver.is_none() && wanted.name.as_deref().is_none_or(|name| name == "default");
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
        let log = |what: &str| {
            ports
                .console
                .line(&format!("note: the engine has another {name} than {}: {what}", reference.registry()));
        };
        for known in &own_digests {
            // The engine gives a digest to images that it built too; the registry knows only those that were pulled.
            if !matches!(ports.registry.probe(known).await, Probe::Absent { .. }) {
                log("an older one; the registry's is used");
                return None;
            }
        }
        let shared = ports.env.is_self_hosted();
        if shared && run.zone == Zone::Trusted {
            log(
                "the registry's is used, because other runs use this engine too; name the image so that no registry has it, or push it and name its digest",
            );
            return None;
        }
        let builder = Buildx::new(docker).builder(wanted.name.as_deref()).await.ok()?;
        if !builder.is_engine() {
            log(&format!(
                "the registry's is used, because the builder {} does not see the engine's",
                builder.name
            ));
            return None;
        }
        log("the engine's is used, as docker build does");
        EngineImage::new(own).map(Pin::Engine)
    }
}
