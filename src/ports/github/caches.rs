//! The entries of GitHub's cache service.

use serde::Deserialize;

use super::{GitHub, Slug};
use crate::error::Result;
use crate::ports::Writes;

/// An entry of the cache service.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct CacheEntry {
    pub(crate) id: u64,
    /// The ref whose runs wrote it: `refs/pull/12/merge`.
    #[serde(rename = "ref")]
    pub(crate) git_ref: String,
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) size_in_bytes: u64,
}

#[derive(Deserialize)]
struct Page {
    actions_caches: Vec<CacheEntry>,
}

impl GitHub {
    /// All entries, or those of one ref.
    ///
    /// # Errors
    /// If an answer cannot be read.
    pub(crate) async fn caches(&self, slug: &Slug, git_ref: Option<&str>) -> Result<Vec<CacheEntry>> {
        let Slug { owner, name } = slug;
        let filter =
            git_ref.map(|git_ref| format!("?ref={}", git_ref.replace('/', "%2F"))).unwrap_or_default();
        let route = format!("/repos/{owner}/{name}/actions/caches{filter}");
        self.pages(&route, "actions: read", |page: Page| page.actions_caches, |_| false).await
    }

    /// Deletes an entry. False: it is not there.
    ///
    /// # Errors
    /// If GitHub refuses.
    pub(crate) async fn delete_cache(&self, slug: &Slug, id: u64, writes: Writes) -> Result<bool> {
        let Slug { owner, name } = slug;
        self.delete(&format!("/repos/{owner}/{name}/actions/caches/{id}"), "actions: write", writes).await
    }
}
