//! Layer caches in buckets (`s3`): the objects of zones that are over. BuildKit keeps a cache as `manifests/<name>` and
//! `blobs/<digest>` below the prefix (BuildKit, `cache/remotecache/s3`), and each zone has a prefix of its own.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::caches::{OldCache, Place, look, over, still_over};
use crate::error::Result;
use crate::ports::Writes;
use crate::ports::s3::{Bucket, Object};
use crate::prune::{Project, Scope};

/// Objects that are deleted at once.
const AT_ONCE: usize = 8;

/// The zones below `prefix` that are over. Nothing else in the bucket is read.
pub(super) async fn old_zones(
    bucket: &Bucket<'_>,
    prefix: &str,
    project: &impl Project,
    scope: Scope,
) -> Result<Vec<OldCache>> {
    let names = bucket.folders(prefix).await?;
    let state = look(names.iter(), project, scope).await?;
    let mut old = Vec::new();
    for name in &names {
        let Some(because) = over(name, &state, scope) else { continue };
        let objects = bucket.objects(&format!("{prefix}{name}/")).await?;
        let bytes = objects.iter().fold(0, |sum: u64, object| sum.saturating_add(object.bytes));
        let what = format!("{} objects of the zone {name} in the bucket {}", objects.len(), bucket.name());
        old.push(OldCache::planned(what, because, bytes, Place::Zone(name.clone())));
    }
    Ok(old)
}

/// Removes the zones' objects, which are listed again before. What names blobs goes first, so that a
/// run that is stopped leaves no cache without its layers.
pub(super) async fn remove_zones(
    caches: &mut [OldCache],
    bucket: &Bucket<'_>,
    prefix: &str,
    project: &impl Project,
    scope: Scope,
    writes: Writes,
) -> Result<()> {
    for (cache, name) in still_over(caches, project, scope).await? {
        let zone = format!("{prefix}{name}/");
        let objects = bucket.objects(&zone).await?;
        if let Some(odd) = objects.iter().find(|object| !object.has_url()) {
            cache.state = format!("left: no URL can name the object {}: delete it with aws s3 rm", odd.key);
            continue;
        }
        match remove(bucket, &zone, objects, writes).await {
            Ok(()) => cache.mark_removed(),
            // S3 would refuse the others too.
            Err(error) => {
                cache.state = format!("failed: {}", error.headline());
                return Err(error);
            }
        }
    }
    Ok(())
}

async fn remove(bucket: &Bucket<'_>, zone: &str, objects: Vec<Object>, writes: Writes) -> Result<()> {
    let is_first = |key: &str| key.strip_prefix(zone).is_some_and(|rest| rest.starts_with("manifests/"));
    let (first, rest): (Vec<_>, Vec<_>) = objects.into_iter().partition(|object| is_first(&object.key));
    for objects in [first, rest] {
        let deleted = stream::iter(objects).map(async |object| bucket.delete(&object, writes).await);
        deleted.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    }
    Ok(())
}
