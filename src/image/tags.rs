//! Makes and reads an image's tags in each zone: the tag scheme of `docs/trust.md`.
//!
//! A tag is `<zone's prefix><kind>-<mark>-<image>-<end>`, such as `pr-12-sha-rf9d832d9-app-0123…`. Names may have hyphens
//! too, so each is made in a way that tells a reader where it ends.

mod parse;

use std::fmt;
use std::str::FromStr;

use super::hash::{hash, is_hash};
use super::mark::is_mark;
use super::{ImageReference, Mark, Platform};
use crate::guards::Guard;
use crate::texts::to_text;
use crate::zone::Zone;

pub(crate) use parse::{OwnTag, TagKind, TagZone, parse};

/// The input `image`: a local name, `name[:tag]`, without registry or digest.
#[derive(Clone, Debug, PartialEq, Eq)]
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

    /// The name for `docker tag`, always with a tag.
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

to_text!(ImageName);

/// Most characters of a tag (OCI distribution specification, "Pulling manifests").
const TAG_LIMIT: usize = 128;
// The parts share the 128 characters; [`TagScheme::tag`] cuts the image's name further if the others leave less.
/// Most characters of an image's name in a tag.
const NAME_LIMIT: usize = 100;
/// Most characters of a branch's name after an image's name.
const BRANCH_LIMIT: usize = 50;
/// Most characters of a branch's name in a zone's prefix.
const PREFIX_LIMIT: usize = 29;
/// The kinds of tags; a kind is the word after the zone's prefix.
const KINDS: [&str; 3] = ["key", "sha", "cache"];

/// Makes `text` usable in a tag: every character but `[A-Za-z0-9._-]` becomes `-`. If that or the length changes the
/// text, eight hex digits of its hash follow, so that different texts stay different.
#[must_use]
pub fn sanitise(text: &str) -> String {
    name(text, NAME_LIMIT)
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// Replaces every character that a tag cannot have by `-`, and cuts the text. Different texts may become the same.
#[must_use]
pub(crate) fn usable(text: &str, limit: usize) -> String {
    text.chars().map(|c| if is_plain(c) { c } else { '-' }).take(limit).collect()
}

/// Makes a name for the first part of a tag. A text that itself ends in a hash gets one more, so no two texts get the
/// same name unless their hashes agree.
fn name(text: &str, limit: usize) -> String {
    let ends_in_hash = text.rsplit('-').next().is_some_and(is_hash);
    hashed_unless(text, limit, !ends_in_hash)
}

/// Makes a name for the last part of a tag. It is one word or ends in its hash, so a reader can find where it begins.
fn last_name(text: &str, limit: usize) -> String {
    hashed_unless(text, limit, !text.contains('-') && !is_hash(text))
}

/// Keeps a text that is `clear`, short and plain; else makes it usable and adds its hash.
fn hashed_unless(text: &str, limit: usize, clear: bool) -> String {
    if !Guard::NamesApart.holds() {
        return usable(text, limit);
    }
    if clear && text.len() <= limit && text.chars().all(is_plain) {
        return text.to_owned();
    }
    // A hyphen and the hash are nine characters.
    format!("{}-{}", usable(text, limit.saturating_sub(9)), hash(text))
}

/// The prefix of a zone's tags; `None` if the zone writes none. No tag of another zone begins with it (the tests check
/// that).
#[must_use]
pub(crate) fn zone_prefix(zone: &Zone) -> Option<String> {
    match zone {
        Zone::Fork => None,
        _ if !Guard::ZonePrefix.holds() => Some(String::new()),
        Zone::Trusted => Some(String::new()),
        Zone::Queue => Some("queue-".to_owned()),
        Zone::PullRequest(number) => Some(format!("pr-{number}-")),
        Zone::Branch(branch) if !Guard::BranchMark.holds() => Some(format!("{branch}-")),
        Zone::Branch(branch) => Some(branch_prefix(branch)),
    }
}

/// The prefix of the tags of a branch without protection: `br-<branch>-`, or `br-<8 hex>-<branch>-` if a reader could not
/// find the end of the branch's name.
#[must_use]
pub(crate) fn branch_prefix(branch: &str) -> String {
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

/// Tells whether a tag is of a zone other than the trusted one. A tag outside the scheme is not: only trusted runs set it.
#[must_use]
pub(crate) fn is_less_trusted(tag: &str) -> bool {
    let mut words = tag.split('-');
    match (words.next(), words.next()) {
        (Some("queue"), Some(kind)) => KINDS.contains(&kind),
        (Some("pr"), Some(number)) => !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()),
        (Some("br"), Some(_)) => true,
        _ => false,
    }
}

/// The owner of a tag, as a run of one zone and GitHub repository sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The run's own zone.
    Own,
    /// Trusted runs of this GitHub repository. Tags outside the scheme belong to them too.
    Trusted,
    /// Trusted runs of another GitHub repository.
    TrustedElsewhere,
    /// Another zone that is not trusted.
    Other,
}

/// Finds the owner of a tag. `pr-1` does not own the tags of `pr-12`.
#[must_use]
pub(crate) fn owner(tag: &str, zone: &Zone, own: Option<&Mark>) -> Owner {
    if !is_less_trusted(tag) {
        return if has_other_mark(tag, own) { Owner::TrustedElsewhere } else { Owner::Trusted };
    }
    let prefix = zone_prefix(zone).filter(|prefix| !prefix.is_empty());
    // `pr-12` itself is no zone's tag, so a user's tag may be called that.
    let by_itself = prefix.as_deref().and_then(|prefix| prefix.strip_suffix('-')) == Some(tag);
    let own = by_itself
        || prefix.and_then(|prefix| tag.strip_prefix(&prefix)).is_some_and(|rest| match zone {
            _ if has_other_mark(rest, own) => false,
            // The prefix has the hyphen after the number, so `pr-1-` is no start of `pr-12-`.
            Zone::PullRequest(_) => true,
            // `br-fix-` is a start of `br-fix-it-` too, but a kind follows only the whole name: a branch with a kind
            // among its words has the prefix with a hash.
            _ => rest.split('-').next().is_some_and(|kind| KINDS.contains(&kind)),
        });
    if own { Owner::Own } else { Owner::Other }
}

/// Tells whether the text after a zone's prefix begins with a kind and another GitHub repository's mark.
fn has_other_mark(rest: &str, own: Option<&Mark>) -> bool {
    let mut words = rest.split('-');
    let is_kind = words.next().is_some_and(|kind| KINDS.contains(&kind));
    words.next().is_some_and(|word| is_kind && is_mark(word) && own.map(Mark::as_str) != Some(word))
}

/// Tells whether a tag of any zone has another GitHub repository's mark.
#[must_use]
pub(crate) fn names_another_repository(tag: &str, own: Option<&Mark>) -> bool {
    tag.match_indices('-').map(|(at, _)| &tag[at + 1..]).chain([tag]).any(|rest| has_other_mark(rest, own))
}

/// The tags of one image. Tags of different GitHub repositories, zones, kinds or images differ, unless the hashes of
/// two names agree; `docs/trust.md` says why that does no harm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TagScheme<'a> {
    image: &'a ImageName,
    mark: Option<&'a Mark>,
    /// The one platform of tags that other platforms of the image have too.
    platform: Option<&'a Platform>,
}

impl<'a> TagScheme<'a> {
    /// Without a mark the scheme makes no tags.
    #[must_use]
    pub(crate) const fn new(image: &'a ImageName, mark: Option<&'a Mark>) -> Self {
        Self { image, mark, platform: None }
    }

    /// The tags of one platform by itself, beside those of the image: `sha-<mark>-<image>._linux-arm64-<40 hex>`. No
    /// image's name has the characters `._` (distribution/reference, `separator`).
    #[must_use]
    pub(crate) const fn of_platform(self, platform: Option<&'a Platform>) -> Self {
        Self { platform, ..self }
    }

    /// `key-<mark>-<image>-<32 hex>`, with the zone's prefix; `None` for a zone without tags.
    #[must_use]
    pub(crate) fn key_tag(self, zone: &Zone, key_short: &str) -> Option<String> {
        self.tag(zone, "key", &format!("-{key_short}"))
    }

    /// `sha-<mark>-<image>-<40 hex>`, with the zone's prefix.
    #[must_use]
    pub(crate) fn commit_tag(self, zone: &Zone, commit: &str) -> Option<String> {
        self.tag(zone, "sha", &format!("-{commit}"))
    }

    /// The tag of a layer cache: one for each branch in the trusted zone, one for each other zone, none for the queue.
    #[must_use]
    pub(crate) fn cache_tag(self, zone: &Zone, branch: Option<&str>) -> Option<String> {
        match zone {
            Zone::Trusted => self.tag(zone, "cache", &format!("-{}", last_name(branch?, BRANCH_LIMIT))),
            Zone::PullRequest(_) | Zone::Branch(_) => self.tag(zone, "cache", ""),
            Zone::Queue | Zone::Fork => None,
        }
    }

    /// Joins the parts. If the tag would be too long, the image's name is cut, never the rest.
    fn tag(self, zone: &Zone, kind: &str, end: &str) -> Option<String> {
        let start = match self.mark?.as_str() {
            _ if !Guard::RepositoryMark.holds() => format!("{}{kind}-", zone_prefix(zone)?),
            mark => format!("{}{kind}-{mark}-", zone_prefix(zone)?),
        };
        let room = TAG_LIMIT.saturating_sub(start.len() + end.len()).min(NAME_LIMIT);
        let image = self.image.as_str();
        let image = match self.platform {
            Some(platform) => name(&format!("{image}._{}", platform.to_string().replace('/', "-")), room),
            None => name(image, room),
        };
        Some(format!("{start}{image}{end}"))
    }
}

#[cfg(test)]
mod tests;
