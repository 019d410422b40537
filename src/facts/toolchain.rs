//! docker, buildx and the builder: read only when something is to be built.

use crate::buildkit::Engine;
use crate::buildkit::{Builder, BuildxVersion};
use crate::error::Result;
use crate::inputs::{BuilderInputs, Driver};
use crate::ports::buildx::Buildx;
use crate::ports::docker::Docker;

/// The tools at hand.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Toolchain {
    /// buildx's version.
    pub buildx: BuildxVersion,
    /// The builder that is named, or the current one.
    pub builder: Option<Builder>,
    /// The engine, where its own BuildKit may build.
    pub engine: Option<Engine>,
}

/// All of it, in as few processes as it takes: each costs what a small build step does.
/// `on_engine`: a base image is only in the engine's store, so that its BuildKit builds. `store`: what the
/// engine's store can hold matters, whoever builds.
///
/// # Errors
/// If there is no buildx, or the builder or the engine does not answer.
pub(crate) async fn gather(
    docker: &Docker,
    asked: Option<&BuilderInputs>,
    on_engine: bool,
    store: bool,
) -> Result<Toolchain> {
    let buildx = Buildx::new(docker.clone());
    let store = async || if store { docker.engine().await.ok() } else { None };
    if matches!(asked.and_then(|asked| asked.driver), Some(Driver::Remote | Driver::Kubernetes)) {
        // One is made, and nothing of this machine is in it.
        let (version, engine) = tokio::join!(buildx.version(), store());
        return Ok(Toolchain { buildx: version?, builder: None, engine });
    }
    let name = asked.and_then(|asked| asked.name.as_deref());
    if name.is_some_and(|name| name != "default") && !on_engine {
        // Seldom the engine's own, and then the engine need not even be there.
        let (version, builder) = tokio::join!(buildx.version(), buildx.builder(name));
        let (version, builder) = (version?, builder?);
        let engine = if builder.is_engine() { Some(docker.engine().await?) } else { store().await };
        return Ok(Toolchain { buildx: version, builder: Some(builder), engine });
    }
    let (engine, builder) = tokio::join!(docker.engine(), buildx.builder(name));
    let known = engine.as_ref().ok().and_then(|engine| engine.buildx.clone());
    let version = match known {
        Some(version) => version,
        None => buildx.version().await?,
    };
    let builder = builder?;
    let engine = match engine {
        Ok(engine) => Some(engine),
        // A remote builder needs no engine here.
        Err(_) if !builder.is_engine() && !on_engine => None,
        Err(error) => return Err(error),
    };
    Ok(Toolchain { buildx: version, builder: Some(builder), engine })
}
