//! The engine's own copies of the image.

use crate::buildkit::LocalImage;
use crate::error::Result;
use crate::ports::docker::Docker;

/// What the engine has of the image that is wanted. Only what the decision may rest on is asked.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(crate) struct Local {
    /// The image of this key, under a private name that this run may use.
    pub of_key: Option<LocalImage>,
    /// The copy of exactly the registry's image, under its reference by digest.
    pub of_digest: Option<LocalImage>,
}

/// The first image under one of these private names that carries the whole key. A name holds half of
/// the key; every image that this program builds carries all of it as a label.
///
/// # Errors
/// If the engine does not answer.
pub(crate) async fn with_key(docker: &Docker, names: &[String], key: &str) -> Result<Option<LocalImage>> {
    for name in names {
        let found = docker.inspect(name).await?;
        if let Some(image) = found.filter(|image| image.key.as_deref() == Some(key)) {
            return Ok(Some(image));
        }
    }
    Ok(None)
}
