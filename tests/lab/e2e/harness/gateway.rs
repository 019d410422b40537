//! The gateway before ECR: what it saw, and what it is told to do.

use std::cell::Cell;

use serde_json::{Value, json};

use super::http::request;
use super::lab::{lab, unique};

/// One request that the gateway saw.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Entry {
    pub seq: u64,
    pub at_ms: u64,
    pub connection: u64,
    pub method: String,
    pub path: String,
    pub user_agent: Option<String>,
    pub had_auth: bool,
    pub status: Option<u16>,
}

impl Entry {
    /// Whether it could have changed anything.
    pub fn is_write(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD")
    }

    /// Whether build-once itself sent it, as against docker or buildx.
    pub fn is_own(&self) -> bool {
        self.user_agent.as_deref().is_some_and(|agent| agent.starts_with("build-once/"))
    }
}

/// Every request on this repository path since the gateway began, oldest first.
pub fn journal(path: &str) -> Vec<Entry> {
    let url = format!("{}/journal", lab().get("BUILD_ONCE_LAB_GATEWAY"));
    let all: Vec<Entry> = serde_json::from_value(request("GET", &url, &[], None).json()).unwrap();
    let prefix = format!("/v2/{path}/");
    all.into_iter().filter(|entry| entry.path.starts_with(&prefix)).collect()
}

/// Rules in force until this is dropped: a set of the test's own, beside those of tests that
/// run at the same time. So each is to fit requests of this test alone.
pub struct Rules {
    url: String,
    count: Cell<usize>,
}

impl Rules {
    /// Puts these rules in force.
    pub fn set(rules: &[Value]) -> Self {
        let url = format!("{}/rules/{}", lab().get("BUILD_ONCE_LAB_GATEWAY"), unique("set"));
        let this = Self { url, count: Cell::new(0) };
        this.replace(rules);
        this
    }

    /// Puts others in their place; counts begin anew.
    #[track_caller]
    pub fn replace(&self, rules: &[Value]) {
        let own = |rule: &Value| {
            rule["path"].as_str().is_some_and(|path| path.starts_with("^/v2/e2e/"))
                || rule["header"]["authorization"].is_string()
        };
        assert!(rules.iter().all(own), "a rule that fits other tests' requests: {rules:?}");
        let answer = request("PUT", &self.url, &[], Some(json!(rules).to_string().into_bytes()));
        assert_eq!(answer.status, 204, "{}", String::from_utf8_lossy(&answer.body));
        self.count.set(rules.len());
    }

    /// How many requests each rule was applied to.
    pub fn applied(&self) -> Vec<u64> {
        let rules = request("GET", &self.url, &[], None).json();
        let rules = rules.as_array().unwrap();
        assert_eq!(rules.len(), self.count.get(), "the gateway lost rules: was it restarted?");
        rules.iter().map(|rule| rule["applied"].as_u64().unwrap()).collect()
    }
}

impl Drop for Rules {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.applied();
        }
        request("DELETE", &self.url, &[], None);
    }
}

/// A rule for requests on this path of a repository, for as many of them as `times` says.
pub fn rule(methods: &str, repository: &str, path: &str, times: Option<u64>, fault: &Value) -> Value {
    json!({"method": methods, "path": format!("^/v2/{repository}/{path}"), "times": times, "fault": fault})
}

/// An answer with this status, in the registry's own form.
pub fn status(code: u16, error: &str) -> Value {
    json!({"kind": "status", "code": code, "headers": {}, "body": {"errors": [{"code": error, "message": error.to_lowercase()}]}})
}
