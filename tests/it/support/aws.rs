//! AWS: ECR's tokens, one SSM parameter, instance metadata version 2.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::http::{Request, Response, Server};
use super::run::{BuildOnce, CANARY};

/// What each service answers.
#[derive(Clone)]
struct Answers {
    token: Response,
    parameter: Response,
    instance: Response,
    session: Response,
    region: Response,
    /// These come first.
    before: Vec<Response>,
}

pub(crate) struct Aws {
    server: Server,
    answers: Arc<Mutex<Answers>>,
}

pub(crate) fn refusal(code: &str) -> Response {
    Response::new(400, json!({"__type": code, "message": "said by the stub"}).to_string())
        .header("content-type", "application/x-amz-json-1.1")
}

impl Aws {
    /// An instance whose parameter names this repository.
    pub(crate) fn start(repository: &str) -> Self {
        let password = STANDARD.encode(format!("AWS:{CANARY}-ecr"));
        let json = |body: serde_json::Value| {
            Response::new(200, body.to_string()).header("content-type", "application/x-amz-json-1.1")
        };
        let answers = Arc::new(Mutex::new(Answers {
            token: json(json!({"authorizationData": [{"authorizationToken": password}]})),
            parameter: json(json!({"Parameter": {"Name": "p", "Value": repository}})),
            instance: Response::new(200, "i-0123456789abcdef0"),
            session: Response::new(200, "session").header("x-aws-ec2-metadata-token-ttl-seconds", "21600"),
            region: Response::new(200, "eu-central-1"),
            before: Vec::new(),
        }));
        let shared = Arc::clone(&answers);
        let server = Server::start(move |request| answer(&mut shared.lock().unwrap(), request));
        Self { server, answers }
    }

    pub(crate) fn deny_token(&self) {
        self.refuse_token("AccessDeniedException");
    }

    pub(crate) fn refuse_token(&self, code: &str) {
        self.answers.lock().unwrap().token = refusal(code);
    }

    /// Answers of the services before they do as ever.
    pub(crate) fn first(&self, answers: Vec<Response>) {
        self.answers.lock().unwrap().before = answers;
    }

    /// What instance metadata says of the session and of the region.
    pub(crate) fn metadata(&self, session: Response, region: Response) {
        let mut answers = self.answers.lock().unwrap();
        (answers.session, answers.region) = (session, region);
    }

    pub(crate) fn parameter(&self, answer: Response) {
        self.answers.lock().unwrap().parameter = answer;
    }

    pub(crate) fn deny_parameter(&self, code: &str) {
        self.parameter(refusal(code));
    }

    /// Instance metadata is there and refuses.
    pub(crate) fn metadata_off(&self) {
        self.answers.lock().unwrap().session = Response::new(403, "");
    }

    /// Points the program's AWS clients here.
    pub(crate) fn serves<'a>(&self, program: BuildOnce<'a>) -> BuildOnce<'a> {
        let url = format!("http://{}", self.server.address);
        program
            .env("AWS_ENDPOINT_URL_ECR", &url)
            .env("AWS_ENDPOINT_URL_SSM", &url)
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)
            .env("AWS_ACCESS_KEY_ID", "AKIASTUB")
            .env("AWS_SECRET_ACCESS_KEY", &format!("{CANARY}-aws"))
    }

    /// Calls of the services, `GetParameter {body}`.
    pub(crate) fn asked(&self) -> Vec<String> {
        let name = |request: &Request| {
            let action = request.header("x-amz-target").rsplit('.').next().unwrap_or_default().to_owned();
            if action.is_empty() {
                request.target.clone()
            } else {
                format!("{action} {}", String::from_utf8_lossy(&request.body))
            }
        };
        self.server.requests().iter().map(name).collect()
    }
}

fn answer(answers: &mut Answers, request: &Request) -> Response {
    let target = request.header("x-amz-target");
    if !target.is_empty() && !answers.before.is_empty() {
        return answers.before.remove(0);
    }
    if target.ends_with("GetAuthorizationToken") {
        answers.token.clone()
    } else if target.ends_with("GetParameter") {
        answers.parameter.clone()
    } else {
        match request.target.as_str() {
            "/latest/api/token" => answers.session.clone(),
            "/latest/meta-data/instance-id" => answers.instance.clone(),
            "/latest/meta-data/placement/region" => answers.region.clone(),
            _ => Response::new(404, ""),
        }
    }
}
