//! A registry with faults: manifests, configurations, three kinds of login.

mod answers;
mod meeting;
mod publish;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use build_once::testing::{ANNOTATION_KEY, Digest, MEDIA_TYPES};
use serde_json::{Value, json};

use self::meeting::Meeting;
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
    meeting: Arc<Meeting>,
}

impl Registry {
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let meeting = Arc::new(Meeting::default());
        let (shared, order) = (Arc::clone(&state), Arc::clone(&meeting));
        let server = Server::start(move |request| {
            // Not while others wait for the lock: answers are as slow as they are, side by side.
            let pace =
                if request.target.starts_with("/_") { Duration::ZERO } else { shared.lock().unwrap().pace };
            std::thread::sleep(pace);
            order.answer(request, || shared.lock().unwrap().answer(request))
        });
        state.lock().unwrap().address.clone_from(&server.address);
        Self { server, state, meeting }
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

    /// The next two requests that set this tag (part of the target) are answered when both have come, and the one with
    /// this image first.
    pub(crate) fn set_together(&self, target: &str, first: &str) {
        self.meeting.expect(target, 2, Some(first));
    }

    /// The next requests that set such tags (part of the target) are answered when so many have come.
    pub(crate) fn expect_together(&self, target: &str, wanted: usize) {
        self.meeting.expect(target, wanted, None);
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
