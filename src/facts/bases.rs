//! Finds the digests of base images.

use std::path::Path;

use super::engine_base::Engine;
use super::pin::{EngineImage, Pin};
use crate::error::{Error, Result};
use crate::failure::FailureClass;
use crate::failure::FailureKind;
use crate::image::ImageReference;
use crate::ports::Ports;
use crate::ports::registry::Resolve;

/// An image that the Dockerfile or a build context names.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Base {
    /// The name as the user wrote it.
    pub name: String,
    pub pin: Pin,
}

impl Base {
    /// The host of its registry; `None` if it is in the engine's store alone.
    #[must_use]
    pub(crate) fn registry(&self) -> Option<String> {
        let written = self.name.parse::<ImageReference>();
        match &self.pin {
            Pin::Registry(reference) => Some(reference.registry().to_owned()),
            Pin::AsWritten => Some(written.ok()?.registry().to_owned()),
            Pin::Engine(_) => None,
        }
    }

    /// The value that stands for the image's content in the key.
    #[must_use]
    pub(crate) fn content(&self) -> String {
        match &self.pin {
            Pin::Registry(reference) => reference.identifier().to_owned(),
            Pin::Engine(image) => image.id.clone(),
            Pin::AsWritten => self.name.rsplit('@').next().unwrap_or_default().to_owned(),
        }
    }
}

/// Resolves a name to a digest: in its registry, else in the engine's store. With `engine`, an image of the engine may
/// come before the registry's.
///
/// # Errors
/// If neither knows the name: without a digest there is no key.
pub(super) async fn resolve(
    ports: &Ports,
    name: &str,
    (file, line): (&Path, usize),
    engine: Option<Engine<'_>>,
) -> Result<Base> {
    let base = |pin| Base { name: name.to_owned(), pin };
    let at = |error: Error| if line > 0 { error.at(file.display().to_string(), line) } else { error };
    let reference: ImageReference = name.parse().map_err(|error| {
        at(Error::of(FailureKind::DockerfileError, format!("failed to resolve the image {name}"))
            .because(&error)
            .hint("correct the image's name"))
    })?;
    if reference.digest().is_some() {
        return Ok(base(Pin::AsWritten));
    }
    let failed = match ports.digest(&reference).await {
        Ok(digest) => {
            let own = match engine {
                Some(engine) => engine.own_image(&reference, name, &digest).await,
                None => None,
            };
            return Ok(base(own.unwrap_or_else(|| Pin::Registry(reference.repository().at(digest)))));
        }
        Err(failed) => failed,
    };
    // An image that was built or loaded on this machine may be in no registry.
    if let Ok(docker) = ports.docker()
        && let Ok(Some(local)) = docker.inspect(name).await
        && let Some(local) = EngineImage::new(local)
    {
        return Ok(base(Pin::Engine(local)));
    }
    let what = format!("failed to resolve the base image {name}");
    Err(at(match failed {
        Resolve::Absent => Error::of(FailureKind::BaseNotFound, what)
            .cause(format!("{} has no such image", reference.registry()))
            .hint("check the image's name and tag"),
        Resolve::Failed(error) => {
            let denied = error.class == FailureClass::Access;
            let error = error.within(what);
            if denied { error.of_kind(FailureKind::BaseNotFound) } else { error }
        }
    }))
}
