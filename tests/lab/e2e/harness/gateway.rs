//! The gateway before ECR: what it saw, and what it is told to do.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::http::request;
use super::lab::lab;

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

/// Rules in force until this is dropped. Setting rules puts them in place of all others, so
/// one test has them at a time; each is to name its own repository's path.
pub struct Rules {
    count: std::cell::Cell<usize>,
    _alone: MutexGuard<'static, ()>,
}

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn url() -> String {
    format!("{}/rules", lab().get("BUILD_ONCE_LAB_GATEWAY"))
}

impl Rules {
    /// Puts these rules in force.
    pub fn set(rules: &[Value]) -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let this = Self { count: rules.len().into(), _alone: alone };
        this.replace(rules);
        this
    }

    /// Puts others in their place; counts begin anew.
    pub fn replace(&self, rules: &[Value]) {
        let answer = request("PUT", &url(), &[], Some(json!(rules).to_string().into_bytes()));
        assert_eq!(answer.status, 204, "{}", String::from_utf8_lossy(&answer.body));
        self.count.set(rules.len());
    }

    /// How many requests each rule was applied to.
    pub fn applied(&self) -> Vec<u64> {
        let rules = request("GET", &url(), &[], None).json();
        let all = rules.as_array().unwrap().len();
        assert_eq!(all, self.count.get(), "someone else changed the gateway's rules: does a demo run?");
        rules.as_array().unwrap().iter().map(|rule| rule["applied"].as_u64().unwrap()).collect()
    }
}

impl Drop for Rules {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.applied();
        }
        request("DELETE", &url(), &[], None);
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
