//! Which layer caches there are, of those this run may read.

use futures_util::future::join_all;

use super::ImageFacts;
use crate::image::ImageReference;
use crate::inputs::CacheKind;
use crate::ports::registry::Resolve;
use crate::ports::{Ports, git, local_cache};
use crate::trust::ImageRun;

/// What was found out about caches.
#[derive(Clone, Debug, Default)]
pub(crate) struct CacheFacts {
    /// Caches in the repository that exist, in the order they are to be read.
    pub registry: Vec<ImageReference>,
    /// Images of the commits before that exist, for the cache inside them.
    pub images: Vec<ImageReference>,
    /// Why no folder of this machine can hold a cache.
    pub local_off: Option<String>,
}

/// Images that are asked for the cache inside them.
const IMAGES: usize = 4;

/// Asks for them side by side. One that is missing on a first run is no error, and asking
/// first keeps BuildKit from reporting it as one. `shared`: the registry can be used.
pub(crate) async fn caches(
    ports: &Ports,
    image: ImageRun<'_>,
    facts: &ImageFacts,
    shared: bool,
) -> CacheFacts {
    let has = |kind| image.request.cache.has(kind);
    let registry = shared && has(CacheKind::Registry);
    let (tags, images) = tokio::join!(
        async { if registry { existing(ports, tags(image, facts)).await } else { Vec::new() } },
        async {
            if shared && has(CacheKind::Inline) {
                existing(ports, images(ports, image, facts).await).await
            } else {
                Vec::new()
            }
        },
    );
    let dir = image.request.cache.dir.as_ref().filter(|_| has(CacheKind::Local));
    let local_off = dir.and_then(|dir| local_cache::why_unusable(dir));
    CacheFacts { registry: tags, images, local_off }
}

fn tags(image: ImageRun<'_>, facts: &ImageFacts) -> Vec<ImageReference> {
    let names = facts.repository.repository().map(|home| image.names(home));
    names.map(|names| names.caches()).unwrap_or_default()
}

async fn images(ports: &Ports, image: ImageRun<'_>, facts: &ImageFacts) -> Vec<ImageReference> {
    let Some(home) = facts.repository.repository() else { return Vec::new() };
    if image.access.read_caches.is_empty() {
        return Vec::new();
    }
    let parents = git::first_parents(&ports.exec, IMAGES).await.unwrap_or_default();
    let names = image.names(home);
    let mut images: Vec<ImageReference> = Vec::new();
    for reference in image.run.earlier.iter().chain(&parents).flat_map(|commit| names.of_commit(commit)) {
        if !images.contains(&reference) {
            images.push(reference);
        }
    }
    images.truncate(IMAGES);
    images
}

async fn existing(ports: &Ports, references: Vec<ImageReference>) -> Vec<ImageReference> {
    let asked = references.into_iter().map(async |reference| {
        let seen = ports.registry.resolve(&reference).await;
        (reference, seen)
    });
    let mut found = Vec::new();
    for (reference, seen) in join_all(asked).await {
        match seen {
            Ok(_) => found.push(reference),
            Err(Resolve::Absent) => {}
            Err(Resolve::Failed(error)) => {
                ports.console.line(&format!("cache not used: {}", error.headline()));
            }
        }
    }
    found
}
