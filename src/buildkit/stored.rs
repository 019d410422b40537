//! Reads docker's answers about all images of a name in the engine's store, and about the engine's folder.

use std::path::PathBuf;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An image of this GitHub repository in the engine's store.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredImage {
    /// The engine's id.
    pub id: String,
    /// Its names: tags, and in containerd's store references by digest.
    pub names: Vec<String>,
    /// Seconds since it got its newest name: since it was built or pulled. `None` if docker does not tell it.
    pub age: Option<u64>,
    /// Bytes, as docker tells them: with containerd's store the packed layers too.
    pub bytes: u64,
}

impl StoredImage {
    /// Reads `docker image inspect` of any number of images. `now`: seconds since 1970.
    #[must_use]
    pub(crate) fn parse_all(answer: &[u8], now: u64) -> Vec<Self> {
        let found: Value = serde_json::from_slice(answer).unwrap_or_default();
        found.as_array().into_iter().flatten().filter_map(|image| Self::read(image, now)).collect()
    }

    /// Reads one of them, or the engine's own answer (`/images/ID/json`).
    #[must_use]
    pub(crate) fn read(image: &Value, now: u64) -> Option<Self> {
        let names = image["RepoTags"].as_array().into_iter().flatten();
        Some(Self {
            id: image["Id"].as_str()?.to_owned(),
            names: names.filter_map(|name| name.as_str().map(str::to_owned)).collect(),
            age: image["Metadata"]["LastTagTime"].as_str().and_then(|time| age(time, now)),
            bytes: image["Size"].as_u64().unwrap_or_default(),
        })
    }
}

/// Seconds between a time of docker's and now. Docker writes the year 1 if it does not know the time.
fn age(time: &str, now: u64) -> Option<u64> {
    let time = OffsetDateTime::parse(time, &Rfc3339).ok()?.unix_timestamp();
    let time = u64::try_from(time).ok().filter(|time| *time > 0)?;
    Some(now.saturating_sub(time))
}

/// The room on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Space {
    /// Bytes that any user may still write.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Where the engine keeps its images, and how many it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRoot {
    /// The folder on the engine's machine.
    pub folder: PathBuf,
    /// The engine's machine, as `hostname` tells it there.
    pub machine: String,
    /// Images of any name.
    pub images: u64,
}

impl StoreRoot {
    /// Reads `docker info`, or the engine's own answer (`/info`); `None` if it does not tell.
    #[must_use]
    pub(crate) fn read(facts: &Value) -> Option<Self> {
        Some(Self {
            folder: facts["DockerRootDir"].as_str().filter(|folder| !folder.is_empty())?.into(),
            machine: facts["Name"].as_str()?.to_owned(),
            images: facts["Images"].as_u64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_since_the_newest_name() {
        let answer = br#"[
            {"Id": "sha256:a", "RepoTags": ["n:1", "n@sha256:b"], "Size": 7, "Metadata": {"LastTagTime": "2026-11-27T00:50:04.120544162Z"}},
            {"Id": "sha256:b", "RepoTags": null, "Size": 8, "Metadata": {"LastTagTime": "0001-01-01T00:00:00Z"}},
            {"Id": "sha256:c", "Metadata": {"LastTagTime": "yesterday"}}, {"RepoTags": []}, 7
        ]"#;
        let found = StoredImage::parse_all(answer, 1_795_740_604 + 60);
        let ages: Vec<_> = found.iter().map(|image| (image.id.as_str(), image.age, image.bytes)).collect();
        assert_eq!(ages, [("sha256:a", Some(60), 7), ("sha256:b", None, 8), ("sha256:c", None, 0)]);
        assert_eq!(found[0].names, ["n:1", "n@sha256:b"]);
        // A clock that went back.
        assert_eq!(StoredImage::parse_all(answer, 5)[0].age, Some(0));
        assert!(StoredImage::parse_all(b"no JSON", 0).is_empty());
    }
}
