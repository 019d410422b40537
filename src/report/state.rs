//! What is known of a run so far. It outlives the work, which a panic or the end of the grace may
//! break off anywhere: the report is drawn from it on every path.

use std::cell::RefCell;
use std::path::PathBuf;

use super::Report;
use crate::error::Error;
use crate::execute::Journal;
use crate::phase::Phase;
use crate::plan::Plan;

/// What is being done, for whoever stops it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Getting ready.
    #[default]
    Start,
    /// Reading and deciding.
    Looking,
    /// The plan's steps.
    Steps,
}

/// All that is known so far.
#[derive(Debug, Default)]
pub(crate) struct RunState {
    /// What was known before anything was decided.
    pub report: Report,
    /// How far it is.
    pub stage: Stage,
    /// The plan whose steps are run.
    pub plan: Option<Plan>,
    /// What came of it.
    pub journal: Journal,
    /// Where buildx says what it built, if that outlives the run.
    pub metadata: Option<PathBuf>,
    /// What was tried again, and why.
    pub retries: RefCell<Vec<String>>,
}

impl RunState {
    /// Goes on without the plan, which `why` made nothing of. What was done stays told.
    pub(crate) fn start_over(&mut self, why: String) {
        (self.plan, self.stage) = (None, Stage::Looking);
        self.journal = Journal { entries: std::mem::take(&mut self.journal.entries), ..Journal::default() };
        self.retries.get_mut().push(why);
    }

    /// What was under way, or else done last; and what a build was at if it did not end.
    #[must_use]
    pub(crate) fn phase(&self) -> String {
        match self.stage {
            Stage::Looking => return "while looking".to_owned(),
            Stage::Start => return "before the first step".to_owned(),
            Stage::Steps => {}
        }
        let (label, ended) = match (&self.journal.under_way, self.journal.entries.last()) {
            (Some((label, _)), _) => (label, false),
            (None, Some(entry)) => (&entry.label, !entry.failed),
            (None, None) => return "before the first step".to_owned(),
        };
        let place = self.journal.progress.as_ref().and_then(|progress| progress.place);
        match place.filter(|place| !ended && (!self.journal.built || *place == Phase::CacheExport)) {
            Some(place) => format!("{label}, while {}", place.doing()),
            None => label.clone(),
        }
    }

    /// Why it ended, in place of what the steps say.
    pub(crate) fn fail(&mut self, error: Error) {
        self.journal.error = Some(error);
    }

    /// Whether it failed.
    #[must_use]
    pub(crate) const fn failed(&self) -> bool {
        self.journal.error.is_some()
    }

    #[must_use]
    pub(crate) fn finish(self) -> Report {
        let Self { mut report, plan, mut journal, metadata, retries, .. } = self;
        report.metadata_file = metadata.filter(|_| journal.built);
        // What is still under way did not come to its end.
        journal.end(true);
        report.retries = retries.into_inner();
        if let Some(plan) = plan {
            report.finish(&plan, journal);
        } else {
            report.entries = journal.entries;
            if let Some(error) = journal.error {
                report.fail(error);
            }
        }
        report
    }
}
