//! Everything that doctor asks over the network, on one stub: AWS, GitHub, the OIDC service, a release.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::{BuildOnce, CANARY, Request, Response, Run, Server, refusal};

pub(super) const ECR: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com/ci";
pub(super) const ROLE: &str = "arn:aws:iam::123456789012:role/ci";

/// What the stub answers by the name of the question: `DescribeRepositories`, `GET /repos/o/r`, `HEAD /release`.
type Answers = BTreeMap<String, Response>;

pub(super) struct World {
    server: Server,
    answers: Arc<Mutex<Answers>>,
}

fn body(value: Value) -> Response {
    Response::new(200, value.to_string()).header("content-type", "application/x-amz-json-1.1")
}

fn json_of(value: Value) -> Response {
    Response::new(200, value.to_string()).header("content-type", "application/json")
}

fn xml(status: u16, text: &str) -> Response {
    Response::new(status, text.to_owned()).header("content-type", "text/xml")
}

/// A refusal of AWS's query protocol.
pub(super) fn refused(code: &str) -> Response {
    let error =
        format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>said by the stub</Message></Error>");
    xml(403, &format!("<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"))
}

/// ECR's description of the repository, changed.
pub(super) fn repository(change: impl FnOnce(&mut Value)) -> Response {
    let mut found = json!({
        "repositoryName": "ci", "registryId": "123456789012",
        "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [
            {"filterType": "WILDCARD", "filter": "cache-*"}, {"filterType": "WILDCARD", "filter": "*-cache-*"},
        ],
        "imageScanningConfiguration": {"scanOnPush": true},
        "encryptionConfiguration": {"encryptionType": "AES256"},
    });
    change(&mut found);
    body(json!({"repositories": [found]}))
}

pub(super) fn lifecycle(rules: Value) -> Response {
    body(json!({"lifecyclePolicyText": json!({"rules": rules}).to_string()}))
}

/// IAM's answer about a role that takes these subjects; any without one.
pub(super) fn role_taken_by(subjects: &[&str]) -> Response {
    let host = "token.actions.githubusercontent.com";
    let mut condition = json!({"StringEquals": {format!("{host}:aud"): "sts.amazonaws.com"}});
    if !subjects.is_empty() {
        condition["StringLike"] = json!({format!("{host}:sub"): subjects});
    }
    let principal = json!({"Federated": format!("arn:aws:iam::123456789012:oidc-provider/{host}")});
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRoleWithWebIdentity", "Condition": condition,
    }]});
    let encoded: Vec<String> = policy.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
    let encoded = encoded.concat();
    let role = format!(
        "<Role><Arn>{ROLE}</Arn><AssumeRolePolicyDocument>{encoded}</AssumeRolePolicyDocument></Role>"
    );
    xml(200, &format!("<GetRoleResponse><GetRoleResult>{role}</GetRoleResult></GetRoleResponse>"))
}

fn token(subject: &str) -> String {
    let claims = json!({"iss": "https://token.actions.githubusercontent.com", "sub": subject, "aud": "sts.amazonaws.com"});
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part("{}"), part(&claims.to_string()), part(&format!("{CANARY}-signature")))
}

impl World {
    /// Everything is as it should be for a trusted run with ECR.
    pub(super) fn start() -> Self {
        let caller = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Arn>arn:aws:sts::123456789012:assumed-role/ci/run</Arn><UserId>A:run</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";
        let taken = "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult/></AssumeRoleWithWebIdentityResponse>";
        let password = STANDARD.encode(format!("AWS:{CANARY}-ecr"));
        let keep = json!([{"rulePriority": 1, "selection": {"tagStatus": "tagged", "tagPatternList": ["key-*"], "countType": "imageCountMoreThan", "countNumber": 1000}, "action": {"type": "expire"}}]);
        let answers: Answers = [
            ("GetAuthorizationToken", body(json!({"authorizationData": [{"authorizationToken": password}]}))),
            ("DescribeRepositories", repository(|_| {})),
            ("GetLifecyclePolicy", lifecycle(keep)),
            (
                "GetRegistryScanningConfiguration",
                body(json!({"registryId": "123456789012", "scanningConfiguration": {"scanType": "BASIC", "rules": []}})),
            ),
            ("GetAccountSetting", body(json!({"name": "BLOB_MOUNTING", "value": "ENABLED"}))),
            ("GetCallerIdentity", xml(200, caller)),
            ("AssumeRoleWithWebIdentity", xml(200, taken)),
            ("GetRole", role_taken_by(&["repo:o/r:ref:refs/heads/main"])),
            (
                "GET /oidc",
                Response::new(200, json!({"value": token("repo:o/r:ref:refs/heads/main")}).to_string()),
            ),
            ("HEAD /release", Response::new(200, "")),
            ("HEAD /cache", Response::new(200, "")),
            ("GET /repos/o/r", json_of(json!({"default_branch": "main", "private": false}))),
            ("GET /repos/o/r/branches/main", json_of(json!({"name": "main", "protected": true}))),
            ("GET /repos/o/r/rulesets", json_of(json!([
                {"id": 7, "name": "main", "target": "branch", "enforcement": "active"},
                {"id": 8, "name": "tags", "target": "tag", "enforcement": "active"},
                {"id": 9, "name": "off", "target": "branch", "enforcement": "disabled"},
            ]))),
            ("GET /repos/o/r/rulesets/7", json_of(json!({"id": 7, "name": "main", "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}}}))),
            ("GET /repos/o/r/actions/permissions/fork-pr-contributor-approval", json_of(json!({"approval_policy": "all_external_contributors"}))),
            ("GET /repos/o/r/actions/cache/usage", json_of(json!({"full_name": "o/r", "active_caches_size_in_bytes": 7, "active_caches_count": 1}))),
        ]
        .into_iter()
        .map(|(name, answer)| (name.to_owned(), answer))
        .collect();
        let answers = Arc::new(Mutex::new(answers));
        let shared = Arc::clone(&answers);
        let server = Server::start(move |request| answer(&shared.lock().unwrap(), request));
        let world = Self { server, answers };
        world.allow(&[]);
        world
    }

    pub(super) fn set(&self, question: &str, answer: Response) {
        self.answers.lock().unwrap().insert(question.to_owned(), answer);
    }

    /// AWS refuses this call.
    pub(super) fn deny(&self, call: &str) {
        let answer = match call {
            "GetCallerIdentity" | "SimulatePrincipalPolicy" | "AssumeRoleWithWebIdentity" | "GetRole" => {
                refused("AccessDenied")
            }
            _ => refusal("AccessDeniedException"),
        };
        self.set(call, answer);
    }

    /// IAM's simulation allows what a build needs but for `denied`, and what else stands there with a plus before it.
    pub(super) fn allow(&self, changes: &[&str]) {
        self.set("changes", Response::new(0, changes.join(" ")));
        self.answers.lock().unwrap().remove("SimulatePrincipalPolicy");
    }

    /// Points everything that the program asks here.
    pub(super) fn serves<'a>(&self, program: BuildOnce<'a>) -> BuildOnce<'a> {
        let url = format!("http://{}", self.server.address);
        program
            .env("AWS_ENDPOINT_URL", &url)
            .env("AWS_ACCESS_KEY_ID", "AKIASTUB")
            .env("AWS_SECRET_ACCESS_KEY", &format!("{CANARY}-aws"))
            .env("ACTIONS_ID_TOKEN_REQUEST_URL", &format!("{url}/oidc?version=1"))
            .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", &format!("{CANARY}-oidc"))
            .env("GITHUB_API_URL", &url)
            .env("BUILD_ONCE_DOWNLOAD_URL", &format!("{url}/release"))
            .args(&["doctor"])
    }

    pub(super) fn address(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// What was asked, by name.
    pub(super) fn asked(&self) -> Vec<String> {
        self.server.requests().iter().map(question).collect()
    }
}

/// The name of a question.
fn question(request: &Request) -> String {
    if let Some((_, action)) = request.header("x-amz-target").rsplit_once('.') {
        return action.to_owned();
    }
    let body = String::from_utf8_lossy(&request.body);
    if let Some(action) = body.strip_prefix("Action=") {
        return action.split('&').next().unwrap().to_owned();
    }
    let path = request.target.split('?').next().unwrap();
    let path = if path.starts_with("/release/") { "/release" } else { path };
    format!("{} {path}", request.method)
}

fn answer(answers: &Answers, request: &Request) -> Response {
    let name = question(request);
    match answers.get(&name) {
        Some(answer) => answer.clone(),
        None if name == "SimulatePrincipalPolicy" => {
            let changes = String::from_utf8(answers["changes"].body.clone()).unwrap();
            simulate(&String::from_utf8_lossy(&request.body), &changes)
        }
        None => Response::new(404, "{}"),
    }
}

fn simulate(form: &str, changes: &str) -> Response {
    const NEEDED: [&str; 9] = [
        "GetAuthorizationToken",
        "BatchGetImage",
        "GetDownloadUrlForLayer",
        "BatchCheckLayerAvailability",
        "InitiateLayerUpload",
        "UploadLayerPart",
        "CompleteLayerUpload",
        "PutImage",
        "ListImages",
    ];
    let asked = form.split('&').filter_map(|pair| pair.strip_prefix("ActionNames.member."));
    let result = |pair: &str| {
        let action = pair.split_once('=').unwrap().1.replace("%3A", ":");
        let name = action.split(':').nth(1).unwrap();
        let has = |word: &str| changes.split(' ').any(|change| change == word);
        let allowed = (NEEDED.contains(&name) && !has(name)) || has(&format!("+{name}"));
        let decision = if allowed { "allowed" } else { "implicitDeny" };
        format!(
            "<member><EvalActionName>{action}</EvalActionName><EvalDecision>{decision}</EvalDecision></member>"
        )
    };
    let results: String = asked.map(result).collect();
    xml(
        200,
        &format!(
            "<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><EvaluationResults>{results}</EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"
        ),
    )
}

/// A check of the output `checks`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) verdict: String,
    pub(super) why: String,
    pub(super) fix: String,
}

/// All checks of a run, by name.
pub(super) fn checks(run: &Run) -> BTreeMap<String, Found> {
    let list: Vec<Value> = serde_json::from_str(run.output("checks")).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list.iter()
        .map(|check| {
            let found = Found {
                verdict: text(&check["verdict"]),
                why: text(&check["why"]),
                fix: text(&check["fix"]),
            };
            assert_eq!(found.verdict != "ok", !found.fix.is_empty(), "{check}");
            (text(&check["name"]), found)
        })
        .collect()
}
