//! GitHub's REST API (<https://docs.github.com/en/rest>), by octocrab over the program's own HTTP client: the same
//! certificates, proxies and limits as for registries.

mod caches;
mod client;
mod compare;
mod packages;
mod pulls;
mod settings;

use std::cell::Cell;
use std::time::Duration;

use octocrab::Octocrab;
use octocrab::service::middleware::cache::{HttpCacheLayer, mem::InMemoryCache};
use octocrab::{AuthState, OctocrabBuilder};
use reqwest::StatusCode;
use serde::de::DeserializeOwned;

pub(crate) use caches::CacheEntry;
pub(crate) use packages::Package;
pub(crate) use settings::{ForkPolicy, ProjectSettings, Ruleset};

use crate::backoff::Backoff;
use crate::budget::{GITHUB_PAGES, GITHUB_REQUESTS};
use crate::env::{self, Env};
use crate::error::{Error, Result, chain};
use crate::failure::FailureKind;
use crate::image::is_this_machine;
use crate::ports::Writes;
use crate::ports::proxies::Proxies;
use crate::ports::random;
use crate::ports::reach::http_date;
use crate::secret::SecretString;

/// The longest wait that GitHub may ask for before another try.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Items of a page: the most that GitHub gives.
const PAGE: usize = 100;

/// The API of one GitHub server. Answers that GitHub marks are asked for again with their mark, and an unchanged one
/// (304) does not count in its rate limit.
pub(crate) struct GitHub {
    crab: Octocrab,
    host: String,
    retries: u32,
    requests: Cell<usize>,
    /// The server's clock at its last answer, seconds since 1970.
    clock: Cell<Option<u64>>,
}

/// `owner/name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slug {
    pub(crate) owner: String,
    pub(crate) name: String,
}

impl Slug {
    /// `None` if the text is not `owner/name`.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (owner, name) = text.split_once('/')?;
        let is_part = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        (is_part(owner) && is_part(name)).then(|| Self { owner: owner.to_owned(), name: name.to_owned() })
    }
}

/// A good answer.
struct Answer {
    body: Vec<u8>,
    has_next: bool,
}

impl GitHub {
    /// The API that `GITHUB_API_URL` names, else that of github.com; nothing is asked yet.
    ///
    /// # Errors
    /// If the variable is no safe address.
    pub(crate) fn new(
        env: &Env,
        token: Option<SecretString>,
        retries: u32,
        proxies: &Proxies,
    ) -> Result<Self> {
        let text = env.get(env::GITHUB_API_URL).unwrap_or("https://api.github.com");
        let base = reqwest::Url::parse(text).ok().filter(|url| {
            let here = url.host_str().is_some_and(is_this_machine);
            url.scheme() == "https" || (url.scheme() == "http" && here)
        });
        let base = base.ok_or_else(|| {
            Error::input("the variable GITHUB_API_URL is no address of GitHub's API")
                .hint("the runner sets it, such as https://api.github.com")
        })?;
        let host = base.host_str().unwrap_or_default().to_owned();
        let service = client::service(base, token, proxies.clone())?;
        let built = OctocrabBuilder::new_empty()
            .with_service(service)
            .with_layer(&HttpCacheLayer::new(Some(std::sync::Arc::new(InMemoryCache::new()))))
            .with_auth(AuthState::None)
            .build();
        let crab = match built {
            Ok(crab) => crab,
            Err(never) => match never {},
        };
        Ok(Self { crab, host, retries, requests: Cell::new(0), clock: Cell::new(None) })
    }

    /// How many requests were sent.
    pub(crate) fn requests(&self) -> usize {
        self.requests.get()
    }

    /// The server's clock at its last answer, seconds since 1970.
    pub(crate) fn clock(&self) -> Option<u64> {
        self.clock.get()
    }

    /// One object.
    async fn get<T: DeserializeOwned>(&self, route: &str, right: &str) -> Result<T> {
        let answer = self.ask(route, right, None).await?;
        self.read(route, &answer.body)
    }

    /// All pages of a list, until `enough` says so of what came so far. `list`: what a page holds.
    async fn pages<P: DeserializeOwned, T>(
        &self,
        route: &str,
        right: &str,
        list: impl Fn(P) -> Vec<T>,
        enough: impl Fn(&[T]) -> bool,
    ) -> Result<Vec<T>> {
        let mut found = Vec::new();
        for page in 1..=GITHUB_PAGES {
            let separator = if route.contains('?') { '&' } else { '?' };
            let route = format!("{route}{separator}per_page={PAGE}&page={page}");
            let answer = self.ask(&route, right, None).await?;
            found.extend(list(self.read(&route, &answer.body)?));
            if !answer.has_next || enough(&found) {
                return Ok(found);
            }
        }
        let what = format!("{} has more than {GITHUB_PAGES} pages of {route}", self.host);
        Err(Error::of(FailureKind::BadAnswer, what).cause("the list is not read to its end"))
    }

    /// Deletes something. False: it is not there.
    async fn delete(&self, route: &str, right: &str, writes: Writes) -> Result<bool> {
        match self.ask(route, right, Some(writes)).await {
            Ok(_) => Ok(true),
            Err(error) if error.is(FailureKind::SourceGone) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn read<T: DeserializeOwned>(&self, route: &str, body: &[u8]) -> Result<T> {
        serde_json::from_slice(body).map_err(|error| {
            Error::of(FailureKind::BadAnswer, format!("failed to read what {} answers to {route}", self.host))
                .because(&error)
        })
    }

    /// One request, tried again where that may help. With the right to write it is a deletion. `right`: the permission
    /// that it needs, as a workflow spells it.
    async fn ask(&self, route: &str, right: &str, writes: Option<Writes>) -> Result<Answer> {
        let mut tried = 0;
        loop {
            let (error, wait) = match self.once(route, right, writes).await {
                Ok(answer) => return Ok(answer),
                Err(Refusal::Final(error)) => return Err(*error),
                Err(Refusal::Again(error, wait)) => (error, wait),
            };
            if tried >= self.retries || wait.is_some_and(|wait| wait > LONGEST_WAIT) {
                return Err(*error);
            }
            let backoff = Backoff { first: Duration::from_millis(300), longest: LONGEST_WAIT };
            tokio::time::sleep(wait.unwrap_or_else(|| backoff.wait(tried, random::fraction()))).await;
            tried += 1;
        }
    }

    async fn once(&self, route: &str, right: &str, writes: Option<Writes>) -> Result<Answer, Refusal> {
        let verb = if writes.is_some() { "delete" } else { "read" };
        let failed = |kind| Error::of(kind, format!("failed to {verb} {route} at {}", self.host));
        let count = self.requests.get() + 1;
        if count > GITHUB_REQUESTS {
            return Err(Refusal::of(
                failed(FailureKind::Throttled)
                    .cause(format!("one run sends at most {GITHUB_REQUESTS} requests")),
            ));
        }
        self.requests.set(count);
        let sent = match writes {
            Some(_) => self.crab._delete(route, None::<&()>).await,
            None => self.crab._get(route).await,
        };
        // octocrab's own text has the place in its source; what is behind it has the reason.
        let response = sent.map_err(|error| {
            let causes: Vec<String> = chain(&error).skip(1).collect();
            let kind = if causes.iter().any(|cause| cause.contains("certificate")) {
                FailureKind::TlsTrust
            } else {
                FailureKind::TransientNetwork
            };
            Refusal::Again(Box::new(failed(kind).cause(causes.join(": "))), None)
        })?;
        let (status, headers) = (response.status(), response.headers().clone());
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        self.clock.set(header("date").and_then(http_date).or(self.clock.get()));
        let has_next = header("link").is_some_and(|link| link.contains("rel=\"next\""));
        let body = client::bytes(response.into_body()).await;
        let body =
            body.map_err(|why| Refusal::Again(Box::new(failed(FailureKind::BadAnswer).cause(why)), None))?;
        if status.is_success() {
            return Ok(Answer { body, has_next });
        }
        let message = client::message(&body);
        let cause = format!("{status} {message}").trim().to_owned();
        // https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
        let wait = header("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let is_limit =
            header("x-ratelimit-remaining") == Some("0") || wait.is_some() || message.contains("rate limit");
        let limited =
            status == StatusCode::TOO_MANY_REQUESTS || (status == StatusCode::FORBIDDEN && is_limit);
        if limited {
            let reset = header("x-ratelimit-reset")
                .map(|at| format!("; the limit is renewed at {at} (seconds since 1970)"));
            let error = failed(FailureKind::Throttled)
                .cause(cause + &reset.unwrap_or_default())
                .hint("GitHub limits the rate of requests: run again later, or give github-token a token with a higher limit");
            // A primary limit is renewed once an hour.
            return Err(match wait {
                Some(wait) => Refusal::Again(Box::new(error), Some(wait)),
                None => Refusal::of(error),
            });
        }
        Err(match status {
            StatusCode::NOT_FOUND | StatusCode::GONE if writes.is_some() => {
                Refusal::of(failed(FailureKind::SourceGone).cause(cause))
            }
            StatusCode::UNAUTHORIZED => Refusal::of(
                failed(FailureKind::AuthMissing).cause(cause).hint("check the input github-token"),
            ),
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Refusal::of(
                failed(FailureKind::AuthDenied)
                    .cause(cause)
                    .hint(format!("allow {right} in the job's permissions")),
            ),
            status if status.is_server_error() => {
                Refusal::Again(Box::new(failed(FailureKind::RegistryError).cause(cause)), wait)
            }
            _ => Refusal::of(failed(FailureKind::BadAnswer).cause(cause)),
        })
    }
}

/// Why a request failed.
enum Refusal {
    Final(Box<Error>),
    /// Another try may help, after so long.
    Again(Box<Error>, Option<Duration>),
}

impl Refusal {
    fn of(error: Error) -> Self {
        Self::Final(Box::new(error))
    }
}
