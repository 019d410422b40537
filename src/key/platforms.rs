//! The key of an image with several platforms, an *index key*: a hash over the sorted pairs of a platform and the key that
//! an image for this platform alone has. So platforms that were built apart and together meet under one key.

use std::collections::{BTreeMap, BTreeSet};

use super::digest::{BuildKey, EntryKind, KeyEntry};
use super::dockerfile::Digest;
use super::explain::encode_of_platform;
use crate::image::{Platform, hex};

/// One platform of an image with several.
#[derive(Debug)]
pub(crate) struct PlatformKey {
    pub platform: Platform,
    /// The key that an image for this platform alone has, without its files.
    pub key: BuildKey,
}

impl BuildKey {
    /// Makes the index key. `files`: the key with the files of all platforms.
    ///
    /// An entry that all platforms have is in the index's entries as it is. Of the others, the name says the platform; an
    /// entry of the kind `platform` says it anyway.
    #[must_use]
    pub(crate) fn of_platforms(platforms: &[PlatformKey], files: Self) -> Self {
        let mut pairs: Vec<(String, &str)> =
            platforms.iter().map(|own| (own.platform.to_string(), own.key.hex.as_str())).collect();
        pairs.sort();
        pairs.dedup();
        let mut digest = Digest::new("build-once index key");
        digest.count(pairs.len());
        for (platform, key) in &pairs {
            digest.texts(&[platform, key]);
        }
        let mut warnings: Vec<_> = platforms.iter().flat_map(|own| own.key.warnings.clone()).collect();
        warnings.sort();
        warnings.dedup();
        Self { hex: hex(&digest.finish()), entries: joined(platforms), warnings, ..files }
    }

    /// The key of one platform of this index key, without its files.
    #[must_use]
    pub(crate) fn alone(&self, platform: &Platform, hex: &str) -> Self {
        Self {
            hex: hex.to_owned(),
            entries: self.entries_of(platform),
            explanation: Some(encode_of_platform(self, platform, hex)),
            ..Self::default()
        }
    }

    /// The entries of one platform of this index key, as its own key has them.
    #[must_use]
    pub(crate) fn entries_of(&self, platform: &Platform) -> Vec<KeyEntry> {
        let own = platform.to_string();
        let of_platform = |entry: &KeyEntry| match of_platform(&entry.name) {
            (_, None) if entry.kind == EntryKind::Platform && entry.name != own => None,
            (_, None) => Some(entry.clone()),
            (name, Some(platform)) => {
                (platform == own).then(|| KeyEntry { name: name.to_owned(), ..entry.clone() })
            }
        };
        let mut entries: Vec<KeyEntry> = self.entries.iter().filter_map(of_platform).collect();
        entries.sort();
        entries
    }
}

/// The entries of all platforms.
fn joined(platforms: &[PlatformKey]) -> Vec<KeyEntry> {
    let mut platforms_of: BTreeMap<&KeyEntry, BTreeSet<&Platform>> = BTreeMap::new();
    for PlatformKey { platform, key } in platforms {
        for entry in &key.entries {
            platforms_of.entry(entry).or_default().insert(platform);
        }
    }
    let all: BTreeSet<&Platform> = platforms.iter().map(|own| &own.platform).collect();
    let mut entries: Vec<KeyEntry> = Vec::new();
    for (entry, own) in platforms_of {
        if own == all || entry.kind == EntryKind::Platform {
            entries.push(entry.clone());
            continue;
        }
        entries.extend(own.into_iter().map(|platform| KeyEntry {
            name: format!("{} for {platform}", entry.name).trim_start().to_owned(),
            ..entry.clone()
        }));
    }
    entries.sort();
    entries
}

/// Takes the name of an entry apart: the name as in the key of one platform, and that platform's text, if the entry is
/// of one among several.
#[must_use]
pub(crate) fn of_platform(name: &str) -> (&str, Option<&str>) {
    let (plain, platform) = match name.strip_prefix("for ") {
        Some(platform) => ("", platform),
        None => name.rsplit_once(" for ").unwrap_or((name, "")),
    };
    if platform.parse::<Platform>().is_ok() { (plain, Some(platform)) } else { (name, None) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyBuilder, Scope};

    fn alone(platform: &str, base: &str) -> PlatformKey {
        let mut key = KeyBuilder::new(Scope::Copied);
        key.plain(EntryKind::Platform, platform, "asked for")
            .plain(EntryKind::BaseImage, "node", base)
            .plain(EntryKind::Dockerfile, "", base)
            .plain(EntryKind::Setting, "network", "none");
        PlatformKey { platform: platform.parse().unwrap(), key: key.finish() }
    }

    fn index(platforms: &[PlatformKey]) -> BuildKey {
        BuildKey::of_platforms(platforms, BuildKey::default())
    }

    /// If this fails, every image with several platforms misses: see `golden_keys`.
    #[test]
    fn golden_index_key() {
        let key = index(&[alone("linux/amd64", "1"), alone("linux/arm64", "1")]);
        assert_eq!(key.hex, "b8e46ef9b63525aeeab17d943deaacbc2b6df4d52560c8338a335756f64469ae");
    }

    #[test]
    fn the_order_of_the_platforms_does_not_count() {
        let of = |first, second| index(&[alone(first, "1"), alone(second, "1")]);
        let (one, other) = (of("linux/amd64", "linux/arm64"), of("linux/arm64", "linux/amd64"));
        assert_eq!((&one.hex, &one.entries), (&other.hex, &other.entries));
        assert_ne!(one.hex, of("linux/amd64", "linux/s390x").hex);
        assert_ne!(index(&[alone("linux/amd64", "1")]).hex, alone("linux/amd64", "1").key.hex);
        // Two spellings of one platform are one platform.
        let twice = index(&[alone("linux/arm64", "1"), alone("linux/arm64", "1")]);
        assert_eq!(twice.hex, index(&[alone("linux/arm64", "1")]).hex);
    }

    #[test]
    fn an_entry_says_its_platform_where_platforms_differ() {
        let key = index(&[alone("linux/amd64", "1"), alone("linux/arm64", "2")]);
        let own: Vec<(&str, &str)> = key
            .entries
            .iter()
            .filter(|entry| entry.kind > EntryKind::Scope)
            .map(|entry| (entry.name.as_str(), entry.value.as_str()))
            .collect();
        assert_eq!(
            own,
            [
                ("linux/amd64", "asked for"),
                ("linux/arm64", "asked for"),
                ("node for linux/amd64", "1"),
                ("node for linux/arm64", "2"),
                ("for linux/amd64", "1"),
                ("for linux/arm64", "2"),
                ("network", "none"),
            ]
        );
        let arm = alone("linux/arm64", "2");
        assert_eq!(key.entries_of(&arm.platform), arm.key.entries);
        assert_eq!(of_platform("node for linux/arm64"), ("node", Some("linux/arm64")));
        assert_eq!(of_platform("for linux/arm64"), ("", Some("linux/arm64")));
        for plain in ["", "node", "uses", "a for b", "for linux"] {
            assert_eq!(of_platform(plain), (plain, None));
        }
    }
}
