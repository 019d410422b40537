//! Whether tags can be moved, and which can all the same.

use serde::{Deserialize, Serialize};

use crate::texts::words;

/// Most exclusions of a repository.
const MOST_EXCLUSIONS: usize = 5;
/// Longest exclusion, in characters.
const LONGEST_EXCLUSION: usize = 128;
/// This program's own tags that move: layer caches, and the tags of commits, in every zone.
const OWN_MOVING: [&str; 2] = ["*cache-*", "*sha-*"];

words! {
    /// ECR's words.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
    pub(crate) enum MutabilityKind {
        #[default]
        Mutable = "MUTABLE",
        MutableWithExclusion = "MUTABLE_WITH_EXCLUSION",
        Immutable = "IMMUTABLE",
        ImmutableWithExclusion = "IMMUTABLE_WITH_EXCLUSION",
    }
    /// The word in a request.
    pub(crate) const fn name;
}

impl MutabilityKind {
    const fn is_immutable(self) -> bool {
        matches!(self, Self::Immutable | Self::ImmutableWithExclusion)
    }
}

/// The mutability of a repository's tags.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mutability {
    pub kind: MutabilityKind,
    /// Patterns of the tags that are as the kind does not say; `*` stands for any text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclusions: Vec<String>,
}

/// ECR takes fewer exclusions than there are tags that move.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "ECR takes {MOST_EXCLUSIONS} exclusions, and {} are needed: {}", .exclusions.len(), .exclusions.join(", ")
)]
pub(crate) struct TooManyMovingTags {
    exclusions: Vec<String>,
}

impl Mutability {
    /// Immutable tags, but for this program's own that move and those of `moving`.
    ///
    /// # Errors
    /// If ECR takes no such list.
    pub(crate) fn immutable(moving: impl Iterator<Item = String>) -> Result<Self, TooManyMovingTags> {
        let mut exclusions: Vec<String> = OWN_MOVING.map(str::to_owned).to_vec();
        for tag in moving {
            if !exclusions.contains(&tag) {
                exclusions.push(tag);
            }
        }
        Self::excluding(exclusions)
    }

    fn excluding(exclusions: Vec<String>) -> Result<Self, TooManyMovingTags> {
        if exclusions.len() > MOST_EXCLUSIONS || exclusions.iter().any(|tag| tag.len() > LONGEST_EXCLUSION) {
            return Err(TooManyMovingTags { exclusions });
        }
        Ok(Self { kind: MutabilityKind::ImmutableWithExclusion, exclusions })
    }

    /// The mutability that gives `wanted` and keeps every exclusion that is there; `None` if this one gives it already.
    ///
    /// # Errors
    /// If ECR takes no such list.
    pub(crate) fn changed_to(&self, wanted: &Self) -> Result<Option<Self>, TooManyMovingTags> {
        if !wanted.kind.is_immutable() {
            return Ok(None);
        }
        let missing = |exclusion: &&String| !self.exclusions.contains(exclusion);
        if !self.kind.is_immutable() {
            // The exclusions of mutable tags are the tags that cannot move.
            return Ok(Some(wanted.clone()));
        }
        if !wanted.exclusions.iter().any(|exclusion| missing(&exclusion)) {
            return Ok(None);
        }
        let more = wanted.exclusions.iter().filter(missing);
        Self::excluding(self.exclusions.iter().chain(more).cloned().collect()).map(Some)
    }
}

impl std::fmt::Display for Mutability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind.name())?;
        if self.exclusions.is_empty() { Ok(()) } else { write!(f, " ({})", self.exclusions.join(", ")) }
    }
}

/// The exclusion for a tag that may name another image later; `None` for one that does not: a full semantic version, and a
/// tag with the commit or the run's number in it. A day is left open, because tomorrow's run has another one.
#[must_use]
pub(crate) fn exclusion(tag: &str, commit: Option<&str>, run_id: Option<&str>) -> Option<String> {
    let short = commit.and_then(|commit| commit.get(..7));
    let version = tag.strip_prefix('v').unwrap_or(tag).split(['-', '_']).next().unwrap_or_default();
    let numbers: Vec<&str> = version.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_version = numbers.len() == 3 && numbers.iter().all(is_number);
    let of_run = [short, run_id].into_iter().flatten().any(|part| tag.contains(part));
    (!is_version && !of_run).then(|| without_day(tag))
}

/// Replaces a day, `20261127` or `2026-11-27`, by `20*`.
fn without_day(tag: &str) -> String {
    let shapes = ["20dddddd", "20dd-dd-dd"];
    let fits = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text
                .bytes()
                .zip(shape.bytes())
                .all(|(byte, wanted)| byte == wanted || (wanted == b'd' && byte.is_ascii_digit()))
    };
    for (at, _) in tag.match_indices("20") {
        for shape in shapes {
            let end = at + shape.len();
            if tag.get(at..end).is_some_and(|text| fits(text, shape)) {
                return format!("{}20*{}", &tag[..at], &tag[end..]);
            }
        }
    }
    tag.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_move() {
        let commit = Some("0123456789abcdef0123456789abcdef01234567");
        for (tag, expected) in [
            ("latest", true),
            ("1", true),
            ("1.2", true),
            ("main", true),
            ("1.2.3", false),
            ("v1.2.3-rc.1", false),
            ("main-0123456", false),
            ("sha-0123456789", false),
            ("1.2.x", true),
            ("main-77001122", false),
        ] {
            assert_eq!(exclusion(tag, commit, Some("77001122")).is_some(), expected, "{tag}");
        }
        assert!(exclusion("main-0123456", None, None).is_some());
        for (tag, expected) in
            [("nightly-20261127", "nightly-20*"), ("2026-11-27", "20*"), ("v2020", "v2020")]
        {
            assert_eq!(exclusion(tag, commit, None).as_deref(), Some(expected));
        }
    }

    #[test]
    fn at_most_five_exclusions() {
        let wanted =
            Mutability::immutable(["latest", "1.2", "latest", "1"].map(str::to_owned).into_iter()).unwrap();
        assert_eq!(wanted.exclusions, ["*cache-*", "*sha-*", "latest", "1.2", "1"]);
        let error = Mutability::immutable(["a", "b", "c", "d"].map(str::to_owned).into_iter()).unwrap_err();
        assert!(
            error.to_string().starts_with("ECR takes 5 exclusions, and 6 are needed: *cache-*"),
            "{error}"
        );
        assert!(Mutability::immutable([&*"x".repeat(129)].map(str::to_owned).into_iter()).is_err());
    }

    #[test]
    fn what_is_there_stays_excluded() {
        let wanted = Mutability::immutable(["latest"].map(str::to_owned).into_iter()).unwrap();
        let have = |kind, exclusions: &[&str]| Mutability {
            kind,
            exclusions: exclusions.iter().map(|&text| text.to_owned()).collect(),
        };
        let change = |kind, exclusions: &[&str]| have(kind, exclusions).changed_to(&wanted);
        assert_eq!(change(MutabilityKind::Mutable, &[]), Ok(Some(wanted.clone())));
        assert_eq!(change(MutabilityKind::MutableWithExclusion, &["v*"]), Ok(Some(wanted.clone())));
        let added = change(MutabilityKind::ImmutableWithExclusion, &["edge"]).unwrap().unwrap();
        assert_eq!(added.exclusions, ["edge", "*cache-*", "*sha-*", "latest"]);
        assert_eq!(wanted.changed_to(&wanted), Ok(None));
        assert_eq!(added.changed_to(&wanted), Ok(None), "two workflows do not undo each other");
        assert!(change(MutabilityKind::ImmutableWithExclusion, &["a", "b", "c"]).is_err());
        assert_eq!(wanted.changed_to(&Mutability::default()), Ok(None), "without the input it stays");
    }
}
