//! The report: outputs, summary and annotations, made from the plan and the journal on success, failure and cancellation
//! alike. [`RunState`] collects during the run; [`RunState::finish`] makes the [`Report`], which the other modules write
//! out.

mod annotations;
mod disk;
mod images;
mod markdown;
mod metadata;
mod outputs;
mod overview;
mod page;
mod set_up;
mod state;
mod summary;
mod tags;

pub use annotations::annotations;
pub(crate) use annotations::more_failures;
pub(crate) use disk::DiskReport;
pub(crate) use markdown::cell;
pub use outputs::{OUTPUTS, outputs};
pub use page::summary;
pub use set_up::SetUpReport;
pub(crate) use state::{RunState, Stage};
use tags::tag_reports;
pub use tags::{TagOutcome, TagReport};

use std::path::PathBuf;

use crate::buildkit::ProgressSummary;
use crate::error::{Error, Result};
use crate::execute::{ImageResult, Journal, Progressing};
use crate::facts::{ImageFacts, RepositoryFact};
use crate::image::{Digest, ImageReference, Platform};
use crate::inputs::{ImageRequest, Mode, Request};
use crate::phase::Phase;
use crate::plan::{Action, ImagePlan, MatrixJob, Outcome, Plan, PlanWarning, Planned, PlannedTag};
use crate::run::RunContext;

/// Everything that is reported of a run, on every exit. Unknown fields are empty.
#[derive(Debug, Default)]
pub struct Report {
    /// The images in the request's order; empty if the request cannot be read.
    pub images: Vec<ImageReport>,
    /// Which images are built on which, by name: the base, then the image on it.
    pub links: Vec<(String, String)>,
    /// The run's zone, and the reason for it.
    pub zone: Option<(&'static str, String)>,
    /// The repository with the source of its name, or why there is none.
    pub repository: Option<String>,
    /// The run's commit, if one is known.
    pub commit: Option<crate::run::Commit>,
    /// Warnings of the inputs.
    pub warnings: Vec<PlanWarning>,
    /// True if findings of the Dockerfile's checks are annotations too.
    pub check_annotations: bool,
    /// Notices for the user.
    pub notices: Vec<String>,
    /// What was set up in ECR.
    pub set_up: Vec<SetUpReport>,
    /// What was tried again, and why, one text each.
    pub retries: Vec<String>,
    pub disk: DiskReport,
    /// The actions that ended, with their seconds.
    pub entries: Vec<Entry>,
    /// Seconds until all facts were read.
    pub read_seconds: f64,
    /// Seconds of the whole run.
    pub seconds: f64,
    /// The file with the plan as JSON.
    pub plan: Option<PathBuf>,
    /// The same file, if it also has what the plan was made from.
    pub facts: Option<PathBuf>,
    /// True if the run only says what is missing.
    pub is_plan: bool,
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
#[expect(clippy::struct_excessive_bools, reason = "what came of the image, each independent of the others")]
pub struct ImageReport {
    /// The input `image`.
    pub image: String,
    /// False if the image is there only because others are built on it: it is not reported.
    pub asked: bool,
    pub outcome: Option<Outcome>,
    /// Why the outcome is what it is.
    pub reason: String,
    /// On a miss, all that differs from the nearest earlier image.
    pub changes: Vec<String>,
    /// The image's digest in the registry.
    pub digest: Option<Digest>,
    /// The key's tag, if the image has it in the registry.
    pub tag: Option<String>,
    /// The tag of the run's commit, if the image has it in the registry.
    pub commit_tag: Option<String>,
    /// The image by digest.
    pub reference: Option<ImageReference>,
    /// What docker calls the image's id.
    pub image_id: Option<String>,
    /// The name in the engine's store.
    pub local_image: Option<String>,
    /// The key, 64 hex digits.
    pub key: Option<String>,
    /// Bytes of the image as the registry stores it, if they are known; of an index, those of its platforms' images.
    pub size: Option<u64>,
    /// Seconds of all actions for the image.
    pub seconds: f64,
    /// With `mode: plan`, the jobs that would build what is missing.
    pub jobs: Vec<MatrixJob>,
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
    /// Every tag the image got or had, as full references: `h.io/team/app:1`.
    pub tags: Vec<String>,
    /// What came of each item of the input `tags`, in that order.
    pub tag_reports: Vec<TagReport>,
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
        self.images = request.images.iter().map(ImageReport::of).collect();
        let links = |image: &ImageRequest| {
            let child = image.image.to_string();
            let pairs = image.links.iter().map(|link| (link.image.to_string(), child.clone()));
            pairs.collect::<Vec<_>>()
        };
        self.links = request.images.iter().flat_map(links).collect();
        self.check_annotations = request.settings.report.check_annotations;
        self.is_plan = request.settings.mode == Mode::Plan;
        self.without_summary = !request.settings.report.summary;
        let warnings = request.settings.warnings.iter().cloned();
        self.warnings.extend(warnings.map(|text| PlanWarning { text, at: None }));
        self.zone = Some((run.zone.name(), run.zone_reason.clone()));
        self.commit.clone_from(&run.commit);
    }

    /// Adds what is known from the facts of the images. `places`: the index of each in the request.
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

    /// Takes over what was planned and what came of it. `places`: the index in the request of each image of the plan.
    /// `metadata`: buildx's metadata file of each image of the plan, if it outlives the run.
    pub(crate) fn finish(&mut self, plan: &Plan, journal: Journal, places: &[usize], metadata: &[PathBuf]) {
        for (at, (place, planned)) in places.iter().zip(&plan.images).enumerate() {
            let Some(image) = self.images.get_mut(*place) else { continue };
            let metadata = metadata.get(at).cloned();
            image.finish(planned, plan.of_image(at), journal.of_image(plan, at), metadata);
        }
        self.entries.extend(entries(&journal));
        self.set_up.extend(set_up::set_up(plan, &journal));
        let removals = plan.actions.iter().zip(&journal.records);
        for (_, record) in
            removals.filter(|(planned, _)| matches!(planned.action, Action::RemoveImages { .. }))
        {
            self.disk.removed.extend(record.removed.iter().cloned());
            self.notices.extend(record.notices.iter().cloned());
        }
        self.notices.extend(journal.notices);
        if let Some(error) = journal.error {
            self.fail(error);
        }
    }

    /// Takes over a failure of the run as a whole. It becomes that of every image that is not done and has not failed by
    /// itself.
    pub fn fail(&mut self, error: Error) {
        for image in self.images.iter_mut().filter(|image| !image.done) {
            // The error of an action that was stopped says less than that of the run.
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

    /// The run's outcome: that of its images which is last in the order of [`Outcome`], so that a failure counts most.
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

/// Each item once, in order: several images may have the same.
fn unique<'a, T: PartialEq + 'a>(items: impl Iterator<Item = &'a T>) -> impl Iterator<Item = &'a T> {
    let mut seen: Vec<&T> = Vec::new();
    items.filter(move |item| {
        let new = !seen.contains(item);
        if new {
            seen.push(item);
        }
        new
    })
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
    fn of(request: &ImageRequest) -> Self {
        let left_out = request.left_out_tags.iter().map(|left_out| TagReport {
            tag: left_out.tag.to_string(),
            result: TagOutcome::LeftOut,
            why: Some(left_out.why.to_owned()),
        });
        Self {
            image: request.image.to_string(),
            asked: request.asked,
            tag_reports: left_out.collect(),
            ..Self::default()
        }
    }

    /// Forgets the result, because the image is looked up once more.
    pub(crate) fn start_over(&mut self) {
        let mut tag_reports = std::mem::take(&mut self.tag_reports);
        tag_reports.retain(|report| report.result == TagOutcome::LeftOut);
        let image = std::mem::take(&mut self.image);
        *self = Self { image, asked: self.asked, tag_reports, ..Self::default() };
    }

    /// Takes over what was planned for this image and what came of it.
    fn finish<'a>(
        &mut self,
        plan: &ImagePlan,
        actions: impl Iterator<Item = &'a Planned>,
        result: ImageResult,
        metadata: Option<PathBuf>,
    ) {
        let error = plan.error.clone().or_else(|| result.error.clone());
        self.outcome = Some(if error.is_some() { Outcome::Failed } else { plan.decision.outcome });
        self.reason = error.as_ref().map_or_else(|| plan.decision.reason.clone(), Error::headline);
        self.changes.clone_from(&plan.decision.changes);
        let adopted = result.made.adopted;
        let left_out = std::mem::take(&mut self.tag_reports);
        self.tag_reports = tag_reports(plan, &result, left_out);
        if !result.lost_its_image() {
            self.tag = reported_tag(plan.key_tag.as_ref(), &result.tags);
            self.commit_tag = reported_tag(plan.commit_tag.as_ref(), &result.tags);
            (self.digest, self.image_id) = (result.made.digest, result.made.image_id);
            self.size = result.size.or(plan.size);
        }
        self.degraded = crate::shown::clauses(plan.degraded.clone().into_iter().chain(result.degraded));
        self.warnings.extend(plan.warnings.iter().cloned());
        self.notices.extend(plan.notices.iter().cloned());
        let skipped = plan.skipped_tags.iter();
        self.notices.extend(skipped.map(|skipped| format!("{} is not set: {}", skipped.tag, skipped.why)));
        self.notices.extend(result.notices);
        let repository = plan.repository.as_ref();
        self.reference = self.digest.as_ref().zip(repository).map(|(digest, home)| home.at(digest.clone()));
        self.tags = result.tags;
        self.local_image = result.local_image;
        (self.built, self.pushed, self.attempts) = (result.built, result.pushed, result.attempts);
        self.progress = result.progress;
        self.seconds += result.seconds;
        self.jobs.clone_from(&plan.jobs);
        self.add_actions(actions);
        self.metadata_file = metadata.filter(|_| result.built_whole);
        // buildx's file is of this run's build, not of an image of another run.
        let metadata = metadata::image_metadata(self.metadata_file.as_deref().filter(|_| !adopted), self);
        self.metadata = metadata.text;
        self.notices.extend(metadata.left_out);
        self.done = error.is_none() && result.done;
        self.error = error;
    }

    /// Adds the platforms of a merge, or the findings of a build's checks that have a line.
    fn add_actions<'a>(&mut self, actions: impl Iterator<Item = &'a Planned>) {
        for planned in actions {
            match (&planned.action, &self.progress) {
                (Action::PutIndex { index, .. }, _) => self.platforms.clone_from(&index.images),
                (Action::Build { spec, .. }, Some(progress)) => {
                    let file = spec.build.dockerfile().display().to_string();
                    let findings = progress.warnings.iter().filter(|warning| warning.line.is_some()).cloned();
                    self.checks.extend(findings.map(|finding| PlanWarning::found(finding, &file)));
                }
                _ => {}
            }
        }
    }
}

/// The tag, if the image had it before the run or got it.
fn reported_tag(planned: Option<&PlannedTag>, set: &[String]) -> Option<String> {
    let named = planned.filter(|tag| tag.there || set.contains(&tag.reference.to_string()))?;
    named.reference.tag().map(str::to_owned)
}
