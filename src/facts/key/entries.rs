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
    let hosts = hosts(&build.add_hosts);
    let network = build.network.as_deref().filter(|network| *network != "default").unwrap_or_default();
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

/// Host names with their addresses, in the order of the names: only among those of one name it matters.
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

    #[test]
    fn d09_the_order_of_hosts_does_not_matter() {
        let of = |list: &[&str]| hosts(&list.iter().map(|&host| host.to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["b:2.2.2.2", "a=1.1.1.1", "b=2.2.2.2"]), "a=1.1.1.1,b=2.2.2.2");
        assert_eq!(of(&["a:::1"]), "a=::1");
        assert_ne!(of(&["a:1.1.1.1", "a:2.2.2.2"]), of(&["a:2.2.2.2", "a:1.1.1.1"]));
    }
}
