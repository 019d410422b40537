//! Registries as anyone else sees them, past the gateway.

use std::collections::BTreeMap;
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::KEY;
use super::gateway::{Entry, journal};
use super::http::{Answer, request};
use super::lab::{lab, unique};

const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// A repository of the test's own.
pub struct Repository {
    base: String,
    authorization: Option<String>,
    /// The registry's host, as references name it.
    pub host: String,
    /// The path in it.
    pub path: String,
}

/// An image or an index in a registry.
#[derive(Clone, Debug)]
pub struct Image {
    /// Of the bytes that came.
    pub digest: String,
    pub manifest: Value,
    pub media_type: String,
}

impl Repository {
    /// One in the ECR emulator, behind the gateway.
    pub fn ecr(test: &str) -> Self {
        let repository = Self::ecr_absent(test);
        aws(
            "ecr",
            "AmazonEC2ContainerRegistry_V20150921.CreateRepository",
            &json!({"repositoryName": repository.path}),
        );
        repository
    }

    /// One there whose tags cannot be set twice.
    pub fn ecr_immutable(test: &str) -> Self {
        let repository = Self::ecr_absent(test);
        let body = json!({"repositoryName": repository.path, "imageTagMutability": "IMMUTABLE"});
        aws("ecr", "AmazonEC2ContainerRegistry_V20150921.CreateRepository", &body);
        repository
    }

    /// One there that was never created.
    pub fn ecr_absent(test: &str) -> Self {
        let (base, host) = (lab().get("AWS_ENDPOINT_URL"), lab().get("BUILD_ONCE_LAB_ECR_HOST"));
        Self {
            base: base.to_owned(),
            authorization: None,
            host: host.to_owned(),
            path: format!("e2e/{}", unique(test)),
        }
    }

    /// One in the registry that asks for a password.
    pub fn plain(test: &str) -> Self {
        let host = lab().get("BUILD_ONCE_LAB_REGISTRY");
        let login = format!(
            "{}:{}",
            lab().get("BUILD_ONCE_LAB_REGISTRY_USER"),
            lab().get("BUILD_ONCE_LAB_REGISTRY_PASSWORD")
        );
        let authorization = Some(format!("Basic {}", STANDARD.encode(login)));
        Self {
            base: format!("http://{host}"),
            authorization,
            host: host.to_owned(),
            path: format!("e2e/{}", unique(test)),
        }
    }

    /// One in the registry that is open to all.
    pub fn open(test: &str) -> Self {
        Self::open_at(&format!("e2e/{}", unique(test)))
    }

    fn open_at(path: &str) -> Self {
        let host = lab().get("BUILD_ONCE_LAB_OPEN_REGISTRY");
        Self {
            base: format!("http://{host}"),
            authorization: None,
            host: host.to_owned(),
            path: path.to_owned(),
        }
    }

    /// Makes this tag name what the tag of the lab's base image names.
    pub fn copy_base(&self, base_tag: &str, tag: &str) -> String {
        let source = Self::open_at("base");
        let image = source.image(base_tag).unwrap();
        let config = image.manifest["config"].clone();
        for blob in image.manifest["layers"].as_array().unwrap().iter().chain([&config]) {
            let digest = blob["digest"].as_str().unwrap();
            let mount = format!("{}/v2/{}/blobs/uploads/?mount={digest}&from=base", self.base, self.path);
            assert_eq!(request("POST", &mount, &[], None).status, 201);
        }
        let bytes = source.get(&format!("manifests/{base_tag}")).body;
        let answer = self.call(
            "PUT",
            &format!("manifests/{tag}"),
            &[("content-type", &image.media_type)],
            Some(bytes),
        );
        assert_eq!(answer.status, 201);
        image.digest
    }

    fn call(&self, method: &str, rest: &str, headers: &[(&str, &str)], body: Option<Vec<u8>>) -> Answer {
        let mut headers = headers.to_vec();
        if let Some(authorization) = &self.authorization {
            headers.push(("authorization", authorization));
        }
        request(method, &format!("{}/v2/{}/{rest}", self.base, self.path), &headers, body)
    }

    /// What it answers to this path.
    pub fn get(&self, rest: &str) -> Answer {
        self.call("GET", rest, &[("accept", MANIFESTS)], None)
    }

    /// `host/path`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.host, self.path)
    }

    /// All tags, in order.
    pub fn tags(&self) -> Vec<String> {
        let answer = self.get("tags/list");
        if answer.status == 404 {
            return Vec::new();
        }
        let mut tags: Vec<String> = serde_json::from_value(answer.json()["tags"].clone()).unwrap_or_default();
        tags.sort();
        tags
    }

    /// What a tag or a digest names.
    pub fn image(&self, reference: &str) -> Option<Image> {
        let answer = self.get(&format!("manifests/{reference}"));
        if answer.status == 404 {
            return None;
        }
        assert_eq!(answer.status, 200, "{reference}: {}", String::from_utf8_lossy(&answer.body));
        let digest = format!("sha256:{:x}", Sha256::digest(&answer.body));
        Some(Image { digest, manifest: answer.json(), media_type: answer.content_type })
    }

    /// The digest a tag names; a panic if there is none.
    pub fn digest(&self, tag: &str) -> String {
        self.image(tag)
            .unwrap_or_else(|| panic!("no {tag} in {}, only {:?}", self.name(), self.tags()))
            .digest
    }

    /// The labels of a single image.
    pub fn labels(&self, image: &Image) -> Value {
        self.config(image)["config"]["Labels"].clone()
    }

    /// The configuration of a single image.
    pub fn config(&self, image: &Image) -> Value {
        self.get(&format!("blobs/{}", image.manifest["config"]["digest"].as_str().unwrap())).json()
    }

    /// A blob's bytes.
    pub fn blob(&self, digest: &str) -> Vec<u8> {
        let answer = self.get(&format!("blobs/{digest}"));
        assert_eq!(answer.status, 200, "{digest}");
        answer.body
    }

    /// The single image of an index that has only one beside its attestations, or the image itself.
    pub fn single(&self, image: Image) -> Image {
        let Some(children) = image.manifest["manifests"].as_array() else { return image };
        let mut real = children.iter().filter(|child| child["platform"]["os"] != "unknown");
        let (child, None) = (real.next().unwrap(), real.next()) else { panic!("two platforms") };
        self.image(child["digest"].as_str().unwrap()).unwrap()
    }

    /// The texts of a single image's regular files, by path without a slash at its beginning. Files that
    /// a layer removes stay.
    pub fn texts(&self, image: &Image) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for layer in image.manifest["layers"].as_array().unwrap() {
            let bytes = self.blob(layer["digest"].as_str().unwrap());
            let is_zipped = bytes.starts_with(&[0x1f, 0x8b]);
            let unzipped: Box<dyn Read> =
                if is_zipped { Box::new(GzDecoder::new(&*bytes)) } else { Box::new(&*bytes) };
            for entry in tar::Archive::new(unzipped).entries().unwrap() {
                let mut entry = entry.unwrap();
                let path = entry.path().unwrap().to_string_lossy().trim_start_matches(['.', '/']).to_owned();
                let mut text = String::new();
                // Programs are no text.
                if entry.header().entry_type().is_file() && entry.read_to_string(&mut text).is_ok() {
                    texts.insert(path, text);
                }
            }
        }
        texts
    }

    /// Removes an image with all its tags.
    pub fn remove(&self, digest: &str) {
        assert_eq!(self.call("DELETE", &format!("manifests/{digest}"), &[], None).status, 202, "{digest}");
        assert!(self.image(digest).is_none(), "{digest} is still there");
    }

    /// What the gateway saw of this repository.
    pub fn journal(&self) -> Vec<Entry> {
        journal(&self.path)
    }
}

impl Image {
    /// The key in its annotations.
    pub fn annotated_key(&self) -> Option<&str> {
        self.manifest["annotations"][KEY].as_str()
    }

    /// Platforms of an index, attestations left out.
    pub fn platforms(&self) -> Vec<String> {
        let entries = self.manifest["manifests"].as_array().into_iter().flatten();
        let text = |entry: &Value| {
            let platform = &entry["platform"];
            Some(format!("{}/{}", platform["os"].as_str()?, platform["architecture"].as_str()?))
        };
        entries.filter_map(text).filter(|platform| platform != "unknown/unknown").collect()
    }
}

/// A call to the AWS emulator, which reads the signature's scope and no more.
pub fn aws(service: &str, target: &str, body: &Value) -> Value {
    let scope = format!(
        "AWS4-HMAC-SHA256 Credential=test/20260101/{}/{service}/aws4_request, SignedHeaders=host, Signature=0",
        lab().get("AWS_REGION")
    );
    let headers =
        [("x-amz-target", target), ("content-type", "application/x-amz-json-1.1"), ("authorization", &scope)];
    let answer = request(
        "POST",
        &format!("{}/", lab().get("AWS_ENDPOINT_URL")),
        &headers,
        Some(body.to_string().into_bytes()),
    );
    assert_eq!(answer.status, 200, "{target}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()
}
