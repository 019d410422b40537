//! What `prune` says: outputs, summary, JSON.

use serde_json::{Value, json};

use super::caches::OldCache;
use crate::error::Error;
use crate::image::Repository;
use crate::ports::actions::without_controls;
use crate::prune::{Applied, Plan, Rendered, Step, json as plan_json, markdown, too_large};
use crate::shown;

/// One repository's plan, and what its execution did.
pub(super) struct Cleaned {
    pub(super) repository: Repository,
    pub(super) plan: Plan,
    pub(super) applied: Option<Applied>,
}

/// Everything that one run found and did.
#[derive(Default)]
pub(super) struct Report {
    pub(super) repositories: Vec<Cleaned>,
    pub(super) caches: Vec<OldCache>,
    pub(super) notices: Vec<String>,
    pub(super) applied: bool,
    pub(super) failed: Option<Error>,
    pub(super) seconds: f64,
}

/// The outputs with their meanings, for `prune/action.yml` and the docs.
pub const OUTPUTS: [(&str, &str); 9] = [
    ("outcome", "nothing (nothing is to go, or max-delete lets nothing go), planned, removed, or failed"),
    ("reason", "Why, in one sentence"),
    ("removed", "Tags, images and caches that this run removed"),
    ("planned", "Tags, images and caches that the plan removes"),
    ("freed", "Bytes that the removed images and caches held; layers that stay do not count"),
    (
        "restore-ids",
        "Numbers by which GitHub can restore the removed versions of a package for 30 days, as JSON",
    ),
    ("plan", "Path of the plan as JSON"),
    ("failure-class", "Class of the failure, as of the main action"),
    ("failure-cause", "What failed, more narrowly than its class"),
];

impl Report {
    fn rendered(&self) -> impl Iterator<Item = Rendered<'_>> {
        self.repositories.iter().map(|cleaned| Rendered {
            repository: &cleaned.repository,
            plan: &cleaned.plan,
            applied: cleaned.applied.as_ref(),
        })
    }

    fn removed_steps(&self) -> impl Iterator<Item = &Step> {
        self.repositories.iter().filter_map(|cleaned| cleaned.applied.as_ref()).flat_map(Applied::removed)
    }

    pub(super) fn planned(&self) -> usize {
        self.repositories.iter().map(|cleaned| cleaned.plan.steps().count()).sum::<usize>()
            + self.caches.len()
    }

    fn left(&self) -> usize {
        self.rendered().map(|rendered| rendered.plan.left).sum()
    }

    pub(super) fn removed(&self) -> usize {
        self.removed_steps().count() + self.caches.iter().filter(|cache| cache.removed).count()
    }

    /// Bytes of what was removed; of a plan that is only shown, of what it would remove.
    fn bytes(&self) -> u64 {
        let of_images = self.repositories.iter().map(|cleaned| match &cleaned.applied {
            None => cleaned.plan.bytes(),
            Some(applied) => applied.freed(&cleaned.plan),
        });
        let of_caches =
            self.caches.iter().filter(|cache| !self.applied || cache.removed).map(|cache| cache.bytes);
        of_images.chain(of_caches).sum()
    }

    fn outcome(&self) -> &'static str {
        match (&self.failed, self.planned(), self.applied) {
            (Some(_), ..) => "failed",
            (None, 0, _) => "nothing",
            (None, _, false) => "planned",
            (None, _, true) => "removed",
        }
    }

    pub(super) fn reason(&self) -> String {
        if let Some(error) = &self.failed {
            return error.headline();
        }
        let (planned, removed, freed) = (self.planned(), self.removed(), shown::bytes(self.bytes()));
        match self.outcome() {
            "nothing" => match self.rendered().find(|rendered| rendered.plan.too_large.groups > 0) {
                Some(rendered) => too_large(rendered.plan.too_large).trim_end_matches('.').to_owned(),
                None if self.left() > 0 => {
                    format!("{} removals are left to the next run (max-delete)", self.left())
                }
                None => "nothing is to go".to_owned(),
            },
            "planned" => format!("{planned} removals are planned, {freed}; apply: true carries them out"),
            _ => format!("{removed} of {planned} removals were carried out, {freed} freed"),
        }
    }

    /// The step's outputs.
    pub(super) fn outputs(&self, plan: &str) -> Vec<(&'static str, String)> {
        let restore: Vec<u64> = self
            .removed_steps()
            .filter_map(|step| match step {
                Step::Delete { restore, .. } => *restore,
                Step::Untag { .. } => None,
            })
            .collect();
        let value = |name: &str| match name {
            "outcome" => self.outcome().to_owned(),
            "reason" => self.reason(),
            "removed" => self.removed().to_string(),
            "planned" => self.planned().to_string(),
            "freed" => if self.applied { self.bytes() } else { 0 }.to_string(),
            "restore-ids" => json!(restore).to_string(),
            "plan" => plan.to_owned(),
            "failure-class" => {
                self.failed.as_ref().map(|error| error.class.name()).unwrap_or_default().to_owned()
            }
            _ => self.failed.as_ref().map(Error::cause_name).unwrap_or_default().to_owned(),
        };
        OUTPUTS.iter().map(|(name, _)| (*name, value(name))).collect()
    }

    /// The plan and what came of it.
    pub(super) fn json(&self) -> Value {
        json!({
            "outcome": self.outcome(),
            "reason": self.reason(),
            "seconds": self.seconds,
            "repositories": self.rendered().map(|rendered| plan_json(&rendered)).collect::<Vec<_>>(),
            "caches": self.caches.iter().map(OldCache::json).collect::<Vec<_>>(),
            "notices": self.notices,
        })
    }

    /// The same in Markdown, for the summary and for the terminal.
    pub(super) fn markdown(&self) -> String {
        use std::fmt::Write as _;
        let mut text = format!("## prune: {}\n\n{}.\n\n", self.outcome(), without_controls(&self.reason()));
        for rendered in self.rendered() {
            text.push_str(&markdown(&rendered));
            text.push('\n');
        }
        if !self.caches.is_empty() {
            text.push_str(
                "### Layer caches elsewhere\n\n| what | why | frees | state |\n| --- | --- | --- | --- |\n",
            );
            for cache in self.caches.iter().take(200) {
                let OldCache { name, because, bytes, state, .. } = cache;
                let clean =
                    |text: &str| without_controls(text).replace(['|', '`', '<', '>', '[', ']', '@'], "/");
                let _ = writeln!(
                    text,
                    "| {} | {because} | {} | {} |",
                    clean(name),
                    shown::bytes(*bytes),
                    clean(state)
                );
            }
            text.push('\n');
        }
        for notice in &self.notices {
            let _ = writeln!(text, "- {}", without_controls(notice));
        }
        text
    }
}
