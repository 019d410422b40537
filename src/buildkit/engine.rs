//! Reads docker's answers about its engine (`docker info --format '{{json .}}'`, `/info`) and about images in its store
//! (`docker image inspect`, `/images/NAME/json`).

use serde_json::Value;

use super::stored::StoreRoot;
use crate::image::{ANNOTATION_KEY, Platform};

/// An image in the engine's store.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalImage {
    /// The name or id in the question.
    pub name: String,
    /// The engine's id of the image: the digest of its configuration or of its manifest.
    pub id: String,
    /// The image's platform; of an index, the one that the engine would run.
    pub platform: Option<Platform>,
    /// The build key in its label.
    pub key: Option<String>,
    /// Its names.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The engine's references by digest to the image.
    #[serde(default)]
    pub digests: Vec<String>,
}

impl LocalImage {
    /// Reads an image of `docker image inspect`, or of the engine's own answer (`/images/NAME/json`). `name` is the name in
    /// the question.
    #[must_use]
    pub fn read(name: &str, image: &Value) -> Option<Self> {
        let list = |field: &str| {
            let texts = image[field].as_array().into_iter().flatten();
            texts.filter_map(|text| text.as_str().map(str::to_owned)).collect()
        };
        Some(Self {
            name: name.to_owned(),
            id: image["Id"].as_str()?.to_owned(),
            platform: platform_of(image),
            key: image["Config"]["Labels"][ANNOTATION_KEY].as_str().map(str::to_owned),
            tags: list("RepoTags"),
            digests: list("RepoDigests"),
        })
    }
}

/// The engine's version and abilities.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Engine {
    pub version: String,
    /// The engine's own platform; `None` if docker does not tell it.
    pub platform: Option<Platform>,
    /// Images are in containerd's store. Then the `docker` driver can export caches and indexes.
    pub containerd_store: bool,
    /// Its folder; `None` if docker does not tell it.
    #[serde(skip)]
    pub root: Option<StoreRoot>,
    /// It has a proxy of its own for pulls and pushes.
    #[serde(skip)]
    pub has_proxy: bool,
}

impl Engine {
    /// Reads `docker info`; `None` if no engine answered.
    #[must_use]
    pub fn parse(answer: &[u8]) -> Option<Self> {
        Self::read(&serde_json::from_slice(answer).ok()?)
    }

    /// Reads `docker info`, or the engine's own answer (`/info`), which has all of this too.
    #[must_use]
    pub(crate) fn read(facts: &Value) -> Option<Self> {
        let version = facts["ServerVersion"].as_str().filter(|version| !version.is_empty())?;
        Some(Self {
            version: version.to_owned(),
            platform: facts["Architecture"].as_str().map(Platform::linux_on),
            root: StoreRoot::read(facts),
            has_proxy: ["HttpProxy", "HttpsProxy"]
                .iter()
                .any(|name| facts[name].as_str().is_some_and(|proxy| !proxy.is_empty())),
            containerd_store: facts["DriverStatus"].as_array().is_some_and(|rows| {
                rows.iter().any(|row| row[0] == "driver-type" && row[1] == "io.containerd.snapshotter.v1")
            }),
        })
    }
}

fn platform_of(image: &Value) -> Option<Platform> {
    let field = |name: &str| image[name].as_str().filter(|text| !text.is_empty());
    let platform = format!("{}/{}", field("Os")?, field("Architecture")?);
    field("Variant").map_or_else(|| platform.parse(), |variant| format!("{platform}/{variant}").parse()).ok()
}
