//! What layer caches are called, by image, zone and branch.

use super::image_run::ImageRun;
use crate::image::{TagScheme, sanitise, zone_prefix};
use crate::inputs::ImageRequest;
use crate::run::RunContext;
use crate::zone::Zone;

/// A cache by its name: one per image, zone and, where the zone is trusted, branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CacheName {
    /// Whose it is.
    pub of: Zone,
    /// The zone, as a folder: `trusted`, `pr-12`, `br-fix`.
    pub zone: String,
    /// As a tag.
    pub tag: String,
}

impl CacheName {
    fn new(inputs: &ImageRequest, run: &RunContext, zone: &Zone, branch: Option<&str>) -> Option<Self> {
        let prefix = zone_prefix(zone)?;
        let folder = if prefix.is_empty() { zone.name() } else { prefix.trim_end_matches('-') };
        let tag = TagScheme::new(&inputs.image, run.mark.as_ref()).cache_tag(zone, branch)?;
        Some(Self { of: zone.clone(), zone: folder.to_owned(), tag })
    }
}

/// The cache of this run's own zone; none for a zone that has none.
#[must_use]
pub(crate) fn own_cache(inputs: &ImageRequest, run: &RunContext) -> Option<CacheName> {
    CacheName::new(inputs, run, &run.zone, run.branch.as_deref())
}

/// The caches this run may read, nearest first: its own, then the base's, then the default
/// branch's.
#[must_use]
pub(crate) fn readable_caches(image: ImageRun<'_>) -> Vec<CacheName> {
    let ImageRun { request, run, access } = image;
    let mut names: Vec<CacheName> = Vec::new();
    for zone in &access.read_caches {
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

/// The folder that one GitHub repository's caches are in, where a machine or a bucket serves
/// several.
#[must_use]
pub(crate) fn cache_home(run: &RunContext) -> String {
    let part = |text: &str| {
        let clean = sanitise(text);
        if clean.trim_matches('.').is_empty() { "_".to_owned() } else { clean }
    };
    run.repository.as_deref().unwrap_or("_").split('/').map(part).collect::<Vec<_>>().join("/")
}
