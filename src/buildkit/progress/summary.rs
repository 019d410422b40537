//! Sums up the progress stream for the report and the job summary.

use std::collections::HashMap;

use super::phases::{covered, is_step, place, vertex_phase};
use super::{Progress, STOPPED, State, failed};
use crate::buildkit::checks::Finding;
use crate::image::Digest;
use crate::phase::Phase;

/// A step with its time.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct StepTime {
    /// BuildKit's name, such as `[2/5] RUN make`.
    pub name: String,
    pub seconds: f64,
}

/// The step at which the build failed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FailedStep {
    /// BuildKit's name of the step.
    pub name: String,
    /// BuildKit's error.
    pub error: String,
    /// The last lines that the step wrote.
    pub log: Vec<String>,
}

/// The sums and names from the progress stream.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct ProgressSummary {
    /// Steps of the Dockerfile that can be cached; `FROM` cannot.
    pub total_steps: usize,
    /// Steps that came from a cache.
    pub cached_steps: usize,
    /// Seconds by phase, overlaps counted once inside a phase.
    pub phases: Vec<(Phase, f64)>,
    /// The slowest steps, slowest first.
    pub slowest: Vec<StepTime>,
    pub failed: Option<FailedStep>,
    /// The phase that failed, or that ran when the build ended.
    #[serde(skip)]
    pub place: Option<Phase>,
    /// The exported image, also if the push failed.
    #[serde(skip)]
    pub exported: Option<Digest>,
    /// The push to a registry has succeeded.
    #[serde(skip)]
    pub pushed: bool,
    /// The reason that a layer cache was not written. With `ignore-error` BuildKit goes on.
    #[serde(skip)]
    pub unwritten_cache: Option<String>,
    /// Layer caches that could not be read: BuildKit's name and the reason.
    #[serde(skip)]
    pub unread_caches: Vec<(String, String)>,
    /// BuildKit's own warnings, those of the Dockerfile's checks with a line.
    pub warnings: Vec<Finding>,
}

impl Progress {
    /// Sums up the stream.
    #[must_use]
    pub fn into_summary(self) -> ProgressSummary {
        let at = self.failed_phase().or_else(|| self.begun_last()).or_else(|| self.stopped_last());
        let mut spans = self.spans;
        let mut steps: HashMap<String, bool> = HashMap::new();
        let mut slowest = Vec::new();
        let failed = failed(self.vertices.values(), self.error.as_deref()).map(|state| FailedStep {
            name: state.name.clone(),
            error: state.error.clone(),
            log: state.tail.iter().cloned().collect(),
        });
        let in_cache = |state: &State| {
            matches!(vertex_phase(&state.name), Some(Phase::CacheImport | Phase::CacheExport))
        };
        // A step that was not reached counts if the build failed; in a good build it was not needed.
        let pushed = self.vertices.values().any(|state| {
            state.completed.is_some()
                && state.error.is_empty()
                && place(&state.name, state.pushes) == Some(Phase::Push)
        });
        let broke = self.vertices.values().any(|state| !state.error.is_empty() && !in_cache(state));
        let unwritten =
            |state: &&State| vertex_phase(&state.name) == Some(Phase::CacheExport) && !state.error.is_empty();
        let unwritten_cache = self
            .vertices
            .values()
            .filter(unwritten)
            .min_by_key(|state| state.number)
            .map(|state| state.error.clone());
        let unread = |state: &&State| {
            vertex_phase(&state.name) == Some(Phase::CacheImport)
                && !state.error.is_empty()
                && !state.error.contains(STOPPED)
        };
        let mut imports: Vec<&State> = self.vertices.values().filter(unread).collect();
        imports.sort_by_key(|state| state.number);
        let name = |state: &State| state.name.rsplit(' ').next().unwrap_or_default().to_owned();
        let imports = imports.into_iter().map(|state| (name(state), state.error.clone()));
        let unread_caches = imports.chain(self.unread_folders).collect();
        for state in self.vertices.into_values() {
            if let (Some(phase), Some(from), Some(to)) =
                (vertex_phase(&state.name), state.started, state.completed)
            {
                spans.push((phase, from, to));
            }
            if is_step(&state.name) && (broke || state.completed.is_some()) {
                // The fetch of an ADD is a second vertex with the same name.
                let hit = state.cached && state.error.is_empty();
                steps.entry(state.name.clone()).and_modify(|all| *all &= hit).or_insert(hit);
                if let Some(seconds) = state.seconds().filter(|_| !state.cached && state.error.is_empty()) {
                    slowest.push(StepTime { name: state.name.clone(), seconds });
                }
            }
        }
        slowest.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        slowest.truncate(5);
        ProgressSummary {
            total_steps: steps.len(),
            cached_steps: steps.values().filter(|cached| **cached).count(),
            phases: covered(spans),
            slowest,
            failed,
            place: at,
            exported: self.exported.digest(),
            pushed,
            unwritten_cache,
            unread_caches,
            warnings: self.warnings,
        }
    }
}
