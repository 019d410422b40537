//! The tag scheme: which tags an image gets, by zone (`docs/trust.md` has the table).

use std::fmt;
use std::str::FromStr;

use super::{Digest, ImageReference};
use crate::run::Zone;

/// What the user calls the image: the local name, `name[:tag]`, without registry or digest.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(into = "String")]
pub struct ImageName(String);

/// The text does not name a local image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an image name: expected a lower-case name such as app-ci, or name:tag")]
pub struct InvalidImageName(String);

impl ImageName {
    /// As the user wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As `docker tag` takes it, always with a tag.
    #[must_use]
    pub fn local_reference(&self) -> String {
        if self.0.contains(':') { self.0.clone() } else { format!("{}:latest", self.0) }
    }
}

impl FromStr for ImageName {
    type Err = InvalidImageName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidImageName(text.to_owned());
        let reference: ImageReference = text.parse().map_err(|_| invalid())?;
        // A host would make `docker tag` and the tag scheme mean different images.
        let names_host =
            text.split_once('/').is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost");
        if names_host || reference.digest().is_some() { Err(invalid()) } else { Ok(Self(text.to_owned())) }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<ImageName> for String {
    fn from(name: ImageName) -> Self {
        name.0
    }
}

/// Longest a part of a tag may be before it is cut. A tag holds 128 characters
/// (OCI distribution specification, "Pulling manifests").
const PART_LIMIT: usize = 100;
const TAG_LIMIT: usize = 128;

/// Makes `text` usable in a tag: `[A-Za-z0-9._-]`, everything else `-`; over 100 characters
/// it is cut and ends in eight hex digits of the whole text's digest.
#[must_use]
pub fn sanitise(text: &str) -> String {
    let clean = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' })
        .collect();
    cut(clean, text, PART_LIMIT)
}

fn cut(clean: String, original: &str, limit: usize) -> String {
    if clean.len() <= limit {
        return clean;
    }
    let digest = Digest::of(original.as_bytes());
    format!("{}-{}", &clean[..limit - 9], &digest.short()[..8])
}

/// The tags of one image.
#[derive(Clone, Copy, Debug)]
pub struct TagScheme<'a> {
    image: &'a ImageName,
}

impl<'a> TagScheme<'a> {
    /// The scheme for this image.
    #[must_use]
    pub const fn new(image: &'a ImageName) -> Self {
        Self { image }
    }

    /// `key-<image>-<32 hex>`, with the zone's prefix; nothing for a zone that has no names.
    #[must_use]
    pub fn key_tag(self, zone: &Zone, key_short: &str) -> Option<String> {
        self.tag(zone, "key", key_short)
    }

    /// `sha-<image>-<40 hex>`, with the zone's prefix.
    #[must_use]
    pub fn commit_tag(self, zone: &Zone, commit: &str) -> Option<String> {
        self.tag(zone, "sha", commit)
    }

    /// The layer cache of a line of development: one per branch where the zone is trusted,
    /// else one per zone. The queue has none.
    #[must_use]
    pub fn cache_tag(self, zone: &Zone, branch: Option<&str>) -> Option<String> {
        match zone {
            Zone::Trusted => self.tag(zone, "cache", &sanitise(branch?)),
            Zone::PullRequest(_) | Zone::Branch(_) => {
                let prefix = zone.tag_prefix()?;
                Some(bounded(&format!("{prefix}cache-"), &sanitise(self.image.as_str()), ""))
            }
            Zone::Queue | Zone::Fork => None,
        }
    }

    fn tag(self, zone: &Zone, what: &str, last: &str) -> Option<String> {
        let prefix = zone.tag_prefix()?;
        Some(bounded(&format!("{prefix}{what}-"), &sanitise(self.image.as_str()), &format!("-{last}")))
    }
}

/// Joins the parts; if they are too long together, the middle is cut, so that what tells
/// zones and contents apart stays whole.
fn bounded(head: &str, middle: &str, tail: &str) -> String {
    let (head, tail) = if head.len() + tail.len() + 10 > TAG_LIMIT {
        // Two long names (branch and branch): keep the kind, cut each.
        (cut(head.to_owned(), head, TAG_LIMIT / 2 - 6), cut(tail.to_owned(), tail, TAG_LIMIT / 2 - 6))
    } else {
        (head.to_owned(), tail.to_owned())
    };
    let room = TAG_LIMIT - head.len() - tail.len();
    format!("{head}{}{tail}", cut(middle.to_owned(), middle, room))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> ImageName {
        text.parse().unwrap()
    }

    const SHA: &str = "0123456789012345678901234567890123456789";
    const KEY: &str = "abcdefabcdefabcdefabcdefabcdefab";

    #[test]
    fn the_table() {
        let image = name("app-ci");
        let tags = TagScheme::new(&image);
        let rows = [
            (Zone::Trusted, "key-app-ci-", "sha-app-ci-", Some("cache-app-ci-main")),
            (Zone::Queue, "queue-key-app-ci-", "queue-sha-app-ci-", None),
            (Zone::PullRequest(12), "pr-12-key-app-ci-", "pr-12-sha-app-ci-", Some("pr-12-cache-app-ci")),
            (
                Zone::Branch("fix/it".into()),
                "br-fix-it-key-app-ci-",
                "br-fix-it-sha-app-ci-",
                Some("br-fix-it-cache-app-ci"),
            ),
        ];
        for (zone, key, sha, cache) in rows {
            assert_eq!(tags.key_tag(&zone, KEY).unwrap(), format!("{key}{KEY}"));
            assert_eq!(tags.commit_tag(&zone, SHA).unwrap(), format!("{sha}{SHA}"));
            assert_eq!(tags.cache_tag(&zone, Some("main")).as_deref(), cache);
        }
        assert_eq!(tags.key_tag(&Zone::Fork, KEY), None);
        assert_eq!(tags.commit_tag(&Zone::Fork, SHA), None);
        assert_eq!(tags.cache_tag(&Zone::Fork, Some("main")), None);
    }

    #[test]
    fn a_host_is_no_image_name() {
        for text in ["ghcr.io/o/app", "localhost/app", "h:5000/app", "App", "a@sha256:00", "", "a b"] {
            assert!(text.parse::<ImageName>().is_err(), "{text}");
        }
        assert_eq!(name("org/app:ci").local_reference(), "org/app:ci");
        assert_eq!(name("app").local_reference(), "app:latest");
    }

    proptest! {
        #[test]
        fn every_tag_is_legal(image in "[a-z0-9]{1,60}(/[a-z0-9]{1,60}){0,2}", branch in ".{1,200}", number in any::<u64>()) {
            let image = name(&image);
            let tags = TagScheme::new(&image);
            for zone in [Zone::Trusted, Zone::Queue, Zone::PullRequest(number), Zone::Branch(branch.clone())] {
                for tag in [tags.key_tag(&zone, KEY), tags.commit_tag(&zone, SHA), tags.cache_tag(&zone, Some(&branch))].into_iter().flatten() {
                    prop_assert!(tag.len() <= 128, "{} {}", tag.len(), tag);
                    let mut chars = tag.chars();
                    prop_assert!(chars.next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_'));
                    prop_assert!(chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')));
                }
            }
        }

        #[test]
        fn long_names_stay_apart(a in "[a-z]{101,140}", b in "[a-z]{101,140}") {
            prop_assume!(a != b);
            prop_assert_ne!(sanitise(&a), sanitise(&b));
        }
    }
}
