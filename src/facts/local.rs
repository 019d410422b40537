//! Finds the engine's own copies of the image.

use crate::buildkit::LocalImage;
use crate::error::Result;
use crate::ports::docker::Docker;

/// The engine's copies of the wanted image. `None` also where the decision needs no answer and the engine was not asked.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Local {
    /// The image of the key, under a private name that this run may use.
    pub of_key: Option<LocalImage>,
    /// The copy of exactly the registry's image, under its reference by digest.
    pub of_digest: Option<LocalImage>,
}

/// Finds the first image under one of these private names whose label has the whole key. A name has only half of it.
///
/// # Errors
/// If the engine does not answer.
pub(crate) async fn find_by_key(docker: &Docker, names: &[String], key: &str) -> Result<Option<LocalImage>> {
    for name in names {
        let found = docker.inspect(name).await?;
        if let Some(image) = found.filter(|image| image.key.as_deref() == Some(key)) {
            return Ok(Some(image));
        }
    }
    Ok(None)
}
