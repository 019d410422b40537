//! The report: outputs, summary and annotations, made from the plan and the journal on success, failure and cancellation
//! alike.

mod annotations;
mod metadata;
mod outputs;
mod state;
mod summary;

pub use annotations::annotations;
pub use outputs::{OUTPUTS, outputs};
pub(crate) use state::{RunState, Stage};
pub use summary::summary;

use std::path::PathBuf;

use crate::buildkit::ProgressSummary;
use crate::error::{Error, Result};
use crate::execute::{ImageResult, Journal, Progressing};
use crate::facts::{ImageFacts, RepositoryFact};
use crate::image::{Digest, ImageReference, Platform};
use crate::inputs::Request;
use crate::phase::Phase;
use crate::plan::{Action, ImagePlan, Outcome, Plan, PlanWarning, Planned, PlannedTag};
use crate::run::RunContext;

/// Everything that is reported of a run, on every exit. Unknown fields are empty.
#[derive(Debug, Default)]
pub struct Report {
    /// In the request's order; empty if the request cannot be read.
    pub images: Vec<ImageReport>,
    /// The run's zone, and the reason for it.
    pub zone: Option<(&'static str, String)>,
    /// The repository with the source of its name, or why there is none.
    pub repository: Option<String>,
    /// Commits, where the run knows them.
    pub commit: Option<crate::run::Commit>,
    /// Warnings of the inputs.
    pub warnings: Vec<PlanWarning>,
    /// True if findings of the Dockerfile's checks are annotations too.
    pub check_annotations: bool,
    /// Notices for the user.
    pub notices: Vec<String>,
    /// What was tried again, and why, one text each.
    pub retries: Vec<String>,
    /// The actions that ended, with their seconds.
    pub entries: Vec<Entry>,
    /// Seconds until all facts were read.
    pub read_seconds: f64,
    pub seconds: f64,
    /// The file with the plan as JSON.
    pub plan: Option<PathBuf>,
    /// The same file, if it holds what the plan was made from too.
    pub facts: Option<PathBuf>,
    /// True if no job summary is wanted.
    pub without_summary: bool,
    /// Why the run failed as a whole.
    pub error: Option<Error>,
}

/// An action that ended.
#[derive(Debug)]
pub struct Entry {
    /// The action in words.
    pub label: String,
    pub seconds: f64,
    /// The seconds of each phase of a build.
    pub phases: Vec<(Phase, f64)>,
}

/// Everything that is reported of one image.
#[derive(Debug, Default)]
pub struct ImageReport {
    /// The input `image`.
    pub image: String,
    pub outcome: Option<Outcome>,
    /// Why the outcome is what it is.
    pub reason: String,
    /// On a miss, all that differs from the nearest earlier image.
    pub changes: Vec<String>,
    /// The image's digest in the registry.
    pub digest: Option<Digest>,
    /// The key's tag, if the image has it in the registry.
    pub tag: Option<String>,
    /// The commit's tag, if the image has it in the registry.
    pub commit_tag: Option<String>,
    /// The image by digest.
    pub reference: Option<ImageReference>,
    /// What docker calls the image's id.
    pub image_id: Option<String>,
    /// The name in the engine's store.
    pub local_image: Option<String>,
    /// The key, 64 hex digits.
    pub key: Option<String>,
    /// True if a build succeeded.
    pub built: bool,
    /// True if this run published its image.
    pub pushed: bool,
    /// Why the run did less than the inputs say.
    pub degraded: Option<String>,
    /// Warnings of the plan.
    pub warnings: Vec<PlanWarning>,
    /// The findings of the Dockerfile's checks.
    pub checks: Vec<PlanWarning>,
    /// Notices for the user.
    pub notices: Vec<String>,
    /// Every tag the image got or had.
    pub tags: Vec<String>,
    /// Builds that were started.
    pub attempts: u32,
    /// The summary of the build's progress.
    pub progress: Option<ProgressSummary>,
    /// Each platform of a merged image, with its digest.
    pub platforms: Vec<(Platform, String)>,
    /// buildx's metadata file, if a build wrote one.
    pub metadata_file: Option<PathBuf>,
    /// The metadata as JSON; for a reused image its digests and names under the same keys.
    pub metadata: Option<String>,
    /// True if everything that was planned was done.
    pub done: bool,
    /// Why the image failed.
    pub error: Option<Error>,
}

impl Report {
    /// Adds what is known from the request.
    pub(crate) fn start(&mut self, request: &Request, run: &RunContext) {
        self.images = request.images.iter().map(|image| ImageReport::of(image.image.to_string())).collect();
        self.check_annotations = request.settings.report.check_annotations;
        self.without_summary = !request.settings.report.summary;
        let warnings = request.settings.warnings.iter().cloned();
        self.warnings.extend(warnings.map(|text| PlanWarning { text, at: None }));
        self.zone = Some((run.zone.name(), run.zone_reason.clone()));
        self.commit.clone_from(&run.commit);
    }

    /// Adds what is known from the facts of the images.
    pub(crate) fn add_facts(&mut self, places: &[usize], facts: &[Result<ImageFacts>]) {
        for (place, facts) in places.iter().zip(facts) {
            let (Some(image), Ok(facts)) = (self.images.get_mut(*place), facts) else { continue };
            image.key = facts.key.as_ref().map(|key| key.hex.clone());
            self.repository = Some(match &*facts.repository {
                RepositoryFact::Found { repository, source } => format!("{repository} (from {source})"),
                RepositoryFact::None(reason) => reason.explain(),
            });
        }
    }

    /// Takes over what was planned and what came of it. `places`: where the plan's images are among those of the
    /// request. `metadata`: where buildx says what it built, of each of them, if that outlives the run.
    pub(crate) fn finish(&mut self, plan: &Plan, journal: Journal, places: &[usize], metadata: &[PathBuf]) {
        for (at, (place, planned)) in places.iter().zip(&plan.images).enumerate() {
            let Some(image) = self.images.get_mut(*place) else { continue };
            let metadata = metadata.get(at).cloned();
            image.finish(planned, plan.of_image(at), journal.of_image(plan, at), metadata);
        }
        self.entries.extend(entries(&journal));
        self.notices.extend(journal.notices);
        if let Some(error) = journal.error {
            self.fail(error);
        }
    }

    /// Takes over a failure before, between or in place of the actions: of every image that is not done, and has not
    /// failed by itself. An action that was broken off says less than why the run was stopped.
    pub fn fail(&mut self, error: Error) {
        for image in self.images.iter_mut().filter(|image| !image.done) {
            let own = image.error.take().filter(|own| !own.is_stopped());
            if own.is_none() {
                image.outcome = Some(Outcome::Failed);
                image.reason = error.headline();
            }
            image.error = own;
        }
        self.error = Some(error);
    }

    /// The worst failure.
    #[must_use]
    pub(crate) fn worst(&self) -> Option<&Error> {
        self.error
            .as_ref()
            .or_else(|| Error::worst(self.images.iter().filter_map(|image| image.error.as_ref())))
    }

    /// The run's outcome: of those of its images the last in the order of [`Outcome`].
    #[must_use]
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        if self.error.is_some() {
            return Some(Outcome::Failed);
        }
        self.images.iter().filter_map(|image| image.outcome).max()
    }

    /// The reason for the run's outcome.
    #[must_use]
    pub(crate) fn reason(&self) -> String {
        if let Some(error) = self.worst() {
            return error.headline();
        }
        let outcome = self.outcome();
        self.images
            .iter()
            .find(|image| image.outcome == outcome)
            .map(|image| image.reason.clone())
            .unwrap_or_default()
    }

    /// The image, if there is only one.
    #[must_use]
    pub(crate) fn only(&self) -> Option<&ImageReport> {
        match self.images.as_slice() {
            [image] => Some(image),
            _ => None,
        }
    }
}

/// The actions that ended, in the plan's order.
fn entries(journal: &Journal) -> Vec<Entry> {
    let ended = journal.records.iter().filter_map(|record| match record.state {
        Progressing::Ended { seconds } => Some((record, seconds)),
        Progressing::Waiting | Progressing::Running(_) => None,
    });
    ended
        .map(|(record, seconds)| Entry {
            label: record.label.clone(),
            seconds,
            phases: record.progress.as_ref().map(|progress| progress.phases.clone()).unwrap_or_default(),
        })
        .collect()
}

impl ImageReport {
    fn of(image: String) -> Self {
        Self { image, ..Self::default() }
    }

    /// Forgets the result, because the image is looked up once more.
    pub(crate) fn start_over(&mut self) {
        *self = Self::of(std::mem::take(&mut self.image));
    }

    fn finish<'a>(
        &mut self,
        plan: &ImagePlan,
        mut actions: impl Iterator<Item = &'a Planned>,
        result: ImageResult,
        metadata: Option<PathBuf>,
    ) {
        let error = plan.error.clone().or_else(|| result.error.clone());
        self.outcome = Some(if error.is_some() { Outcome::Failed } else { plan.decision.outcome });
        self.reason = error.as_ref().map_or_else(|| plan.decision.reason.clone(), Error::headline);
        self.changes.clone_from(&plan.decision.changes);
        let has = |planned: &Option<PlannedTag>| {
            let named =
                planned.as_ref().filter(|tag| tag.there || result.tags.contains(&tag.reference.to_string()));
            named.and_then(|tag| tag.reference.tag()).map(str::to_owned)
        };
        let adopted = result.made.adopted;
        if !result.lost_its_image() {
            (self.tag, self.commit_tag) = (has(&plan.key_tag), has(&plan.commit_tag));
            (self.digest, self.image_id) = (result.made.digest, result.made.image_id);
        }
        self.degraded = plan.degraded.clone().or(result.degraded);
        self.warnings.extend(plan.warnings.iter().cloned());
        self.notices.extend(plan.notices.iter().cloned());
        self.notices.extend(result.notices);
        self.reference =
            self.digest.as_ref().zip(plan.repository.as_ref()).map(|(digest, home)| home.at(digest.clone()));
        self.tags = result.tags;
        self.local_image = result.local_image;
        (self.built, self.pushed, self.attempts) = (result.built, result.pushed, result.attempts);
        let made = actions.find_map(|planned| match &planned.action {
            Action::Build { spec, .. } => Some(Ok(&spec.build)),
            Action::PutIndex { index, .. } => Some(Err(index)),
            _ => None,
        });
        match (made, &result.progress) {
            (Some(Err(index)), _) => self.platforms.clone_from(&index.images),
            (Some(Ok(build)), Some(progress)) => {
                let file = build.dockerfile().display().to_string();
                let found = progress.warnings.iter().filter(|warning| warning.line.is_some()).cloned();
                self.checks.extend(found.map(|finding| PlanWarning::found(finding, &file)));
            }
            _ => {}
        }
        self.metadata_file = metadata.filter(|_| result.built);
        let metadata = metadata::image_metadata(self.metadata_file.as_deref().filter(|_| !adopted), self);
        self.metadata = metadata.text;
        self.notices.extend(metadata.left_out);
        self.progress = result.progress;
        self.done = error.is_none() && result.done;
        self.error = error;
    }
}
