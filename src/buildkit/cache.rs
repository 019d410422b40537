//! Reads and writes the values of `--cache-from` and `--cache-to` as buildx does: `type=registry,ref=h/r:t`, or `h/r:t`,
//! which means the same.

use std::path::PathBuf;

use crate::env;
use crate::image::ImageReference;
use crate::inputs::CacheMode;
use crate::key::dockerfile::csv_field;

/// One cache source or destination: `type=…` and its attributes, or a reference alone (buildx
/// `util/buildflags/cache.go`). Of two attributes with one name only the last is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheEntry {
    /// `registry`, `gha`, `local`, `inline`, `s3`, `azblob`, or the type of a later BuildKit.
    pub kind: String,
    attributes: Vec<(String, String)>,
}

/// The text does not name a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is neither a reference nor type=…, followed by name=value attributes")]
pub struct InvalidCacheEntry;

impl CacheEntry {
    /// An entry without attributes.
    #[must_use]
    pub fn new(kind: &str) -> Self {
        Self { kind: kind.to_owned(), attributes: Vec::new() }
    }

    /// Sets an attribute.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.retain(|(known, _)| known != name);
        self.attributes.push((name.to_owned(), value.into()));
        self
    }

    /// The value of an attribute.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Adds the attributes of a destination. A failure to write the cache does not fail the build.
    #[must_use]
    pub fn to_write(self, mode: CacheMode) -> Self {
        let mode = self.with("mode", mode.name());
        let mode = if matches!(mode.kind.as_str(), "registry" | "local") {
            // ECR accepts no other form, and BuildKit's default depends on its version (BuildKit README, "registry").
            mode.with("image-manifest", "true").with("oci-mediatypes", "true")
        } else {
            mode
        };
        mode.with("ignore-error", "true")
    }
}

impl std::str::FromStr for CacheEntry {
    type Err = InvalidCacheEntry;

    fn from_str(text: &str) -> Result<Self, InvalidCacheEntry> {
        let fields = fields(text).ok_or(InvalidCacheEntry)?;
        if let [reference] = fields.as_slice()
            && !reference.contains('=')
        {
            return if reference.is_empty() {
                Err(InvalidCacheEntry)
            } else {
                Ok(Self::new("registry").with("ref", reference.clone()))
            };
        }
        let mut entry = Self::new("");
        for field in fields {
            let (name, value) = field.split_once('=').ok_or(InvalidCacheEntry)?;
            match name.trim().to_ascii_lowercase().as_str() {
                "type" => value.clone_into(&mut entry.kind),
                name => entry = entry.with(name, value),
            }
        }
        if entry.kind.is_empty() { Err(InvalidCacheEntry) } else { Ok(entry) }
    }
}

impl std::fmt::Display for CacheEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", csv_field(&format!("type={}", self.kind)))?;
        for (name, value) in &self.attributes {
            write!(f, ",{}", csv_field(&format!("{name}={value}")))?;
        }
        Ok(())
    }
}

/// Splits a line of comma-separated values (RFC 4180); `None` if a quote is not closed. Other faults are left for buildx
/// to refuse.
fn fields(text: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut chars = text.trim().chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        let field = fields.last_mut()?;
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => field.push(c),
        }
    }
    (!quoted).then_some(fields)
}

/// The value of `--cache-from` for a registry cache.
#[must_use]
pub(crate) fn registry_cache_from(reference: &ImageReference) -> String {
    CacheEntry::new("registry").with("ref", reference.to_string()).to_string()
}

/// Local caches of a build, each a folder of *generations*: exports of the cache, the newest of which is read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LocalCaches {
    /// The folder that holds them all.
    pub root: PathBuf,
    /// The caches to read, nearest first, relative to the root.
    pub read: Vec<PathBuf>,
    /// The cache to write, relative to the root.
    pub write: Option<PathBuf>,
    /// The layers that the written cache keeps.
    pub mode: CacheMode,
}

/// Variables that GitHub's cache needs. buildx hands them on to BuildKit as attributes, inside
/// its own connection (buildx `addGithubToken`).
const GHA_VARIABLES: [&str; 4] = [
    env::ACTIONS_RUNTIME_TOKEN,
    env::ACTIONS_RESULTS_URL,
    env::ACTIONS_CACHE_URL,
    env::ACTIONS_CACHE_SERVICE_V2,
];

/// Variables that the AWS SDK inside buildx finds credentials by (AWS SDKs reference guide,
/// "Settings reference").
const S3_VARIABLES: [&str; 17] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_CA_BUNDLE",
];

/// Lists the variables that these caches need. Only buildx gets them.
pub(crate) fn variables<'a>(caches: impl Iterator<Item = &'a String>) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for cache in caches {
        let kind = cache.parse::<CacheEntry>().map(|entry| entry.kind).unwrap_or_default();
        let more: &[&str] = match kind.as_str() {
            "gha" => &GHA_VARIABLES,
            "s3" => &S3_VARIABLES,
            _ => &[],
        };
        names.extend(more.iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_buildx_takes() {
        for (text, expected) in [
            ("h/r:t", "type=registry,ref=h/r:t"),
            ("type=registry,ref=h/r:a,REF=h/r:b", "type=registry,ref=h/r:b"),
            ("type=local,\"dest=/a,b\"", "type=local,\"dest=/a,b\""),
            ("type=gha", "type=gha"),
            (" type=s3,name=a\"b ", "type=s3,\"name=a\"\"b\""),
        ] {
            let entry: CacheEntry = text.parse().unwrap();
            assert_eq!(entry.to_string(), expected);
            assert_eq!(entry.to_string().parse(), Ok(entry), "{text}");
        }
        for text in ["", "a,b", "ref=h/r:t", "type=registry,\"ref=h"] {
            assert!(text.parse::<CacheEntry>().is_err(), "{text}");
        }
    }

    #[test]
    fn each_kind_gets_its_own_variables_alone() {
        let of = |list: &[&str]| {
            let list: Vec<String> = list.iter().map(|&text| text.to_owned()).collect();
            variables(list.iter())
        };
        assert!(of(&["type=registry,ref=h/r:t", "type=local,src=/x"]).is_empty());
        assert_eq!(of(&["type=gha,scope=x", "type=gha"]), GHA_VARIABLES);
        assert_eq!(of(&["type=s3,bucket=b"]), S3_VARIABLES);
    }
}
