//! What a lifecycle policy would remove, as ECR's preview tells it.

use std::collections::BTreeMap;

use super::lifecycle::LifecyclePolicy;

/// Most images of a rule that are named.
const EXAMPLES: usize = 3;

/// The preview, by rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Preview {
    /// The images that would expire at once; more than `rules` count if not all were read.
    pub expiring: u64,
    /// By the rule's priority.
    pub rules: BTreeMap<i32, RulePreview>,
    /// True if the images were too many to read all.
    pub cut: bool,
}

/// The images that one rule would remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RulePreview {
    /// The rule's description.
    pub description: String,
    pub images: u64,
    /// Some of them, by a tag or the digest.
    pub examples: Vec<String>,
}

impl Preview {
    /// Adds an image that the rule of this priority would remove.
    pub(crate) fn add(&mut self, priority: i32, name: &str, policy: &LifecyclePolicy) {
        let rule = self.rules.entry(priority).or_insert_with(|| RulePreview {
            description: policy.description(priority).unwrap_or_default(),
            ..RulePreview::default()
        });
        rule.images += 1;
        if rule.examples.len() < EXAMPLES {
            rule.examples.push(name.to_owned());
        }
    }

    /// The preview in a sentence, for the log.
    #[must_use]
    pub(crate) fn sentence(&self) -> String {
        let rules: Vec<String> =
            self.rules.iter().map(|(priority, rule)| format!("rule {priority}: {}", rule.images)).collect();
        match (self.expiring, rules.is_empty()) {
            (0, true) => "no image would expire".to_owned(),
            (count, true) => format!("{count} images would expire"),
            (count, false) => format!("{count} images would expire ({})", rules.join(", ")),
        }
    }
}
