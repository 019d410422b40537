//! All that is known of a run so far. The report is made from it on every path, because a panic or a cancellation may
//! end the work anywhere.

use std::cell::RefCell;
use std::path::PathBuf;

use super::Report;
use crate::error::Error;
use crate::execute::{Journal, Progressing};
use crate::image::Digest;
use crate::phase::Phase;
use crate::plan::Plan;

/// The stage of a run, for the message of a run that is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Before anything is read.
    #[default]
    Start,
    /// Reading facts and deciding.
    Looking,
    /// Carrying out the plan's actions.
    Steps,
}

/// All that is known of a run so far.
#[derive(Debug, Default)]
pub(crate) struct RunState {
    /// The report, with what is known before the plan.
    pub report: Report,
    /// The stage that the run is in.
    pub stage: Stage,
    /// The index in the request of each image of the plan; the second attempt plans only some.
    pub places: Vec<usize>,
    /// The plan whose actions are run.
    pub plan: Option<Plan>,
    /// What the plan's actions did.
    pub journal: Journal,
    /// buildx's metadata file of each image, if it outlives the run.
    pub metadata: Vec<PathBuf>,
    /// What was tried again, and why, one text each.
    pub retries: RefCell<Vec<String>>,
}

impl RunState {
    /// The indices in the plan of images that were found, and were deleted before they were used.
    fn lost_places(&self) -> Vec<usize> {
        let images = self.plan.iter().flat_map(|plan| (0..plan.images.len()).map(move |at| (plan, at)));
        images
            .filter(|(plan, at)| self.journal.of_image(plan, *at).lost_its_image())
            .map(|(_, at)| at)
            .collect()
    }

    /// The digests of those images.
    #[must_use]
    pub(crate) fn lost(&self) -> Vec<Digest> {
        let images = self.plan.as_ref().map(|plan| plan.images.as_slice()).unwrap_or_default();
        self.lost_places().into_iter().filter_map(|at| images[at].digest.clone()).collect()
    }

    /// Goes on with the lost images alone, for the reason `why`. What was done stays in the report.
    pub(crate) fn start_over(&mut self, why: String) {
        self.stage = Stage::Looking;
        let left: Vec<usize> = self.lost_places().into_iter().map(|at| self.places[at]).collect();
        let journal = std::mem::take(&mut self.journal);
        if let Some(plan) = self.plan.take() {
            self.report.finish(&plan, journal, &self.places, &std::mem::take(&mut self.metadata));
        }
        self.places = left;
        for place in &self.places {
            self.report.images[*place].start_over();
        }
        self.retries.get_mut().push(why);
    }

    /// Says which action was running, or else ran last, and in which phase a build that did not end was: "build and push
    /// app, while pushing".
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
        // After a build, only the export of its cache is left to be stopped.
        let phase = records.iter().find_map(|record| record.progress.as_ref()?.phase);
        let built = records.iter().any(|record| record.built);
        match phase.filter(|phase| !ended && (!built || *phase == Phase::CacheExport)) {
            Some(phase) => format!("{label}, while {}", phase.doing()),
            None => label,
        }
    }

    /// Sets the error of the run, which counts more than those of its actions.
    pub(crate) fn fail(&mut self, error: Error) {
        self.journal.error = Some(error);
    }

    /// True if the run or an action failed.
    #[must_use]
    pub(crate) fn failed(&self) -> bool {
        self.journal.error.is_some() || self.journal.records.iter().any(|record| record.error.is_some())
    }

    /// Makes the report, whatever the run came to.
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
        report.images.retain(|image| image.asked);
        report
    }
}
