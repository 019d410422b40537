//! The engine's own copy of the image.

use crate::error::Result;
use crate::image::ImageReference;
use crate::ports::docker::{Docker, LocalImage};

/// The image with this key, or with this reference by digest.
///
/// # Errors
/// If the engine does not answer.
pub async fn find(
    docker: &Docker,
    key: Option<&str>,
    reference: Option<&ImageReference>,
) -> Result<Option<LocalImage>> {
    match (key, reference) {
        (Some(key), _) => docker.image_with_key(key).await,
        (None, Some(reference)) => docker.inspect(&reference.to_string()).await,
        (None, None) => Ok(None),
    }
}
