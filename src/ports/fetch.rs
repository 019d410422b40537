//! Computes the checksum of a file behind a URL, which an `ADD` names: the file's content counts in the key.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::budget::{FETCH, FETCH_REDIRECTS, FETCHED, Most};
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::image::Digest;
use crate::ports::clock::Stopwatch;
use crate::ports::http;
use crate::ports::proxies::Proxies;
use crate::ports::registry::kind_of;
use crate::ports::tls;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the server may send nothing.
const SILENCE: Duration = Duration::from_secs(30);

/// SHA-256 of the file that a URL leads to. Redirects are followed, and the file is not kept in memory.
///
/// # Errors
/// If it cannot be fetched, or is too large.
pub(crate) async fn checksum(url: &str, proxies: Proxies) -> Result<Digest> {
    let what = || Error::of(FailureKind::TransientNetwork, format!("failed to fetch {url}"));
    let client = http::client(tls::of_machine()?, move |url| proxies.of(url))
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .timeout(FETCH)
        .redirect(reqwest::redirect::Policy::limited(FETCH_REDIRECTS))
        .build()
        .map_err(|error| http::not_made(&error))?;
    let watch = Stopwatch::start();
    let failed = |error: reqwest::Error| {
        if watch.seconds() < FETCH.as_secs_f64() {
            let kind = kind_of(&error);
            return what().of_kind(kind).because(&error.without_url()).hint(kind.hint_of_host());
        }
        what()
            .cause(format!("it takes longer than {} s", FETCH.as_secs()))
            .hint("give its checksum to the ADD instruction: then it is not fetched for the key")
    };
    let mut response = client.get(url).send().await.map_err(failed)?;
    if !response.status().is_success() {
        // A file that is refused or absent is so the next time too: the Dockerfile is wrong.
        let error = what().cause(format!("it answers {}", response.status()));
        return Err(if response.status() == reqwest::StatusCode::TOO_MANY_REQUESTS {
            error.of_kind(FailureKind::Throttled)
        } else if response.status().is_client_error() {
            error.of_kind(FailureKind::DockerfileError).hint("check the URL; BuildKit sends no login to it")
        } else {
            error
        });
    }
    let (mut hash, mut size) = (Sha256::new(), 0);
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        size += chunk.len() as u64;
        if size > FETCHED {
            return Err(what().cause(format!("it is larger than {}", Most::Bytes(FETCHED))));
        }
        hash.update(&chunk);
    }
    let hex = crate::image::hex(&hash.finalize());
    format!("sha256:{hex}").parse().map_err(|error| what().because(&error))
}
