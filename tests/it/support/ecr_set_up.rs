//! ECR's own API beside a registry that has its host name. Every request and every answer is checked against AWS's service
//! model; a role may lack rights.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::ecr_model::Model;
use super::http::{Request, Response, Server};
use super::lab::Lab;
use super::registry::Repositories;
use super::run::{BuildOnce, CANARY};
use super::tls_front;

/// The repository of most tests, and the one for pull requests.
pub(crate) const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ci";
const ACCOUNT: &str = "123456789012";
const HOSTS: [&str; 2] =
    ["123456789012.dkr.ecr.eu-west-1.amazonaws.com", "123456789012.dkr.ecr.us-east-2.amazonaws.com"];

/// A machine with a repository in ECR.
pub(crate) struct Ecr {
    pub lab: Lab,
    state: Arc<Mutex<State>>,
    api: Server,
    front: String,
}

struct State {
    model: Model,
    registry: Repositories,
    repositories: BTreeMap<String, Value>,
    policies: BTreeMap<String, String>,
    scanning: Value,
    denied: BTreeSet<String>,
    /// The rights that requests needed.
    used: BTreeSet<String>,
    /// How often an operation is throttled.
    throttled: BTreeMap<String, usize>,
    /// What the preview finds, and how often it is not ready.
    preview: (Vec<Value>, usize),
    previewed: Option<String>,
    /// Another run makes the repository just before this one does.
    race: Option<Value>,
    broken: Vec<String>,
}

impl Ecr {
    /// Without any repository.
    pub(crate) fn new() -> Self {
        let lab = Lab::new();
        let registry = lab.registry.made_by_hand(&["ci", "pr"]);
        let front = tls_front::start(lab.registry.address(), "ecr.crt", "ecr.key");
        lab.set("hosts", json!({HOSTS[0]: lab.registry.address(), HOSTS[1]: lab.registry.address()}));
        let certificate = std::fs::read(tls_front::fixture("ecr.crt")).unwrap();
        for host in HOSTS {
            lab.write(&format!("certs.d/{host}/ca.crt"), &certificate);
        }
        let state = Arc::new(Mutex::new(State {
            model: Model::default(),
            registry,
            repositories: BTreeMap::new(),
            policies: BTreeMap::new(),
            scanning: json!({"scanType": "BASIC", "rules": []}),
            denied: BTreeSet::new(),
            used: BTreeSet::new(),
            throttled: BTreeMap::new(),
            preview: (Vec::new(), 0),
            previewed: None,
            race: None,
            broken: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        let api = Server::start(move |request| shared.lock().unwrap().answer(request));
        Self { lab, state, api, front }
    }

    /// With this repository, as `DescribeRepositories` describes it.
    pub(crate) fn with(self, name: &str, fields: Value) -> Self {
        self.change(|state| state.make(name, fields));
        self
    }

    fn change<T>(&self, edit: impl FnOnce(&mut State) -> T) -> T {
        edit(&mut self.state.lock().unwrap())
    }

    pub(crate) fn policy(&self, name: &str, text: &str) {
        self.change(|state| state.policies.insert(name.to_owned(), text.to_owned()));
    }

    pub(crate) fn scanning(&self, configuration: Value) {
        self.change(|state| state.scanning = configuration);
    }

    /// The role lacks this right.
    pub(crate) fn deny(&self, action: &str) {
        self.change(|state| state.denied.insert(action.to_owned()));
    }

    pub(crate) fn throttle(&self, operation: &str, times: usize) {
        self.change(|state| state.throttled.insert(operation.to_owned(), times));
    }

    /// What a preview finds, after it was not ready so often.
    pub(crate) fn previews(&self, results: Vec<Value>, not_ready: usize) {
        self.change(|state| state.preview = (results, not_ready));
    }

    pub(crate) fn race(&self, fields: Value) {
        self.change(|state| state.race = Some(fields));
    }

    /// The program, with the repository and AWS credentials.
    pub(crate) fn program(&self) -> BuildOnce<'_> {
        self.program_for(ECR)
    }

    pub(crate) fn program_for(&self, repository: &str) -> BuildOnce<'_> {
        let url = format!("http://{}", self.api.address);
        let certificates = self.lab.path("certs.d").display().to_string();
        let program = self.lab.build_once().input("repository", repository);
        program
            .env("HTTPS_PROXY", &format!("http://{}", self.front))
            .env("BUILD_ONCE_TEST_CERTIFICATES", &certificates)
            .env("AWS_ENDPOINT_URL_ECR", &url)
            .env("AWS_ACCESS_KEY_ID", "AKIASTUB")
            .env("AWS_SECRET_ACCESS_KEY", &format!("{CANARY}-aws"))
    }

    /// The repository as it is described.
    pub(crate) fn repository(&self, name: &str) -> Option<Value> {
        self.change(|state| state.repositories.get(name).cloned())
    }

    /// The text of its lifecycle policy.
    pub(crate) fn policy_of(&self, name: &str) -> Option<String> {
        self.change(|state| state.policies.get(name).cloned())
    }

    /// The operations that were asked for, but that for the token, in order. Panics if one was none that AWS takes.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.change(|state| assert!(state.broken.is_empty(), "{:?}", state.broken));
        let operation = |request: &Request| {
            request.header("x-amz-target").rsplit('.').next().unwrap_or_default().to_owned()
        };
        let asked = self.api.requests().iter().map(operation).collect::<Vec<_>>();
        asked.into_iter().filter(|operation| operation != "GetAuthorizationToken").collect()
    }

    /// The regions that requests were signed for.
    pub(crate) fn regions(&self) -> BTreeSet<String> {
        let region =
            |request: &Request| request.header("authorization").split('/').nth(2).unwrap().to_owned();
        self.api.requests().iter().map(region).collect()
    }

    pub(crate) fn forget(&self) {
        self.api.forget();
    }

    /// The rights that the requests needed.
    pub(crate) fn used(&self) -> BTreeSet<String> {
        self.change(|state| state.used.clone())
    }
}

type Answer = Result<Value, (&'static str, String)>;

impl State {
    fn make(&mut self, name: &str, fields: Value) {
        let mut repository = json!({
            "repositoryArn": format!("arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/{name}"),
            "registryId": ACCOUNT,
            "repositoryName": name,
            "repositoryUri": format!("{}/{name}", HOSTS[0]),
            "createdAt": 1.7e9,
            "imageTagMutability": "MUTABLE",
            "imageScanningConfiguration": {"scanOnPush": false},
            "encryptionConfiguration": {"encryptionType": "AES256"},
        });
        let (own, more) = (repository.as_object_mut().unwrap(), fields.as_object().unwrap().clone());
        own.extend(more);
        self.repositories.insert(name.to_owned(), repository);
        self.registry.make(name);
    }

    fn answer(&mut self, request: &Request) -> Response {
        let Some(operation) = self.model.operation(request.header("x-amz-target")).map(str::to_owned) else {
            return Response::new(404, "");
        };
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if let Err(why) = self.model.check_input(&operation, &body) {
            self.broken.push(why.clone());
            return failure("ValidationException", &why);
        }
        if let Some(left) = self.throttled.get_mut(&operation).filter(|left| **left > 0) {
            *left -= 1;
            return failure("ThrottlingException", "Rate exceeded");
        }
        match self.done(&operation, &body) {
            Ok(answer) => {
                if let Err(why) = self.model.check_output(&operation, &answer) {
                    self.broken.push(format!("answer: {why}"));
                }
                Response::new(200, answer.to_string()).header("content-type", "application/x-amz-json-1.1")
            }
            Err((code, message)) => {
                if !self.model.may_fail(&operation, code) {
                    self.broken.push(format!("{operation} does not fail with {code}"));
                }
                failure(code, &message)
            }
        }
    }

    /// Notes that a right is needed, and refuses where the role lacks it.
    fn right(&mut self, action: &str, resource: &str) -> Result<(), (&'static str, String)> {
        self.used.insert(action.to_owned());
        if !self.denied.contains(action) {
            return Ok(());
        }
        let role = format!("arn:aws:sts::{ACCOUNT}:assumed-role/ci/session");
        let text = format!("User: {role} is not authorized to perform: {action} on resource: {resource}");
        Err(("AccessDeniedException", text))
    }

    fn done(&mut self, operation: &str, body: &Value) -> Answer {
        let name =
            body["repositoryName"].as_str().or(body["repositoryNames"][0].as_str()).unwrap_or_default();
        let arn = format!("arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/{name}");
        self.right(&format!("ecr:{operation}"), &arn)?;
        let there = self.repositories.contains_key(name);
        let known = if there {
            Ok(())
        } else {
            let text = format!(
                "The repository with name '{name}' does not exist in the registry with id '{ACCOUNT}'"
            );
            Err(("RepositoryNotFoundException", text))
        };
        let mut answer = json!({"registryId": ACCOUNT, "repositoryName": name});
        match operation {
            "GetAuthorizationToken" => {
                let token = STANDARD.encode(format!("AWS:{CANARY}-ecr"));
                return Ok(json!({"authorizationData": [{"authorizationToken": token}]}));
            }
            "CreateRepository" => return self.create(name, &arn, body),
            "DescribeRepositories" => {
                known?;
                return Ok(json!({"repositories": [self.repositories[name]]}));
            }
            "GetRegistryScanningConfiguration" => {
                return Ok(json!({"registryId": ACCOUNT, "scanningConfiguration": self.scanning}));
            }
            "PutImageScanningConfiguration" | "PutImageTagMutability" => {
                known?;
                let repository = self.repositories.get_mut(name).unwrap();
                for (field, value) in body.as_object().unwrap() {
                    repository[field] = value.clone();
                    answer[field] = value.clone();
                }
            }
            "GetLifecyclePolicy" => {
                known?;
                let Some(text) = self.policies.get(name) else {
                    return Err((
                        "LifecyclePolicyNotFoundException",
                        "Lifecycle policy does not exist".to_owned(),
                    ));
                };
                answer["lifecyclePolicyText"] = text.as_str().into();
            }
            "PutLifecyclePolicy" => {
                known?;
                let text = body["lifecyclePolicyText"].as_str().unwrap();
                self.policies.insert(name.to_owned(), text.to_owned());
                answer["lifecyclePolicyText"] = text.into();
            }
            "StartLifecyclePolicyPreview" => {
                known?;
                self.previewed = body["lifecyclePolicyText"].as_str().map(str::to_owned);
                answer["status"] = "IN_PROGRESS".into();
            }
            "GetLifecyclePolicyPreview" => {
                known?;
                let (results, not_ready) = &mut self.preview;
                answer["lifecyclePolicyText"] = self.previewed.as_deref().unwrap().into();
                if *not_ready > 0 {
                    *not_ready -= 1;
                    answer["status"] = "IN_PROGRESS".into();
                    return Ok(answer);
                }
                let from: usize = body["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
                let most: usize = body["maxResults"].as_u64().unwrap_or(100).try_into().unwrap();
                let page: Vec<Value> = results.iter().skip(from).take(most).cloned().collect();
                if from + page.len() < results.len() {
                    answer["nextToken"] = (from + page.len()).to_string().into();
                }
                answer["status"] = "COMPLETE".into();
                answer["previewResults"] = page.into();
                answer["summary"] = json!({"expiringImageTotalCount": results.len()});
            }
            other => return Err(("ValidationException", format!("{other} is not emulated"))),
        }
        Ok(answer)
    }

    fn create(&mut self, name: &str, arn: &str, body: &Value) -> Answer {
        if body["tags"].as_array().is_some_and(|tags| !tags.is_empty()) {
            self.right("ecr:TagResource", arn)?;
        }
        if body["encryptionConfiguration"]["encryptionType"] == "KMS" {
            for action in ["kms:DescribeKey", "kms:CreateGrant"] {
                let key = body["encryptionConfiguration"]["kmsKey"].as_str().unwrap_or_default();
                if let Err((_, text)) = self.right(action, key) {
                    return Err(("KmsException", text));
                }
            }
        }
        if let Some(fields) = self.race.take() {
            self.make(name, fields);
        }
        if self.repositories.contains_key(name) {
            let text = format!(
                "The repository with name '{name}' already exists in the registry with id '{ACCOUNT}'"
            );
            return Err(("RepositoryAlreadyExistsException", text));
        }
        let mut fields = body.clone();
        fields.as_object_mut().unwrap().retain(|field, _| field != "tags");
        self.make(name, fields);
        Ok(json!({"repository": self.repositories[name]}))
    }
}

fn failure(code: &str, message: &str) -> Response {
    let body = json!({"__type": code, "message": message}).to_string();
    Response::new(400, body).header("content-type", "application/x-amz-json-1.1")
}
