//! Names layer caches by image, zone and branch.

use super::image_run::ImageRun;
use crate::image::{TagScheme, sanitise, zone_prefix};
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
    fn new(inputs: &ImageRequest, run: &RunContext, zone: &Zone, branch: Option<&str>) -> Option<Self> {
        let prefix = zone_prefix(zone)?;
        let folder = if prefix.is_empty() { zone.name() } else { prefix.trim_end_matches('-') };
        let tag = TagScheme::new(&inputs.image, run.mark.as_ref()).cache_tag(zone, branch)?;
        Some(Self { zone: zone.clone(), zone_folder: folder.to_owned(), tag })
    }
}

/// Names the cache of this run's own zone; `None` if the zone has no cache.
#[must_use]
pub(crate) fn own_cache(inputs: &ImageRequest, run: &RunContext) -> Option<CacheName> {
    CacheName::new(inputs, run, &run.zone, run.branch.as_deref())
}

/// Names the caches that this run may read, nearest first: its own, the base branch's, the default branch's.
#[must_use]
pub(crate) fn readable_caches(image: ImageRun<'_>) -> Vec<CacheName> {
    let ImageRun { request, run, access } = image;
    let mut names: Vec<CacheName> = Vec::new();
    for zone in &access.read_caches {
        // Other zones have one cache, whatever the branch.
        let branches = if *zone == Zone::Trusted { run.cache_branches() } else { vec![""] };
        for name in branches.into_iter().filter_map(|branch| CacheName::new(request, run, zone, Some(branch)))
        {
            if !names.contains(&name) {
                names.push(name);
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
