//! The epoch of a build: a hash over the entries that its key counts and BuildKit's key of a `RUN` step does not.
//!
//! BuildKit uses a step's cached result only in the same epoch, because the build adds the epoch to the hosts of its
//! steps: BuildKit counts the names of extra hosts in the key of each `RUN` step, not their addresses (moby/buildkit,
//! `solver/llbsolver/ops/exec.go`, `CacheMap`), and so does every layer cache. The name is in `/etc/hosts` while a
//! step runs and never in an image.

use crate::image::hex;
use crate::key::dockerfile::{Digest, SecretMounts};
use crate::key::platforms::of_platform;
use crate::key::{BuildKey, EntryKind, KeyEntry};

/// Two builds of one epoch may share layers.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Epoch(String);

impl Epoch {
    /// Computes a key's epoch; `None` if BuildKit's cache sees every entry of the key. `mounted`: the secrets that steps
    /// mount.
    #[must_use]
    pub(crate) fn of(key: &BuildKey, mounted: &SecretMounts) -> Option<Self> {
        let unseen: Vec<&KeyEntry> = key.entries.iter().filter(|entry| is_unseen(entry, mounted)).collect();
        if unseen.is_empty() {
            return None;
        }
        let mut digest = Digest::new("build-once epoch");
        for entry in unseen {
            digest.texts(&[entry.kind.as_str(), &entry.name, &entry.value]);
        }
        // A name of a host may have 63 characters; 64 bits suffice to tell the epochs of one step apart.
        Some(Self(hex(&digest.finish()).chars().take(16).collect()))
    }

    /// The extra host for the build's steps, as buildx takes it. The name cannot exist (RFC 6761, `.invalid`).
    #[must_use]
    pub(crate) fn host(&self) -> String {
        format!("epoch-{}.build-once.invalid:127.0.0.1", self.0)
    }
}

/// Tells whether BuildKit's cache misses a change of this entry.
fn is_unseen(entry: &KeyEntry, mounted: &SecretMounts) -> bool {
    let (name, _) = of_platform(&entry.name);
    match entry.kind {
        // The user wants a new build if these change.
        EntryKind::KeyExtra | EntryKind::Period => true,
        // BuildKit counts the names of hosts, not their addresses.
        EntryKind::Setting => name == "add-hosts" && !entry.value.is_empty(),
        // BuildKit counts that a step may have the secret, not whether it gets one.
        EntryKind::SecretId => mounted.contains(name),
        // BuildKit sees these in the text of steps, their environment, their base or their files. Or they are in the
        // image's configuration or form, which every build makes.
        EntryKind::Format
        | EntryKind::Scope
        | EntryKind::Target
        | EntryKind::Platform
        | EntryKind::Frontend
        | EntryKind::BaseImage
        | EntryKind::Dockerfile
        | EntryKind::BuildArg
        | EntryKind::BuildContext
        | EntryKind::AddSource
        | EntryKind::FileValue
        | EntryKind::Label
        | EntryKind::ExtraArg
        | EntryKind::Git
        | EntryKind::Files => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(entries: &[(EntryKind, &str, &str)], mounted: &SecretMounts) -> Option<String> {
        let entries = entries.iter().map(|(kind, name, value)| KeyEntry {
            kind: *kind,
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        });
        let key = BuildKey { entries: entries.collect(), ..BuildKey::default() };
        Epoch::of(&key, mounted).map(|epoch| epoch.host())
    }

    #[test]
    fn what_buildkit_sees_makes_no_epoch() {
        let seen = [
            (EntryKind::Dockerfile, "", "0"),
            (EntryKind::BuildArg, "A", "1"),
            (EntryKind::Setting, "network", "host"),
            (EntryKind::Setting, "add-hosts", ""),
            (EntryKind::SecretId, "token", ""),
        ];
        assert_eq!(epoch(&seen, &SecretMounts::default()), None);
    }

    #[test]
    fn each_unseen_entry_makes_an_epoch_of_its_own() {
        let any = SecretMounts::unknown();
        let unseen = [
            (EntryKind::KeyExtra, "", "a"),
            (EntryKind::KeyExtra, "", "b"),
            (EntryKind::Period, "", "2026-11-26/1d"),
            (EntryKind::Setting, "add-hosts", "h:1.2.3.4"),
            (EntryKind::Setting, "add-hosts", "h:1.2.3.5"),
            (EntryKind::SecretId, "token", ""),
            (EntryKind::SecretId, "ssh:default", ""),
        ];
        let hosts: std::collections::BTreeSet<_> =
            unseen.iter().map(|entry| epoch(&[*entry], &any).unwrap()).collect();
        assert_eq!(hosts.len(), unseen.len());
        let host = hosts.first().unwrap();
        assert!(host.starts_with("epoch-") && host.ends_with(".build-once.invalid:127.0.0.1"), "{host}");
    }
}
