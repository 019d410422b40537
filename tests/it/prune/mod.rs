//! `build-once prune` against registries and a GitHub that answer as theirs do.

mod buckets;
mod caches;
mod distribution;
mod ecr;
mod faults;
mod packages;
mod referrers;
mod speed;

use serde_json::{Value, json};

use crate::support::github::GitHub;
use crate::support::{BuildOnce, Lab};

/// The end of a key tag.
pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";
const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The command, as a step of a scheduled run on the default branch.
pub(crate) fn prune<'a>(lab: &'a Lab, github: &GitHub) -> BuildOnce<'a> {
    let program = lab.build_once().args(&["prune"]).unset("INPUT_IMAGE");
    github.serves(program.input("repository", &lab.registry.repository()))
}

/// The manifest of a single image, different for each name.
pub(crate) fn image(name: &str, is_ours: bool) -> Value {
    let digest = build_once::testing::Digest::of(name.as_bytes()).to_string();
    let layer = json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": 2_000_000});
    let mut image = json!({
        "schemaVersion": 2, "mediaType": OCI_IMAGE, "layers": [layer],
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 500},
    });
    if is_ours {
        image["annotations"] = json!({"io.github.build-once.key": name});
    }
    image
}

/// An index of these manifests.
pub(crate) fn index(children: &[&str]) -> Value {
    let children: Vec<Value> = children
        .iter()
        .map(|digest| json!({"mediaType": OCI_IMAGE, "digest": digest, "size": 400}))
        .collect();
    json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children})
}

pub(crate) fn pr_tag(number: u64) -> String {
    format!("pr-{number}-key-rf9d832d9-app-{KEY}")
}
