//! One image of a run, and what the run may do for it.

use super::rights::Access;
use crate::inputs::{ImageRequest, Mode};
use crate::run::RunContext;

/// One image's request, with the run and its rights.
#[derive(Clone, Copy)]
pub(crate) struct ImageRun<'a> {
    pub request: &'a ImageRequest,
    pub run: &'a RunContext,
    pub access: &'a Access,
}

impl ImageRun<'_> {
    /// Tells whether the run sets up repositories: it was asked to, and may. `mode: pull` and `mode: merge` leave that to
    /// the job that builds.
    #[must_use]
    pub(crate) fn sets_up(self) -> bool {
        let settings = &self.request.settings;
        settings.mode == Mode::Build && self.access.set_up && !settings.ecr.asked().is_empty()
    }
}
