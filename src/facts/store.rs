//! Reads which images of this GitHub repository the engine has, and how much room its disk has. The caller does not ask for
//! runs that put no image into the engine's store and report nothing of it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::buildkit::{Space, StoreRoot, StoredImage, Usage};
use crate::error::Result;
use crate::image::private_names_of;
use crate::inputs::Settings;
use crate::ports::disk;
use crate::ports::docker::Docker;
use crate::ports::{Ports, host};

/// What the engine's store holds, and the room that it has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StoreFacts {
    /// True if the store outlives the job.
    pub lasts: bool,
    /// The images with a private name of this GitHub repository; empty too if the engine was not asked.
    pub images: Vec<StoredImage>,
    /// Ids of images that a container uses, running or not. Asked only if an image is old enough to be removed.
    pub used: BTreeSet<String>,
    /// The engine's disk; `None` if the engine runs on another machine, or if that or the room is not known.
    pub disk: Option<Disk>,
    /// docker's table of what takes the disk, for the report.
    #[serde(skip)]
    pub usage: Vec<Usage>,
}

/// The disk of the engine's store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Disk {
    /// A folder on it.
    pub folder: PathBuf,
    pub space: Space,
    /// True if the engine has no image at all, so that a new one shares no layer.
    pub no_images: bool,
}

/// Reads the facts. An engine that does not answer leaves them empty: nothing is removed then, and a later step reports
/// the engine. `place`: see [`crate::image::place`].
pub(crate) async fn gather_store(ports: &Ports, settings: &Settings, place: &str) -> StoreFacts {
    let Ok(docker) = ports.docker() else { return StoreFacts::default() };
    let lasts = ports.env.is_self_hosted();
    let images = async {
        if (lasts && settings.store.keep.is_some()) || settings.store.report {
            return of_place(&docker, settings, place).await.unwrap_or_default();
        }
        Default::default()
    };
    let usage = async {
        if settings.store.report {
            return docker.disk_usage().await.unwrap_or_default();
        }
        Vec::new()
    };
    let ((images, used), engine, usage) = tokio::join!(images, docker.engine(), usage);
    let disk = engine.ok().and_then(|engine| Disk::at(engine.root.as_ref()?));
    StoreFacts { lasts, images, used, disk, usage }
}

/// The images of a place, and the ids of those that containers use.
async fn of_place(
    docker: &Docker,
    settings: &Settings,
    place: &str,
) -> Result<(Vec<StoredImage>, BTreeSet<String>)> {
    let images = docker.stored_images(&private_names_of(place)).await?;
    let keep = settings.store.keep.map(|keep| keep.as_secs());
    let old = |image: &StoredImage| image.age.zip(keep).is_some_and(|(age, keep)| age > keep);
    let used = if images.iter().any(old) { docker.images_in_use().await? } else { BTreeSet::new() };
    Ok((images, used))
}

impl Disk {
    /// The disk of an engine's store; `None` if the engine runs on another machine.
    pub(crate) fn at(root: &StoreRoot) -> Option<Self> {
        // The folder of an engine elsewhere may exist here too.
        let here = host::name()? == root.machine;
        let space = disk::space(&root.folder).filter(|_| here)?;
        Some(Self { folder: root.folder.clone(), space, no_images: root.images == 0 })
    }
}
