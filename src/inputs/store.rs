//! The inputs about the engine's image store: `keep-local` and `disk-report`.

use std::time::Duration;

use super::lists::InputText as _;
use super::problems::Problems;
use super::raw::RawInputs;
use super::types::Mode;

/// Inputs about the engine's image store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoreInputs {
    /// How long images of this GitHub repository stay after they were built or pulled; `None` is without a limit.
    pub keep: Option<Duration>,
    /// Whether the report has figures of the engine's disk.
    pub report: bool,
}

impl StoreInputs {
    pub(super) fn read(raw: &RawInputs, mode: Mode, problems: &mut Problems) -> Self {
        let keep = match raw.keep_local.trimmed().unwrap_or("14d") {
            "off" => None,
            keep => Some(problems.duration("keep-local", keep)),
        };
        let report = problems.boolean("disk-report", raw.disk_report.trimmed().unwrap_or("false"));
        // A plan asks no engine.
        Self { keep, report: report && mode != Mode::Plan }
    }
}
