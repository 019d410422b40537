//! The report: outputs, summary, annotations. Drawn from the plan and the journal on success,
//! failure and cancellation alike.

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
use crate::error::Error;
use crate::execute::Journal;
use crate::facts::RepositoryFact;
use crate::image::{Digest, ImageReference, Platform};
use crate::inputs::Inputs;
use crate::plan::{Outcome, Plan, PlanWarning, PlannedTag, Step};
use crate::run::RunContext;

/// Everything that is reported. Every field is there on every exit; what is not known is empty.
#[derive(Debug, Default)]
pub struct Report {
    /// What the user calls the image.
    pub image: Option<String>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Why.
    pub reason: String,
    /// On a miss, all that differs from the nearest earlier image.
    pub changes: Vec<String>,
    /// The image's digest in the registry.
    pub digest: Option<Digest>,
    /// The key's tag, where it has it there.
    pub tag: Option<String>,
    /// The commit's tag, where it has it there.
    pub commit_tag: Option<String>,
    /// The image by digest.
    pub reference: Option<ImageReference>,
    /// What docker calls its id.
    pub image_id: Option<String>,
    /// The name in the engine's store.
    pub local_image: Option<String>,
    /// The key, 64 hex digits.
    pub key: Option<String>,
    /// The run's zone, and why it has it.
    pub zone: Option<(&'static str, String)>,
    /// Where the repository's name came from, or why there is none.
    pub repository: Option<String>,
    /// Whether a build ended well.
    pub built: bool,
    /// Whether it was pushed.
    pub pushed: bool,
    /// Why the run made do with less.
    pub degraded: Option<String>,
    /// What the user should mend.
    pub warnings: Vec<PlanWarning>,
    /// What the checks of the Dockerfile found.
    pub checks: Vec<PlanWarning>,
    /// Whether they are annotations too.
    pub check_annotations: bool,
    /// What else to say.
    pub notices: Vec<String>,
    /// Every tag the image got or had.
    pub tags: Vec<String>,
    /// Builds that were started.
    pub attempts: u32,
    /// What was tried again, and why.
    pub retries: Vec<String>,
    /// What the build's progress told.
    pub progress: Option<ProgressSummary>,
    /// What each platform of a merged image is.
    pub platforms: Vec<(Platform, String)>,
    /// Steps with their seconds.
    pub entries: Vec<crate::execute::Entry>,
    /// Seconds until all was read.
    pub read_seconds: f64,
    pub seconds: f64,
    /// buildx's metadata file, if a build wrote one.
    pub metadata_file: Option<PathBuf>,
    /// What is in it as JSON; of an image that was there its digests and names under the same keys.
    pub metadata: Option<String>,
    /// The plan as JSON.
    pub plan: Option<PathBuf>,
    /// Commits, where the run knows them.
    pub commit: Option<crate::run::Commit>,
    /// Why it failed.
    pub error: Option<Error>,
}

impl Report {
    /// Takes over what was known before anything was decided.
    pub fn start(&mut self, inputs: &Inputs, run: &RunContext) {
        self.image = Some(inputs.image.to_string());
        self.check_annotations = inputs.report.check_annotations;
        let warnings = inputs.warnings.iter().cloned();
        self.warnings.extend(warnings.map(|text| PlanWarning { text, at: None }));
        self.zone = Some((run.zone.name(), run.zone_reason.clone()));
        self.commit.clone_from(&run.commit);
    }

    /// Takes over where the image is shared.
    pub fn repository(&mut self, fact: &RepositoryFact) {
        self.repository = Some(match fact {
            RepositoryFact::Found { repository, source } => format!("{repository} (from {source})"),
            RepositoryFact::None(reason) => reason.explain(),
        });
    }

    /// Takes over what was planned and what came of it.
    pub fn finish(&mut self, plan: &Plan, journal: Journal) {
        self.outcome = Some(if journal.error.is_some() { Outcome::Failed } else { plan.decision.outcome });
        self.reason = journal.error.as_ref().map_or_else(|| plan.decision.reason.clone(), Error::headline);
        self.changes.clone_from(&plan.decision.changes);
        let has = |planned: &Option<PlannedTag>| {
            let named =
                planned.as_ref().filter(|tag| tag.there || journal.tags.contains(&tag.reference.to_string()));
            named.and_then(|tag| tag.reference.tag()).map(str::to_owned)
        };
        if !journal.lost_its_image() {
            (self.tag, self.commit_tag) = (has(&plan.key_tag), has(&plan.commit_tag));
            (self.digest, self.image_id) = (journal.digest.clone(), journal.image_id.clone());
        }
        self.degraded = plan.degraded.clone().or(journal.degraded);
        self.warnings.extend(plan.warnings.iter().cloned());
        self.notices.extend(plan.notices.iter().cloned());
        self.notices.extend(journal.notices);
        self.reference =
            self.digest.as_ref().zip(plan.repository.as_ref()).map(|(digest, home)| home.at(digest.clone()));
        self.platforms = plan.merged().map(|index| index.images.clone()).unwrap_or_default();
        self.tags = journal.tags;
        self.local_image = journal.local_image;
        self.built = journal.built;
        self.pushed = journal.pushed;
        self.attempts = journal.attempts;
        let build = plan.steps.iter().find_map(|step| match step {
            Step::Build { spec } => Some(&spec.build),
            _ => None,
        });
        if let (Some(progress), Some(build)) = (&journal.progress, build) {
            let file = build.dockerfile().display().to_string();
            let found = progress.warnings.iter().filter(|warning| warning.line.is_some()).cloned();
            self.checks.extend(found.map(|finding| PlanWarning::found(finding, &file)));
        }
        let file = self.metadata_file.as_deref().filter(|_| !journal.adopted);
        let metadata = metadata::of(file, self);
        self.metadata = metadata.text;
        self.notices.extend(metadata.left_out);
        self.progress = journal.progress;
        self.entries = journal.entries;
        self.error = journal.error;
    }

    /// Takes over a failure before or between the steps.
    pub fn fail(&mut self, error: Error) {
        self.outcome = Some(Outcome::Failed);
        if self.reason.is_empty() {
            self.reason = error.headline();
        }
        self.error = Some(error);
    }
}
