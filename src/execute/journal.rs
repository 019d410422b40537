//! What each step did: outputs, summary and annotations are made from it.

use crate::buildkit::ProgressSummary;
use crate::error::Error;
use crate::failure::FailureKind;
use crate::image::Digest;
use crate::ports::clock::Stopwatch;

/// One step as it went.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Entry {
    /// The step in words.
    pub label: String,
    /// How long it took.
    pub seconds: f64,
    /// Whether it failed.
    pub failed: bool,
}

/// Everything the report is drawn from, besides the plan.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "what happened, each independent of the others")]
pub struct Journal {
    /// The steps that ran, in order.
    pub entries: Vec<Entry>,
    /// What runs now, and since when.
    pub under_way: Option<(String, Stopwatch)>,
    /// The image's digest in the registry.
    pub digest: Option<Digest>,
    /// The digest of its configuration, of an index its own; of an image that only the engine has, the engine's id.
    pub image_id: Option<String>,
    /// The name it has in the engine's store.
    pub local_image: Option<String>,
    /// Whether a build ended well.
    pub built: bool,
    /// Whether it was pushed.
    pub pushed: bool,
    /// How often a build was started.
    pub attempts: u32,
    /// What the build's progress told.
    pub progress: Option<ProgressSummary>,
    /// Names in a registry that it was given.
    pub tags: Vec<String>,
    /// Names asked for that it was not given, and why.
    pub refused: Vec<(String, Error)>,
    /// Whether the image is another run's with the same key.
    pub adopted: bool,
    /// Whether the builder that only the layer cache needs did not boot.
    pub no_builder: bool,
    /// What else to say.
    pub notices: Vec<String>,
    /// Whether the credentials of a run that may only read could push.
    pub may_push: bool,
    /// Why a step made do with less.
    pub degraded: Option<String>,
    /// Why it ended early.
    pub error: Option<Error>,
}

impl Journal {
    /// Whether it ended because the image that was found is not there any more.
    #[must_use]
    pub fn lost_its_image(&self) -> bool {
        self.error.as_ref().is_some_and(|error| error.is(FailureKind::SourceGone))
    }

    /// Notes an image that stands in the registry under these names, whatever comes now. Its digest
    /// is read back.
    pub(super) fn published(&mut self, names: &[String]) {
        (self.built, self.pushed) = (true, true);
        self.tags.extend(names.iter().cloned());
    }

    /// Takes another run's image with the same key, which stands in the registry, for this run's.
    pub(super) fn adopt(&mut self, digest: Digest, config: Option<Digest>) {
        self.image_id = Some(config.as_ref().unwrap_or(&digest).to_string());
        (self.adopted, self.digest) = (true, Some(digest));
    }

    /// Takes that back: what was pushed has no name any more.
    pub(super) fn unpublished(&mut self) {
        self.pushed = false;
        (self.digest, self.image_id) = (None, None);
        self.tags.clear();
    }

    /// Makes do with a builder whose layers are not used.
    pub fn without_layers(&mut self, why: &Error) {
        self.makes_do(
            "a builder that others have used builds, without its layers and without writing the layer cache",
            why,
        );
    }

    /// Makes do without writing the layer cache.
    pub fn without_cache(&mut self, why: &Error) {
        self.makes_do("the layer cache is not written", why);
    }

    /// Notes the layer caches that were not read. One that is not there, as on a first run, is no fault.
    pub fn caches_unread(&mut self, unread: &[(String, String)]) {
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

    /// Notes what begins.
    pub(super) fn begin(&mut self, label: String) {
        self.under_way = Some((label, Stopwatch::start()));
    }

    /// Closes the current step; also called when its task was dropped.
    pub fn end(&mut self, failed: bool) {
        if let Some((label, watch)) = self.under_way.take() {
            self.entries.push(Entry { label, seconds: watch.seconds(), failed });
        }
    }
}
