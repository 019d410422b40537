//! Removes old images of this GitHub repository from the engine.

use super::Record;
use crate::plan::OldImage;
use crate::ports::docker::Docker;

/// Removes the images one after the other. A failure is only a notice: a container may have begun to use the image, or
/// another run removes it too.
pub(super) async fn run(images: &[OldImage], docker: &Docker, record: &mut Record) {
    for image in images {
        match docker.remove_image(&image.id, &image.names).await {
            Ok(()) => record.removed.push(image.clone()),
            Err(error) => {
                record.notices.push(format!("an old image is still in the engine: {}", error.headline()));
                if error.is_stopped() {
                    return;
                }
            }
        }
    }
}
