//! Takes a tag apart that [`TagScheme`](super::TagScheme) made.

use super::super::hash::is_hash;
use super::{KINDS, Mark, PREFIX_LIMIT, branch_prefix, is_plain};

/// The purpose of a tag, which is a word in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TagKind {
    /// An image by its key.
    Key,
    /// An image by its commit.
    Commit,
    /// A layer cache.
    Cache,
}

/// The zone of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TagZone<'a> {
    Trusted,
    Queue,
    PullRequest(u64),
    /// The prefixes that the branch may have ([`branch_prefix`]). A branch's name is cut and hashed in it, and may hold
    /// the text that ends it: then a tag can be of several branches.
    Branch(Vec<&'a str>),
}

/// A tag of the scheme, of one GitHub repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnTag<'a> {
    pub(crate) zone: TagZone<'a>,
    pub(crate) kind: TagKind,
    /// The image's name as the tag spells it; of a trusted layer cache with the branch.
    pub(crate) image: &'a str,
}

/// Takes a tag apart; `None` if no run of this GitHub repository can have made it.
#[must_use]
pub(crate) fn parse<'a>(tag: &'a str, mark: &Mark) -> Option<OwnTag<'a>> {
    if let Some((kind, image)) = after_zone(tag, mark, true) {
        return Some(OwnTag { zone: TagZone::Trusted, kind, image });
    }
    if let Some(rest) = tag.strip_prefix("queue-") {
        let (kind, image) = after_zone(rest, mark, false)?;
        return (kind != TagKind::Cache).then_some(OwnTag { zone: TagZone::Queue, kind, image });
    }
    if let Some(rest) = tag.strip_prefix("pr-") {
        let (number, rest) = rest.split_once('-')?;
        let (kind, image) = after_zone(rest, mark, false)?;
        // As the scheme prints it: no sign, no zero in front.
        let zone = number.parse().ok().filter(|parsed: &u64| parsed.to_string() == number)?;
        return Some(OwnTag { zone: TagZone::PullRequest(zone), kind, image });
    }
    tag.strip_prefix("br-")?;
    let (mut prefixes, mut found) = (Vec::new(), None);
    for (at, _) in tag.match_indices('-').skip(1) {
        let (prefix, rest) = tag.split_at(at + 1);
        if let Some(rest) = after_zone(rest, mark, false).filter(|_| is_branch_prefix(prefix)) {
            prefixes.push(prefix);
            // Of several readings one of an image counts, because a layer cache may be removed sooner; else the first. Its
            // image is told and decides nothing.
            let replaces = |(kind, _): &(TagKind, &str)| *kind == TagKind::Cache && rest.0 != TagKind::Cache;
            if found.as_ref().is_none_or(replaces) {
                found = Some(rest);
            }
        }
    }
    let (kind, image) = found?;
    Some(OwnTag { zone: TagZone::Branch(prefixes), kind, image })
}

/// Reads `<kind>-<mark>-<image>[-<end>]`. `names_branch`: the tag of a layer cache ends with its branch.
fn after_zone<'a>(rest: &'a str, mark: &Mark, names_branch: bool) -> Option<(TagKind, &'a str)> {
    let (kind, rest) = rest.split_once('-')?;
    let rest = rest.strip_prefix(mark.as_str())?.strip_prefix('-')?;
    let by_hash = |lengths: &[usize]| {
        let (image, hash) = rest.rsplit_once('-')?;
        let is_hex = hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (is_hex && lengths.contains(&hash.len())).then_some(image)
    };
    let (kind, image) = match KINDS.iter().position(|known| *known == kind)? {
        0 => (TagKind::Key, by_hash(&[32])?),
        1 => (TagKind::Commit, by_hash(&[40, 64])?),
        _ if names_branch => (TagKind::Cache, rest.rsplit_once('-').map(|_| rest)?),
        _ => (TagKind::Cache, rest),
    };
    let is_name = !image.is_empty() && !image.starts_with('-') && !image.ends_with('-');
    (is_name && image.chars().all(is_plain)).then_some((kind, image))
}

/// Tells whether [`branch_prefix`] can have made this text.
fn is_branch_prefix(prefix: &str) -> bool {
    let Some(name) = prefix.strip_prefix("br-").and_then(|rest| rest.strip_suffix('-')) else { return false };
    match name.split_once('-') {
        Some((hash, cut)) if is_hash(hash) => cut.len() <= PREFIX_LIMIT - 9,
        // A longer one is cut, and so has a hash.
        _ => !name.is_empty() && name.len() <= PREFIX_LIMIT && branch_prefix(name) == prefix,
    }
}
