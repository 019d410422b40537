//! Tags that name a series of versions, such as `1.2` or `v1`, and the tags of full versions beside them.

use semver::Version;

/// The series that a tag names: all versions that begin as it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Series {
    /// The text before the version, without the `v` before a number.
    prefix: String,
    /// The text after the version, such as `-alpine`.
    suffix: String,
    major: u64,
    /// `None` for the series of a major version.
    minor: Option<u64>,
}

impl Series {
    /// The series of `version` that the tag names; `None` for any other tag, also for the full version's.
    #[must_use]
    pub(crate) fn of(tag: &str, version: &Version) -> Option<Self> {
        let (major, minor) = (version.major, version.minor);
        let texts = [(format!("{major}.{minor}"), Some(minor)), (major.to_string(), None)];
        texts.into_iter().find_map(|(text, minor)| {
            tag.match_indices(&text).find_map(|(at, _)| {
                let (before, after) = (&tag[..at], &tag[at + text.len()..]);
                let prefix = before.strip_suffix('v').unwrap_or(before);
                let begins = prefix.is_empty() || prefix.ends_with(['-', '_']);
                let ends = after.is_empty() || after.starts_with(['-', '_']);
                (begins && ends).then(|| Self {
                    prefix: prefix.to_owned(),
                    suffix: after.to_owned(),
                    major,
                    minor,
                })
            })
        })
    }

    /// The version that the tag names, if it is one of the series. A pre-release is not: its run sets no `1.2`.
    #[must_use]
    pub(crate) fn member(&self, tag: &str) -> Option<Version> {
        let rest = tag.strip_prefix(self.prefix.as_str())?.strip_suffix(self.suffix.as_str())?;
        let version = version_of(rest)?;
        (version.pre.is_empty()
            && version.major == self.major
            && self.minor.is_none_or(|minor| version.minor == minor))
        .then_some(version)
    }
}

/// The version that a tag names in full, with or without `v` in front.
#[must_use]
pub(crate) fn version_of(tag: &str) -> Option<Version> {
    tag.strip_prefix('v').unwrap_or(tag).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn which_tags_name_a_series() {
        let own = version("1.2.3");
        for (tag, members, others) in [
            ("1.2", &["1.2.4", "v1.2.0"][..], &["1.3.0", "1.2", "1.2.5-rc.1", "1.2.4-slim", "app-1.2.4"][..]),
            ("v1.2", &["1.2.4", "v1.2.9"], &["v1.20.0"]),
            ("1", &["1.2.4", "1.10.0"], &["2.0.0", "10.0.0"]),
            ("v1", &["v1.99.0"], &["v11.0.0"]),
            ("app-1.2", &["app-1.2.4", "app-v1.2.4"], &["1.2.4", "api-1.2.4"]),
            ("1.2-alpine", &["1.2.4-alpine"], &["1.2.4", "1.2.4-slim"]),
        ] {
            let series = Series::of(tag, &own).unwrap_or_else(|| panic!("{tag}"));
            for member in members {
                assert!(series.member(member).is_some(), "{tag} {member}");
            }
            for other in others {
                assert!(series.member(other).is_none(), "{tag} {other}");
            }
        }
        for tag in
            ["1.2.3", "v1.2.3", "latest", "python3", "1.20", "11.2", "x1", "1.2x", "2", "1.3", "sha-1a"]
        {
            assert_eq!(Series::of(tag, &own), None, "{tag}");
        }
    }
}
