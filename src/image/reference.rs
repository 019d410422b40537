//! References to images, `registry/path:tag@digest`, and to their repositories.

use std::fmt;
use std::str::FromStr;

use super::Digest;
use super::grammar;
use crate::texts::as_text;

/// A repository in a registry: `host[:port]/path`, without tag or digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    registry: String,
    path: String,
}

/// A repository with a tag, a digest, or both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageReference {
    repository: Repository,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// The text is not a reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an image reference: {reason}")]
pub struct InvalidReference {
    text: String,
    reason: String,
}

impl InvalidReference {
    /// The reason, without the text.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

fn invalid(text: &str, reason: impl Into<String>) -> InvalidReference {
    InvalidReference { text: text.to_owned(), reason: reason.into() }
}

impl Repository {
    /// The registry's host, with its port if it has one. Docker Hub is `docker.io`.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository's path inside the registry.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Tells whether both are the same repository, in any spelling of the host.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.path == other.path
            && super::canonical_host(&self.registry) == super::canonical_host(&other.registry)
    }

    /// The image under this tag. The caller has a legal tag: from the tag scheme, from a registry's list, or checked.
    #[must_use]
    pub fn tagged(&self, tag: impl Into<String>) -> ImageReference {
        ImageReference { repository: self.clone(), tag: Some(tag.into()), digest: None }
    }

    /// The image with this digest.
    #[must_use]
    pub fn at(&self, digest: Digest) -> ImageReference {
        ImageReference { repository: self.clone(), tag: None, digest: Some(digest) }
    }
}

impl FromStr for Repository {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains("://") {
            return Err(invalid(text, "write it without https://"));
        }
        let parts = grammar::parse(text).map_err(|reason| invalid(text, reason))?;
        if parts.tag.is_some() || parts.digest.is_some() {
            return Err(invalid(text, "a repository has no tag and no digest"));
        }
        Ok(Self { registry: parts.registry.to_owned(), path: parts.path })
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

as_text!(Repository);

impl ImageReference {
    /// The repository, without tag and digest.
    #[must_use]
    pub const fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The registry's host, with its port if it has one.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.repository.registry
    }

    /// Tells whether both name the same image, in any spelling of the host.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.repository.is(&other.repository) && self.tag == other.tag && self.digest == other.digest
    }

    /// The tag; `None` only if there is a digest.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest that pins the content.
    #[must_use]
    pub const fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The last part of the URL `/v2/<path>/manifests/<identifier>`: the digest if there is one, else the tag.
    #[must_use]
    pub fn identifier(&self) -> &str {
        self.digest.as_ref().map_or_else(|| self.tag().unwrap_or("latest"), Digest::as_str)
    }
}

impl FromStr for ImageReference {
    type Err = InvalidReference;

    /// A name alone gets the tag `latest`, as docker reads it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = grammar::parse(text).map_err(|reason| invalid(text, reason))?;
        let digest =
            parts.digest.map(str::parse).transpose().map_err(|error| invalid(text, format!("{error}")))?;
        let tag = parts.tag.or(if digest.is_none() { Some("latest") } else { None });
        Ok(Self {
            repository: Repository { registry: parts.registry.to_owned(), path: parts.path },
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

as_text!(ImageReference);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_every_kind_of_host() {
        for (text, registry, path) in [
            ("alpine", "docker.io", "library/alpine"),
            ("ghcr.io/o/app", "ghcr.io", "o/app"),
            ("localhost:5000/ci", "localhost:5000", "ci"),
            ("127.0.0.1:5000/a/b", "127.0.0.1:5000", "a/b"),
            (
                "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/ci",
                "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
                "ci",
            ),
            ("public.ecr.aws/x/ci", "public.ecr.aws", "x/ci"),
        ] {
            let repository: Repository = text.parse().unwrap();
            assert_eq!((repository.registry(), repository.path()), (registry, path), "{text}");
        }
    }

    #[test]
    fn a_repository_is_no_image() {
        for text in ["host/ci:tag", "https://host/ci", "", "host/Upper", "host/ci@sha256:00", "a b", "host/"]
        {
            assert!(text.parse::<Repository>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_alone_means_latest() {
        assert_eq!(
            "alpine".parse::<ImageReference>().unwrap().to_string(),
            "docker.io/library/alpine:latest"
        );
    }

    proptest! {
        #[test]
        fn printing_and_reading_agree(
            host in "[a-z][a-z0-9]{0,8}\\.[a-z]{2,5}(:[0-9]{2,5})?",
            path in "[a-z0-9]{1,8}([._-][a-z0-9]{1,4})?(/[a-z0-9]{1,8}){0,2}",
            tag in "[A-Za-z0-9_][A-Za-z0-9._-]{0,40}",
            hex in proptest::option::of("[0-9a-f]{64}"),
        ) {
            let text = match &hex {
                Some(hex) => format!("{host}/{path}:{tag}@sha256:{hex}"),
                None => format!("{host}/{path}:{tag}"),
            };
            let reference: ImageReference = text.parse().unwrap();
            prop_assert_eq!(reference.to_string(), text);
            prop_assert_eq!(reference.registry(), host);
            prop_assert_eq!(reference.tag(), Some(tag.as_str()));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,80}") {
            if let Ok(reference) = text.parse::<ImageReference>() {
                let printed = reference.to_string();
                prop_assert_eq!(printed.parse::<ImageReference>().unwrap(), reference);
            }
        }
    }
}
