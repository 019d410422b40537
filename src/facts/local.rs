//! The engine's own copy of the image.

use crate::error::Result;
use crate::image::ImageName;
use crate::ports::docker::{Docker, LocalImage};

/// The image with this key. The one of the wanted name is looked at first: to go through all
/// of an engine's images takes it ten times as long.
///
/// # Errors
/// If the engine does not answer.
pub async fn with_key(docker: &Docker, name: &ImageName, key: &str) -> Result<Option<LocalImage>> {
    let named = docker.inspect(&name.local_reference()).await?;
    if let Some(image) = named.filter(|image| image.key.as_deref() == Some(key)) {
        return Ok(Some(image));
    }
    docker.image_with_key(key).await
}
