//! Sends one request to a registry: finds the address, logs in, follows redirects, reads the answer.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, LOCATION, WWW_AUTHENTICATE};
use reqwest::{Client, Method, Response, StatusCode, Url};

use super::Registry;
use super::answer::{
    Attempt, Failure, asked_to_wait, header, passing, registry_error, unanswered, unavailable, whole,
};
use super::challenge::{self, Challenge};
use crate::budget::{HEADERS, MANIFEST, Most, REDIRECTS, REQUEST};
use crate::buildkit::failure::classify;
use crate::error::Error;
use crate::failure::{FailureClass, FailureKind};
use crate::image::{EcrHost, ImageReference, MEDIA_TYPES, Repository, is_this_machine};
use crate::ports::Writes;
use crate::secret::SecretString;

/// The rights that ECR asks for before it takes a layer.
const LAYER_RIGHTS: &str = "ecr:BatchCheckLayerAvailability, ecr:InitiateLayerUpload, ecr:UploadLayerPart and ecr:CompleteLayerUpload";

/// A request to a registry.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: String,
    /// The right that the token must give, as the token service names it: `pull` or `pull,push`.
    pub(super) actions: &'static str,
    /// Media type and bytes, for writes.
    pub(super) body: Option<(String, Vec<u8>)>,
    /// The right to write; without it only GET and HEAD are sent.
    pub(super) writes: Option<Writes>,
}

impl Call {
    fn reads(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }

    fn is_about_layer(&self) -> bool {
        self.url.contains("/blobs/")
    }

    /// Tells whether it deletes a manifest or a tag; an upload is given up by DELETE too.
    fn is_deletion(&self) -> bool {
        self.method == Method::DELETE && self.url.contains("/manifests/")
    }

    /// The request in words, before the image's name.
    fn verb(&self) -> &'static str {
        match self.writes {
            Some(_) if self.is_deletion() => "delete",
            Some(_) if self.is_about_layer() => "send a layer of",
            Some(_) => "set",
            None => "look up",
        }
    }
}

pub(super) enum Answer {
    /// A status of success.
    Found(Reply),
    /// 404 for the image; that for the repository is [`Failure::NoRepository`].
    NotFound,
}

/// An answer that was read to its end.
pub(super) struct Reply {
    headers: HeaderMap,
    pub(super) bytes: Vec<u8>,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> Option<String> {
        header(&self.headers, name)
    }
}

impl Registry {
    /// Sends one request, with login, within [`REQUEST`], and with at most `budget::REQUESTS` open at once.
    pub(super) async fn call(&self, reference: &ImageReference, call: &Call) -> Result<Answer, Attempt> {
        if !call.reads() && call.writes.is_none() {
            let what = format!("{} {} would write before the plan is executed", call.method, call.url);
            return Err(Attempt::error(Error::new(FailureClass::Bug, what)));
        }
        let _permit = self.permits.acquire().await;
        let _traced = self.exec.trace(|| format!("{} {}", call.method, call.url));
        let ask = async { read_status(reference, call, self.exchange(reference, call, None).await?).await };
        within(REQUEST, reference.registry(), ask).await
    }

    /// As [`Self::call`], for an answer of success whose body is not read yet; `None` for 404. `also`: a repository of the same
    /// registry that the request reads.
    pub(super) async fn open(
        &self,
        reference: &ImageReference,
        call: &Call,
        also: Option<&Repository>,
    ) -> Result<Option<Response>, Attempt> {
        let _traced = self.exec.trace(|| format!("{} {}", call.method, call.url));
        let ask = async {
            let response = self.exchange(reference, call, also).await?;
            if response.status().is_success() {
                return Ok(Some(response));
            }
            read_status(reference, call, response).await.map(|_| None)
        };
        within(REQUEST, reference.registry(), ask).await
    }

    /// The registry, and the scope of the token that a request needs.
    fn scope(reference: &ImageReference, actions: &str, also: Option<&Repository>) -> (String, String) {
        let own = format!("repository:{}:{actions}", reference.repository().path());
        let also = also.map(|also| format!(" repository:{}:pull", also.path())).unwrap_or_default();
        (reference.registry().to_owned(), own + &also)
    }

    /// The header `Authorization` of the last request with this scope, if it had one.
    pub(super) async fn authorization(
        &self,
        reference: &ImageReference,
        actions: &str,
        also: Option<&Repository>,
    ) -> Option<SecretString> {
        self.authorizations.lock().await.get(&Self::scope(reference, actions, also)).cloned().flatten()
    }

    /// Sends the request with the login that is known; if the registry asks for one, logs in and sends it again.
    async fn exchange(
        &self,
        reference: &ImageReference,
        call: &Call,
        also: Option<&Repository>,
    ) -> Result<Response, Attempt> {
        let registry = reference.registry();
        let scope = Self::scope(reference, call.actions, also);
        let known = self.authorizations.lock().await.get(&scope).cloned();
        // A token that worked may have expired; then the registry is asked again how to log in.
        let was_known = known.is_some();
        let authorization = match known {
            Some(authorization) => authorization,
            // ECR refuses every request without its token, so the token is sent with the first one.
            None => self
                .credentials
                .preemptive(registry)
                .await
                .map_err(Attempt::error)?
                .map(|credential| challenge::basic(&credential)),
        };
        let http = self.http(registry).await.map_err(Attempt::error)?;
        let response = send(&http, registry, call, authorization.as_ref()).await?;
        // A host that the registry redirects to gets no login, although it may ask for one.
        let asks_for_no_login =
            response.status() != StatusCode::UNAUTHORIZED || redirected_host(call, &response).is_some();
        if asks_for_no_login || (authorization.is_some() && !was_known) {
            self.authorizations.lock().await.insert(scope, authorization.clone());
            return Ok(response);
        }
        let offered = response.headers().get_all(WWW_AUTHENTICATE);
        let challenge = offered.iter().filter_map(|value| value.to_str().ok()).find_map(Challenge::parse);
        let credential = self.credentials.for_registry(registry).await.map_err(Attempt::error)?;
        let authorization = match challenge {
            Some(Challenge::Bearer(request)) => {
                Some(request.token(&http, registry, &scope.1, credential.as_ref()).await?)
            }
            Some(Challenge::Basic) => credential.as_ref().map(challenge::basic),
            None => None,
        };
        if authorization.is_none() {
            return Err(Attempt::error(no_login(reference)));
        }
        let response = send(&http, registry, call, authorization.as_ref()).await?;
        self.authorizations.lock().await.insert(scope, authorization);
        Ok(response)
    }
}

/// Waits for the answer at most `limit`: a registry that sends a byte from time to time is never silent.
async fn within<T>(
    limit: Duration,
    registry: &str,
    answer: impl Future<Output = Result<T, Attempt>>,
) -> Result<T, Attempt> {
    let slow = |_| {
        let failed = Error::of(FailureKind::TransientNetwork, format!("failed to ask {registry}"));
        Err(Attempt::error(failed.cause(format!("its answer took longer than {} s", limit.as_secs()))))
    };
    tokio::time::timeout(limit, answer).await.unwrap_or_else(slow)
}

/// Sends the request. Redirects are followed for reads alone, without credentials to another origin, and never from https
/// to http.
async fn send(
    http: &Client,
    registry: &str,
    call: &Call,
    authorization: Option<&SecretString>,
) -> Result<Response, Attempt> {
    let failed = || unavailable(registry);
    let first = Url::parse(&call.url).map_err(|error| Attempt::error(failed().because(&error)))?;
    let mut url = first.clone();
    for _ in 0..=REDIRECTS {
        let mut request =
            http.request(call.method.clone(), url.clone()).header(ACCEPT, MEDIA_TYPES.join(", "));
        if let Some((media_type, bytes)) = &call.body {
            request = request.header(CONTENT_TYPE, media_type).body(bytes.clone());
        }
        if let Some(authorization) = authorization.filter(|_| url.origin() == first.origin()) {
            request = request.header(AUTHORIZATION, authorization.expose());
        }
        let to = url.host_str().filter(|_| url.origin() != first.origin());
        let failed = || match to {
            Some(host) => failed().cause(format!("it redirects to {host}")),
            None => failed(),
        };
        let response = request.send().await.map_err(|error| unanswered(failed(), error))?;
        if size(response.headers()) > HEADERS {
            let why = format!("its headers are larger than {}", Most::Bytes(HEADERS));
            return Err(Attempt::error(failed().cause(why)));
        }
        let to = header(response.headers(), LOCATION.as_str());
        let to = to.filter(|_| call.reads() && response.status().is_redirection());
        match to.and_then(|to| redirected(&url, &to)) {
            Some(Err(why)) => return Err(Attempt::error(failed().cause(why))),
            Some(Ok(next)) => url = next,
            None => return Ok(response),
        }
    }
    Err(Attempt::error(failed().cause(format!("it redirects more than {REDIRECTS} times"))))
}

/// The host and port that answered, if that is not the one that was asked.
fn redirected_host(call: &Call, response: &Response) -> Option<String> {
    let (asked, answered) = (Url::parse(&call.url).ok()?, response.url());
    let host = answered.host_str().filter(|_| asked.origin() != answered.origin())?;
    Some(answered.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// The address that `Location` leads to from `url`; `None` if it is no address of HTTP, and an error if it is less safe.
#[must_use]
pub fn redirected(url: &Url, location: &str) -> Option<Result<Url, &'static str>> {
    let next = url.join(location).ok().filter(|next| matches!(next.scheme(), "http" | "https"))?;
    let weaker = url.scheme() == "https" && next.scheme() == "http";
    Some(if weaker { Err("it redirects from https to http") } else { Ok(next) })
}

/// Reads the answer, and makes an error of a status that is none of success.
pub(super) async fn read_status(
    reference: &ImageReference,
    call: &Call,
    response: Response,
) -> Result<Answer, Attempt> {
    let status = response.status();
    if status.is_success() {
        let headers = response.headers().clone();
        let bytes = body(reference, response).await?;
        return Ok(Answer::Found(Reply { headers, bytes }));
    }
    let is_wrong_password = refuses_basic(&response);
    let elsewhere = redirected_host(call, &response);
    let again = passing(status).map(|kind| (kind, asked_to_wait(&response, kind)));
    // The answer to a HEAD has no body; then the status alone decides.
    let body = body(reference, response).await.unwrap_or_default();
    let (code, message) = registry_error(&body);
    let registry = reference.registry();
    let who = match &elsewhere {
        Some(host) => format!("{registry} redirects to {host}, and {host}"),
        None => registry.to_owned(),
    };
    let cause = format!("{who} answered {status} {message}").trim().to_owned();
    let what = call.verb();
    let deletes = call.is_deletion();
    let failed = |kind| Error::of(kind, format!("failed to {what} {reference}")).cause(cause.clone());
    if let Some((kind, wait)) = again {
        return Err(Attempt::Again { error: failed(kind), wait });
    }
    match status {
        StatusCode::NOT_FOUND if code == "NAME_UNKNOWN" => Err(Attempt::Final(Failure::NoRepository)),
        StatusCode::NOT_FOUND => Ok(Answer::NotFound),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let (kind, hint) = match elsewhere {
                Some(host) => (
                    FailureKind::AuthDenied,
                    format!("{host} gets no login from here: look at what {registry} redirects to"),
                ),
                None if is_wrong_password => (
                    FailureKind::AuthMissing,
                    format!("check the user and the password of the login for {registry}"),
                ),
                None => refused(reference, call, &message),
            };
            Err(Attempt::error(failed(kind).hint(hint)))
        }
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => Err(Attempt::error(failed(FailureKind::Proxy))),
        // Distribution specification, "Deleting tags": a registry may refuse it by 400 or 405.
        StatusCode::METHOD_NOT_ALLOWED if deletes => Err(Attempt::error(failed(FailureKind::DeleteOff))),
        // CNCF distribution 2.8 answers a tag by 400 DIGEST_INVALID.
        StatusCode::BAD_REQUEST if deletes && (code == "UNSUPPORTED" || reference.digest().is_none()) => {
            Err(Attempt::error(failed(FailureKind::DeleteOff)))
        }
        // BuildKit's pushes are refused in the same words.
        _ if call.writes.is_some() && !deletes => {
            Err(Attempt::error(classify(&format!("failed to {what} {reference}"), &cause)))
        }
        _ => Err(Attempt::error(failed(FailureKind::NotARegistry))),
    }
}

/// Tells whether user and password were refused: with basic authentication, 401 means that one of them is wrong.
fn refuses_basic(response: &Response) -> bool {
    let offer = header(response.headers(), WWW_AUTHENTICATE.as_str());
    response.status() == StatusCode::UNAUTHORIZED
        && offer.is_some_and(|offer| offer.trim_start().to_lowercase().starts_with("basic"))
}

/// The failure of a login that the registry knows and refuses, with its hint.
fn refused(reference: &ImageReference, call: &Call, message: &str) -> (FailureKind, String) {
    let (registry, repository) = (reference.registry(), reference.repository());
    let (verb, ecr_right) = match call.writes {
        Some(_) if call.is_deletion() => ("delete in", "ecr:BatchDeleteImage"),
        Some(_) if call.is_about_layer() => ("write", LAYER_RIGHTS),
        Some(_) => ("write", "ecr:PutImage"),
        None => ("read", "ecr:BatchGetImage"),
    };
    if message.contains("expired") {
        (FailureKind::AuthExpired, format!("log in to {registry} again"))
    } else if EcrHost::parse(registry).is_some() {
        (FailureKind::AuthDenied, format!("allow {ecr_right} on {repository} for this role"))
    } else {
        (FailureKind::AuthDenied, format!("check that the login for {registry} may {verb} {repository}"))
    }
}

/// The error of a registry that asks for a login that this run does not have.
pub(super) fn no_login(reference: &ImageReference) -> Error {
    let registry = reference.registry();
    Error::of(FailureKind::AuthMissing, format!("failed to look up {reference}"))
        .cause(format!("{registry} asks for a login and there is none"))
        .hint(format!("log in to {registry} with docker/login-action, or name the login in the input logins"))
}

/// The start of a registry's URLs. Docker Hub's API has another host than its name. Registries on this machine are asked by
/// HTTP, as docker and BuildKit do (containerd, `docker.MatchLocalhost`).
pub(super) fn base_url(registry: &str) -> String {
    if registry == "docker.io" {
        "https://registry-1.docker.io".to_owned()
    } else if is_this_machine(registry) {
        format!("http://{registry}")
    } else {
        format!("https://{registry}")
    }
}

/// Bytes of all names and values of the headers.
fn size(headers: &HeaderMap) -> u64 {
    headers.iter().map(|(name, value)| (name.as_str().len() + value.len()) as u64).sum()
}

/// Reads the body to its end.
async fn body(reference: &ImageReference, response: Response) -> Result<Vec<u8>, Attempt> {
    let failed = || unavailable(reference.registry());
    whole(response, MANIFEST, failed, "the answer is larger than a manifest may be").await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_registries_answer() {
        assert_eq!(base_url("docker.io"), "https://registry-1.docker.io");
        assert_eq!(base_url("ghcr.io"), "https://ghcr.io");
        assert_eq!(base_url("localhost:5000"), "http://localhost:5000");
        assert_eq!(base_url("127.0.0.1:5000"), "http://127.0.0.1:5000");
        // D16
        assert_eq!(base_url("127.evil.example"), "https://127.evil.example");
        assert_eq!(base_url("localhost.evil.example:80"), "https://localhost.evil.example:80");
        assert_eq!(base_url("registry.example:5000"), "https://registry.example:5000");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn d27_an_answer_without_end_is_given_up() {
        let dripping = async {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let given_up = within::<()>(Duration::from_millis(20), "r.example", dripping).await;
        let Err(Attempt::Final(Failure::Error(error))) = given_up else { panic!("it goes on") };
        assert!(error.to_string().starts_with("failed to ask r.example: its answer took longer"), "{error}");
    }

    #[test]
    fn errors_are_read_where_there_are_some() {
        let body = br#"{"errors":[{"code":"NAME_UNKNOWN","message":"no such repository"}]}"#;
        assert_eq!(registry_error(body), ("NAME_UNKNOWN".into(), "no such repository".into()));
        assert_eq!(registry_error(b"<html>"), (String::new(), String::new()));
    }
}
