//! One request and its answer, plain or with a fault.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde_json::Value;
use tokio::time::sleep;

use crate::auth;
use crate::body::{self, Body, drain};
use crate::journal::Record;
use crate::limit::{Limited, Stop};
use crate::pace::Paced;
use crate::proxy::Proxy;
use crate::rules::{Fault, bytes_of, swapped};
use crate::server::{Connection, Ending};

/// ECR's answer to a token past its time.
const EXPIRED: &str = "Your authorization token has expired. Reauthenticate and try again.";

/// A request under way.
pub(crate) struct Exchange<'a> {
    pub(crate) proxy: &'a Proxy,
    pub(crate) connection: Arc<Connection>,
    pub(crate) record: &'a Record,
    /// Whether the credentials check let it pass.
    pub(crate) authorised: bool,
}

impl Exchange<'_> {
    /// As if there were no rules.
    pub(crate) async fn plain(&self, request: Request<Body>) -> Response<Body> {
        if self.authorised {
            self.proxy.forward(request, self.record).await
        } else {
            absorb(request).await;
            auth::challenge()
        }
    }

    /// As the fault says.
    pub(crate) async fn faulted(&self, fault: &Fault, request: Request<Body>) -> Response<Body> {
        match fault {
            Fault::Status { code, headers, body } => {
                absorb(request).await;
                canned(*code, headers, body.as_ref()).unwrap_or_else(broken)
            }
            Fault::ExpireAuth { code, body, .. } => {
                absorb(request).await;
                expired(*code, body.as_ref()).unwrap_or_else(broken)
            }
            Fault::Hide { .. } => {
                let unknown = if request.uri().path().contains("/blobs/") {
                    ("BLOB_UNKNOWN", "blob unknown to registry")
                } else {
                    ("MANIFEST_UNKNOWN", "manifest unknown")
                };
                absorb(request).await;
                body::registry_error(StatusCode::NOT_FOUND, unknown.0, unknown.1)
            }
            Fault::Delay { ms } => {
                sleep(Duration::from_millis(*ms)).await;
                self.plain(request).await
            }
            Fault::Throttle { bytes_per_second: rate } => {
                let slow = |body| Paced::new(body, *rate).boxed_unsync();
                self.plain(request.map(slow)).await.map(slow)
            }
            Fault::Hang {} => {
                absorb(request).await;
                std::future::pending().await
            }
            Fault::Reset {} => self.end(Ending::Reset).await,
            Fault::DropAfterCommit {} => {
                drain(self.plain(request).await.into_body()).await;
                self.end(Ending::Close).await
            }
            Fault::CutRequest { after_bytes } => {
                self.plain(request.map(|body| self.cut(body, *after_bytes, Ending::Reset))).await
            }
            Fault::CutResponse { after_bytes } => {
                let response = self.plain(request).await;
                response.map(|body| self.cut(body, *after_bytes, Ending::Close))
            }
            Fault::SwapBody { body, base64 } => {
                let bytes = swapped(body.as_ref(), base64.as_deref()).unwrap_or_default();
                let mut response = self.plain(request).await;
                response.headers_mut().insert(CONTENT_LENGTH, (bytes.len() as u64).into());
                response.map(|_| body::full(bytes))
            }
            Fault::TruncateBody { bytes } => truncate(self.plain(request).await, *bytes),
        }
    }

    fn cut(&self, body: Body, after: u64, ending: Ending) -> Body {
        Limited::new(body, after, Stop::With(Arc::clone(&self.connection), ending)).boxed_unsync()
    }

    /// Ends the client's connection, and with it whatever awaits this.
    async fn end(&self, ending: Ending) -> Response<Body> {
        self.connection.end(ending);
        std::future::pending().await
    }
}

/// Takes the request's body in, so that the client is ready to hear the answer; unless it
/// waits to be told to send one.
async fn absorb(request: Request<Body>) {
    if !request.headers().contains_key(EXPECT) {
        drain(request.into_body()).await;
    }
}

/// An answer as the script gives it.
pub(crate) fn canned(
    code: u16,
    headers: &BTreeMap<String, String>,
    body: Option<&Value>,
) -> Result<Response<Body>, String> {
    let json = body.is_some_and(|body| match body {
        Value::String(text) => serde_json::from_str::<Value>(text).is_ok(),
        _ => true,
    });
    let mut builder = Response::builder().status(code);
    for (name, value) in headers {
        builder = builder.header(name, value);
    }
    let mut response = builder.body(body::full(bytes_of(body))).map_err(|error| error.to_string())?;
    if response.status().is_informational() {
        return Err(format!("status {code} is not an answer"));
    }
    if body.is_some() && !response.headers().contains_key(CONTENT_TYPE) {
        let kind = if json { "application/json" } else { "text/plain" };
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    Ok(response)
}

/// The refusal of credentials past their time.
pub(crate) fn expired(code: u16, body: Option<&Value>) -> Result<Response<Body>, String> {
    let ecr = serde_json::json!({"errors": [{"code": "DENIED", "message": EXPIRED}]});
    canned(code, &BTreeMap::new(), Some(body.unwrap_or(&ecr)))
}

/// A script that could not be played; rules are checked when they are set, so: never.
fn broken(why: String) -> Response<Body> {
    body::text(StatusCode::BAD_GATEWAY, why)
}

/// The first bytes of an answer as if they were all of it.
fn truncate(mut response: Response<Body>, bytes: u64) -> Response<Body> {
    let length = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if let Some(length) = length.and_then(|text| text.parse::<u64>().ok()) {
        response.headers_mut().insert(CONTENT_LENGTH, length.min(bytes).into());
    }
    response.map(|body| Limited::new(body, bytes, Stop::Quietly).boxed_unsync())
}
