//! A registry with faults: manifests, configurations, three kinds of login.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use build_once::testing::{ANNOTATION_KEY, Digest, MEDIA_TYPES};
use serde_json::{Value, json};

use super::http::{Request, Response, Server};

/// Who may read.
#[derive(Clone, Default)]
pub(crate) enum Login {
    #[default]
    Nobody,
    Basic(&'static str, &'static str),
    /// Through a token service of its own at `/token`.
    Bearer(&'static str, &'static str),
}

#[derive(Default)]
struct State {
    address: String,
    /// Bytes and media type by `repository/reference`.
    manifests: BTreeMap<String, (Vec<u8>, String)>,
    blobs: BTreeMap<String, Vec<u8>>,
    /// `repository/digest` of blobs that the repository has.
    held: BTreeSet<String>,
    /// Blobs are mounted from other repositories.
    mounts: bool,
    gone: BTreeSet<String>,
    /// A push makes no repository.
    strict: bool,
    login: Login,
    /// Uploads are opened.
    may_push: bool,
    /// Part of the target, how often, what instead.
    faults: Vec<(String, usize, Response)>,
    /// Method, part of the target, what instead.
    method_faults: Vec<(&'static str, String, Response)>,
    /// Why control calls of the fake docker fail, by path.
    refusals: BTreeMap<String, String>,
    /// How long each answer takes.
    pace: Duration,
    deletes: Deletes,
    /// Tags of a page of the list; 0: all.
    page: usize,
    /// The registry has the API of referrers, with so many of them a page.
    referrers: Option<usize>,
    /// What its clock says at `/v2/`.
    date: Option<String>,
}

/// What the registry deletes.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum Deletes {
    #[default]
    Nothing,
    /// Manifests with all their tags; no tag alone.
    Manifests,
    /// Tags too.
    Tags,
    /// Against the specification, an image with the tag that is deleted.
    ImagesByTag,
}

pub(crate) struct Registry {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl Registry {
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| {
            // Not while others wait for the lock: answers are as slow as they are, side by side.
            let pace =
                if request.target.starts_with("/_") { Duration::ZERO } else { shared.lock().unwrap().pace };
            std::thread::sleep(pace);
            shared.lock().unwrap().answer(request)
        });
        state.lock().unwrap().address.clone_from(&server.address);
        Self { server, state }
    }

    pub(crate) fn address(&self) -> &str {
        &self.server.address
    }

    /// The repository most tests use.
    pub(crate) fn repository(&self) -> String {
        format!("{}/ci", self.address())
    }

    /// Puts an image with this key there, as a build of ours would; the key may be absent.
    pub(crate) fn put(&self, tag: &str, key: Option<&str>) -> String {
        let annotations = key.map_or_else(|| json!({}), |key| json!({ANNOTATION_KEY: key}));
        self.publish(&format!("ci/{tag}"), &json!({}), &annotations)
    }

    /// As an engine without containerd's store pushes it: the key is in the label alone.
    pub(crate) fn put_labelled(&self, tag: &str, key: &str) -> String {
        self.publish(&format!("ci/{tag}"), &json!({ANNOTATION_KEY: key}), &json!({}))
    }

    /// An index of images of `ci`, by digest, for one platform each.
    pub(crate) fn put_index(&self, tag: &str, children: &[&str]) -> String {
        let mut state = self.state.lock().unwrap();
        let manifests: Vec<Value> = children.iter().zip(["amd64", "arm64"]).map(|(digest, architecture)| {
            let size = state.manifests[&format!("ci/{digest}")].0.len();
            json!({"mediaType": MEDIA_TYPES[2], "digest": digest, "size": size, "platform": {"os": "linux", "architecture": architecture}})
        }).collect();
        let index = json!({"schemaVersion": 2, "mediaType": MEDIA_TYPES[0], "manifests": manifests});
        let index = index.to_string().into_bytes();
        let digest = Digest::of(&index).to_string();
        for name in [tag, &digest] {
            state.manifests.insert(format!("ci/{name}"), (index.clone(), MEDIA_TYPES[0].to_owned()));
        }
        digest
    }

    /// Stores this manifest or index in `ci` by its digest.
    pub(crate) fn store(&self, document: &Value) -> String {
        let (bytes, media_type) =
            (document.to_string().into_bytes(), document["mediaType"].as_str().unwrap());
        let digest = Digest::of(&bytes).to_string();
        let name = format!("ci/{digest}");
        self.state.lock().unwrap().manifests.insert(name, (bytes, media_type.to_owned()));
        digest
    }

    /// The same, under a tag too.
    pub(crate) fn store_as(&self, tag: &str, document: &Value) -> String {
        let digest = self.store(document);
        let mut state = self.state.lock().unwrap();
        let stored = state.manifests[&format!("ci/{digest}")].clone();
        state.manifests.insert(format!("ci/{tag}"), stored);
        digest
    }

    /// Loses a blob, and nothing else.
    pub(crate) fn forget_blob(&self, digest: &str) {
        self.state.lock().unwrap().blobs.remove(digest);
    }

    /// An image with `ONBUILD` instructions, as a base.
    pub(crate) fn publish_triggers(&self, name: &str, triggers: &[&str]) -> String {
        let mut state = self.state.lock().unwrap();
        state.publish_config(name, "", &json!({"OnBuild": triggers}), &json!({}))["digest"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) fn publish(&self, name: &str, labels: &Value, annotations: &Value) -> String {
        self.state.lock().unwrap().publish(name, labels, annotations)["digest"].as_str().unwrap().to_owned()
    }

    /// The manifest's bytes by `repository/reference`.
    pub(crate) fn manifest(&self, name: &str) -> Option<Value> {
        let state = self.state.lock().unwrap();
        state.manifests.get(name).map(|(bytes, _)| serde_json::from_slice(bytes).unwrap())
    }

    pub(crate) fn digest(&self, name: &str) -> Option<String> {
        self.state.lock().unwrap().manifests.get(name).map(|(bytes, _)| Digest::of(bytes).to_string())
    }

    /// Tags of `ci`, in order.
    pub(crate) fn tags(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let names = state.manifests.keys().filter_map(|name| name.strip_prefix("ci/"));
        names.filter(|reference| !reference.starts_with("sha256:")).map(str::to_owned).collect()
    }

    /// Answers otherwise, `times` times, where the target holds this text.
    pub(crate) fn fault(&self, target: &str, times: usize, instead: Response) {
        self.state.lock().unwrap().faults.push((target.to_owned(), times, instead));
    }

    /// Answers this method otherwise, once.
    pub(crate) fn fault_on(&self, method: &'static str, target: &str, instead: Response) {
        self.state.lock().unwrap().method_faults.push((method, target.to_owned(), instead));
    }

    /// Every answer to the program takes this long.
    pub(crate) fn slow(&self, pace: Duration) {
        self.state.lock().unwrap().pace = pace;
    }

    pub(crate) fn require(&self, login: Login) {
        self.state.lock().unwrap().login = login;
    }

    /// Whoever may read may push.
    pub(crate) fn let_push(&self) {
        self.state.lock().unwrap().may_push = true;
    }

    pub(crate) fn deletes(&self, what: Deletes) {
        self.state.lock().unwrap().deletes = what;
    }

    /// The list of tags comes in pages of so many.
    pub(crate) fn page(&self, size: usize) {
        self.state.lock().unwrap().page = size;
    }

    /// Each page of the list of tags leads to another one.
    pub(crate) fn endless(&self) {
        self.state.lock().unwrap().page = usize::MAX;
    }

    /// The registry's clock, as in a header.
    pub(crate) fn date(&self, date: &str) {
        self.state.lock().unwrap().date = Some(date.to_owned());
    }

    /// The registry answers what is about a manifest, so many a page.
    pub(crate) fn list_referrers(&self, page: usize) {
        self.state.lock().unwrap().referrers = Some(page);
    }

    /// Stores this manifest in another repository, by its digest and these tags.
    pub(crate) fn store_in(&self, repository: &str, document: &Value, tags: &[&str]) -> String {
        let (bytes, media_type) =
            (document.to_string().into_bytes(), document["mediaType"].as_str().unwrap().to_owned());
        let digest = Digest::of(&bytes).to_string();
        for name in tags.iter().chain([&digest.as_str()]) {
            let image = (bytes.clone(), media_type.clone());
            self.state.lock().unwrap().manifests.insert(format!("{repository}/{name}"), image);
        }
        digest
    }

    /// Takes a tag of `ci` away.
    pub(crate) fn remove_tag(&self, tag: &str) {
        self.state.lock().unwrap().manifests.remove(&format!("ci/{tag}"));
    }

    /// Another name of an image of `ci`.
    pub(crate) fn tag(&self, tag: &str, of: &str) {
        let mut state = self.state.lock().unwrap();
        let image = state.manifests[&format!("ci/{of}")].clone();
        state.manifests.insert(format!("ci/{tag}"), image);
    }

    /// `ci` does not exist.
    pub(crate) fn without_repository(&self) {
        self.without("ci");
    }

    /// This repository does not exist.
    pub(crate) fn without(&self, repository: &str) {
        self.state.lock().unwrap().gone.insert(repository.to_owned());
    }

    /// As in ECR, no push makes a repository; none is there.
    pub(crate) fn made_by_hand(&self, repositories: &[&str]) -> Repositories {
        let mut state = self.state.lock().unwrap();
        state.strict = true;
        state.gone.extend(repositories.iter().map(|&name| name.to_owned()));
        Repositories(Arc::clone(&self.state))
    }

    /// Whoever may push may have a blob mounted from another repository.
    pub(crate) fn let_mount(&self) {
        self.state.lock().unwrap().mounts = true;
    }

    /// Adds a blob to `ci`, as a layer of so many bytes.
    pub(crate) fn store_blob(&self, bytes: Vec<u8>) -> Value {
        let mut state = self.state.lock().unwrap();
        let digest = Digest::of(&bytes).to_string();
        let layer = json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": bytes.len(), "digest": digest});
        state.held.insert(format!("ci/{digest}"));
        state.blobs.insert(digest, bytes);
        layer
    }

    /// Whether a repository has a blob.
    pub(crate) fn holds(&self, name: &str) -> bool {
        self.state.lock().unwrap().held.contains(name)
    }

    /// Pushes (`/_publish`) fail with this text.
    pub(crate) fn refuse(&self, path: &str, text: &str) {
        self.state.lock().unwrap().refusals.insert(path.to_owned(), text.to_owned());
    }

    /// What the program asked, `GET ci/manifests/x`; the fake docker's calls are left out.
    pub(crate) fn asked(&self) -> Vec<String> {
        let ours = self.program_requests();
        ours.iter().map(|r| format!("{} {}", r.method, r.target.trim_start_matches("/v2/"))).collect()
    }

    pub(crate) fn program_requests(&self) -> Vec<Request> {
        let mut requests = self.server.requests();
        requests.retain(|request| !request.target.starts_with("/_"));
        requests
    }

    pub(crate) fn connections(&self) -> usize {
        self.program_requests().iter().map(|request| request.connection).collect::<BTreeSet<_>>().len()
    }

    pub(crate) fn forget_requests(&self) {
        self.server.forget();
    }
}

/// The registry's repositories, for what makes them.
pub(crate) struct Repositories(Arc<Mutex<State>>);

impl Repositories {
    pub(crate) fn make(&self, name: &str) {
        self.0.lock().unwrap().gone.remove(name);
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> Response {
        if request.target.starts_with("/_") {
            return self.control(request);
        }
        if let Some(fault) = self
            .faults
            .iter_mut()
            .find(|(part, times, _)| *times > 0 && request.target.contains(part.as_str()))
        {
            fault.1 -= 1;
            return fault.2.clone();
        }
        let fits = |(method, part, _): &(&str, String, Response)| {
            *method == request.method && request.target.contains(part.as_str())
        };
        if let Some(at) = self.method_faults.iter().position(fits) {
            return self.method_faults.remove(at).2;
        }
        if let Some(date) = self.date.as_ref().filter(|_| request.target == "/v2/") {
            return Response::new(401, "").header("date", date);
        }
        if request.target.starts_with("/token") {
            return self.token(request);
        }
        if let Some(refusal) = self.guard(request) {
            return refusal;
        }
        let parts: Vec<&str> = request.target.trim_start_matches("/v2/").rsplitn(3, '/').collect();
        let [reference, kind, repository] = parts.as_slice() else { return Response::new(404, "") };
        if self.gone.contains(*repository) {
            return Response::error(404, "NAME_UNKNOWN", "repository name not known to registry");
        }
        let name = format!("{repository}/{reference}");
        if request.target.contains("/blobs/uploads/") {
            return match (request.method.as_str(), self.may_push) {
                ("POST", true) => self.open_upload(request),
                ("PUT", true) => self.end_upload(request),
                ("DELETE", true) => Response::new(204, ""),
                _ => Response::error(403, "DENIED", "requested access to the resource is denied"),
            };
        }
        match (request.method.as_str(), *kind) {
            ("GET", "tags") => self.list(repository, reference),
            ("GET", "referrers") => match self.referrers {
                Some(size) => self.referrers(repository, reference, size),
                None => Response::new(404, "404 page not found"),
            },
            ("DELETE", "manifests") => self.delete(repository, reference),
            ("PUT", "manifests") => {
                let stored = (request.body.clone(), request.header("content-type").to_owned());
                self.manifests.insert(format!("{repository}/{}", Digest::of(&stored.0)), stored.clone());
                self.manifests.insert(name, stored);
                Response::new(201, "")
            }
            (_, "manifests") => match self.manifests.get(&name) {
                Some((bytes, media_type)) => Response::new(200, bytes.clone())
                    .header("content-type", media_type)
                    .header("docker-content-digest", Digest::of(bytes).as_str()),
                None => Response::error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
            },
            ("HEAD", "blobs") if !self.held.contains(&name) => Response::new(404, ""),
            (_, "blobs") => match self.blobs.get(*reference) {
                Some(bytes) => Response::new(200, bytes.clone()),
                None => Response::error(404, "BLOB_UNKNOWN", "blob unknown"),
            },
            _ => Response::new(405, ""),
        }
    }

    /// `GET …/referrers/<digest>[?page=<n>]`.
    fn referrers(&self, repository: &str, of: &str, size: usize) -> Response {
        let (digest, page) = of.split_once("?page=").unwrap_or((of, "0"));
        let page: usize = page.parse().unwrap();
        let about = |(name, (bytes, kind)): (&String, &(Vec<u8>, String))| {
            let own = name.strip_prefix(&format!("{repository}/"))?;
            let document: Value = serde_json::from_slice(bytes).ok()?;
            let is_about = own.starts_with("sha256:") && document["subject"]["digest"] == digest;
            is_about.then(|| json!({"mediaType": kind, "digest": own, "size": bytes.len()}))
        };
        let all: Vec<Value> = self.manifests.iter().filter_map(about).collect();
        let part: Vec<&Value> = all.iter().skip(page.saturating_mul(size)).take(size).collect();
        let index = json!({"schemaVersion": 2, "mediaType": MEDIA_TYPES[0], "manifests": part});
        let response = Response::new(200, index.to_string()).header("content-type", MEDIA_TYPES[0]);
        if all.len() > (page + 1).saturating_mul(size) {
            let next = format!("</v2/{repository}/referrers/{digest}?page={}>; rel=\"next\"", page + 1);
            return response.header("link", &next);
        }
        response
    }

    /// `POST …/blobs/uploads/[?mount=…&from=…]`.
    fn open_upload(&mut self, request: &Request) -> Response {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let repository = path.trim_start_matches("/v2/").split_once("/blobs/").unwrap().0;
        let value = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}="))).unwrap_or_default()
        };
        let (digest, from) = (value("mount"), value("from"));
        if self.mounts && self.held.contains(&format!("{from}/{digest}")) {
            self.held.insert(format!("{repository}/{digest}"));
            return Response::new(201, "");
        }
        Response::new(202, "").header("location", format!("{path}u1?_state=x"))
    }

    /// `PUT …/blobs/uploads/u1?_state=x&digest=…`.
    fn end_upload(&mut self, request: &Request) -> Response {
        let (path, query) = request.target.split_once('?').unwrap();
        let repository = path.trim_start_matches("/v2/").split_once("/blobs/").unwrap().0;
        let digest = Digest::of(&request.body).to_string();
        if !query.contains("_state=x") || !query.ends_with(&digest.replace(':', "%3A")) {
            return Response::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
        }
        self.held.insert(format!("{repository}/{digest}"));
        self.blobs.insert(digest, request.body.clone());
        Response::new(201, "")
    }

    fn guard(&self, request: &Request) -> Option<Response> {
        let given = request.header("authorization");
        let (expected, challenge) = match self.login {
            Login::Nobody => return None,
            Login::Basic(user, password) => (
                format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))),
                "Basic realm=\"stub\"".to_owned(),
            ),
            Login::Bearer(..) => {
                let challenge = format!("Bearer realm=\"http://{}/token\",service=\"stub\"", self.address);
                ("Bearer the-token".to_owned(), challenge)
            }
        };
        (given != expected).then(|| {
            Response::error(401, "UNAUTHORIZED", "authentication required")
                .header("www-authenticate", challenge)
        })
    }

    fn token(&self, request: &Request) -> Response {
        let Login::Bearer(user, password) = self.login else { return Response::new(404, "") };
        let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        if request.header("authorization") == expected {
            Response::new(200, json!({"token": "the-token"}).to_string())
        } else {
            Response::new(401, "{}")
        }
    }

    /// `list?n=1000&last=x`
    fn list(&self, repository: &str, query: &str) -> Response {
        let last = query.split_once("last=").map(|(_, last)| last.split('&').next().unwrap().to_owned());
        let prefix = format!("{repository}/");
        let names = self.manifests.keys().filter_map(|name| name.strip_prefix(&prefix));
        let all: Vec<&str> =
            names.filter(|name| !name.starts_with("sha256:") && !name.contains('/')).collect();
        let rest: Vec<&str> =
            all.into_iter().filter(|name| last.as_deref().is_none_or(|last| *name > last)).collect();
        if self.page == usize::MAX {
            let next = format!("{}x", last.as_deref().unwrap_or_default());
            return Response::new(200, r#"{"tags":["latest"]}"#)
                .header("link", format!("</v2/{repository}/tags/list?last={next}>; rel=\"next\""));
        }
        let size = if self.page == 0 { rest.len() } else { self.page };
        let page = &rest[..size.min(rest.len())];
        let answer = Response::new(200, json!({"name": repository, "tags": page}).to_string());
        if page.len() < rest.len() {
            let next =
                format!("</v2/{repository}/tags/list?last={}&n={size}>; rel=\"next\"", page.last().unwrap());
            return answer.header("link", next);
        }
        answer
    }

    fn delete(&mut self, repository: &str, reference: &str) -> Response {
        let by_digest = reference.starts_with("sha256:");
        let name = format!("{repository}/{reference}");
        match self.deletes {
            Deletes::Nothing => return Response::error(405, "UNSUPPORTED", "The operation is unsupported."),
            // As CNCF distribution 2.8 does.
            Deletes::Manifests if !by_digest => {
                return Response::error(
                    400,
                    "DIGEST_INVALID",
                    "provided digest did not match uploaded content",
                );
            }
            _ => {}
        }
        let Some((bytes, _)) = self.manifests.get(&name).cloned() else {
            return Response::error(404, "MANIFEST_UNKNOWN", "manifest unknown");
        };
        if by_digest || self.deletes == Deletes::ImagesByTag {
            let prefix = format!("{repository}/");
            self.manifests.retain(|name, (other, _)| !name.starts_with(&prefix) || *other != bytes);
        } else {
            self.manifests.remove(&name);
        }
        Response::new(202, "")
    }

    /// What the fake docker asks for: `{name}` is `host/repository:tag`.
    fn control(&mut self, request: &Request) -> Response {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        if let Some(text) = self.refusals.get(&request.target) {
            return Response::new(500, text.as_str());
        }
        match request.target.as_str() {
            "/_publish" => {
                let name = local_name(body["name"].as_str().unwrap());
                let repository = name.rsplit_once('/').unwrap().0;
                if self.strict && self.gone.contains(repository) {
                    let text = format!(
                        "unexpected status from HEAD request: 404 Not Found: name unknown: The repository with name '{repository}' does not exist"
                    );
                    return Response::new(500, text);
                }
                let platform = body["platform"].as_str().unwrap_or_default();
                let labels = json!({"Labels": body["labels"]});
                Response::new(
                    200,
                    self.publish_config(&name, platform, &labels, &body["annotations"]).to_string(),
                )
            }
            "/_pull" => {
                let name = local_name(body["reference"].as_str().unwrap());
                let Some((bytes, _)) = self.manifests.get(&name) else {
                    return Response::new(404, "manifest unknown");
                };
                let mut manifest: Value = serde_json::from_slice(bytes).unwrap();
                // Of an index the engine takes one image.
                if let Some(child) = manifest["manifests"][0]["digest"].as_str() {
                    let (repository, _) = name.rsplit_once('/').unwrap();
                    manifest =
                        serde_json::from_slice(&self.manifests[&format!("{repository}/{child}")].0).unwrap();
                }
                let config = manifest["config"]["digest"].as_str().unwrap();
                let file: Value = serde_json::from_slice(&self.blobs[config]).unwrap();
                let answer = json!({"digest": Digest::of(bytes).as_str(), "config": config, "labels": file["config"]["Labels"]});
                Response::new(200, answer.to_string())
            }
            other => Response::new(404, other),
        }
    }

    fn publish(&mut self, name: &str, labels: &Value, annotations: &Value) -> Value {
        self.publish_config(name, "", &json!({"Labels": labels}), annotations)
    }

    /// For these platforms; without one for linux/amd64. Several make an index.
    fn publish_config(&mut self, name: &str, platforms: &str, config: &Value, annotations: &Value) -> Value {
        let platforms: Vec<&str> = platforms.split(',').collect();
        let own = |level: &str| -> serde_json::Map<String, Value> {
            let all = annotations.as_object().unwrap().iter();
            all.filter_map(|(name, value)| Some((name.strip_prefix(level)?.to_owned(), value.clone())))
                .collect()
        };
        if let [platform] = *platforms {
            let levels = own("");
            let plain = levels
                .iter()
                .map(|(name, value)| (name.trim_start_matches("manifest:").to_owned(), value.clone()));
            return self.publish_one(name, platform, config, &plain.collect());
        }
        let repository = name.rsplit_once('/').unwrap().0;
        let mut lines = Vec::new();
        for platform in platforms {
            let mut annotations = own("manifest:");
            annotations.extend(own(&format!("manifest[{platform}]:")));
            let made = self.publish_one(name, platform, config, &annotations);
            let size = self.manifests[name].0.len();
            let (os, architecture) = platform.split_once('/').unwrap();
            lines.push(json!({"mediaType": MEDIA_TYPES[2], "digest": made["digest"], "size": size, "platform": {"os": os, "architecture": architecture}}));
        }
        let index = json!({"schemaVersion": 2, "mediaType": MEDIA_TYPES[0], "manifests": lines, "annotations": own("index:")});
        let index = (index.to_string().into_bytes(), MEDIA_TYPES[0].to_owned());
        let digest = Digest::of(&index.0).to_string();
        self.manifests.insert(format!("{repository}/{digest}"), index.clone());
        self.manifests.insert(name.to_owned(), index);
        json!({"digest": digest, "config": digest})
    }

    fn publish_one(
        &mut self,
        name: &str,
        platform: &str,
        config: &Value,
        plain: &serde_json::Map<String, Value>,
    ) -> Value {
        let (os, architecture) = platform.split_once('/').unwrap_or(("linux", "amd64"));
        let config = json!({"architecture": architecture, "os": os, "config": config, "rootfs": {"type": "layers", "diff_ids": []}});
        let config = config.to_string().into_bytes();
        let config_digest = Digest::of(&config).to_string();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MEDIA_TYPES[2],
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": config.len(), "digest": config_digest},
            "layers": [],
            "annotations": plain,
        });
        let manifest = manifest.to_string().into_bytes();
        let digest = Digest::of(&manifest).to_string();
        self.blobs.insert(config_digest.clone(), config);
        let repository = name.rsplit_once('/').unwrap().0;
        self.held.insert(format!("{repository}/{config_digest}"));
        // It comes with its first push.
        self.gone.remove(repository);
        self.manifests
            .insert(format!("{repository}/{digest}"), (manifest.clone(), MEDIA_TYPES[2].to_owned()));
        self.manifests.insert(name.to_owned(), (manifest, MEDIA_TYPES[2].to_owned()));
        json!({"digest": digest, "config": config_digest})
    }
}

/// `host/ci:tag` or `host/ci@digest` as `ci/tag` or `ci/digest`.
fn local_name(reference: &str) -> String {
    let path = reference.split_once('/').unwrap().1;
    let (repository, last) = path.split_once('@').or_else(|| path.rsplit_once(':')).unwrap();
    format!("{repository}/{last}")
}
