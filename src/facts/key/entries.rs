//! Adds the settings to the key: the inputs that go to the build beside files, images, build arguments and labels.

use crate::inputs::{ImageRequest, KeyScope, SecretSource};
use crate::key::dockerfile::Analysis;
use crate::key::{EntryKind, KeyBuilder, period};
use crate::ports::clock::unix_seconds;

/// Adds the settings that decide the image (`docs/keys.md` says why each is in or out). With `narrow`, the Dockerfile
/// tells all that the build takes, and only settings that a reached step can see count.
pub(super) fn add_settings(key: &mut KeyBuilder, inputs: &ImageRequest, narrow: Option<&Analysis>) {
    let build = &inputs.build;
    let mounts = |id: &str| narrow.is_none_or(|analysis| analysis.secrets.contains(id));
    for secret in build.secrets.iter().filter(|secret| mounts(&secret.id)) {
        // Where a secret's value comes from does not reach the image, its id does.
        let (SecretSource::Value | SecretSource::File(_)) = &secret.source;
        key.plain(EntryKind::SecretId, &secret.id, "");
    }
    for ssh in &build.ssh {
        let id = format!("ssh:{}", ssh.split('=').next().unwrap_or_default());
        if mounts(&id) {
            key.plain(EntryKind::SecretId, &id, "");
        }
    }
    let compression = build.compression.to_string();
    // Only a `RUN` step has a network.
    let runs = narrow.is_none_or(|analysis| analysis.runs);
    let hosts = if runs { hosts(&build.add_hosts) } else { String::new() };
    let network =
        build.network.as_deref().filter(|network| runs && *network != "default").unwrap_or_default();
    for (name, value) in [
        ("network", network),
        ("compression", &compression),
        ("provenance", &build.provenance.to_string()),
        ("sbom", &build.sbom.to_string()),
        ("add-hosts", &hosts),
    ] {
        key.plain(EntryKind::Setting, name, value);
    }
    if inputs.key.scope == KeyScope::Files && !build.exclude.is_empty() {
        // With the other scopes, the files show what is excluded.
        key.plain(EntryKind::Setting, "exclude", &build.exclude.join("\n"));
    }
    if let Some(extra) = &inputs.key.extra {
        key.hashed(EntryKind::KeyExtra, "", extra);
    }
    if let Some(age) = inputs.key.max_age {
        key.plain(EntryKind::Period, "", &period(age.as_secs(), unix_seconds()));
    }
}

/// Joins hosts, sorted by name. The order of the addresses of one name matters and stays.
fn hosts(given: &[String]) -> String {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for host in given {
        // `name:address` and `name=address` are the same to buildx.
        let pair = host.split_once(['=', ':']).unwrap_or((host, ""));
        if !pairs.contains(&pair) {
            pairs.push(pair);
        }
    }
    pairs.sort_by_key(|(name, _)| *name);
    pairs.iter().map(|(name, address)| format!("{name}={address}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D09
    #[test]
    fn d09_the_order_of_hosts_does_not_matter() {
        let of = |list: &[&str]| hosts(&list.iter().map(|&host| host.to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["b:2.2.2.2", "a=1.1.1.1", "b=2.2.2.2"]), "a=1.1.1.1,b=2.2.2.2");
        assert_eq!(of(&["a:::1"]), "a=::1");
        assert_ne!(of(&["a:1.1.1.1", "a:2.2.2.2"]), of(&["a:2.2.2.2", "a:1.1.1.1"]));
    }
}
