//! The HTTP client of all requests.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};
use rustls::ClientConfig;

use crate::error::Error;
use crate::failure::FailureKind;

/// Makes a client. It follows no redirect by itself, because a redirect of a token service would get the credentials.
pub(crate) fn client(
    tls: ClientConfig,
    proxy: impl Fn(&Url) -> Option<Url> + Send + Sync + 'static,
) -> ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("build-once/", env!("CARGO_PKG_VERSION")))
        .proxy(reqwest::Proxy::custom(proxy))
        .redirect(Policy::none())
        .dns_resolver(Arc::new(Names))
}

/// The error if no client can be made.
pub(crate) fn not_made(error: &reqwest::Error) -> Error {
    Error::of(FailureKind::Machine, "failed to set up TLS").because(error)
}

/// Reads a body of at most so many bytes.
///
/// # Errors
/// Why it cannot be read.
pub(super) async fn body(mut answer: reqwest::Response, most: u64) -> Result<Vec<u8>, String> {
    let mut held = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| error.without_url().to_string())? {
        if (held.len() + chunk.len()) as u64 > most {
            return Err("the answer is too large".to_owned());
        }
        held.extend_from_slice(&chunk);
    }
    Ok(held)
}

/// How long the look-up of a host name may take. The system's own limit is longer than that of a connection, whose error
/// would not name the cause.
const NAME_LOOKUP: Duration = Duration::from_secs(5);

/// The system's look-up of names, within [`NAME_LOOKUP`].
struct Names;

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(async move {
            let found = tokio::time::timeout(NAME_LOOKUP, tokio::net::lookup_host((name.as_str(), 0))).await;
            let found = found
                .map_err(|_| format!("no answer from the name server within {}s", NAME_LOOKUP.as_secs()))??;
            let found: Vec<std::net::SocketAddr> = found.collect();
            Ok(Box::new(found.into_iter()) as reqwest::dns::Addrs)
        })
    }
}
