//! One image of a run, and what the run may do for it.

use super::rights::Access;
use crate::inputs::ImageRequest;
use crate::run::RunContext;

/// One image's request, with the run and its rights.
#[derive(Clone, Copy)]
pub(crate) struct ImageRun<'a> {
    pub request: &'a ImageRequest,
    pub run: &'a RunContext,
    pub access: &'a Access,
}
