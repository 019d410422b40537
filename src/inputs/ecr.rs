//! Reads the inputs that set up repositories in Amazon ECR.

use std::path::Path;

use super::lists::InputText as _;
use super::problems::Problems;
use super::raw::RawInputs;
use crate::budget::{self, LIFECYCLE_FILE};
use crate::ecr::{EcrInputs, LifecyclePolicy};

/// Longest name of a key, as in ECR's service model.
const LONGEST_KEY: usize = 2048;

/// Reads and checks them, with the file of a lifecycle policy.
pub(super) fn read(raw: &RawInputs, problems: &mut Problems) -> EcrInputs {
    let mut switch =
        |name: &str, value: &Option<String>| value.trimmed().map(|value| problems.boolean(name, value));
    let create = switch("create-repository", &raw.create_repository).unwrap_or_default();
    let scan_on_push = switch("scan-on-push", &raw.scan_on_push);
    let immutable_tags = switch("immutable-tags", &raw.immutable_tags).unwrap_or_default();
    let kms_key = raw.kms_key.text();
    if kms_key
        .as_ref()
        .is_some_and(|key| key.chars().count() > LONGEST_KEY || key.contains(char::is_whitespace))
    {
        problems.add("kms-key", "is no key's ARN, id or alias");
    }
    let lifecycle = raw.lifecycle.trimmed().and_then(|value| lifecycle(value, problems));
    EcrInputs { create, scan_on_push, kms_key, immutable_tags, lifecycle }
}

/// Tells whether the input `lifecycle` names a file.
#[must_use]
pub(crate) fn is_lifecycle_file(value: &str) -> bool {
    !matches!(value.trim(), "" | "off" | "recommended")
}

fn lifecycle(value: &str, problems: &mut Problems) -> Option<LifecyclePolicy> {
    if !is_lifecycle_file(value) {
        return (value == "recommended").then(LifecyclePolicy::recommended);
    }
    let policy = budget::read_text(Path::new(value), LIFECYCLE_FILE)
        .map_err(|error| error.to_string())
        .and_then(|text| LifecyclePolicy::read(&text));
    policy.map_err(|why| problems.add("lifecycle", format!("{value} is no lifecycle policy: {why}"))).ok()
}
