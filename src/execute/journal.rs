//! The journal: what each action did. Outputs, summary and annotations are made from it.

use crate::buildkit::ProgressSummary;
use crate::ecr::{Preview, SettingRow};
use crate::error::Error;
use crate::failure::{FailureClass, FailureKind};
use crate::image::Digest;
use crate::plan::{Action, OldImage, Plan, Planned};
use crate::ports::clock::Stopwatch;

/// An image as an action leaves it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Made {
    /// The digest in the registry.
    pub digest: Option<Digest>,
    /// What docker calls the id: the digest of the configuration, for an index its own digest; for an image that only the
    /// engine has, the engine's id.
    pub image_id: Option<String>,
    /// True if it is another run's image with the same key.
    pub adopted: bool,
}

/// The progress of an action.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Progressing {
    #[default]
    Waiting,
    Running(Stopwatch),
    Ended {
        seconds: f64,
    },
}

/// What came of a tag of the input `tags`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TagResult {
    /// The image had it.
    There,
    /// It is set. The text says why it is not known what it stood for, if that is so.
    Set(Option<String>),
    /// It stands for something newer, and stays. The text says for what.
    Older(String),
}

/// What an action did to a repository.
#[derive(Clone, Debug, Default)]
pub(crate) struct SetUpRecord {
    /// True if the repository has the setting now.
    pub done: bool,
    /// True if the repository was made by this run.
    pub made: bool,
    /// The comparison with a repository that another run has made meanwhile.
    pub compared: Option<Vec<SettingRow>>,
    /// What the lifecycle policy removes.
    pub preview: Option<Preview>,
}

/// What one action did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// The action in words.
    pub label: String,
    pub state: Progressing,
    /// Why the action failed.
    pub error: Option<Error>,
    /// The image as the action leaves it.
    pub made: Option<Made>,
    /// Bytes of the image as the registry stores it.
    pub size: Option<u64>,
    /// The name that the action gave the image in the engine's store.
    pub local_image: Option<String>,
    /// True if a build succeeded.
    pub built: bool,
    /// True if this run's image is published; `None` if the action does not know.
    pub pushed: Option<bool>,
    /// The number of builds that were started.
    pub attempts: u32,
    /// The summary of a build's progress.
    pub progress: Option<ProgressSummary>,
    /// Old images that the action removed from the engine.
    pub removed: Vec<OldImage>,
    /// Names in a registry that the action gave the image.
    pub tags: Vec<String>,
    /// What came of the tag, if the action sets one.
    pub tag_result: Option<TagResult>,
    /// True if the action found that names of earlier actions are another image's by now.
    pub unpublished: bool,
    /// True if the action made no builder, and the builds do without.
    pub no_builder: bool,
    /// What was done to a repository.
    pub set_up: Option<SetUpRecord>,
    /// Notices for the user.
    pub notices: Vec<String>,
    /// Why less was done than the inputs say.
    pub degraded: Option<String>,
}

impl Record {
    /// The record of an action that has not begun.
    pub(super) fn new(label: String) -> Self {
        Self { label, ..Self::default() }
    }

    /// Notes that the action begins.
    pub(super) fn begin(&mut self) {
        self.state = Progressing::Running(Stopwatch::start());
    }

    /// Notes that the action has ended, also if its task was dropped.
    pub(super) fn end(&mut self) {
        if let Progressing::Running(watch) = self.state {
            self.state = Progressing::Ended { seconds: watch.seconds() };
        }
    }

    /// True if the action succeeded.
    pub(super) const fn succeeded(&self) -> bool {
        matches!(self.state, Progressing::Ended { .. }) && self.error.is_none()
    }

    /// The image, for the action to note what it knows of it.
    pub(super) fn made_mut(&mut self) -> &mut Made {
        self.made.get_or_insert_default()
    }

    /// Notes that the registry has the image under these names. Its digest is read back later. A push may be noted twice:
    /// when it is complete, and when the build succeeds.
    pub(super) fn published(&mut self, names: &[String]) {
        (self.built, self.pushed) = (true, Some(true));
        for name in names {
            self.add_tag(name.clone());
        }
    }

    /// Notes a name that the image has in a registry, once.
    pub(super) fn add_tag(&mut self, name: String) {
        if !self.tags.contains(&name) {
            self.tags.push(name);
        }
    }

    /// Reports another run's image with the same key, which the registry has, in place of this run's.
    pub(super) fn adopt(&mut self, digest: Digest, config: Option<Digest>) {
        let image_id = Some(config.as_ref().unwrap_or(&digest).to_string());
        self.made = Some(Made { digest: Some(digest), image_id, adopted: true });
    }

    /// Notes that a builder is used without its layers.
    pub(super) fn without_layers(&mut self, why: &Error) {
        self.degrade(
            "a builder that others have used builds, without its layers and without writing the layer cache",
            why,
        );
    }

    /// Notes that the layer cache is not written.
    pub(super) fn without_cache(&mut self, why: &Error) {
        self.degrade("the layer cache is not written", why);
    }

    /// Notes the layer caches that were not read, each with the reason. A cache that does not exist, as on a first run, is
    /// only a notice.
    pub(super) fn caches_unread(&mut self, unread: &[(String, String)]) {
        for (name, why) in unread {
            // The ends of the messages of registries' and of local caches.
            if ["not found", "no such file or directory"].iter().any(|end| why.ends_with(end)) {
                self.notices.push(format!("the layer cache {name} is not there"));
                continue;
            }
            self.degrade_further(format!("the layer cache {name} is not read: {why}"));
        }
    }

    /// Notes a reason besides those that are noted already.
    pub(super) fn degrade_further(&mut self, why: String) {
        self.degraded = Some(match self.degraded.take() {
            Some(earlier) => format!("{earlier}; {why}"),
            None => why,
        });
    }

    /// Notes the first reason; what follows from it says no more.
    fn degrade(&mut self, how: &str, why: &Error) {
        let degraded = format!("{how}: {}", why.advice());
        self.degraded.get_or_insert(degraded);
    }
}

/// Everything that the report is made from, besides the plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    /// The record of each action, in the plan's order.
    pub records: Vec<Record>,
    /// The builder that is being removed.
    pub removing: Option<String>,
    /// True if the credentials of a run that may only read could push.
    pub may_push: bool,
    /// Notices for the user.
    pub notices: Vec<String>,
    /// Why the run ended early, whatever the actions say.
    pub error: Option<Error>,
}

/// The result of all actions of one image.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "one a fact")]
pub(crate) struct ImageResult {
    pub made: Made,
    /// Bytes of the image as the registry stores it.
    pub size: Option<u64>,
    /// The image's name in the engine's store.
    pub local_image: Option<String>,
    /// True if a build succeeded.
    pub built: bool,
    /// True if one build made the whole image, not one of its platforms.
    pub built_whole: bool,
    /// True if this run's image is published.
    pub pushed: bool,
    /// The number of builds that were started.
    pub attempts: u32,
    /// Seconds of all actions together.
    pub seconds: f64,
    /// The summary of the build's progress.
    pub progress: Option<ProgressSummary>,
    /// The names that the image was given in a registry.
    pub tags: Vec<String>,
    /// What came of each tag of the input `tags`; an error where it could not be set. `None`: it did not come to that.
    pub tag_results: Vec<(String, Option<Result<TagResult, String>>)>,
    /// Notices for the user.
    pub notices: Vec<String>,
    /// Why less was done than the inputs say.
    pub degraded: Option<String>,
    /// True if every action succeeded.
    pub done: bool,
    /// Why it failed.
    pub error: Option<Error>,
}

impl ImageResult {
    /// True if it failed because the image that was found does not exist any more.
    #[must_use]
    pub(crate) fn lost_its_image(&self) -> bool {
        self.error.as_ref().is_some_and(|error| error.is(FailureKind::SourceGone))
    }
}

impl Journal {
    /// Ends the records of actions whose tasks were dropped while they ran.
    pub(crate) fn close(&mut self) {
        for record in &mut self.records {
            if let Progressing::Running(_) = record.state {
                record.end();
                record.error.get_or_insert_with(|| Error::new(FailureClass::Interrupted, "broken off"));
            }
        }
    }

    /// The result of an image's actions and of those that they wait for.
    #[must_use]
    pub(crate) fn of_image(&self, plan: &Plan, image: usize) -> ImageResult {
        let mut result = ImageResult::default();
        let planned = plan.images.get(image);
        if let Some(planned) = planned {
            result.made.digest.clone_from(&planned.digest);
            result.made.image_id.clone_from(&planned.image_id);
            result.local_image.clone_from(&planned.local_image);
        }
        result.done = self.records.len() == plan.actions.len();
        let mut refused = Vec::new();
        let needed: Vec<usize> =
            plan.of_image(image).flat_map(|planned| &planned.after).map(|id| id.index()).collect();
        for (at, (planned, record)) in plan.actions.iter().zip(&self.records).enumerate() {
            // What is set up is reported with the first image.
            let shared = needed.contains(&at) || (image == 0 && planned.action.sets_up());
            if planned.image != Some(image) && !(planned.image.is_none() && shared) {
                continue;
            }
            result.add(planned, record);
            if let Action::Alias { target, required: true, .. } = &planned.action {
                let failed = record.error.as_ref().map(|error| Err(error.headline()));
                let came = failed.or_else(|| record.tag_result.clone().map(Ok));
                result.tag_results.push((target.to_string(), came));
            }
            result.done &= record.succeeded();
            match (&planned.action, &record.error) {
                (_, None) => {}
                // Each tag counts by itself: the others are set although one is refused.
                (Action::Alias { target, .. }, Some(error)) if may_go_on(error) => {
                    refused.push((target.to_string(), error));
                }
                (_, Some(error)) => result.error = result.error.or_else(|| Some(error.clone())),
            }
        }
        result.error = result.error.or_else(|| tags_refused(&refused, &result.tags));
        result
    }
}

impl ImageResult {
    /// Adds what one action did. Records come in the plan's order, so later ones correct earlier ones.
    fn add(&mut self, planned: &Planned, record: &Record) {
        let action = &planned.action;
        if let Progressing::Ended { seconds } = record.state {
            self.seconds += seconds;
        }
        if record.unpublished {
            (self.made, self.pushed) = (Made::default(), false);
            self.tags.clear();
        }
        if let Some(made) = &record.made {
            self.made.clone_from(made);
        }
        // One platform's size is not the image's.
        self.size = record.size.filter(|_| planned.platform.is_none()).or(self.size);
        if self.local_image.is_none() {
            // The plan sets the private name first, which no other build can move.
            self.local_image.clone_from(&record.local_image);
        }
        // The figures are those of the build, not of the action that loads its image.
        if !matches!(action, Action::Load { .. }) || record.error.is_some() {
            self.attempts += record.attempts;
            self.progress = record.progress.clone().or_else(|| self.progress.take());
        }
        self.built |= record.built;
        self.built_whole |= record.built && planned.platform.is_none();
        self.pushed = record.pushed.unwrap_or(self.pushed);
        self.tags.extend(record.tags.iter().cloned());
        self.notices.extend(record.notices.iter().cloned());
        if self.degraded.is_none() || action.sets_up() {
            let earlier = self.degraded.take().into_iter();
            self.degraded = crate::shown::clauses(earlier.chain(record.degraded.clone()));
        }
    }
}

/// True if other tags can be set after this error: unless the run is to stop, or the image is gone.
pub(super) fn may_go_on(error: &Error) -> bool {
    !error.is_stopped() && !error.is(FailureKind::SourceGone)
}

/// The error that tells which tags could not be set, and which were.
fn tags_refused(refused: &[(String, &Error)], set: &[String]) -> Option<Error> {
    let (_, error) = refused.first()?;
    let refused: Vec<&str> = refused.iter().map(|(tag, _)| tag.as_str()).collect();
    let set = if set.is_empty() { String::new() } else { format!("set: {}; ", set.join(", ")) };
    Some((*error).clone().cause(format!("{set}not set: {}", refused.join(", "))))
}
