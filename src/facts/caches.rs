//! Finds the layer caches that exist, among those that this run may read.

use futures_util::future::join_all;

use super::ImageFacts;
use crate::image::ImageReference;
use crate::inputs::CacheKind;
use crate::ports::git::MOST_PARENTS;
use crate::ports::registry::Resolve;
use crate::ports::{Ports, local_cache};
use crate::trust::ImageRun;

/// The layer caches that a build can use.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CacheFacts {
    /// The caches that exist in the repository, in the order in which BuildKit reads them.
    pub registry: Vec<ImageReference>,
    /// The images of earlier commits that exist, for their inline caches.
    pub images: Vec<ImageReference>,
    /// The reason that the input `cache-dir` cannot hold a cache; `None` if it can.
    pub local_off: Option<String>,
}

/// Most images of earlier commits that are asked for; the build reads the inline caches of those that exist. One question
/// each, so the number is cut before they are asked.
const INLINE_CACHES: usize = MOST_PARENTS;

/// Asks for all caches side by side. A cache that is missing on a first run is no error; BuildKit would report it as
/// one. `shared`: the registry can be used.
pub(crate) async fn find_caches(
    ports: &Ports,
    image: ImageRun<'_>,
    facts: &ImageFacts,
    shared: bool,
) -> CacheFacts {
    let has = |kind| image.request.cache.has(kind);
    let registry = shared && has(CacheKind::Registry);
    let (tags, images) = tokio::join!(
        async { if registry { existing(ports, cache_tags(image, facts)).await } else { Vec::new() } },
        async {
            if shared && has(CacheKind::Inline) {
                existing(ports, earlier_images(ports, image, facts).await).await
            } else {
                Vec::new()
            }
        },
    );
    let dir = image.request.cache.dir.as_ref().filter(|_| has(CacheKind::Local));
    let local_off = dir.and_then(|dir| local_cache::why_unusable(dir));
    CacheFacts { registry: tags, images, local_off }
}

fn cache_tags(image: ImageRun<'_>, facts: &ImageFacts) -> Vec<ImageReference> {
    let Some(home) = facts.repository.repository() else { return Vec::new() };
    let mut tags = Vec::new();
    // A platform that is built by itself, because others are there, has a cache of its own too.
    let (there, missing): (Vec<_>, Vec<_>) = facts.platforms.iter().partition(|own| own.found().is_some());
    for own in missing.into_iter().filter(|_| !there.is_empty()) {
        let request = image.request.part(&own.platform);
        tags.extend(ImageRun { request: &request, ..image }.names(home).caches());
    }
    tags.extend(image.names(home).caches());
    let mut seen = std::collections::BTreeSet::new();
    tags.retain(|tag| seen.insert(tag.to_string()));
    tags
}

/// Images of earlier commits in zones whose images the run may use: an inline cache is a part of its image, so the right to
/// use the image decides.
async fn earlier_images(ports: &Ports, image: ImageRun<'_>, facts: &ImageFacts) -> Vec<ImageReference> {
    let Some(home) = facts.repository.repository() else { return Vec::new() };
    let parents = ports.first_parents().await.unwrap_or_default();
    let names = image.names(home);
    let mut images: Vec<ImageReference> = Vec::new();
    for reference in image.run.earlier.iter().chain(parents).flat_map(|commit| names.of_commit(commit)) {
        if !images.contains(&reference) {
            images.push(reference);
        }
    }
    images.truncate(INLINE_CACHES);
    images
}

/// Keeps the references that the registry has. An answer that fails is logged.
async fn existing(ports: &Ports, references: Vec<ImageReference>) -> Vec<ImageReference> {
    let answers = references.into_iter().map(async |reference| {
        let answer = ports.registry.resolve(&reference).await;
        (reference, answer)
    });
    let mut found = Vec::new();
    for (reference, answer) in join_all(answers).await {
        match answer {
            Ok(_) => found.push(reference),
            Err(Resolve::Absent) => {}
            Err(Resolve::Failed(error)) => {
                ports.console.line(&format!("cache not used: {}", error.headline()));
            }
        }
    }
    found
}
