//! Sums up the progress stream for the report and the job summary.

use std::collections::HashMap;

use super::phases::{covered, is_step, phase_at_end, vertex_phase};
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

/// The sums and names from the progress stream. A *vertex* is one piece of work in BuildKit's graph: a step of the
/// Dockerfile, an import of a cache, an export.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct ProgressSummary {
    /// Steps of the Dockerfile that can be cached; `FROM` cannot.
    pub total_steps: usize,
    /// Those of them that came from a cache.
    pub cached_steps: usize,
    /// Seconds by phase; where two vertices of a phase ran at once, the time counts once.
    pub phases: Vec<(Phase, f64)>,
    /// The slowest steps, slowest first.
    pub slowest: Vec<StepTime>,
    pub failed: Option<FailedStep>,
    /// The phase that failed, or that ran when the build ended.
    #[serde(skip)]
    pub phase: Option<Phase>,
    /// The exported image, also where its push failed.
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
        let failed = failed(self.vertices.values(), self.error.as_deref()).map(|state| FailedStep {
            name: state.name.clone(),
            error: state.error.clone(),
            log: state.tail.iter().cloned().collect(),
        });
        let mut states: Vec<&State> = self.vertices.values().collect();
        states.sort_by_key(|state| state.number);
        let (total_steps, cached_steps) = count_steps(&states);
        let spans = states
            .iter()
            .filter_map(|state| Some((vertex_phase(&state.name)?, state.started?, state.completed?)));
        ProgressSummary {
            total_steps,
            cached_steps,
            phases: covered(spans.chain(self.spans.iter().copied()).collect()),
            slowest: slowest(&states),
            failed,
            phase: self.failed_phase().or_else(|| self.begun_last()).or_else(|| self.stopped_last()),
            pushed: states.iter().any(|state| state.has_pushed()),
            unwritten_cache: states
                .iter()
                .find(|state| {
                    vertex_phase(&state.name) == Some(Phase::CacheExport) && !state.error.is_empty()
                })
                .map(|state| state.error.clone()),
            unread_caches: states
                .iter()
                .filter_map(|state| state.unread_cache())
                .chain(self.unread_folders)
                .collect(),
            exported: self.exported.digest(),
            warnings: self.warnings,
        }
    }
}

impl State {
    fn has_pushed(&self) -> bool {
        let is_push = phase_at_end(&self.name, self.pushes) == Some(Phase::Push);
        is_push && self.completed.is_some() && self.error.is_empty()
    }

    /// The layer cache that this vertex could not read, and why: `h/r:c` of `importing cache manifest from h/r:c`.
    fn unread_cache(&self) -> Option<(String, String)> {
        let is_import = vertex_phase(&self.name) == Some(Phase::CacheImport);
        if !is_import || self.error.is_empty() || self.error.contains(STOPPED) {
            return None;
        }
        let name = self.name.rsplit(' ').next().unwrap_or_default();
        Some((name.to_owned(), self.error.clone()))
    }
}

/// How many steps there are, and how many of them came from a cache. In a build that failed, a step that was not reached
/// counts too; in a good one it was not needed.
fn count_steps(states: &[&State]) -> (usize, usize) {
    let is_of_cache =
        |state: &State| matches!(vertex_phase(&state.name), Some(Phase::CacheImport | Phase::CacheExport));
    let has_failed = states.iter().any(|state| !state.error.is_empty() && !is_of_cache(state));
    let mut steps: HashMap<&str, bool> = HashMap::new();
    for state in states.iter().filter(|state| is_step(&state.name)) {
        if has_failed || state.completed.is_some() {
            let is_cached = state.cached && state.error.is_empty();
            // The fetch of an ADD is a second vertex with the same name.
            steps.entry(&state.name).and_modify(|all| *all &= is_cached).or_insert(is_cached);
        }
    }
    (steps.len(), steps.values().filter(|is_cached| **is_cached).count())
}

/// How many of the slowest steps the summary lists.
const SLOWEST: usize = 5;

fn slowest(states: &[&State]) -> Vec<StepTime> {
    let ran = states.iter().filter(|state| is_step(&state.name) && !state.cached && state.error.is_empty());
    let mut steps: Vec<StepTime> = ran
        .filter_map(|state| Some(StepTime { name: state.name.clone(), seconds: state.seconds()? }))
        .collect();
    steps.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    steps.truncate(SLOWEST);
    steps
}
