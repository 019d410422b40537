//! Reads the versions and abilities of docker, buildx and the builder. Only builds need them.

use crate::buildkit::{Builder, BuildxVersion, Engine};
use crate::error::Result;
use crate::inputs::{BuilderInputs, Driver};
use crate::ports::buildx::Buildx;
use crate::ports::docker::Docker;

/// The tools of this machine.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Toolchain {
    /// buildx's version.
    pub buildx: BuildxVersion,
    /// The builder of the input `builder`, or buildx's current one; `None` if the run makes a remote
    /// or Kubernetes one, which uses nothing of this machine.
    pub builder: Option<Builder>,
    /// The engine, if its own BuildKit may build or its store matters.
    pub engine: Option<Engine>,
}

/// Asks the engine and buildx side by side; a process costs as much time as a small build step.
/// `inputs`: those about the builder; `None` without an image to build. `on_engine`: a base image is only in the engine's store, so the
/// engine must answer (`plan::builder` then refuses every other builder). `needs_store`: the abilities of the engine's
/// store matter, also if another builder builds.
///
/// # Errors
/// If there is no buildx, or the builder or the engine does not answer.
pub(crate) async fn gather(
    docker: &Docker,
    inputs: Option<&BuilderInputs>,
    on_engine: bool,
    needs_store: bool,
) -> Result<Toolchain> {
    let buildx = Buildx::new(docker.clone());
    // For the store alone an engine that does not answer is no error.
    let store = async || if needs_store { docker.engine().await.ok() } else { None };
    if matches!(inputs.and_then(|inputs| inputs.driver), Some(Driver::Remote | Driver::Kubernetes)) {
        // The run makes such a builder, which uses nothing of this machine.
        let (version, engine) = tokio::join!(buildx.version(), store());
        return Ok(Toolchain { buildx: version?, builder: None, engine });
    }
    let name = inputs.and_then(|inputs| inputs.name.as_deref());
    if name.is_some_and(|name| name != "default") && !on_engine {
        // Such a builder is seldom the engine's own, so the engine is not asked before that is known.
        let (version, builder) = tokio::join!(buildx.version(), buildx.builder(name));
        let (version, builder) = (version?, builder?);
        let engine = if builder.is_engine() { Some(docker.engine().await?) } else { store().await };
        return Ok(Toolchain { buildx: version, builder: Some(builder), engine });
    }
    let (engine, version, builder) = tokio::join!(docker.engine(), buildx.version(), buildx.builder(name));
    let (version, builder) = (version?, builder?);
    let engine = match engine {
        Ok(engine) => Some(engine),
        // A remote builder needs no engine here.
        Err(_) if !builder.is_engine() && !on_engine => None,
        Err(error) => return Err(error),
    };
    Ok(Toolchain { buildx: version, builder: Some(builder), engine })
}
