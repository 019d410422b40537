//! docker, buildx and the builder: read only when something is to be written.

use crate::error::Result;
use crate::inputs::Inputs;
use crate::ports::buildx::{Builder, Buildx, BuildxVersion};
use crate::ports::docker::{Docker, Engine};

/// The tools at hand.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Toolchain {
    /// buildx's version.
    pub buildx: BuildxVersion,
    /// The builder that is named, or the current one; none where only aliases are set.
    pub builder: Option<Builder>,
    /// The engine, where the builder is its own.
    pub engine: Option<Engine>,
}

/// For aliases: the version alone.
///
/// # Errors
/// If there is no buildx.
pub async fn for_alias(docker: &Docker) -> Result<Toolchain> {
    Ok(Toolchain { buildx: Buildx::new(docker.clone()).version().await?, builder: None, engine: None })
}

/// For a build: all of it, side by side.
///
/// # Errors
/// If there is no buildx, or the builder or the engine does not answer.
pub async fn for_build(docker: &Docker, inputs: &Inputs) -> Result<Toolchain> {
    let buildx = Buildx::new(docker.clone());
    let (version, builder, engine) =
        tokio::join!(buildx.version(), buildx.builder(inputs.builder.name.as_deref()), docker.engine());
    let (version, builder) = (version?, builder?);
    let engine = match engine {
        Ok(engine) => Some(engine),
        // A remote builder needs no engine here.
        Err(_) if !builder.is_engine() => None,
        Err(error) => return Err(error),
    };
    Ok(Toolchain { buildx: version, builder: Some(builder), engine })
}
