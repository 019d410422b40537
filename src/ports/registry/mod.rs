//! Talks to registries by the OCI distribution API (<https://github.com/opencontainers/distribution-spec>), without docker,
//! because a process for each question takes longer than the question.
//!
//! [`Registry::probe`] asks for an image, [`Registry::resolve`] for its digest; `config` reads configurations, `write` sets
//! tags. `transport` sends one request, `challenge` logs in, `answer` interprets the answers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method};
use tokio::sync::{Mutex, Semaphore};

use crate::backoff::Backoff;
use crate::budget::{REQUESTS, WAIT_IN_ALL};
use crate::crash;
use crate::error::Error;
use crate::failure::{FailureKind, Reaction};
use crate::guards::Guard;
use crate::image::{Digest, ImageReference, Manifest, Repository};
use crate::ports::exec::{Exec, from_exec};
use crate::ports::http;
use crate::ports::proxies::Proxies;
use crate::ports::random;
use crate::ports::tls;
use crate::secret::SecretString;

mod answer;
mod challenge;
mod config;
mod copy;
mod credentials;
mod list;
mod ping;
mod rights;
mod transport;
mod waits;
mod write;

pub(crate) use answer::kind_of;
pub use answer::registry_error;
use answer::{Attempt, Failure, fail};
pub use challenge::{Challenge, bearer};
pub(crate) use credentials::Credentials;
pub use transport::redirected;
use transport::{Answer, Call, base_url};
use waits::Waits;
pub(crate) use write::{Deleted, gone};

/// A registry's answer about an image. Unknown is never taken for absent or present.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Probe {
    /// The registry has the image.
    Present(Arc<Manifest>),
    /// The registry says that it has no such image: 404.
    Absent {
        /// The repository itself does not exist.
        no_repository: bool,
    },
    /// The registry gave no clear answer.
    Unknown(Error),
}

/// An HTTP client that is made on another thread.
type Connection = Shared<BoxFuture<'static, Result<Client, Error>>>;

/// Reads from registries.
pub(crate) struct Registry {
    /// One client for all registries, and one for each that docker keeps certificates of; for uploads as many.
    clients: std::sync::Mutex<HashMap<(Option<PathBuf>, Waiting), Connection>>,
    /// The folder in which docker keeps certificates.
    certificates: PathBuf,
    credentials: Credentials,
    /// The header `Authorization` by registry and scope (`<path>:<actions>`), once it is known; `None` if none is needed.
    authorizations: Mutex<HashMap<(String, String), Option<SecretString>>>,
    /// The input `retries`.
    retries: u32,
    proxies: Proxies,
    exec: Exec,
    /// One permit for each request that may still be opened.
    permits: Semaphore,
    waits: Waits,
}

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a registry may send nothing.
const SILENCE: Duration = Duration::from_secs(20);
/// The longest wait between two tries. A registry that asks for a longer one (`Retry-After`) is not asked again.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

impl Registry {
    /// Reads and waits end when `exec` is cancelled. A write goes on to its end, so that its result is known.
    #[must_use]
    pub(crate) fn new(
        credentials: Credentials,
        retries: u32,
        proxies: Proxies,
        certificates: PathBuf,
        exec: Exec,
    ) -> Self {
        let (permits, waits) = (Semaphore::new(REQUESTS), Waits::default());
        Self {
            clients: std::sync::Mutex::default(),
            certificates,
            credentials,
            authorizations: Mutex::default(),
            retries,
            proxies,
            exec,
            permits,
            waits,
        }
    }

    /// Waits before the next question to a registry. If the run is cancelled meanwhile, that question reports it.
    pub(crate) async fn pause(&self, wait: Duration) {
        self.exec.sleep(wait).await.ok();
    }

    /// Makes the client on another thread while the program does something else: the system's certificates take 10 ms to read.
    pub(crate) fn warm_up(&self) {
        drop(self.client(None, Waiting::ForAnswer));
    }

    /// The HTTP client for this registry.
    fn http(&self, registry: &str) -> Connection {
        self.client(tls::folder_of(&self.certificates, registry), Waiting::ForAnswer)
    }

    /// The HTTP client for uploads to this registry, which may take long.
    fn http_for_uploads(&self, registry: &str) -> Connection {
        self.client(tls::folder_of(&self.certificates, registry), Waiting::WhileSending)
    }

    /// The HTTP client with the certificates of this folder, made once.
    fn client(&self, folder: Option<PathBuf>, waiting: Waiting) -> Connection {
        let make = || {
            let (proxies, folder) = (self.proxies.clone(), folder.clone());
            let made = tokio::task::spawn_blocking(move || make_client(proxies, folder.as_deref(), waiting));
            made.map(|made| made.unwrap_or_else(|error| Err(crash::joined(&error)))).boxed().shared()
        };
        let mut clients = self.clients.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        clients.entry((folder.clone(), waiting)).or_insert_with(make).clone()
    }

    /// The credentials in use, for the docker configuration of child processes.
    #[must_use]
    pub(crate) const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Forgets a registry's tokens and gets a new credential.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) async fn log_in_again(&self, registry: &str) -> Result<(), Error> {
        self.authorizations.lock().await.retain(|(known, _), _| known != registry);
        self.credentials.renew(registry).await
    }

    /// Asks for an image.
    pub(crate) async fn probe(&self, reference: &ImageReference) -> Probe {
        match self.manifest(reference).await {
            Ok(Some(manifest)) => Probe::Present(manifest),
            Ok(None) => Probe::Absent { no_repository: false },
            Err(Failure::NoRepository) => Probe::Absent { no_repository: true },
            Err(Failure::Error(error)) => Probe::Unknown(*error),
        }
    }

    /// Reads a manifest or index, and checks its digest; `None` if it is absent. A reference names a SHA-256; the digest that
    /// a registry announces of a tag may be another algorithm's and is not checked then: the image is used by the SHA-256
    /// of what came.
    async fn manifest(&self, reference: &ImageReference) -> Result<Option<Arc<Manifest>>, Failure> {
        let reply = match self.get(reference, Method::GET, "manifests", reference.identifier()).await? {
            Answer::Found(reply) => reply,
            Answer::NotFound => return Ok(None),
        };
        let announced = reply.header("docker-content-digest");
        let content_type = reply.header(CONTENT_TYPE.as_str());
        let manifest = Manifest::parse(&reply.bytes, content_type.as_deref()).map_err(|error| {
            fail(
                Error::of(FailureKind::NotARegistry, format!("failed to read the manifest of {reference}"))
                    .because(&error),
            )
        })?;
        let expected = reference.digest().map(Digest::as_str).or(announced.as_deref());
        if expected
            .is_some_and(|expected| expected.starts_with("sha256:") && expected != manifest.digest.as_str())
            && Guard::ContentDigest.holds()
        {
            return Err(fail(
                Error::of(
                    FailureKind::DigestMismatch,
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

    /// The digest that an image has now, by HEAD if the registry's answer to that names it.
    ///
    /// # Errors
    /// If the image is absent, or the registry gives no clear answer.
    pub(crate) async fn resolve(&self, reference: &ImageReference) -> Result<Digest, Resolve> {
        if let Some(digest) = reference.digest() {
            return Ok(digest.clone());
        }
        let head = self.get(reference, Method::HEAD, "manifests", reference.identifier()).await;
        match head.map_err(Failure::resolve)? {
            Answer::NotFound => return Err(Resolve::Absent),
            Answer::Found(reply) => {
                if let Some(digest) = reply.header("docker-content-digest").and_then(|text| text.parse().ok())
                {
                    return Ok(digest);
                }
            }
        }
        let manifest = self.manifest(reference).await.map_err(Failure::resolve)?;
        manifest.map(|manifest| manifest.digest.clone()).ok_or(Resolve::Absent)
    }

    /// The number of further tries after this error of a read.
    fn tries(&self, error: &Error) -> u32 {
        match error.kind.map(FailureKind::reaction) {
            Some(Reaction::Once) => self.retries.min(1),
            _ => self.retries,
        }
    }

    /// Reads `/v2/<path>/<kind>/<id>`, with login and retries, unless the run is cancelled.
    async fn get(
        &self,
        reference: &ImageReference,
        method: Method,
        kind: &str,
        id: &str,
    ) -> Result<Answer, Failure> {
        // Boxed, because the futures of many reads would be too large for the stack.
        let read = Box::pin(self.read(reference, method, kind, id));
        let answer = self.exec.unless_cancelled("looking", read).await;
        answer.map_err(|stopped| fail(from_exec(stopped)))?
    }

    async fn read(
        &self,
        reference: &ImageReference,
        method: Method,
        kind: &str,
        id: &str,
    ) -> Result<Answer, Failure> {
        let registry = reference.registry();
        let url = url_of(reference.repository(), &format!("{kind}/{id}"));
        let (mut tried, mut renewed) = (0, false);
        loop {
            let call =
                Call { method: method.clone(), url: url.clone(), actions: "pull", body: None, writes: None };
            match self.call(reference, &call).await {
                Ok(answer) => return Ok(answer),
                // A run may take longer than its token is valid.
                Err(Attempt::Final(Failure::Error(error)))
                    if error.is(FailureKind::AuthExpired) && !renewed =>
                {
                    renewed = true;
                    self.log_in_again(registry).await.map_err(|_| Failure::Error(error))?;
                }
                Err(Attempt::Final(failure)) => return Err(failure),
                Err(Attempt::Again { error, wait }) => {
                    self.wait_for_retry(registry, error, wait, tried).await?;
                    tried += 1;
                }
            }
        }
    }

    /// Waits before another attempt. `asked`: the wait that the registry asks for. `tried`: the attempts after the first.
    ///
    /// # Errors
    /// The error of the attempt, if no other follows.
    async fn wait_for_retry(
        &self,
        registry: &str,
        error: Error,
        asked: Option<Duration>,
        tried: u32,
    ) -> Result<(), Failure> {
        let stop = |error: Error, wait, hint: String| fail(Error { retry_after: wait, ..error }.hint(hint));
        // To ask earlier than the registry says would only make it worse.
        if let Some(asked) = asked.filter(|asked| *asked > LONGEST_WAIT) {
            let hint = format!(
                "{registry} asks to retry after {} s, which is longer than this run waits",
                asked.as_secs()
            );
            return Err(stop(error, Some(asked), hint));
        }
        if tried >= self.tries(&error) {
            let hint = error.kind.map_or("", FailureKind::hint);
            let hint = match tried {
                0 => hint.to_owned(),
                _ => format!("{} tries were made; {hint}", tried + 1),
            };
            return Err(stop(error, asked, hint));
        }
        let backoff = Backoff { first: Duration::from_millis(300), longest: LONGEST_WAIT };
        let wait = asked.unwrap_or_else(|| backoff.wait(tried, random::fraction()));
        if !self.waits.try_begin(wait) {
            let hint =
                format!("this run has waited {} s for registries; is {registry} up?", WAIT_IN_ALL.as_secs());
            return Err(stop(error, Some(wait), hint));
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// The URL of something in a repository, such as `manifests/latest` (distribution specification, "Endpoints").
fn url_of(repository: &Repository, what: &str) -> String {
    format!("{}/v2/{}/{what}", base_url(repository.registry()), repository.path())
}

/// What a client does while a registry sends nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Waiting {
    /// It waits for an answer, for a limited time.
    ForAnswer,
    /// It sends a body; the sender limits the time.
    WhileSending,
}

/// Makes a client; reads the certificates, which blocks its thread.
fn make_client(proxies: Proxies, folder: Option<&Path>, waiting: Waiting) -> Result<Client, Error> {
    crash::on_purpose("tls");
    let tls = tls::config(folder.map(tls::OfHost::read).unwrap_or_default())?;
    let client = http::client(tls, move |url| proxies.of(url)).connect_timeout(CONNECT);
    let client = match waiting {
        Waiting::ForAnswer => client.read_timeout(SILENCE),
        Waiting::WhileSending => client,
    };
    client.build().map_err(|error| http::not_made(&error))
}

/// Why the digest of a reference is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resolve {
    /// The registry answers that it has no such image.
    Absent,
    /// The registry gives no clear answer.
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
