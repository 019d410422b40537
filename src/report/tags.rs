//! What came of the items of the input `tags`.

use crate::execute::{ImageResult, TagResult};
use crate::plan::ImagePlan;
use crate::texts::words;

/// What came of an item of the input `tags`.
#[derive(Clone, Debug, serde::Serialize)]
pub struct TagReport {
    /// The reference, or the item as it was given.
    pub tag: String,
    pub result: TagOutcome,
    /// Why, where that does not go without saying.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

words! {
    /// Values of `result` in the output `tags`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum TagOutcome {
        /// The image has the tag now.
        Set = "set",
        /// The image had it.
        There = "there already",
        /// It stands for a newer commit or version.
        Skipped = "skipped",
        /// The item names a fact that the run does not have.
        LeftOut = "left out",
        /// It could not be set.
        Failed = "failed",
        /// It did not come to that, because something else failed.
        NotTried = "not tried",
    }
    /// In words.
    pub const fn words;
}

/// What came of the tags: in the plan, in the actions, and in the inputs.
pub(super) fn tag_reports(
    plan: &ImagePlan,
    result: &ImageResult,
    left_out: Vec<TagReport>,
) -> Vec<TagReport> {
    let done = result.tag_results.iter().map(|(tag, came)| {
        let (result, why) = match came {
            None => (TagOutcome::NotTried, None),
            Some(Err(why)) => (TagOutcome::Failed, Some(why.clone())),
            Some(Ok(TagResult::There)) => (TagOutcome::There, None),
            Some(Ok(TagResult::Set(unknown))) => (TagOutcome::Set, unknown.clone()),
            Some(Ok(TagResult::Older(why))) => (TagOutcome::Skipped, Some(why.clone())),
        };
        TagReport { tag: tag.clone(), result, why }
    });
    let skipped = plan.skipped_tags.iter().map(|skipped| TagReport {
        tag: skipped.tag.to_string(),
        result: TagOutcome::Skipped,
        why: Some(skipped.why.clone()),
    });
    done.chain(skipped).chain(left_out).collect()
}
