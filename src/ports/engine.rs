//! Reads from the docker engine by its unix socket, which takes a tenth of the time that a process of the docker CLI takes.
//! Only GET requests are sent, without credentials. The CLI stays the judge of every answer that this module does not know:
//! after the first one it is asked for everything.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{Client, StatusCode, Url, header};
use serde_json::{Value, json};

use super::docker_config::{ENGINE, UserDockerConfig};
use super::exec::{Exec, from_exec};
use super::{http, tls};
use crate::budget::ENGINE_ANSWER;
use crate::env::{self, Env};
use crate::error::Result;

/// The version of the engine's API, which all engines since Docker 25 have. An engine that has it no more, or not yet,
/// refuses every request, and the CLI is asked.
const VERSION: &str = "v1.44";

/// An answer of the engine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer<T> {
    Found(T),
    /// The engine has no such image.
    Missing,
    /// The docker CLI must be asked.
    Unknown,
}

/// The engine's API at a unix socket.
#[derive(Clone, Debug)]
pub(crate) struct EngineSocket(Arc<Socket>);

#[derive(Debug)]
struct Socket {
    path: PathBuf,
    /// Made for the first question; `None` if it cannot be made.
    client: OnceLock<Option<Client>>,
    /// True once an answer was unknown.
    given_up: AtomicBool,
}

impl EngineSocket {
    /// The socket at which the docker CLI finds the engine; it is not opened yet. `None` if the CLI uses TCP, ssh, TLS or a
    /// context, or sends what this program does not: headers, or another version of the API. This is the one judge of that.
    #[must_use]
    pub(crate) fn find(env: &Env, config: &UserDockerConfig) -> Option<Self> {
        const OF_THE_CLI: [&str; 3] =
            [env::DOCKER_TLS_VERIFY, env::DOCKER_API_VERSION, env::DOCKER_CUSTOM_HEADERS];
        // Without these the CLI finds its configuration by the system's list of users.
        env.get(env::DOCKER_CONFIG).or_else(|| env.get(env::HOME))?;
        if OF_THE_CLI.iter().any(|name| env.value(name).is_some()) || config.setting("HttpHeaders").is_some()
        {
            return None;
        }
        // The order of docker/cli, `resolveContextName`.
        let context = || {
            let current = config.setting("currentContext").map(|name| name.as_str().unwrap_or("unknown"));
            env.get(env::DOCKER_CONTEXT).or(current).unwrap_or_default()
        };
        let host = match env.get(env::DOCKER_HOST) {
            Some(host) => host,
            None if ["", "default"].contains(&context()) => ENGINE,
            None => return None,
        };
        host.strip_prefix("unix://").filter(|path| path.starts_with('/')).map(|path| Self::at(path.into()))
    }

    fn at(path: PathBuf) -> Self {
        Self(Arc::new(Socket { path, client: OnceLock::new(), given_up: AtomicBool::new(false) }))
    }

    /// Asks a question: `path` is that of the API without the version, with its query. `read` makes the fact of the JSON, and
    /// `None` of any other than the expected one.
    ///
    /// # Errors
    /// If the run is cancelled meanwhile.
    pub(crate) async fn get<T>(
        &self,
        exec: &Exec,
        path: &str,
        limit: Duration,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Answer<T>> {
        if self.0.given_up.load(Ordering::Relaxed) {
            return Ok(Answer::Unknown);
        }
        let what = || format!("GET unix:{path}");
        let _traced = exec.trace(what);
        let asked = tokio::time::timeout(limit, self.ask(path));
        let asked = exec.unless_cancelled(&what(), asked).await.map_err(from_exec)?;
        let answer = match asked.ok().flatten() {
            Some((StatusCode::OK, json)) => read(&json).map_or(Answer::Unknown, Answer::Found),
            Some((StatusCode::NOT_FOUND, json)) if says_no_image(&json) => Answer::Missing,
            _ => Answer::Unknown,
        };
        if matches!(answer, Answer::Unknown) {
            self.0.given_up.store(true, Ordering::Relaxed);
        }
        Ok(answer)
    }

    /// The status and the JSON of an answer; `None` if the socket does not answer, or something other than docker does:
    /// podman's socket may stand at the same place.
    async fn ask(&self, path: &str) -> Option<(StatusCode, Value)> {
        let client = self.0.client.get_or_init(|| self.client()).as_ref()?;
        let answer = client.get(format!("http://docker/{VERSION}{path}")).send().await.ok()?;
        let server = answer.headers().get(header::SERVER)?;
        if !server.as_bytes().starts_with(b"Docker/") {
            return None;
        }
        let status = answer.status();
        let body = http::body(answer, ENGINE_ANSWER).await.ok()?;
        Some((status, serde_json::from_slice(&body).ok()?))
    }

    fn client(&self) -> Option<Client> {
        // No request uses TLS. A given configuration keeps the certificates from being read.
        let tls = tls::of_machine().ok()?;
        http::client(tls, |_| None).unix_socket(self.0.path.as_path()).build().ok()
    }
}

/// The engine's words, which the docker CLI repeats.
fn says_no_image(json: &Value) -> bool {
    json["message"].as_str().is_some_and(|text| text.to_ascii_lowercase().contains("no such image"))
}

/// A name or an id of an image as a part of an API's path; `None` if it needs the CLI, which knows what is a name.
#[must_use]
pub(crate) fn image_path(name: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:@".contains(c);
    let part = |part: &str| part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(plain);
    name.split('/').all(part).then(|| format!("/images/{name}/json"))
}

/// The list of images with a name that fits docker's pattern, as an API's path.
#[must_use]
pub(crate) fn list_path(names: &str) -> Option<String> {
    let filters = json!({"reference": {names: true}}).to_string();
    let url = Url::parse_with_params("http://docker/images/json", [("filters", filters)]).ok()?;
    Some(format!("{}?{}", url.path(), url.query()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_asked_for_by_the_socket() {
        for name in
            ["127.0.0.1:5011/base@sha256:ab", "sha256:ab", "build-once.invalid/o/r/app:trusted-key-0", "a"]
        {
            assert_eq!(image_path(name), Some(format!("/images/{name}/json")));
        }
        for name in ["", "/a", "a/", "a//b", "a/../b", "./a", "a?b", "a b", "a%2f", "--help", "a#b", "ü"] {
            assert_eq!(image_path(name), None, "{name}");
        }
    }

    #[test]
    fn the_socket_is_where_the_cli_finds_the_engine() {
        let socket = |variables: &[(&str, &str)], config: &str| {
            let env = [("HOME", "/home/ann")].iter().chain(variables).copied().collect();
            let found = EngineSocket::find(&env, &UserDockerConfig::read(config.as_bytes()))?;
            Some(found.0.path.display().to_string())
        };
        let default = Some("/var/run/docker.sock".to_owned());
        let named = Some("/run/user/1000/docker.sock".to_owned());
        let host = ("DOCKER_HOST", "unix:///run/user/1000/docker.sock");
        for (variables, config, expected) in [
            (&[][..], "", &default),
            (&[("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "")], r#"{"currentContext": ""}"#, &default),
            (&[("DOCKER_CONTEXT", "default")], r#"{"currentContext": "far"}"#, &default),
            (&[], r#"{"currentContext": "default"}"#, &default),
            (&[], r#"{"currentContext": "rootless"}"#, &None),
            (&[], r#"{"currentContext": 7}"#, &None),
            (&[("DOCKER_CONTEXT", "far")], "", &None),
            (&[host], "", &named),
            // The CLI looks at the variable first.
            (&[host, ("DOCKER_CONTEXT", "far")], r#"{"currentContext": "far"}"#, &named),
            (&[("DOCKER_HOST", "tcp://127.0.0.1:2375")], "", &None),
            (&[("DOCKER_HOST", "ssh://ann@h")], "", &None),
            (&[("DOCKER_HOST", "unix://")], "", &None),
            (&[("DOCKER_HOST", "unix://docker.sock")], "", &None),
            (&[("DOCKER_HOST", "/var/run/docker.sock")], "", &None),
            (&[("DOCKER_TLS_VERIFY", "")], "", &None),
            (&[("DOCKER_API_VERSION", "1.43")], "", &None),
            (&[("DOCKER_CUSTOM_HEADERS", "a=b")], "", &None),
            (&[], r#"{"HttpHeaders": {}}"#, &None),
        ] {
            assert_eq!(&socket(variables, config), expected, "{variables:?} {config}");
        }
        assert!(EngineSocket::find(&Env::default(), &UserDockerConfig::default()).is_none());
    }
}
