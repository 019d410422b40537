//! Interprets the answers of a registry and of its token service.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde_json::Value;

use crate::error::{Error, chain};
use crate::failure::FailureKind;
use crate::ports::actions::inert;
use crate::shown;

/// Why a request has no answer about an image.
pub(super) enum Failure {
    /// The repository does not exist.
    NoRepository,
    Error(Box<Error>),
}

/// A request that failed.
pub(super) enum Attempt {
    /// Another attempt would fail too.
    Final(Failure),
    /// Another attempt may succeed. `wait`: the one that the registry asks for.
    Again { error: Error, wait: Option<Duration> },
}

impl Attempt {
    pub(super) fn error(error: Error) -> Self {
        Self::Final(fail(error))
    }
}

/// The failure of a request that got no answer, or half of one. `failed`: the error without a reason.
pub(super) fn unanswered(failed: Error, error: reqwest::Error) -> Attempt {
    let kind = kind_of(&error);
    let names_another = says(&error, "not valid for name");
    let failed = failed.of_kind(kind).because(&error.without_url());
    match kind {
        FailureKind::TlsTrust if names_another => Attempt::error(failed.hint(
            "ask for the registry by a name that its certificate is for, or give it one for this name",
        )),
        FailureKind::TlsTrust => Attempt::error(failed.hint(
            "trust the registry's certificate, or its authority's, on this machine (SSL_CERT_FILE, \
             or a .crt in /etc/docker/certs.d/HOST:PORT), in the engine and in the builder",
        )),
        FailureKind::TlsExpired | FailureKind::Proxy => Attempt::error(failed),
        _ => Attempt::Again { error: failed, wait: None },
    }
}

/// The kind of failure of a status that another attempt may not get; `None` for other statuses.
pub(super) fn passing(status: StatusCode) -> Option<FailureKind> {
    if status == StatusCode::TOO_MANY_REQUESTS {
        Some(FailureKind::Throttled)
    } else if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
        Some(FailureKind::RegistryError)
    } else {
        None
    }
}

/// The wait that the answer asks for, in seconds (RFC 9110, "Retry-After"); two seconds if the registry limits the rate and
/// names none.
pub(super) fn asked_to_wait(response: &Response, kind: FailureKind) -> Option<Duration> {
    let asked = header(response.headers(), RETRY_AFTER.as_str()).and_then(|text| text.parse().ok());
    asked.map(Duration::from_secs).or((kind == FailureKind::Throttled).then_some(Duration::from_secs(2)))
}

pub(super) fn fail(error: Error) -> Failure {
    Failure::Error(Box::new(error))
}

/// The error of a request, before its reason is known.
pub(super) fn unavailable(registry: &str) -> Error {
    Error::of(FailureKind::NotARegistry, format!("failed to ask {registry}"))
}

pub(super) fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Reads a body to its end. If it has more than `most` bytes, the error has the cause `too_large`.
pub(super) async fn whole(
    mut response: Response,
    most: u64,
    failed: impl Fn() -> Error,
    too_large: &str,
) -> Result<Vec<u8>, Attempt> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unanswered(failed(), error))? {
        if (bytes.len() + chunk.len()) as u64 > most {
            return Err(Attempt::error(failed().cause(too_large)));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The first error of the body: its code and its message (distribution specification, "Error codes").
#[must_use]
pub fn registry_error(body: &[u8]) -> (String, String) {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| body["errors"][0][name].as_str().unwrap_or_default().to_owned();
    // In one line: text after a line break could pass for this program's hint.
    let line = |name: &str, most| shown::cut(&inert(text(name).as_bytes()), most);
    (line("code", 60), line("message", 300))
}

/// Finds the kind of a failure to send a request, from the texts of the error and of those behind it.
#[must_use]
pub(crate) fn kind_of(error: &(dyn std::error::Error + 'static)) -> FailureKind {
    let any = |words: &[&str]| words.iter().any(|word| says(error, word));
    if any(&["proxy authorization required"]) {
        FailureKind::Proxy
    } else if any(&["certificate expired", "certificate not valid yet"]) {
        FailureKind::TlsExpired
    } else if any(&["certificate"]) {
        FailureKind::TlsTrust
    } else if any(&["dns error", "failed to lookup address"]) {
        FailureKind::Dns
    } else if any(&["Connection refused", "Network is unreachable", "No route to host"]) {
        FailureKind::Refused
    } else {
        FailureKind::TransientNetwork
    }
}

pub(super) fn says(error: &(dyn std::error::Error + 'static), word: &str) -> bool {
    chain(error).any(|text| text.contains(word))
}
