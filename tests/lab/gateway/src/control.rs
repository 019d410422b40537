//! The control API: rules and journal over plain HTTP. `/rules/NAME` is the set of that name,
//! `/rules` the one without a name.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpStream;

use crate::body::{self, Body};
use crate::proxy::Proxy;
use crate::rules::Rule;

/// Serves one connection of the control port.
pub(crate) async fn serve(stream: TcpStream, proxy: Arc<Proxy>) {
    let service = service_fn(move |request| {
        let proxy = Arc::clone(&proxy);
        async move { Ok::<_, Infallible>(answer(&proxy, request).await) }
    });
    // An error means that the client went away.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(proxy: &Proxy, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if let Some(set) = path.strip_prefix("/rules").filter(|set| set.is_empty() || set.starts_with('/')) {
        return rules(proxy, set.trim_start_matches('/'), request).await;
    }
    match (request.method(), path.as_str()) {
        (&Method::GET, "/healthz") => body::text(StatusCode::OK, "ok\n"),
        (&Method::GET, "/journal") => listing(&proxy.journal.entries()),
        (&Method::DELETE, "/journal") => {
            proxy.journal.clear();
            done()
        }
        _ => unknown(),
    }
}

async fn rules(proxy: &Proxy, set: &str, request: Request<Incoming>) -> Response<Body> {
    match *request.method() {
        Method::GET => listing(&proxy.rules.states(set)),
        Method::PUT => match replace(proxy, set, request).await {
            Ok(()) => done(),
            Err(why) => body::text(StatusCode::BAD_REQUEST, format!("{why}\n")),
        },
        Method::DELETE => {
            proxy.rules.remove(set);
            done()
        }
        _ => unknown(),
    }
}

fn unknown() -> Response<Body> {
    body::text(StatusCode::NOT_FOUND, "GET /healthz, GET|DELETE /journal, GET|PUT|DELETE /rules[/NAME]\n")
}

async fn replace(proxy: &Proxy, set: &str, request: Request<Incoming>) -> Result<(), String> {
    let bytes = request.into_body().collect().await.map_err(|e| e.to_string())?.to_bytes();
    let rules: Vec<Rule> = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
    proxy.rules.replace(set, rules)
}

fn listing<T: Serialize>(items: &[T]) -> Response<Body> {
    match serde_json::to_value(items) {
        Ok(value) => body::json(StatusCode::OK, &value),
        Err(error) => body::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn done() -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
