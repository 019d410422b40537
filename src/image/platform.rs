//! Platforms as `docker buildx build --platform` takes them.

use std::fmt;
use std::str::FromStr;

use crate::texts::as_text;

/// `os/architecture[/variant]`, for example `linux/arm/v7`, normalised as containerd's `platforms.Normalize` does:
/// `linux/x86_64` is `linux/amd64`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    os: String,
    architecture: String,
    /// Empty if there is none.
    variant: String,
}

/// The text is not a platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a platform: expected os/architecture[/variant], such as linux/amd64")]
pub struct InvalidPlatform(String);

impl FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.trim().to_lowercase();
        let parts: Vec<&str> = lower.split('/').collect();
        let is_legal = |part: &&str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        };
        let (os, architecture, variant) = match *parts.as_slice() {
            [os, architecture] => (os, architecture, ""),
            [os, architecture, variant] => (os, architecture, variant),
            _ => return Err(InvalidPlatform(text.to_owned())),
        };
        if !parts.iter().all(is_legal) {
            return Err(InvalidPlatform(text.to_owned()));
        }
        Ok(Self::normal(os, architecture, variant))
    }
}

impl Platform {
    /// The platform that an engine on this machine builds for by default. On macOS the engine runs in a Linux machine.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self::linux_on(std::env::consts::ARCH)
    }

    /// Linux on a processor, which has the kernel's name, such as `x86_64`.
    #[must_use]
    pub fn linux_on(processor: &str) -> Self {
        match processor {
            "x86" | "i686" => Self::normal("linux", "386", ""),
            "armv6l" => Self::normal("linux", "arm", "v6"),
            "armv7l" => Self::normal("linux", "arm", "v7"),
            other => Self::normal("linux", other, ""),
        }
    }

    /// Normalises as containerd's `normalizeOS` and `normalizeArch` do.
    fn normal(os: &str, architecture: &str, variant: &str) -> Self {
        let os = if os == "macos" { "darwin" } else { os };
        let (architecture, variant) = match (architecture, variant) {
            ("i386", _) => ("386", ""),
            ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
            ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
            ("aarch64" | "arm64", "8" | "v8") => ("arm64", ""),
            ("aarch64" | "arm64", variant) => ("arm64", variant),
            ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
            ("armel", _) | ("arm", "6") => ("arm", "v6"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "8") => ("arm", "v8"),
            (architecture, variant) => (architecture, variant),
        };
        Self { os: os.to_owned(), architecture: architecture.to_owned(), variant: variant.to_owned() }
    }

    /// The build arguments that BuildKit sets for this platform: `<prefix>PLATFORM`, `OS`, `OSVERSION`, `ARCH`, `VARIANT`.
    pub(crate) fn arguments(&self, prefix: &str) -> [(String, String); 5] {
        let name = |suffix: &str| format!("{prefix}{suffix}");
        [
            (name("PLATFORM"), self.to_string()),
            (name("OS"), self.os.clone()),
            (name("OSVERSION"), String::new()),
            (name("ARCH"), self.architecture.clone()),
            (name("VARIANT"), self.variant.clone()),
        ]
    }

    /// Tells whether a builder of this platform can build the other one. A missing variant stands for any.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.os == other.os
            && self.architecture == other.architecture
            && (self.variant.is_empty() || other.variant.is_empty() || self.variant == other.variant)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

as_text!(Platform);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d10_each_platform_has_one_spelling() {
        for (text, want) in [
            ("linux/amd64", "linux/amd64"),
            ("Linux/x86_64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/amd64/v2", "linux/amd64/v2"),
            ("linux/i386", "linux/386"),
            ("windows/amd64", "windows/amd64"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), want);
        }
        for text in ["", "linux", "linux/", "/amd64", "linux/arm64/v8/x", "linux/a b"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
        let parse = |text: &str| text.parse::<Platform>().unwrap();
        assert!(parse("linux/amd64").covers(&parse("linux/x86-64")));
        assert_eq!(Platform::linux_on("armv6l"), parse("linux/arm/v6"));
        assert_eq!(Platform::linux_on("i686"), parse("linux/386"));
    }
}
