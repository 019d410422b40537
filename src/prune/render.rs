//! The plan, and what came of it, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json as object};

use super::apply::Applied;
use super::listing::{Outcome, Step};
use super::plan::{Plan, TooLarge};
use super::reason::Reason;
use crate::image::Repository;
use crate::shown;

/// The plan of one repository, and what its execution did, if it was executed.
pub(crate) struct Rendered<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) plan: &'a Plan,
    pub(crate) applied: Option<&'a Applied>,
}

/// The most rows of a table; the JSON has all.
const MOST_ROWS: usize = 200;

impl Rendered<'_> {
    fn outcome(&self, step: &Step) -> Option<&Outcome> {
        self.applied?.done.iter().find(|(done, _)| done == step).map(|(_, outcome)| outcome)
    }

    fn word(&self, step: &Step) -> String {
        match (self.applied, self.outcome(step)) {
            (None, _) => "planned".to_owned(),
            (Some(_), None) => "left: it changed, or waits for one that stays".to_owned(),
            (_, Some(outcome)) => state(outcome),
        }
    }
}

/// One removal that was tried, for the log.
#[must_use]
pub(crate) fn line(step: &Step, outcome: &Outcome) -> String {
    let restore = match step {
        Step::Delete { restore: Some(id), .. } => format!(" (restore id {id})"),
        _ => String::new(),
    };
    format!("{}{restore}: {}", name(step), state(outcome))
}

fn state(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => "removed".to_owned(),
        Outcome::Absent => "was gone".to_owned(),
        Outcome::Changed => "left: the tag names another image now, or the image has another tag".to_owned(),
        Outcome::Refused(why) => format!("kept by the registry: {why}"),
        Outcome::Failed(error) => format!("failed: {}", error.headline()),
    }
}

/// What a step removes, as people read it.
fn name(step: &Step) -> String {
    match step {
        Step::Untag { tag, .. } => format!("tag {tag}"),
        Step::Delete { digest, tags, .. } if tags.is_empty() => format!("manifest {}", digest.short()),
        Step::Delete { tags, digest, .. } => {
            let names = shown::first(&tags.iter().collect::<Vec<_>>(), 3);
            format!("image {} ({names})", digest.short())
        }
    }
}

/// The plan as JSON.
#[must_use]
pub(crate) fn json(rendered: &Rendered<'_>) -> Value {
    let Rendered { repository, plan, applied } = rendered;
    let steps = plan.groups.iter().flat_map(|group| {
        group.steps.iter().map(|planned| {
            let mut entry = object!({"reason": group.reason, "because": group.reason.to_string(), "bytes": planned.bytes, "state": rendered.word(&planned.step)});
            let step = serde_json::to_value(&planned.step).unwrap_or_default();
            for (name, value) in step.as_object().into_iter().flatten() {
                entry["action"] = name.as_str().into();
                for (field, value) in value.as_object().into_iter().flatten() {
                    entry[field] = value.clone();
                }
            }
            entry
        })
    });
    let stays: BTreeMap<String, usize> =
        plan.stays.iter().map(|(why, count)| (why.words().to_owned(), *count)).collect();
    object!({
        "repository": repository.to_string(),
        "applied": applied.is_some(),
        "versions": plan.versions,
        "deletions": plan.deletions(),
        "bytes": plan.bytes(),
        "left": plan.left,
        "too-large": {
            "groups": plan.too_large.groups,
            "removals": plan.too_large.removals,
            "max-delete": plan.too_large.largest,
        },
        "stays": stays,
        "steps": steps.collect::<Vec<_>>(),
    })
}

/// The plan as a table in Markdown; as text it reads well too.
#[must_use]
pub(crate) fn markdown(rendered: &Rendered<'_>) -> String {
    let Rendered { repository, plan, applied } = rendered;
    let mut text = format!("### {repository}\n\n");
    if plan.groups.is_empty() {
        let _ = writeln!(text, "Nothing goes: {} manifests stay.\n", plan.versions);
    } else {
        add_sums(&mut text, rendered);
        text.push_str("| what | why | frees | state |\n| --- | --- | --- | --- |\n");
        let steps = plan.groups.iter().flat_map(|group| group.steps.iter().map(|step| (&group.reason, step)));
        for (reason, planned) in steps.clone().take(MOST_ROWS) {
            let restore = match &planned.step {
                Step::Delete { restore: Some(id), .. } => format!("; restore id {id}"),
                _ => String::new(),
            };
            let state = rendered.word(&planned.step);
            let (what, bytes) = (name(&planned.step), shown::bytes(planned.bytes));
            let _ = writeln!(text, "| {what}{restore} | {reason} | {bytes} | {} |", cell(&state));
        }
        let more = steps.count().saturating_sub(MOST_ROWS);
        if more > 0 {
            let _ = writeln!(text, "\n{more} more are in the plan as JSON.");
        }
        text.push('\n');
    }
    if plan.left > 0 {
        let _ = writeln!(text, "{} more removals are left to the next run (`max-delete`).\n", plan.left);
    }
    if plan.too_large.groups > 0 {
        let _ = writeln!(text, "{}\n", too_large(plan.too_large));
    }
    for (why, count) in &plan.stays {
        let tags = if *count == 1 { "tag stays" } else { "tags stay" };
        let _ = writeln!(text, "- {count} {tags}: {}", why.words());
    }
    if let Some(error) = applied.and_then(Applied::failure) {
        let _ = writeln!(text, "\n**Not finished:** {}", cell(&error.to_string()));
    }
    text
}

/// What stays until the limit is raised, with the limit that it takes.
#[must_use]
pub(crate) fn too_large(TooLarge { groups, removals, largest }: TooLarge) -> String {
    let (images, stay) =
        if groups == 1 { ("An image".to_owned(), "stays") } else { (format!("{groups} images"), "stay") };
    format!(
        "{images} with {removals} removals in all {stay} until `max-delete` is {largest} or more: an image goes \
         together with its platforms, signatures and attestations."
    )
}

fn add_sums(text: &mut String, rendered: &Rendered<'_>) {
    let Rendered { plan, applied, .. } = rendered;
    let mut sums: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for group in &plan.groups {
        let word = match group.reason {
            Reason::PullRequestClosed(_) => "of closed pull requests",
            Reason::BranchGone(_) => "of branches that are gone",
            Reason::QueueOver => "of the merge queue",
            Reason::Unused => "unused",
            Reason::OldCommit => "of old commits",
            Reason::OldCache => "old layer caches",
            Reason::Untagged => "without a tag",
        };
        let sum = sums.entry(word).or_default();
        sum.0 += group.steps.len();
        sum.1 += group.steps.iter().map(|step| step.bytes).sum::<u64>();
    }
    let sums = sums.iter().map(|(word, (count, bytes))| format!("{count} {word} ({})", shown::bytes(*bytes)));
    let sums = shown::list(sums);
    let verb = if applied.is_some() { "Planned" } else { "Would remove" };
    let steps = plan.steps().count();
    let _ = writeln!(text, "{verb}: {steps} of {} manifests and their tags: {sums}.\n", plan.versions);
    if let Some(applied) = applied {
        let bytes = applied.freed(plan);
        let _ = writeln!(text, "Removed: {}, {} freed.\n", applied.removed().count(), shown::bytes(bytes));
    }
}

/// The text of an answer or of an error, for a cell of a table: it can neither end the cell nor become a link, a mention
/// or markup.
fn cell(text: &str) -> String {
    crate::shown::hide(text)
        .replace(['\n', '\r'], " ")
        .replace('|', "/")
        .replace(['`', '<', '>', '[', ']', '@'], "'")
}
