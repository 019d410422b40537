//! The engine's own copies of the image.

use crate::error::Result;
use crate::image::ImageName;
use crate::plan::Access;
use crate::ports::docker::{Docker, LocalImage};

/// The images with this key. The one of the wanted name is looked at first, and is enough if the
/// run may use it: to go through all of an engine's images takes it ten times as long.
///
/// # Errors
/// If the engine does not answer.
pub async fn with_key(
    docker: &Docker,
    name: &ImageName,
    key: &str,
    access: &Access,
) -> Result<Vec<LocalImage>> {
    let named = docker.inspect(&name.local_reference()).await?;
    if let Some(image) = named.filter(|image| image.key.as_deref() == Some(key) && access.takes(image)) {
        return Ok(vec![image]);
    }
    docker.images_with_key(key).await
}
