//! How a base image is held to the content that the key was computed from.

use crate::buildkit::LocalImage;
use crate::image::{Digest, ImageReference, is_private};

/// How a base is held to the content that the key was computed from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Pin {
    /// By its digest in a registry; the build gets this reference in place of the name.
    Registry(ImageReference),
    /// It is only in the engine's store; the engine's BuildKit takes it from there.
    Engine(EngineImage),
    /// It is written with its digest.
    AsWritten,
}

/// An image of the engine's store.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct EngineImage {
    /// The engine's id of it.
    pub id: String,
    /// Its private names ([`crate::image::LocalScheme`]), which say what runs made or pulled it.
    #[serde(skip)]
    pub private: Vec<String>,
}

impl EngineImage {
    /// As the engine tells of it; nothing if its id is none.
    pub(super) fn new(image: LocalImage) -> Option<Self> {
        image.id.parse::<Digest>().ok()?;
        let private = image.tags.into_iter().filter(|name| is_private(name)).collect();
        Some(Self { id: image.id, private })
    }
}
