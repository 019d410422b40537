//! Bodies: the one type they all have here, the small ready-made ones, and the meter.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use crate::journal::Record;

/// Whatever went wrong while a body was on its way.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body in flight, in either direction.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A body of known bytes.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// No body.
pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// An answer of a status and a line of text.
pub(crate) fn text(status: StatusCode, message: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(full(message.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(full(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An error as registries spell it.
pub(crate) fn registry_error(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let errors = serde_json::json!({"errors": [{"code": code, "message": message}]});
    let mut response = json(status, &errors);
    response
        .headers_mut()
        .insert("docker-distribution-api-version", HeaderValue::from_static("registry/2.0"));
    response
}

/// Reads a body to its end and forgets it.
pub(crate) async fn drain<B>(mut body: B)
where
    B: HttpBody + Unpin,
{
    while let Some(Ok(_)) = body.frame().await {}
}

/// Which way a body travels.
#[derive(Clone, Copy)]
pub(crate) enum Direction {
    /// From the client.
    Request,
    /// To the client.
    Response,
}

/// Counts what passes into the journal; the end of a response body ends its entry.
pub(crate) struct Metered<B> {
    inner: B,
    record: Arc<Record>,
    direction: Direction,
}

impl<B> Metered<B> {
    pub(crate) fn new(inner: B, record: Arc<Record>, direction: Direction) -> Self {
        Self { inner, record, direction }
    }
}

impl<B> HttpBody for Metered<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.record.count(self.direction, data.len());
        }
        Poll::Ready(frame.map(|result| result.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B> Drop for Metered<B> {
    fn drop(&mut self) {
        if matches!(self.direction, Direction::Response) {
            self.record.finish();
        }
    }
}
