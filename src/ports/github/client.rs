//! The HTTP client as octocrab takes it.

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use octocrab::OctoBody;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Client, Url};
use serde_json::Value;
use tower::Service;

use crate::budget::{GITHUB_ANSWER, REQUEST};
use crate::error::{Error, Result};
use crate::ports::http;
use crate::ports::proxies::Proxies;
use crate::ports::tls;
use crate::secret::SecretString;
use crate::shown;

type Body = BoxBody<Bytes, octocrab::Error>;
type Failure = Box<dyn std::error::Error + Send + Sync>;
type Sending = std::pin::Pin<Box<dyn Future<Output = Result<::http::Response<Body>, Failure>> + Send>>;

/// Sends what octocrab asks to one server, with its token. Redirects are not followed.
pub(super) fn service(
    base: Url,
    token: Option<SecretString>,
    proxies: Proxies,
) -> Result<
    impl Service<::http::Request<OctoBody>, Response = ::http::Response<Body>, Error = Failure, Future = Sending>
    + Send
    + 'static,
> {
    let tls = tls::of_machine()?;
    let client = http::client(tls, move |url| proxies.of(url)).timeout(REQUEST);
    let client = client.build().map_err(|error| http::not_made(&error))?;
    let authorization = token.map(|token| bearer(&token)).transpose()?;
    Ok(tower::service_fn(move |request: ::http::Request<OctoBody>| -> Sending {
        let sent = send(client.clone(), base.clone(), authorization.clone(), request.into_parts().0);
        Box::pin(sent)
    }))
}

fn bearer(token: &SecretString) -> Result<HeaderValue> {
    let value = HeaderValue::from_str(&format!("Bearer {}", token.expose().trim()));
    let mut value = value.map_err(|_| Error::input("the input github-token is no token"))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn send(
    client: Client,
    base: Url,
    authorization: Option<HeaderValue>,
    parts: ::http::request::Parts,
) -> Result<::http::Response<Body>, Failure> {
    // Only paths of the one server are asked for: no other gets the token.
    let path = parts.uri.path_and_query().map_or("/", ::http::uri::PathAndQuery::as_str);
    let url = Url::parse(&format!("{}{path}", base.as_str().trim_end_matches('/')))?;
    let mut request = client.request(parts.method, url).headers(parts.headers);
    request =
        request.header(ACCEPT, "application/vnd.github+json").header("x-github-api-version", "2022-11-28");
    if let Some(authorization) = authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    let mut answer = request.send().await.map_err(reqwest::Error::without_url)?;
    let mut response = ::http::Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        *headers = answer.headers().clone();
    }
    let mut held = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        if (held.len() + chunk.len()) as u64 > GITHUB_ANSWER {
            return Err("the answer is too large".into());
        }
        held.extend_from_slice(&chunk);
    }
    let body = Full::new(Bytes::from(held)).map_err(|never| match never {}).boxed();
    Ok(response.body(body)?)
}

/// The whole body.
pub(super) async fn bytes(body: Body) -> Result<Vec<u8>, String> {
    let collected = body.collect().await.map_err(|error| error.to_string())?;
    Ok(collected.to_bytes().to_vec())
}

/// What GitHub says is wrong.
pub(super) fn message(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    shown::cut(&crate::ports::actions::inert(body["message"].as_str().unwrap_or_default().as_bytes()), 300)
}
