//! What each action did: outputs, summary and annotations are made from it.

use crate::buildkit::ProgressSummary;
use crate::error::Error;
use crate::failure::{FailureClass, FailureKind};
use crate::image::Digest;
use crate::plan::{Action, Plan};
use crate::ports::clock::Stopwatch;

/// The image as an action leaves it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Made {
    /// Its digest in the registry.
    pub digest: Option<Digest>,
    /// The digest of its configuration, of an index its own; of an image that only the engine has, the engine's id.
    pub image_id: Option<String>,
    /// Whether it is another run's with the same key.
    pub adopted: bool,
}

/// How far an action is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Progressing {
    #[default]
    Waiting,
    Running(Stopwatch),
    Ended {
        seconds: f64,
    },
}

/// One action as it went.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// The action in words.
    pub label: String,
    pub state: Progressing,
    /// Why it failed.
    pub error: Option<Error>,
    /// The image as it leaves it.
    pub made: Option<Made>,
    /// The name that it gave it in the engine's store.
    pub local_image: Option<String>,
    /// Whether a build ended well.
    pub built: bool,
    /// Whether what this run built is published, as far as this action knows.
    pub pushed: Option<bool>,
    /// How often a build was started.
    pub attempts: u32,
    /// What a build's progress told.
    pub progress: Option<ProgressSummary>,
    /// Names in a registry that it gave the image.
    pub tags: Vec<String>,
    /// It found that the names which were given before are another image's.
    pub unpublished: bool,
    /// It made no builder, and the builds go without.
    pub no_builder: bool,
    /// What else to say.
    pub notices: Vec<String>,
    /// Why it made do with less.
    pub degraded: Option<String>,
}

impl Record {
    /// Of an action that has not begun.
    pub(super) fn of(label: String) -> Self {
        Self { label, ..Self::default() }
    }

    /// Begins.
    pub(super) fn begin(&mut self) {
        self.state = Progressing::Running(Stopwatch::start());
    }

    /// Ends, also where its task was dropped.
    pub(super) fn end(&mut self) {
        if let Progressing::Running(watch) = self.state {
            self.state = Progressing::Ended { seconds: watch.seconds() };
        }
    }

    /// Whether it succeeded.
    pub(super) const fn succeeded(&self) -> bool {
        matches!(self.state, Progressing::Ended { .. }) && self.error.is_none()
    }

    /// The image, to note what is known of it.
    pub(super) fn made(&mut self) -> &mut Made {
        self.made.get_or_insert_default()
    }

    /// Notes an image that stands in the registry under these names, whatever comes now. Its digest
    /// is read back.
    pub(super) fn published(&mut self, names: &[String]) {
        (self.built, self.pushed) = (true, Some(true));
        self.tags.extend(names.iter().cloned());
    }

    /// Takes another run's image with the same key, which stands in the registry, for this run's.
    pub(super) fn adopt(&mut self, digest: Digest, config: Option<Digest>) {
        let image_id = Some(config.as_ref().unwrap_or(&digest).to_string());
        self.made = Some(Made { digest: Some(digest), image_id, adopted: true });
    }

    /// Makes do with a builder whose layers are not used.
    pub(super) fn without_layers(&mut self, why: &Error) {
        self.makes_do(
            "a builder that others have used builds, without its layers and without writing the layer cache",
            why,
        );
    }

    /// Makes do without writing the layer cache.
    pub(super) fn without_cache(&mut self, why: &Error) {
        self.makes_do("the layer cache is not written", why);
    }

    /// Notes the layer caches that were not read. One that is not there, as on a first run, is no fault.
    pub(super) fn caches_unread(&mut self, unread: &[(String, String)]) {
        for (name, why) in unread {
            if ["not found", "no such file or directory"].iter().any(|end| why.ends_with(end)) {
                self.notices.push(format!("the layer cache {name} is not there"));
                continue;
            }
            let said = self.degraded.take().map(|said| format!("{said}; ")).unwrap_or_default();
            self.degraded = Some(format!("{said}the layer cache {name} is not read: {why}"));
        }
    }

    fn makes_do(&mut self, how: &str, why: &Error) {
        let degraded = format!("{how}: {}", why.advice());
        self.degraded.get_or_insert(degraded);
    }
}

/// Everything the report is drawn from, besides the plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    /// One of each action, in the plan's order.
    pub records: Vec<Record>,
    /// The builder that is removed now.
    pub removing: Option<String>,
    /// Whether the credentials of a run that may only read could push.
    pub may_push: bool,
    /// What else to say.
    pub notices: Vec<String>,
    /// Why the run ended early, whatever the actions say.
    pub error: Option<Error>,
}

/// What the actions of one image came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct ImageResult {
    pub made: Made,
    /// The name it has in the engine's store.
    pub local_image: Option<String>,
    /// Whether a build ended well.
    pub built: bool,
    /// Whether what it built is published.
    pub pushed: bool,
    /// How often a build was started.
    pub attempts: u32,
    /// What the build's progress told.
    pub progress: Option<ProgressSummary>,
    /// Names in a registry that it was given.
    pub tags: Vec<String>,
    /// What else to say.
    pub notices: Vec<String>,
    /// Why it made do with less.
    pub degraded: Option<String>,
    /// Whether every action succeeded.
    pub done: bool,
    /// Why it failed.
    pub error: Option<Error>,
}

impl ImageResult {
    /// Whether it ended because the image that was found is not there any more.
    #[must_use]
    pub(crate) fn lost_its_image(&self) -> bool {
        self.error.as_ref().is_some_and(|error| error.is(FailureKind::SourceGone))
    }
}

impl Journal {
    /// Closes what is still under way: its task was dropped.
    pub(crate) fn close(&mut self) {
        for record in &mut self.records {
            if let Progressing::Running(_) = record.state {
                record.end();
                record.error.get_or_insert_with(|| Error::new(FailureClass::Interrupted, "broken off"));
            }
        }
    }

    /// What an image's actions, and those that they come after, came to.
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
            if planned.image != Some(image) && !(planned.image.is_none() && needed.contains(&at)) {
                continue;
            }
            result.take(&planned.action, record);
            result.done &= record.succeeded();
            match (&planned.action, &record.error) {
                (_, None) => {}
                // Every tag by itself: one that is refused takes nothing from the others.
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
    fn take(&mut self, action: &Action, record: &Record) {
        if record.unpublished {
            (self.made, self.pushed) = (Made::default(), false);
            self.tags.clear();
        }
        if let Some(made) = &record.made {
            self.made.clone_from(made);
        }
        if self.local_image.is_none() {
            // The first is the private one.
            self.local_image.clone_from(&record.local_image);
        }
        // The build's own figures are what is told, not those of its loading.
        if !matches!(action, Action::Load { .. }) || record.error.is_some() {
            self.attempts += record.attempts;
            self.progress = record.progress.clone().or_else(|| self.progress.take());
        }
        self.built |= record.built;
        self.pushed = record.pushed.unwrap_or(self.pushed);
        self.tags.extend(record.tags.iter().cloned());
        self.notices.extend(record.notices.iter().cloned());
        if self.degraded.is_none() {
            self.degraded.clone_from(&record.degraded);
        }
    }
}

/// Whether the other tags can be set all the same: unless the run is to stop, or the image is gone.
pub(super) fn may_go_on(error: &Error) -> bool {
    !error.is_stopped() && !error.is(FailureKind::SourceGone)
}

/// Where tags could not be set: which, and which others are.
fn tags_refused(refused: &[(String, &Error)], set: &[String]) -> Option<Error> {
    let (_, error) = refused.first()?;
    let refused: Vec<&str> = refused.iter().map(|(tag, _)| tag.as_str()).collect();
    let set = if set.is_empty() { String::new() } else { format!("set: {}; ", set.join(", ")) };
    Some((*error).clone().cause(format!("{set}not set: {}", refused.join(", "))))
}
