//! The layer caches of a build.

use super::context::PlanContext;
use crate::buildkit::{Feature, LocalCaches};
use crate::env;

/// The caches that the build reads and writes, as buildx takes them.
#[derive(Debug, Default)]
pub(super) struct Caches {
    pub from: Vec<String>,
    pub to: Vec<String>,
    pub local: Option<LocalCaches>,
    pub notices: Vec<String>,
    /// Why caches that the user wants cannot be used, one text each.
    pub off: Vec<String>,
}

impl Caches {
    /// Keeps only what a builder without cache export can write.
    pub(crate) fn drop_export(&mut self) {
        self.to.retain(|cache| cache.starts_with("type=inline"));
        if let Some(local) = &mut self.local {
            local.write = None;
        }
    }
}

/// What this run may do with GitHub's cache service.
pub(super) struct GithubCache {
    /// Why it cannot be used at all; `None` if it can.
    pub off: Option<String>,
    /// True if the run may read it.
    pub reads: bool,
    /// Why it cannot be written; `None` if it can.
    pub unwritable: Option<String>,
}

/// Reads this from the runner's variables.
pub(super) fn github_cache(given: &PlanContext<'_>) -> GithubCache {
    let set = |name: &str| given.env.get(name).is_some();
    let second = given.env.get(env::ACTIONS_CACHE_SERVICE_V2).is_some_and(|v| v != "false" && v != "0");
    let address = if second { env::ACTIONS_RESULTS_URL } else { env::ACTIONS_CACHE_URL };
    let off = if !(set(env::ACTIONS_RUNTIME_TOKEN) && set(address)) {
        Some("cache gha is off: the runner gave no access to GitHub's cache service".to_owned())
    } else if second
        && !given.late.toolchain.as_ref().is_some_and(|tools| tools.buildx.has(Feature::GithubCache))
    {
        Some("cache gha is off: GitHub's cache service needs buildx 0.21 or newer".to_owned())
    } else {
        None
    };
    // Modes: actions/runner#4538. An unknown mode restricts nothing.
    let mode = given.env.get(env::ACTIONS_CACHE_MODE).unwrap_or_default();
    let unwritable = matches!(mode, "none" | "read").then(|| {
        format!(
            "GitHub's cache is not written: this run's access to it is {mode} ({})",
            env::ACTIONS_CACHE_MODE
        )
    });
    GithubCache { off, reads: !matches!(mode, "none" | "write-only"), unwritable }
}
