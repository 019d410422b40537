//! ECR's API for images, with its rules: the last tag takes the image along, an index keeps its images.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use build_once::testing::Digest;
use serde_json::{Value, json};

use super::aws::refusal;
use super::ecr_model::Model;
use super::http::{Request, Response, Server};
use super::run::{BuildOnce, CANARY};

#[derive(Clone, Debug)]
struct Image {
    manifest: String,
    tags: BTreeSet<String>,
    pushed: f64,
    pulled: Option<f64>,
}

#[derive(Default)]
struct State {
    model: Model,
    images: BTreeMap<String, Image>,
    denied: BTreeSet<String>,
    /// Action, how often, what instead.
    faults: Vec<(String, usize, Response)>,
    /// Before the next deletion, this tag names this image.
    moves: Option<(String, String)>,
    page: usize,
    pace: std::time::Duration,
}

pub(crate) struct Ecr {
    server: Server,
    state: Arc<Mutex<State>>,
}

/// The repository that the tests name.
pub(crate) const REPOSITORY: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com/ci";
const DAY: f64 = 86_400.0;

fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
}

impl Ecr {
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(State { page: 1000, ..State::default() }));
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| {
            let pace = shared.lock().unwrap().pace;
            std::thread::sleep(pace);
            shared.lock().unwrap().answer(request)
        });
        Self { server, state }
    }

    pub(crate) fn serves<'a>(&self, program: BuildOnce<'a>) -> BuildOnce<'a> {
        program
            .env("AWS_ENDPOINT_URL_ECR", &format!("http://{}", self.server.address))
            .env("AWS_ACCESS_KEY_ID", "AKIASTUB")
            .env("AWS_SECRET_ACCESS_KEY", &format!("{CANARY}-aws"))
            .input("repository", REPOSITORY)
    }

    /// An image that was pushed so many days ago.
    pub(crate) fn put(&self, tags: &[&str], manifest: &Value, days: f64) -> String {
        let manifest = manifest.to_string();
        let digest = Digest::of(manifest.as_bytes()).to_string();
        let tags = tags.iter().map(|&tag| tag.to_owned()).collect();
        let image = Image { manifest, tags, pushed: now() - days * DAY, pulled: None };
        self.state.lock().unwrap().images.insert(digest.clone(), image);
        digest
    }

    /// It was pulled so many days ago.
    pub(crate) fn pulled(&self, digest: &str, days: f64) {
        self.state.lock().unwrap().images.get_mut(digest).unwrap().pulled = Some(now() - days * DAY);
    }

    pub(crate) fn deny(&self, action: &str) {
        self.state.lock().unwrap().denied.insert(action.to_owned());
    }

    pub(crate) fn fault(&self, action: &str, times: usize, instead: Response) {
        self.state.lock().unwrap().faults.push((action.to_owned(), times, instead));
    }

    /// Just before the next deletion, the tag is set on another image.
    pub(crate) fn move_before_deletion(&self, tag: &str, digest: &str) {
        self.state.lock().unwrap().moves = Some((tag.to_owned(), digest.to_owned()));
    }

    pub(crate) fn slow(&self, pace: std::time::Duration) {
        self.state.lock().unwrap().pace = pace;
    }

    pub(crate) fn page(&self, size: usize) {
        self.state.lock().unwrap().page = size;
    }

    pub(crate) fn tags(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let mut tags: Vec<String> = state.images.values().flat_map(|image| image.tags.clone()).collect();
        tags.sort();
        tags
    }

    pub(crate) fn has(&self, digest: &str) -> bool {
        self.state.lock().unwrap().images.contains_key(digest)
    }

    /// Actions in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        let action = |request: &Request| {
            request.header("x-amz-target").rsplit('.').next().unwrap_or_default().to_owned()
        };
        self.server.requests().iter().map(action).collect()
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> Response {
        let action = request.header("x-amz-target").rsplit('.').next().unwrap_or_default().to_owned();
        if self.denied.contains(&action) {
            return refusal("AccessDeniedException");
        }
        if let Some(fault) = self.faults.iter_mut().find(|(of, times, _)| *times > 0 && *of == action) {
            fault.1 -= 1;
            return fault.2.clone();
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        self.model.check_input(&action, &body).unwrap();
        if body["repositoryName"] != "ci" || body["registryId"] != "123456789012" {
            return refusal("RepositoryNotFoundException");
        }
        let ids = body["imageIds"].as_array().cloned().unwrap_or_default();
        let answer = match action.as_str() {
            "DescribeImages" => {
                assert!(
                    body["maxResults"].as_u64().is_some_and(|most| (1..=1000).contains(&most))
                        && ids.is_empty()
                );
                self.describe(&body)
            }
            "BatchGetImage" => {
                assert!((1..=100).contains(&ids.len()), "{} ids", ids.len());
                self.get(&ids)
            }
            "BatchDeleteImage" => {
                assert!((1..=100).contains(&ids.len()), "{} ids", ids.len());
                self.delete(&ids)
            }
            other => panic!("{other} is not one of prune's"),
        };
        Response::new(200, answer.to_string()).header("content-type", "application/x-amz-json-1.1")
    }

    fn describe(&self, body: &Value) -> Value {
        let start: usize =
            body["nextToken"].as_str().and_then(|token| token.parse().ok()).unwrap_or_default();
        let details = self.images.iter().skip(start).take(self.page).map(|(digest, image)| {
            let manifest: Value = serde_json::from_str(&image.manifest).unwrap();
            json!({
                "registryId": "123456789012", "repositoryName": "ci", "imageDigest": digest,
                "imageTags": image.tags, "imageSizeInBytes": 1_000_000, "imagePushedAt": image.pushed,
                "imageManifestMediaType": manifest["mediaType"], "lastRecordedPullTime": image.pulled,
                "subjectManifestDigest": manifest["subject"]["digest"],
            })
        });
        let details: Vec<Value> = details.collect();
        let next = start + details.len();
        let token = (next < self.images.len()).then(|| next.to_string());
        json!({"imageDetails": details, "nextToken": token})
    }

    fn get(&self, ids: &[Value]) -> Value {
        let (mut images, mut failures) = (Vec::new(), Vec::new());
        for id in ids {
            match self.images.get(id["imageDigest"].as_str().unwrap()) {
                Some(image) => images.push(json!({"imageId": id, "imageManifest": image.manifest})),
                None => failures
                    .push(json!({"imageId": id, "failureCode": "ImageNotFound", "failureReason": "none"})),
            }
        }
        json!({"images": images, "failures": failures})
    }

    fn delete(&mut self, ids: &[Value]) -> Value {
        if let Some((tag, digest)) = self.moves.take() {
            for image in self.images.values_mut() {
                image.tags.remove(&tag);
            }
            self.images.get_mut(&digest).unwrap().tags.insert(tag);
        }
        let mut failures = Vec::new();
        for id in ids {
            let code = self.delete_one(id["imageDigest"].as_str().unwrap(), id["imageTag"].as_str());
            if let Some(code) = code {
                failures
                    .push(json!({"imageId": id, "failureCode": code, "failureReason": "said by the stub"}));
            }
        }
        json!({"imageIds": [], "failures": failures})
    }

    fn delete_one(&mut self, digest: &str, tag: Option<&str>) -> Option<&'static str> {
        let listed = self.images.values().any(|image| {
            image.manifest.contains(&format!("\"{digest}\"")) && image.manifest.contains("\"manifests\"")
        });
        if let Some(tag) = tag {
            let holder = self
                .images
                .iter()
                .find(|(_, image)| image.tags.contains(tag))
                .map(|(digest, _)| digest.clone());
            match holder {
                None => return Some("ImageNotFound"),
                Some(holder) if holder != digest => return Some("ImageTagDoesNotMatchDigest"),
                Some(_) => {}
            }
            let image = self.images.get_mut(digest).unwrap();
            if image.tags.len() > 1 {
                image.tags.remove(tag);
                return None;
            }
        }
        if !self.images.contains_key(digest) {
            return Some("ImageNotFound");
        }
        if listed {
            return Some("ImageReferencedByManifestList");
        }
        self.images.remove(digest);
        None
    }
}
