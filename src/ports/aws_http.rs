//! Sends the AWS SDK's requests through the client of all other requests: the same certificates, proxies and limits.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_ecr::config::http::{HttpRequest, HttpResponse};
use aws_sdk_ecr::config::{HttpClient, RuntimeComponents, SharedHttpClient};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::result::ConnectorError;
use reqwest::{Client, Method, Url};

use crate::budget::AWS_ANSWER;
use crate::ports::http;
use crate::ports::proxies::Proxies;
use crate::ports::tls;

/// The clients, one for each limit of connecting: the SDK gives instance metadata a shorter one.
#[derive(Debug)]
struct Http {
    proxies: Proxies,
    /// Each client with its limit of connecting.
    clients: Mutex<Vec<(Option<Duration>, Client)>>,
}

/// The client as the SDK takes it.
#[must_use]
pub(crate) fn client(proxies: Proxies) -> SharedHttpClient {
    SharedHttpClient::new(Http { proxies, clients: Mutex::default() })
}

/// Tells whether the address is a service of the machine itself (instance metadata, a container's credentials), which no
/// proxy can reach.
fn is_of_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse() {
        Ok(IpAddr::V4(ip)) => ip.is_link_local(),
        // fd00:ec2::254, fd00:ec2::23
        Ok(IpAddr::V6(ip)) => ip.segments()[..2] == [0xfd00, 0xec2],
        Err(_) => false,
    }
}

impl Http {
    fn make(&self, connect: Option<Duration>) -> Result<Client, String> {
        let tls = tls::of_machine().map_err(|error| error.to_string())?;
        let proxies = self.proxies.clone();
        let mut client =
            http::client(tls, move |url| if is_of_machine(url) { None } else { proxies.of(url) });
        if let Some(connect) = connect {
            client = client.connect_timeout(connect);
        }
        client.build().map_err(|error| error.to_string())
    }

    fn client_with(&self, connect: Option<Duration>) -> Result<Client, String> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = clients.iter().find(|(limit, _)| *limit == connect) {
            return Ok(client.clone());
        }
        let client = self.make(connect)?;
        clients.push((connect, client.clone()));
        Ok(client)
    }
}

impl HttpClient for Http {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            client: self.client_with(settings.connect_timeout()),
            limit: settings.read_timeout(),
        })
    }
}

#[derive(Debug)]
struct Connector {
    client: Result<Client, String>,
    /// The limit of one request, from the SDK.
    limit: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (client, limit) = (self.client.clone(), self.limit);
        HttpConnectorFuture::new(async move {
            let client = client.map_err(|error| ConnectorError::user(error.into()))?;
            send(&client, limit, &request).await
        })
    }
}

async fn send(
    client: &Client,
    limit: Option<Duration>,
    request: &HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    let user = |error: &str| ConnectorError::user(error.into());
    let method = Method::from_bytes(request.method().as_bytes()).map_err(|_| user("no method of HTTP"))?;
    let body = request.body().bytes().ok_or_else(|| user("a body that is not in memory"))?;
    let mut sent = client.request(method, request.uri()).body(body.to_vec());
    for (name, value) in request.headers() {
        sent = sent.header(name, value);
    }
    if let Some(limit) = limit {
        sent = sent.timeout(limit);
    }
    let mut answer = sent.send().await.map_err(failed)?;
    let status = answer.status().as_u16().try_into().map_err(|_| user("no status of HTTP"))?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if (body.len() + chunk.len()) as u64 > AWS_ANSWER {
            return Err(ConnectorError::other("the answer is too large".into(), None));
        }
        body.extend_from_slice(&chunk);
    }
    let mut response = HttpResponse::new(status, body.into());
    for (name, value) in answer.headers() {
        if let Ok(value) = value.to_str() {
            response.headers_mut().try_append(name.to_string(), value.to_owned()).ok();
        }
    }
    Ok(response)
}

fn failed(error: reqwest::Error) -> ConnectorError {
    let error = error.without_url();
    if error.is_timeout() { ConnectorError::timeout(error.into()) } else { ConnectorError::io(error.into()) }
}
