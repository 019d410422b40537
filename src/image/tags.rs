//! The tag scheme: which tags an image gets, by zone (`docs/trust.md` has the table).

use std::fmt;
use std::str::FromStr;

use super::{Digest, ImageReference};
use crate::guards::Guard;
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

/// A tag holds 128 characters (OCI distribution specification, "Pulling manifests").
const TAG_LIMIT: usize = 128;
/// Longest a name may be on its own before it is cut.
const NAME_LIMIT: usize = 100;
/// The same for what must leave room for more: a branch beside an image, a branch in a prefix.
const BRANCH_LIMIT: usize = 50;
const PREFIX_LIMIT: usize = 39;
/// What a tag can be; the word after a zone's prefix.
const KINDS: [&str; 3] = ["key", "sha", "cache"];

/// Makes `text` usable in a tag: `[A-Za-z0-9._-]`, everything else `-`. Where that or the
/// length changed it, eight hex digits of the whole text's digest follow, so that different
/// texts stay different.
#[must_use]
pub fn sanitise(text: &str) -> String {
    name(text, NAME_LIMIT)
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn is_hash(word: &str) -> bool {
    word.len() == 8 && word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The text with every other character as `-`, cut: different texts may become the same.
#[must_use]
pub fn usable(text: &str, limit: usize) -> String {
    text.chars().map(|c| if is_plain(c) { c } else { '-' }).take(limit).collect()
}

/// Eight hex digits of the text's digest.
pub(super) fn hash(text: &str) -> String {
    Digest::of(text.as_bytes()).short()[..8].to_owned()
}

/// As it is, if it can be; else marked by its hash at the end. What ends in a hash of its own
/// accord is marked too: no two texts get the same name unless their hashes agree.
fn name(text: &str, limit: usize) -> String {
    let ends_in_hash = text.rsplit('-').next().is_some_and(is_hash);
    marked_unless(text, limit, !ends_in_hash)
}

/// The same for the second of two names: it is one word, or ends in its hash, so that the two
/// can be told apart from the end.
fn last_name(text: &str, limit: usize) -> String {
    marked_unless(text, limit, !text.contains('-') && !is_hash(text))
}

fn marked_unless(text: &str, limit: usize, clear: bool) -> String {
    if !Guard::NamesApart.holds() {
        return usable(text, limit);
    }
    if clear && text.len() <= limit && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("{}-{}", usable(text, limit.saturating_sub(9)), hash(text))
}

/// What the tags of a branch without protection begin with: `br-<branch>-`, or with its hash
/// first, `br-<8 hex>-<branch>-`, where the branch's own name would not say where it ends.
#[must_use]
pub fn branch_prefix(branch: &str) -> String {
    let mut words = branch.split('-');
    let clear = !words.clone().any(|word| KINDS.contains(&word))
        && !words.next().is_some_and(is_hash)
        && branch.len() <= PREFIX_LIMIT
        && branch.chars().all(is_plain);
    if clear || !Guard::NamesApart.holds() {
        format!("br-{}-", usable(branch, PREFIX_LIMIT))
    } else {
        format!("br-{}-{}-", hash(branch), usable(branch, PREFIX_LIMIT - 9))
    }
}

/// Whose name a tag is. A tag that is none of the scheme's belongs to no zone: only trusted runs
/// set such.
#[must_use]
pub fn is_less_trusted(tag: &str) -> bool {
    let mut words = tag.split('-');
    match (words.next(), words.next()) {
        (Some("queue"), Some(kind)) => KINDS.contains(&kind),
        (Some("pr"), Some(number)) => !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()),
        (Some("br"), Some(_)) => true,
        _ => false,
    }
}

/// Whose a tag is, as a run of one zone sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// That zone's.
    Own,
    /// The trusted ones'.
    Trusted,
    /// Another zone's, which is trusted less than the trusted one.
    Other,
}

/// Whose a tag is, exactly: no branch's or pull request's name is the beginning of another one's.
#[must_use]
pub fn owner(tag: &str, zone: &Zone) -> Owner {
    if !is_less_trusted(tag) {
        return Owner::Trusted;
    }
    let prefix = zone.tag_prefix().filter(|prefix| !prefix.is_empty());
    let own = prefix.and_then(|prefix| tag.strip_prefix(&prefix)).is_some_and(|rest| match zone {
        // The hyphen ends the number.
        Zone::PullRequest(_) => true,
        // A branch's name may go on with anything but a kind, or it is marked by its hash.
        _ => rest.split('-').next().is_some_and(|kind| KINDS.contains(&kind)),
    });
    if own { Owner::Own } else { Owner::Other }
}

/// The tags of one image. Tags of different zones, kinds or images differ, unless the hashes of
/// two names agree; `docs/trust.md` says why that harms nobody.
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
        self.tag(zone, "key", &format!("-{key_short}"))
    }

    /// `sha-<image>-<40 hex>`, with the zone's prefix.
    #[must_use]
    pub fn commit_tag(self, zone: &Zone, commit: &str) -> Option<String> {
        self.tag(zone, "sha", &format!("-{commit}"))
    }

    /// The layer cache of a line of development: one per branch where the zone is trusted,
    /// else one per zone. The queue has none.
    #[must_use]
    pub fn cache_tag(self, zone: &Zone, branch: Option<&str>) -> Option<String> {
        match zone {
            Zone::Trusted => self.tag(zone, "cache", &format!("-{}", last_name(branch?, BRANCH_LIMIT))),
            Zone::PullRequest(_) | Zone::Branch(_) => self.tag(zone, "cache", ""),
            Zone::Queue | Zone::Fork => None,
        }
    }

    /// What tells zones and contents apart stays whole: the image's name takes the room that is left.
    fn tag(self, zone: &Zone, kind: &str, end: &str) -> Option<String> {
        let start = format!("{}{kind}-", zone.tag_prefix()?);
        let room = TAG_LIMIT.saturating_sub(start.len() + end.len()).min(NAME_LIMIT);
        Some(format!("{start}{}{end}", name(self.image.as_str(), room)))
    }
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
                Zone::Branch("fix-it".into()),
                "br-fix-it-key-app-ci-",
                "br-fix-it-sha-app-ci-",
                Some("br-fix-it-cache-app-ci"),
            ),
            (
                Zone::Branch("fix/it".into()),
                "br-bbe4d8cc-fix-it-key-app-ci-",
                "br-bbe4d8cc-fix-it-sha-app-ci-",
                Some("br-bbe4d8cc-fix-it-cache-app-ci"),
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
        fn different_names_stay_different(a in NAMES, b in NAMES) {
            prop_assume!(a != b);
            prop_assert_ne!(sanitise(&a), sanitise(&b));
            prop_assert_ne!(branch_prefix(&a), branch_prefix(&b));
        }

        #[test]
        fn different_things_have_different_tags(a in thing(), b in thing()) {
            prop_assume!(a != b);
            prop_assert_ne!(a.tag(), b.tag(), "{:?} {:?}", a, b);
        }

        // D23
        #[test]
        fn d23_a_tag_is_its_own_zones_alone(a in thing(), other in zone()) {
            prop_assume!(other != a.zone);
            let own = if a.zone == Zone::Trusted { Owner::Trusted } else { Owner::Own };
            prop_assert_eq!(owner(&a.tag(), &a.zone), own);
            prop_assert_ne!(owner(&a.tag(), &other), Owner::Own, "{:?}", a);
        }

        #[test]
        fn whose_a_tag_is_can_be_told(a in thing()) {
            prop_assert_eq!(is_less_trusted(&a.tag()), a.zone != Zone::Trusted);
        }
    }

    /// Names of every shape that was ever mistaken for another, and long ones.
    const NAMES: &str = "(pr|br|queue|key|sha|cache|a|b|12|1|0123abcd|deadbeef|\\.|_|é|x{90}|x{40})([-/.:+](pr|br|queue|key|sha|cache|a|b|12|1|0123abcd|deadbeef|y{60})){0,4}";
    const IMAGES: &str = "(pr|br|queue|key|sha|cache|a|b|12|1|0123abcd|deadbeef|x{90})([-/](pr|br|queue|key|sha|cache|a|b|12|1|0123abcd|deadbeef)){0,4}(:[a-c])?";

    #[derive(Clone, Debug, PartialEq)]
    struct Thing {
        zone: Zone,
        image: String,
        /// `key`, `sha`, or `cache`, and what it is of.
        of: (&'static str, String),
    }

    impl Thing {
        fn tag(&self) -> String {
            let image = name(&self.image);
            let (tags, (kind, of)) = (TagScheme::new(&image), &self.of);
            let tag = match *kind {
                "key" => tags.key_tag(&self.zone, of),
                "sha" => tags.commit_tag(&self.zone, of),
                _ => tags.cache_tag(&self.zone, Some(of)),
            };
            tag.unwrap()
        }
    }

    fn zone() -> impl Strategy<Value = Zone> {
        prop_oneof![
            2 => Just(Zone::Trusted),
            1 => Just(Zone::Queue),
            1 => prop_oneof![Just(1), Just(12), Just(121), any::<u64>()].prop_map(Zone::PullRequest),
            4 => NAMES.prop_map(Zone::Branch),
        ]
    }

    fn thing() -> impl Strategy<Value = Thing> {
        let of = prop_oneof![
            ("[ab]{32}").prop_map(|key| ("key", key)),
            prop_oneof!["[ab]{40}", "[ab]{64}"].prop_map(|commit| ("sha", commit)),
            NAMES.prop_map(|branch| ("cache", branch)),
        ];
        (zone(), IMAGES, of).prop_map(|(zone, image, of)| {
            // The queue has no cache, and other zones' have no branch.
            let of = match (&zone, of) {
                (Zone::Queue, ("cache", _)) => ("key", "a".repeat(32)),
                (Zone::PullRequest(_) | Zone::Branch(_), ("cache", _)) => ("cache", String::new()),
                (_, of) => of,
            };
            Thing { zone, image, of }
        })
    }

    #[test]
    fn names_that_were_once_the_same() {
        let image = |text: &str| name(text);
        let branch = |text: &str| Zone::Branch(text.into());
        let key = |zone: &Zone, text: &str| TagScheme::new(&image(text)).key_tag(zone, KEY).unwrap();
        let cache = |text: &str, branch: &str| {
            TagScheme::new(&image(text)).cache_tag(&Zone::Trusted, Some(branch)).unwrap()
        };
        for (a, b) in [
            (key(&branch("a/b"), "app"), key(&branch("a-b"), "app")),
            (key(&branch("x"), "key-y"), key(&branch("x-key"), "y")),
            (key(&branch("pr-12"), "app"), key(&Zone::PullRequest(12), "app")),
            (key(&branch("queue"), "app"), key(&Zone::Queue, "app")),
            (key(&Zone::PullRequest(1), "2-key-app"), key(&Zone::PullRequest(12), "app")),
            (key(&Zone::Trusted, "pr-12-key-app"), key(&Zone::PullRequest(12), "app")),
            (key(&Zone::Trusted, "o/app"), key(&Zone::Trusted, "o-app")),
            (cache("a-b", "c"), cache("a", "b-c")),
            (cache("app", "release/1"), cache("app", "release-1")),
        ] {
            assert_ne!(a, b);
        }
    }
}
