//! What is known of a run so far. It outlives the work, which a panic or the end of the grace may
//! break off anywhere: the report is drawn from it on every path.

use std::cell::RefCell;
use std::path::PathBuf;

use super::{ImageReport, Report};
use crate::error::Error;
use crate::execute::{Journal, Progressing};
use crate::image::Digest;
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
    /// Where the images of the plan are among those of the request.
    pub places: Vec<usize>,
    /// The plan whose actions are run.
    pub plan: Option<Plan>,
    /// What came of it.
    pub journal: Journal,
    /// Where buildx says what it built, of each image, if that outlives the run.
    pub metadata: Vec<Option<PathBuf>>,
    /// What was tried again, and why.
    pub retries: RefCell<Vec<String>>,
}

impl RunState {
    /// The images that were not there any more when their turn came.
    #[must_use]
    pub(crate) fn lost(&self) -> Vec<Digest> {
        let Some(plan) = &self.plan else { return Vec::new() };
        let lost = |at: &usize| self.journal.of_image(plan, *at).lost_its_image();
        let digest = |at: usize| plan.images[at].digest.clone();
        (0..plan.images.len()).filter(lost).filter_map(digest).collect()
    }

    /// Goes on with the images alone that were not there any more, as `why` says. What was done stays told.
    pub(crate) fn start_over(&mut self, why: String) {
        self.stage = Stage::Looking;
        let journal = std::mem::take(&mut self.journal);
        if let Some(plan) = self.plan.take() {
            self.report.finish(&plan, journal, &self.places, &std::mem::take(&mut self.metadata));
        }
        self.places.retain(|place| self.report.images.get(*place).is_some_and(ImageReport::lost));
        for place in &self.places {
            self.report.images[*place].start_over();
        }
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
        let records = &self.journal.records;
        let removing = self.journal.removing.as_ref().map(|name| format!("remove the builder {name}"));
        let running = records.iter().find(|record| matches!(record.state, Progressing::Running(_)));
        let last = records.iter().rev().find(|record| matches!(record.state, Progressing::Ended { .. }));
        let (label, ended) = match (removing, running, last) {
            (Some(label), ..) => (label, false),
            (None, Some(record), _) => (record.label.clone(), false),
            (None, None, Some(record)) => (record.label.clone(), record.error.is_none()),
            (None, None, None) => return "before the first step".to_owned(),
        };
        let place = records.iter().find_map(|record| record.progress.as_ref()?.place);
        let built = records.iter().any(|record| record.built);
        match place.filter(|place| !ended && (!built || *place == Phase::CacheExport)) {
            Some(place) => format!("{label}, while {}", place.doing()),
            None => label,
        }
    }

    /// Why it ended, in place of what the steps say.
    pub(crate) fn fail(&mut self, error: Error) {
        self.journal.error = Some(error);
    }

    /// Whether anything failed.
    #[must_use]
    pub(crate) fn failed(&self) -> bool {
        self.journal.error.is_some() || self.journal.records.iter().any(|record| record.error.is_some())
    }

    #[must_use]
    pub(crate) fn finish(self) -> Report {
        let Self { mut report, places, plan, mut journal, metadata, retries, .. } = self;
        journal.close();
        report.retries = retries.into_inner();
        if let Some(plan) = plan {
            report.finish(&plan, journal, &places, &metadata);
        } else if let Some(error) = journal.error {
            report.fail(error);
        }
        report
    }
}
