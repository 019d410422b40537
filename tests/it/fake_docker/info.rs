//! What the engine tells of itself, by the fake docker and by its socket.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// The engine that `scenario.json` in `folder` describes, with `images` images.
pub(crate) fn info(folder: &Path, images: usize) -> Value {
    let scenario: Value = serde_json::from_slice(&fs::read(folder.join("scenario.json")).unwrap()).unwrap();
    let store = if scenario["containerd"] == true { "io.containerd.snapshotter.v1" } else { "overlay2" };
    json!({
        "ServerVersion": "28.5.1", "Architecture": std::env::consts::ARCH,
        "DriverStatus": [["driver-type", store]], "Images": images,
        "Name": fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim(),
        "DockerRootDir": folder,
    })
}
