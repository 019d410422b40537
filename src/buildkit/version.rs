//! The version of the buildx plug-in, and of BuildKit, which is written in the same way.

use std::fmt;
use std::str::FromStr;

use semver::Version;

use crate::texts::as_text;

/// As `docker buildx version` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildxVersion(pub(crate) Version);

impl BuildxVersion {
    /// Reads `docker buildx version`, `github.com/docker/buildx v0.29.1 <commit>`, or the version
    /// alone; distributions leave the `v` out or add to it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.split_whitespace()
            .find_map(|word| {
                let word = word.strip_prefix('v').unwrap_or(word);
                let numbers = word.split(['+', '-', '~']).next().unwrap_or(word);
                Version::parse(numbers).ok()
            })
            .map(Self)
    }
}

impl fmt::Display for BuildxVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BuildxVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| format!("`{text}` is no version of buildx"))
    }
}

as_text!(BuildxVersion);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buildkit::Feature;

    #[test]
    fn reads_what_is_in_the_wild() {
        for (text, version, rawjson) in [
            ("github.com/docker/buildx v0.29.1 a32761a", "0.29.1", true),
            ("github.com/docker/buildx 0.13.1+ds1-3+b1 ", "0.13.1", true),
            ("github.com/docker/buildx v0.12.0-rc1 x", "0.12.0", false),
            ("github.com/docker/buildx v0.15.0-desktop.1 x", "0.15.0", true),
            ("v0.29.1", "0.29.1", true),
        ] {
            let parsed = BuildxVersion::parse(text).unwrap();
            assert_eq!(
                (parsed.to_string().as_str(), parsed.has(Feature::RawJson)),
                (version, rawjson),
                "{text}"
            );
        }
        assert!(BuildxVersion::parse("nothing").is_none());
    }
}
