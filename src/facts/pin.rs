//! Pins of base images.

use crate::buildkit::LocalImage;
use crate::image::{Digest, ImageReference, is_private};

/// The way in which the build is held to the base image that the key was computed from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Pin {
    /// By its digest in a registry; the build gets this reference in place of the name.
    Registry(ImageReference),
    /// By its id: it is only in the engine's store, where the engine's BuildKit finds it.
    Engine(EngineImage),
    /// By the digest that the user wrote.
    AsWritten,
}

/// An image of the engine's store.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct EngineImage {
    /// The engine's id of the image.
    pub id: String,
    /// Its private names ([`crate::image::LocalScheme`]), which say what runs made or pulled it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub private: Vec<String>,
}

impl EngineImage {
    /// `None` if the engine's id is no digest.
    pub(super) fn new(image: LocalImage) -> Option<Self> {
        image.id.parse::<Digest>().ok()?;
        let private = image.tags.into_iter().filter(|name| is_private(name)).collect();
        Some(Self { id: image.id, private })
    }
}
