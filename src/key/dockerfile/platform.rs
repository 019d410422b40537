//! Platforms, and the build arguments BuildKit derives from them.

use std::fmt;

use crate::key::error::KeyError;

/// `os/architecture[/variant]`, normalised as containerd's `platforms.Normalize` does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// Such as `linux`.
    pub os: String,
    /// Such as `amd64`.
    pub architecture: String,
    /// Empty if there is none.
    pub variant: String,
}

impl Platform {
    /// Reads `linux/arm64`, `linux/arm/v7`, also by their other names (`linux/x86_64`, `linux/aarch64`).
    ///
    /// # Errors
    /// Anything that is not two or three non-empty parts.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let lower = text.trim().to_lowercase();
        let parts: Vec<&str> = lower.split('/').collect();
        let (os, architecture, variant) = match parts.as_slice() {
            [os, architecture] => (*os, *architecture, ""),
            [os, architecture, variant] => (*os, *architecture, *variant),
            _ => ("", "", ""),
        };
        if os.is_empty() || architecture.is_empty() {
            return Err(KeyError::Platform { platform: text.to_owned() });
        }
        let os = if os == "macos" { "darwin" } else { os };
        let (architecture, variant) = normal(architecture, variant);
        Ok(Self { os: os.to_owned(), architecture: architecture.to_owned(), variant: variant.to_owned() })
    }

    /// The arguments named after this platform: `<prefix>PLATFORM`, `OS`, `OSVERSION`, `ARCH`, `VARIANT`.
    pub(super) fn arguments(&self, prefix: &str) -> [(String, String); 5] {
        let name = |suffix: &str| format!("{prefix}{suffix}");
        [
            (name("PLATFORM"), self.to_string()),
            (name("OS"), self.os.clone()),
            (name("OSVERSION"), String::new()),
            (name("ARCH"), self.architecture.clone()),
            (name("VARIANT"), self.variant.clone()),
        ]
    }
}

/// containerd `normalizeArch`.
fn normal<'a>(architecture: &'a str, variant: &'a str) -> (&'a str, &'a str) {
    match (architecture, variant) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8") => ("arm64", ""),
        ("aarch64" | "arm64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}
