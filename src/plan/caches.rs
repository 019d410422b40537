//! Computes which layer caches a build reads and writes, by kind and zone. The rights come from
//! [`trust`](crate::trust); no other code names a cache.

use super::cache_set::{Caches, github_cache};
use super::context::PlanContext;
use super::user_caches;
use crate::buildkit::{CacheEntry, LocalCaches, registry_cache_from};
use crate::error::Result;
use crate::facts::CacheFacts;
use crate::image::{ImageReference, Repository};
use crate::inputs::extra_args::UserCaches;
use crate::inputs::{CacheKind, CacheSpec, CacheWrite, Switch};
use crate::trust::{CacheName, ImageRun, UserReferences, cache_home, own_cache, readable_caches};

/// Every cache of a build. `home`: the repository that the image is published in, if it is. `by_user`: the sources and
/// destinations of the extra arguments.
///
/// # Errors
/// If a cache would overwrite an image, or buildx does not understand its text.
pub(super) fn caches(
    given: &PlanContext<'_>,
    home: Option<&Repository>,
    user_refs: &UserReferences<'_>,
    published: &[ImageReference],
    by_user: UserCaches,
) -> Result<Caches> {
    let PlanContext { image, late, .. } = given;
    let ImageRun { request: inputs, run, access } = *image;
    let mut caches = Caches::default();
    let sources = CacheSources {
        names: readable_caches(*image),
        own: own_cache(inputs, run).filter(|_| access.write_cache),
        home,
        cache_home: cache_home(run),
        facts: &late.caches,
    };
    for cache in &inputs.cache.kinds {
        match cache.kind {
            CacheKind::Registry => add_registry(&mut caches, given, &sources),
            CacheKind::Gha => add_gha(&mut caches, given, &sources),
            CacheKind::Local => add_local(&mut caches, given, &sources),
            CacheKind::Inline => add_inline(&mut caches, &sources, home.is_some() && access.write_cache),
            CacheKind::S3 | CacheKind::Azblob => add_bucket(&mut caches, given, &sources, cache),
        }
    }
    tell_unwritten(&mut caches, given);
    user_caches::add(&mut caches, given, user_refs, published, by_user)?;
    Ok(caches)
}

/// Tells if this run may not write the caches that `cache-write: always` asks for.
fn tell_unwritten(caches: &mut Caches, given: &PlanContext<'_>) {
    let ImageRun { request: inputs, run, access } = given.image;
    if inputs.cache.write != CacheWrite::Always || inputs.cache.kinds.is_empty() || access.write_cache {
        return;
    }
    let what = "the layer cache is not written, as cache-write: always asks";
    match inputs.push {
        Switch::Off => caches.notices.push(format!("{what}: the input push is false")),
        _ if run.is_tag => caches.off.push(format!("{what}: a run of a git tag writes none")),
        _ => caches.off.push(format!("{what}: this is {}", run.zone_reason)),
    }
}

/// What the caches of every kind are made from.
struct CacheSources<'a> {
    /// The caches that may be read, in their order.
    names: Vec<CacheName>,
    /// The cache that may be written.
    own: Option<CacheName>,
    home: Option<&'a Repository>,
    /// The folder of this GitHub repository's caches.
    cache_home: String,
    facts: &'a CacheFacts,
}

fn add_registry(caches: &mut Caches, given: &PlanContext<'_>, sources: &CacheSources<'_>) {
    caches.from.extend(sources.facts.registry.iter().map(registry_cache_from));
    if let (Some(own), Some(home)) = (&sources.own, sources.home) {
        let reference = home.tagged(own.tag.clone()).to_string();
        let entry = CacheEntry::new("registry").with("ref", reference);
        caches.to.push(entry.to_write(given.image.request.cache.mode).to_string());
    }
}

fn add_gha(caches: &mut Caches, given: &PlanContext<'_>, sources: &CacheSources<'_>) {
    let github = github_cache(given);
    if let Some(off) = github.off {
        caches.off.push(off);
        return;
    }
    let entry = |name: &CacheName| CacheEntry::new("gha").with("scope", name.tag.clone());
    if github.reads {
        caches.from.extend(sources.names.iter().map(|name| entry(name).to_string()));
    }
    if let Some(own) = &sources.own {
        match github.unwritable {
            Some(why) => caches.notices.push(why),
            None => caches.to.push(entry(own).to_write(given.image.request.cache.mode).to_string()),
        }
    }
}

fn add_local(caches: &mut Caches, given: &PlanContext<'_>, sources: &CacheSources<'_>) {
    if let Some(why) = &sources.facts.local_off {
        caches.off.push(format!("cache local is off: {why}"));
        return;
    }
    let Some(root) = &given.image.request.cache.dir else { return };
    let folder = |name: &CacheName| root.join(&sources.cache_home).join(&name.zone_folder).join(&name.tag);
    caches.local = Some(LocalCaches {
        root: root.clone(),
        read: sources.names.iter().map(folder).collect(),
        write: sources.own.as_ref().map(folder),
        mode: given.image.request.cache.mode,
    });
}

/// Such a cache is written into the image, and read from the images of earlier commits.
fn add_inline(caches: &mut Caches, sources: &CacheSources<'_>, write: bool) {
    caches.from.extend(sources.facts.images.iter().map(registry_cache_from));
    if write {
        caches.to.push(CacheEntry::new("inline").to_string());
    }
}

fn add_bucket(caches: &mut Caches, given: &PlanContext<'_>, sources: &CacheSources<'_>, cache: &CacheSpec) {
    let entry = |name: &CacheName| {
        let mut entry = CacheEntry::new(cache.kind.name());
        for (attribute, value) in &cache.attributes {
            entry = entry.with(attribute, value.clone());
        }
        let prefix = format!(
            "{}{}/{}/",
            cache.get("prefix").unwrap_or_default(),
            sources.cache_home,
            name.zone_folder
        );
        entry.with("prefix", prefix).with("name", name.tag.clone())
    };
    caches.from.extend(sources.names.iter().map(|name| entry(name).to_string()));
    if let Some(own) = &sources.own {
        caches.to.push(entry(own).to_write(given.image.request.cache.mode).to_string());
    }
}
