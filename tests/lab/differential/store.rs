//! Where images are read from: a folder that buildx wrote, and the registry.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::image::{Kind, Store};

/// An OCI layout in a folder.
pub struct Layout<'a>(pub &'a Path);

impl Layout<'_> {
    /// The digest of what it holds.
    pub fn digest(&self) -> String {
        let index: Value = serde_json::from_slice(&fs::read(self.0.join("index.json")).unwrap()).unwrap();
        index["manifests"][0]["digest"].as_str().unwrap().to_owned()
    }
}

impl Store for Layout<'_> {
    fn get(&self, _: Kind, digest: &str) -> Vec<u8> {
        fs::read(self.0.join("blobs").join(digest.replace(':', "/"))).unwrap()
    }
}

/// A repository of a registry that asks for no password, or an engine. One connection for all requests of a thread.
pub struct Registry {
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    /// `http://host/v2/path`
    base: String,
}

const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

impl Registry {
    /// The repository `path` on `host`.
    pub fn new(host: &str, path: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { client: reqwest::Client::new(), runtime, base: format!("http://{host}/v2/{path}") }
    }

    /// An engine, by its `unix://` address. A process of docker's for each question would cost more than the answer.
    pub fn engine(host: &str) -> Self {
        let socket = host.strip_prefix("unix://").unwrap_or_else(|| panic!("{host} is no socket"));
        let client = reqwest::Client::builder().unix_socket(socket).build().unwrap();
        Self { client, base: "http://engine".to_owned(), ..Self::new("", "") }
    }

    /// An image of an engine.
    pub fn image(&self, name: &str) -> Option<Value> {
        self.ask("GET", &format!("images/{name}/json"))
            .map(|(bytes, _)| serde_json::from_slice(&bytes).unwrap())
    }

    /// The body, and the digest that a manifest is served under; nothing where there is none.
    pub fn ask(&self, method: &str, rest: &str) -> Option<(Vec<u8>, String)> {
        self.runtime.block_on(async {
            let mut tries = 0..10;
            loop {
                let request = self
                    .client
                    .request(method.parse().unwrap(), format!("{}/{rest}", self.base))
                    .header("accept", MANIFESTS);
                let answer = request.send().await.unwrap();
                // While another case writes the same manifest, the registry reads an empty link.
                if answer.status() == 500 && tries.next().is_some() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
                if !answer.status().is_success() {
                    assert_eq!(answer.status(), 404, "{method} {rest}");
                    return None;
                }
                let digest = answer.headers().get("docker-content-digest");
                let digest = digest.and_then(|digest| digest.to_str().ok()).unwrap_or_default().to_owned();
                return Some((answer.bytes().await.unwrap().to_vec(), digest));
            }
        })
    }

    /// What a tag or digest names.
    pub fn digest(&self, reference: &str) -> Option<String> {
        self.ask("HEAD", &format!("manifests/{reference}")).map(|(_, digest)| digest)
    }

    /// A manifest.
    pub fn manifest(&self, reference: &str) -> Option<Value> {
        self.ask("GET", &format!("manifests/{reference}"))
            .map(|(bytes, _)| serde_json::from_slice(&bytes).unwrap())
    }
}

impl Store for Registry {
    fn get(&self, kind: Kind, digest: &str) -> Vec<u8> {
        let folder = if kind == Kind::Manifest { "manifests" } else { "blobs" };
        self.ask("GET", &format!("{folder}/{digest}")).unwrap_or_else(|| panic!("no {kind:?} {digest}")).0
    }
}
