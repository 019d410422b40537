//! Platforms as `docker buildx build --platform` takes them.

use std::fmt;
use std::str::FromStr;

/// `os/architecture[/variant]`, for example `linux/arm64/v8`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(into = "String")]
pub struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// The text is not a platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a platform: expected os/architecture[/variant], such as linux/amd64")]
pub struct InvalidPlatform(String);

impl FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidPlatform(text.to_owned());
        let mut parts = text.split('/');
        let mut part = || {
            parts
                .next()
                .map(|part| {
                    let good = !part.is_empty()
                        && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
                    if good { Ok(part.to_ascii_lowercase()) } else { Err(invalid()) }
                })
                .transpose()
        };
        let os = part()?.ok_or_else(invalid)?;
        let architecture = part()?.ok_or_else(invalid)?;
        let variant = part()?;
        if part()?.is_some() {
            return Err(invalid());
        }
        Ok(Self { os, architecture, variant })
    }
}

impl Platform {
    /// What an engine on this machine builds for when nothing is asked.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self::linux_on(std::env::consts::ARCH)
    }

    /// Linux on a processor by the kernel's name for it, such as `x86_64`.
    #[must_use]
    pub fn linux_on(processor: &str) -> Self {
        let architecture = match processor {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" | "i386" | "i686" => "386",
            "armv6l" | "armv7l" => "arm",
            other => other,
        };
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None }
    }

    /// Whether who builds this platform builds the other one too: a variant that is not said
    /// is any.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.os == other.os
            && self.architecture == other.architecture
            && (self.variant.is_none() || other.variant.is_none() || self.variant == other.variant)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> Self {
        platform.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        for text in ["linux/amd64", "linux/arm64/v8", "windows/amd64"] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }
        assert_eq!("Linux/AMD64".parse::<Platform>().unwrap().to_string(), "linux/amd64");
        for text in ["", "linux", "linux/", "/amd64", "linux/arm64/v8/x", "linux/a b"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }
}
