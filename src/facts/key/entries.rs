//! What counts besides files and images.

use crate::inputs::{Inputs, KeyScope, SecretSource};
use crate::key::{EntryKind, KeyBuilder, period};
use crate::ports::clock::unix_seconds;

/// What decides the image besides files and images (`docs/keys.md` says why each is in or out).
pub(super) fn settings(key: &mut KeyBuilder, inputs: &Inputs) {
    let build = &inputs.build;
    for secret in &build.secrets {
        // Where a secret's value comes from does not reach the image, its id does.
        let (SecretSource::Value(_) | SecretSource::File(_)) = &secret.source;
        key.plain(EntryKind::SecretId, &secret.id, "");
    }
    for ssh in &build.ssh {
        key.plain(EntryKind::SecretId, &format!("ssh:{}", ssh.split('=').next().unwrap_or_default()), "");
    }
    let compression = build.compression.to_string();
    let hosts = build.add_hosts.join(",");
    for (name, value) in [
        ("network", build.network.as_deref().unwrap_or_default()),
        ("compression", &compression),
        ("provenance", &build.provenance.to_string()),
        ("sbom", &build.sbom.to_string()),
        ("add-hosts", &hosts),
    ] {
        key.plain(EntryKind::Setting, name, value);
    }
    if inputs.key.scope == KeyScope::Files && !build.exclude.is_empty() {
        // The files do not say it here.
        key.plain(EntryKind::Setting, "exclude", &build.exclude.join("\n"));
    }
    if let Some(extra) = &inputs.key.extra {
        key.hashed(EntryKind::KeyExtra, "", extra);
    }
    if let Some(age) = inputs.key.max_age {
        key.plain(EntryKind::Period, "", &period(age.as_secs(), unix_seconds()));
    }
}
