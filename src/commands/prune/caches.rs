//! Layer caches outside of registries: entries of GitHub's cache service and folders of this machine; those in buckets are in
//! [`super::buckets`]. Of a pull request that is closed all of them go. Of a branch that is gone its zone goes, in folders
//! and buckets; its entries are left to GitHub, which removes what nobody reads for 7 days (docs, "Dependency caching
//! reference").

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use crate::error::Result;
use crate::image::branch_prefix;
use crate::ports::Writes;
use crate::ports::github::{CacheEntry, GitHub, Slug};
use crate::ports::local_cache::{ZoneFolder, remove_zone, zones};
use crate::prune::{Project, ProjectState, Scope, Wanted};

/// A cache to remove, and what became of it.
#[derive(Clone, Debug)]
pub(super) struct OldCache {
    pub(super) name: String,
    pub(super) because: String,
    pub(super) bytes: u64,
    pub(super) place: Place,
    pub(super) state: String,
    pub(super) removed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// An entry of GitHub's cache service: its number, and that of its pull request.
    Entry(u64, u64),
    /// A zone, by its name: a folder, or a part of a bucket.
    Zone(String),
}

impl OldCache {
    /// A cache that is to be removed.
    pub(super) fn planned(name: String, because: String, bytes: u64, place: Place) -> Self {
        Self { name, because, bytes, place, state: "planned".to_owned(), removed: false }
    }

    pub(super) fn json(&self) -> Value {
        json!({"cache": self.name, "because": self.because, "bytes": self.bytes, "state": self.state})
    }
}

/// The pull request whose runs wrote an entry: `refs/pull/12/merge`.
fn pull_of(git_ref: &str) -> Option<u64> {
    git_ref.strip_prefix("refs/pull/")?.split_once('/')?.0.parse().ok()
}

/// Entries of closed pull requests. Only their own runs read them, so any of them may go.
pub(super) async fn old_entries(
    github: &GitHub,
    slug: &Slug,
    project: &impl Project,
    scope: Scope,
) -> Result<Vec<OldCache>> {
    let own = match scope {
        Scope::PullRequest(number) => Some(format!("refs/pull/{number}/merge")),
        Scope::Everything => None,
    };
    let entries = github.caches(slug, own.as_deref()).await?;
    let pulls: BTreeSet<u64> = entries.iter().filter_map(|entry| pull_of(&entry.git_ref)).collect();
    let state = project.state(&Wanted { pulls, branches: false }).await?;
    let of_closed = |entry: CacheEntry| {
        let number = pull_of(&entry.git_ref).filter(|number| state.closed.contains_key(number))?;
        let allowed = scope == Scope::Everything || scope == Scope::PullRequest(number);
        allowed.then(|| {
            let name = format!("cache entry {} of {}", entry.key, entry.git_ref);
            let because = format!("pull request {number} is closed");
            OldCache::planned(name, because, entry.size_in_bytes, Place::Entry(entry.id, number))
        })
    };
    Ok(entries.into_iter().filter_map(of_closed).collect())
}

/// Removes entries. Each pull request is looked at again before.
pub(super) async fn remove_entries(
    caches: &mut [OldCache],
    github: &GitHub,
    slug: &Slug,
    project: &impl Project,
    writes: Writes,
) -> Result<()> {
    let pulls = caches.iter().filter_map(|cache| match cache.place {
        Place::Entry(_, number) => Some(number),
        Place::Zone(_) => None,
    });
    let state = project.state(&Wanted { pulls: pulls.collect(), branches: false }).await?;
    for cache in caches {
        let Place::Entry(id, number) = cache.place else { continue };
        if !state.closed.contains_key(&number) {
            "left: the pull request is not closed".clone_into(&mut cache.state);
            continue;
        }
        match github.delete_cache(slug, id, writes).await {
            Ok(true) => cache.mark_removed(),
            Ok(false) => "was gone".clone_into(&mut cache.state),
            // GitHub refuses the others too; a folder's fault is its own.
            Err(error) => {
                cache.state = format!("failed: {}", error.headline());
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Folders of this machine's layer caches, of zones that are over.
pub(super) async fn old_folders(
    root: &Path,
    home: &Path,
    project: &impl Project,
    scope: Scope,
) -> Result<Vec<OldCache>> {
    let found: BTreeMap<String, ZoneFolder> =
        zones(root, home).into_iter().map(|zone| (zone.name.clone(), zone)).collect();
    let state = look(found.keys(), project, scope).await?;
    let old = found.values().filter_map(|zone| {
        let name = format!("folder {} of the local layer caches", zone.name);
        let because = over(&zone.name, &state, scope)?;
        Some(OldCache::planned(name, because, zone.bytes, Place::Zone(zone.name.clone())))
    });
    Ok(old.collect())
}

/// What GitHub says of the zones.
pub(super) async fn look<'a>(
    names: impl Iterator<Item = &'a String> + Clone,
    project: &impl Project,
    scope: Scope,
) -> Result<ProjectState> {
    let pulls = names.clone().filter_map(|name| pull_folder(name)).collect();
    let branches = scope == Scope::Everything && names.clone().any(|name| name.starts_with("br-"));
    project.state(&Wanted { pulls, branches }).await
}

fn pull_folder(name: &str) -> Option<u64> {
    name.strip_prefix("pr-")?.parse().ok().filter(|number| format!("pr-{number}") == name)
}

/// Why the zone of this name is over; `None` if it is not, or if the run may not remove it.
pub(super) fn over(name: &str, state: &ProjectState, scope: Scope) -> Option<String> {
    if let Some(number) = pull_folder(name) {
        let allowed = scope == Scope::Everything || scope == Scope::PullRequest(number);
        let closed = state.closed.contains_key(&number);
        return (allowed && closed).then(|| format!("pull request {number} is closed"));
    }
    let branches =
        state.branches.as_ref().filter(|_| name.starts_with("br-") && scope == Scope::Everything)?;
    let is_live = branches.iter().any(|branch| branch_prefix(branch).trim_end_matches('-') == name);
    (!is_live).then(|| "no branch has this zone".to_owned())
}

/// Looks at the zones again before they are removed. Returns those that are still over, by their names; the others are told
/// as left.
pub(super) async fn still_over<'a>(
    caches: &'a mut [OldCache],
    project: &impl Project,
    scope: Scope,
) -> Result<Vec<(&'a mut OldCache, String)>> {
    let names: Vec<String> = caches.iter().filter_map(OldCache::zone).collect();
    let state = look(names.iter(), project, scope).await?;
    let mut still = Vec::new();
    for cache in caches {
        let Some(name) = cache.zone() else { continue };
        if over(&name, &state, scope).is_some() {
            still.push((cache, name));
        } else {
            "left: the zone is not over".clone_into(&mut cache.state);
        }
    }
    Ok(still)
}

/// Removes folders. The right to write stands for the caller's: files of this machine have no port that would take it.
pub(super) async fn remove_folders(
    caches: &mut [OldCache],
    root: &Path,
    home: &Path,
    project: &impl Project,
    scope: Scope,
    _: Writes,
) -> Result<()> {
    for (cache, name) in still_over(caches, project, scope).await? {
        match remove_zone(root, home, &name) {
            Ok(()) => cache.mark_removed(),
            Err(why) => cache.state = format!("left: {why}"),
        }
    }
    Ok(())
}

impl OldCache {
    fn zone(&self) -> Option<String> {
        match &self.place {
            Place::Zone(name) => Some(name.clone()),
            Place::Entry(..) => None,
        }
    }

    pub(super) fn mark_removed(&mut self) {
        "removed".clone_into(&mut self.state);
        self.removed = true;
    }
}
