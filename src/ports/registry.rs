//! Registry reads over the OCI distribution API
//! (<https://github.com/opencontainers/distribution-spec>): no docker process, one
//! connection kept alive. The one write is a tag on an image that is there, for a buildx that
//! cannot set it without changing the digest.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::error::{Error, FailureClass};
use crate::image::{Digest, ImageReference, MEDIA_TYPES, Manifest};
use crate::inputs::SecretString;
use crate::ports::random;

mod challenge;
mod credentials;

use challenge::Challenge;
pub use credentials::Credentials;

/// What a registry says of an image. Unknown is never read as absent or present.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// It is there.
    Present(Arc<Manifest>),
    /// The registry says that it is not: 404.
    Absent {
        /// The repository itself does not exist.
        no_repository: bool,
    },
    /// The registry did not say.
    Unknown(Error),
}

/// Reads from registries.
pub struct Registry {
    http: Client,
    credentials: Credentials,
    /// `Authorization` by registry and repository, once it is known.
    authorizations: Mutex<HashMap<(String, String), Option<SecretString>>>,
    retries: u32,
}

/// Bodies of manifests: the specification asks registries to take 4 MiB at least.
const MANIFEST_LIMIT: usize = 8 * 1024 * 1024;
const CONNECT: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(20);
/// The longest wait between two tries, `Retry-After` included.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

impl Registry {
    /// `retries` further tries for answers that may be better the next time.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(credentials: Credentials, retries: u32) -> Result<Self, Error> {
        let http = Client::builder()
            .user_agent(concat!("build-once/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .build()
            .map_err(|error| Error::new(FailureClass::Unsupported, "failed to set up TLS").because(&error))?;
        Ok(Self { http, credentials, authorizations: Mutex::default(), retries })
    }

    /// The credentials in use, for the children's configuration.
    #[must_use]
    pub const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Asks for an image.
    pub async fn probe(&self, reference: &ImageReference) -> Probe {
        match self.manifest(reference).await {
            Ok(Some(manifest)) => Probe::Present(manifest),
            Ok(None) => Probe::Absent { no_repository: false },
            Err(Failure::NoRepository) => Probe::Absent { no_repository: true },
            Err(Failure::Error(error)) => Probe::Unknown(*error),
        }
    }

    async fn manifest(&self, reference: &ImageReference) -> Result<Option<Arc<Manifest>>, Failure> {
        let response = match self.get(reference, Method::GET, "manifests", reference.identifier()).await? {
            Answer::Found(response) => response,
            Answer::NotFound => return Ok(None),
        };
        let announced = header(&response, "docker-content-digest");
        let content_type = header(&response, CONTENT_TYPE.as_str());
        let bytes = self.body(reference, response).await?;
        let manifest = Manifest::parse(&bytes, content_type.as_deref()).map_err(|error| {
            fail(
                Error::new(FailureClass::Unavailable, format!("failed to read the manifest of {reference}"))
                    .because(&error),
            )
        })?;
        let expected = reference.digest().map(Digest::as_str).or(announced.as_deref());
        if expected
            .is_some_and(|expected| expected.starts_with("sha256:") && expected != manifest.digest.as_str())
        {
            return Err(fail(
                Error::new(
                    FailureClass::Integrity,
                    format!("the registry sent wrong content for {reference}"),
                )
                .cause(format!(
                    "expected {}, got {}",
                    expected.unwrap_or_default(),
                    manifest.digest
                )),
            ));
        }
        Ok(Some(Arc::new(manifest)))
    }

    /// The digest an image has now, by HEAD where the registry names it there.
    ///
    /// # Errors
    /// If it is absent, or the registry does not say.
    pub async fn resolve(&self, reference: &ImageReference) -> Result<Digest, Resolve> {
        if let Some(digest) = reference.digest() {
            return Ok(digest.clone());
        }
        let head = self.get(reference, Method::HEAD, "manifests", reference.identifier()).await;
        match head.map_err(Failure::resolve)? {
            Answer::NotFound => return Err(Resolve::Absent),
            Answer::Found(response) => {
                if let Some(digest) =
                    header(&response, "docker-content-digest").and_then(|text| text.parse().ok())
                {
                    return Ok(digest);
                }
            }
        }
        let manifest = self.manifest(reference).await.map_err(Failure::resolve)?;
        manifest.map(|manifest| manifest.digest.clone()).ok_or(Resolve::Absent)
    }

    /// The labels of a single image, from its configuration; an index has none of its own.
    ///
    /// # Errors
    /// If the configuration cannot be read or is not what its digest says.
    pub async fn labels(
        &self,
        reference: &ImageReference,
        manifest: &Manifest,
    ) -> Result<HashMap<String, String>, Error> {
        let Some(config) = manifest.config() else { return Ok(HashMap::new()) };
        let config = self.config(reference, config.digest().as_ref()).await?;
        let labels = config["config"]["Labels"].as_object();
        Ok(labels
            .into_iter()
            .flatten()
            .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
            .collect())
    }

    /// Whether an image, or any image of an index, has `ONBUILD` triggers.
    ///
    /// # Errors
    /// If the registry does not say.
    pub async fn has_triggers(&self, reference: &ImageReference) -> Result<bool, Error> {
        let absent = || Error::new(FailureClass::Unavailable, format!("failed to look up {reference}"));
        let ask = async |reference: &ImageReference| match self.probe(reference).await {
            Probe::Present(manifest) => Ok(manifest),
            Probe::Absent { .. } => Err(absent()),
            Probe::Unknown(error) => Err(error),
        };
        let top = ask(reference).await?;
        let mut images = vec![Arc::clone(&top)];
        for child in top.children() {
            let digest = child.digest().to_string().parse().map_err(|error| absent().because(&error))?;
            images.push(ask(&reference.repository().at(digest)).await?);
        }
        for image in images.iter().filter_map(|image| image.config()) {
            let config = self.config(reference, image.digest().as_ref()).await?;
            if config["config"]["OnBuild"].as_array().is_some_and(|triggers| !triggers.is_empty()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn config(&self, reference: &ImageReference, digest: &str) -> Result<Value, Error> {
        let what = || {
            Error::new(FailureClass::Unavailable, format!("failed to read the configuration of {reference}"))
        };
        let response = match self.get(reference, Method::GET, "blobs", digest).await {
            Ok(Answer::Found(response)) => response,
            Ok(Answer::NotFound) | Err(Failure::NoRepository) => {
                return Err(what().cause("it is not in the registry"));
            }
            Err(Failure::Error(error)) => return Err(*error),
        };
        let bytes = match self.body(reference, response).await {
            Ok(bytes) => bytes,
            Err(Failure::Error(error)) => return Err(*error),
            Err(Failure::NoRepository) => return Err(what()),
        };
        let got = Digest::of(&bytes);
        if got.as_str() != digest {
            return Err(Error::new(
                FailureClass::Integrity,
                format!("the registry sent wrong content for {reference}"),
            )
            .cause(format!("expected {digest}, got {got}")));
        }
        serde_json::from_slice(&bytes).map_err(|error| what().because(&error))
    }

    /// Sets a tag on an image of the same repository: the same bytes under another name, so
    /// its digest cannot change.
    ///
    /// # Errors
    /// If the image cannot be read, or the registry refuses the tag.
    pub async fn put_tag(&self, source: &ImageReference, target: &ImageReference) -> Result<(), Error> {
        let failed = |failure: Failure| match failure {
            Failure::Error(error) => *error,
            Failure::NoRepository => {
                Error::new(FailureClass::Access, format!("{} does not exist", target.repository()))
            }
        };
        let url = |reference: &ImageReference| {
            format!(
                "{}/v2/{}/manifests/{}",
                base_url(reference.registry()),
                reference.repository().path(),
                reference.identifier()
            )
        };
        let response = match self
            .get(source, Method::GET, "manifests", source.identifier())
            .await
            .map_err(failed)?
        {
            Answer::Found(response) => response,
            Answer::NotFound => {
                return Err(Error::new(FailureClass::Unavailable, format!("{source} is not there any more")));
            }
        };
        let bytes = self.body(source, response).await.map_err(failed)?;
        let manifest = Manifest::parse(&bytes, None).map_err(|error| {
            Error::new(FailureClass::Unavailable, format!("failed to read {source}")).because(&error)
        })?;
        let call = Call {
            method: Method::PUT,
            url: url(target),
            actions: "pull,push",
            body: Some((manifest.media_type, bytes)),
        };
        match self.call(target, &call).await {
            Ok(Answer::Found(_)) => Ok(()),
            Ok(Answer::NotFound) => Err(failed(Failure::NoRepository)),
            Err(Attempt::Final(failure)) => Err(failed(failure)),
            Err(Attempt::Again { error, .. }) => Err(error),
        }
    }

    async fn body(&self, reference: &ImageReference, mut response: Response) -> Result<Vec<u8>, Failure> {
        let failed = |error: reqwest::Error| {
            fail(unavailable(reference.registry()).because(&error.without_url()).hint("try again"))
        };
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > MANIFEST_LIMIT {
                return Err(fail(
                    unavailable(reference.registry()).cause("the answer is larger than a manifest may be"),
                ));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// One read, with login and retries.
    async fn get(
        &self,
        reference: &ImageReference,
        method: Method,
        kind: &str,
        id: &str,
    ) -> Result<Answer, Failure> {
        let registry = reference.registry();
        let path = reference.repository().path();
        let url = format!("{}/v2/{path}/{kind}/{id}", base_url(registry));
        let mut tried = 0;
        loop {
            let call = Call { method: method.clone(), url: url.clone(), actions: "pull", body: None };
            let wait = match self.call(reference, &call).await {
                Ok(answer) => return Ok(answer),
                Err(Attempt::Final(failure)) => return Err(failure),
                Err(Attempt::Again { error, .. }) if tried >= self.retries => {
                    return Err(fail(
                        error.hint(format!("{} tries were made; is {registry} up?", tried + 1)),
                    ));
                }
                Err(Attempt::Again { wait, .. }) => wait,
            };
            let backoff = Duration::from_millis(200) * 2_u32.saturating_pow(tried);
            let wait = wait.unwrap_or_else(|| backoff.mul_f64(0.5 + random::fraction())).min(LONGEST_WAIT);
            tokio::time::sleep(wait).await;
            tried += 1;
        }
    }

    /// One request, with login.
    async fn call(&self, reference: &ImageReference, call: &Call) -> Result<Answer, Attempt> {
        let registry = reference.registry();
        let scope = (registry.to_owned(), format!("{}:{}", reference.repository().path(), call.actions));
        let known = self.authorizations.lock().await.get(&scope).cloned();
        let authorization = match known {
            Some(authorization) => authorization,
            // ECR answers every request without its token by 401: skip that round trip.
            None => self
                .credentials
                .preemptive(registry)
                .await
                .map_err(Attempt::error)?
                .map(|c| challenge::basic(&c)),
        };
        let response = self.send(registry, call, authorization.as_ref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED || authorization.is_some() {
            self.authorizations.lock().await.insert(scope, authorization.clone());
            return self.read_status(reference, response).await;
        }
        let offered = response.headers().get_all(WWW_AUTHENTICATE);
        let challenge = offered.iter().filter_map(|value| value.to_str().ok()).find_map(Challenge::parse);
        let credential = self.credentials.for_registry(registry).await.map_err(Attempt::error)?;
        let authorization = match challenge {
            Some(Challenge::Bearer(request)) => Some(
                request
                    .token(&self.http, registry, &format!("repository:{}", scope.1), credential.as_ref())
                    .await?,
            ),
            Some(Challenge::Basic) => credential.as_ref().map(challenge::basic),
            None => None,
        };
        if authorization.is_none() {
            return Err(Attempt::error(no_login(reference)));
        }
        let response = self.send(registry, call, authorization.as_ref()).await?;
        self.authorizations.lock().await.insert(scope, authorization);
        self.read_status(reference, response).await
    }

    async fn send(
        &self,
        registry: &str,
        call: &Call,
        authorization: Option<&SecretString>,
    ) -> Result<Response, Attempt> {
        let mut request =
            self.http.request(call.method.clone(), &call.url).header(ACCEPT, MEDIA_TYPES.join(", "));
        if let Some((media_type, bytes)) = &call.body {
            request = request.header(CONTENT_TYPE, media_type).body(bytes.clone());
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization.expose());
        }
        request.send().await.map_err(|error| {
            let class = if says(&error, "certificate") {
                FailureClass::Unsupported
            } else {
                FailureClass::Unavailable
            };
            let failed = Error { class, ..unavailable(registry) }.because(&error.without_url());
            if class == FailureClass::Unsupported {
                Attempt::error(
                    failed.hint("trust the registry's certificate authority on this machine (SSL_CERT_FILE)"),
                )
            } else {
                Attempt::Again { error: failed, wait: None }
            }
        })
    }

    async fn read_status(&self, reference: &ImageReference, response: Response) -> Result<Answer, Attempt> {
        let status = response.status();
        if status.is_success() {
            return Ok(Answer::Found(response));
        }
        let wait = header(&response, RETRY_AFTER.as_str())
            .and_then(|text| text.parse().ok())
            .map(Duration::from_secs);
        // HEAD answers have no body; then the status alone decides.
        let body = self.body(reference, response).await.unwrap_or_default();
        let (code, message) = registry_error(&body);
        let registry = reference.registry();
        let cause = format!("{registry} answered {status} {message}").trim().to_owned();
        let failed = |class| Error::new(class, format!("failed to look up {reference}")).cause(cause.clone());
        match status {
            StatusCode::NOT_FOUND if code == "NAME_UNKNOWN" => Err(Attempt::Final(Failure::NoRepository)),
            StatusCode::NOT_FOUND => Ok(Answer::NotFound),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let hint = if message.contains("expired") {
                    format!("log in to {registry} again")
                } else if crate::ports::aws::EcrHost::parse(registry).is_some() {
                    format!("allow ecr:BatchGetImage on {} for this role", reference.repository())
                } else {
                    format!("check that the login for {registry} may read {}", reference.repository())
                };
                Err(Attempt::error(failed(FailureClass::Access).hint(hint)))
            }
            StatusCode::TOO_MANY_REQUESTS => Err(Attempt::Again {
                error: failed(FailureClass::Unavailable),
                wait: wait.or(Some(Duration::from_secs(2))),
            }),
            status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
                Err(Attempt::Again { error: failed(FailureClass::Unavailable), wait })
            }
            _ => Err(Attempt::error(failed(FailureClass::Unavailable))),
        }
    }
}

/// One request.
struct Call {
    method: Method,
    url: String,
    /// What the token must allow, in the token service's words.
    actions: &'static str,
    /// Media type and bytes, for writes.
    body: Option<(String, Vec<u8>)>,
}

enum Answer {
    Found(Response),
    NotFound,
}

enum Failure {
    NoRepository,
    Error(Box<Error>),
}

enum Attempt {
    Final(Failure),
    Again { error: Error, wait: Option<Duration> },
}

/// Why a reference has no digest for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolve {
    /// The registry says that it is not there.
    Absent,
    /// The registry did not say.
    Failed(Error),
}

impl Failure {
    fn resolve(self) -> Resolve {
        match self {
            Self::NoRepository => Resolve::Absent,
            Self::Error(error) => Resolve::Failed(*error),
        }
    }
}

impl Attempt {
    fn error(error: Error) -> Self {
        Self::Final(fail(error))
    }
}

fn fail(error: Error) -> Failure {
    Failure::Error(Box::new(error))
}

fn unavailable(registry: &str) -> Error {
    Error::new(FailureClass::Unavailable, format!("failed to ask {registry}"))
}

fn no_login(reference: &ImageReference) -> Error {
    let registry = reference.registry();
    Error::new(FailureClass::Access, format!("failed to look up {reference}"))
        .cause(format!("{registry} asks for a login and there is none"))
        .hint(format!("log in to {registry} with docker/login-action, or name the login in the input logins"))
}

/// Docker Hub's API lives on another host than its name; registries on this machine speak
/// plain HTTP, as docker and BuildKit assume (containerd `docker.MatchLocalhost`).
fn base_url(registry: &str) -> String {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    if registry == "docker.io" {
        "https://registry-1.docker.io".to_owned()
    } else if host == "localhost" || host.starts_with("127.") || host == "[::1]" {
        format!("http://{registry}")
    } else {
        format!("https://{registry}")
    }
}

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

/// The first error of the body: its code and its message (distribution specification, "Error codes").
fn registry_error(body: &[u8]) -> (String, String) {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| body["errors"][0][name].as_str().unwrap_or_default().to_owned();
    (text("code"), text("message").chars().take(300).collect())
}

fn says(error: &(dyn std::error::Error + 'static), word: &str) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.to_string().contains(word) {
            return true;
        }
        next = error.source();
    }
    false
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
        assert_eq!(base_url("registry.example:5000"), "https://registry.example:5000");
    }

    #[test]
    fn errors_are_read_where_there_are_some() {
        let body = br#"{"errors":[{"code":"NAME_UNKNOWN","message":"no such repository"}]}"#;
        assert_eq!(registry_error(body), ("NAME_UNKNOWN".into(), "no such repository".into()));
        assert_eq!(registry_error(b"<html>"), (String::new(), String::new()));
    }
}
