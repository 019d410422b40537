//! Names layer caches by image, zone and branch.

use super::image_run::ImageRun;
use crate::image::{Platform, TagScheme, sanitise, zone_prefix};
use crate::inputs::ImageRequest;
use crate::run::RunContext;
use crate::zone::Zone;

/// The name of a cache. Each image and zone has one; in the trusted zone, each branch has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CacheName {
    pub zone: Zone,
    /// The zone as the name of a folder: `trusted`, `pr-12`, `br-fix`.
    pub zone_folder: String,
    /// The tag of a cache in a registry, and the name of the folder of a local one.
    pub tag: String,
}

impl CacheName {
    fn new(
        (inputs, platform): (&ImageRequest, Option<&Platform>),
        run: &RunContext,
        zone: &Zone,
        branch: Option<&str>,
    ) -> Option<Self> {
        let prefix = zone_prefix(zone)?;
        let folder = if prefix.is_empty() { zone.name() } else { prefix.trim_end_matches('-') };
        let scheme = TagScheme::new(&inputs.image, run.mark.as_ref()).of_platform(platform);
        let tag = scheme.cache_tag(zone, branch)?;
        Some(Self { zone: zone.clone(), zone_folder: folder.to_owned(), tag })
    }
}

/// The platform in the names of a request's caches: two jobs with one platform each must not overwrite each other's cache.
/// `linux/amd64` alone has the image's name, as images of several platforms have, so that most caches keep their names.
fn named_platform(inputs: &ImageRequest) -> Option<&Platform> {
    let is_named = |platform: &&Platform| inputs.is_part || platform.to_string() != "linux/amd64";
    inputs.build.only_platform().filter(is_named)
}

/// Names the cache of this run's own zone; `None` if the zone has no cache.
#[must_use]
pub(crate) fn own_cache(inputs: &ImageRequest, run: &RunContext) -> Option<CacheName> {
    CacheName::new((inputs, named_platform(inputs)), run, &run.zone, run.branch.as_deref())
}

/// Names the caches that this run may read, nearest first: its own, the base branch's, the default branch's. For one platform
/// of an image with several, those of the image follow.
#[must_use]
pub(crate) fn readable_caches(image: ImageRun<'_>) -> Vec<CacheName> {
    let ImageRun { request, run, access } = image;
    let mut names: Vec<CacheName> = Vec::new();
    let own = named_platform(request);
    for platform in [own, None].into_iter().take(if request.is_part { 2 } else { 1 }) {
        for zone in &access.read_caches {
            // Other zones have one cache, whatever the branch.
            let branches = if *zone == Zone::Trusted { run.cache_branches() } else { vec![""] };
            let cache = |branch| CacheName::new((request, platform), run, zone, Some(branch));
            for name in branches.into_iter().filter_map(cache) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
    }
    names
}

/// Names the folder of one GitHub repository's caches, such as `owner/name`, because a machine or a bucket may serve
/// several. `_` stands for a part that is no name of a folder.
#[must_use]
pub(crate) fn cache_home(run: &RunContext) -> String {
    let part = |text: &str| {
        let clean = sanitise(text);
        if clean.trim_matches('.').is_empty() { "_".to_owned() } else { clean }
    };
    run.repository.as_deref().unwrap_or("_").split('/').map(part).collect::<Vec<_>>().join("/")
}
