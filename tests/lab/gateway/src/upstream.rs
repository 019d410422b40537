//! The server behind: one plain HTTP connection per request.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::body::{Body, BoxError};

/// Where the upstream listens.
pub(crate) struct Upstream {
    authority: String,
    host: HeaderValue,
}

impl Upstream {
    /// Takes `http://HOST[:PORT]`.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("upstream {url}: {why}");
        let uri: Uri = url.parse().map_err(|e| wrong(&format!("{e}")))?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong("must start with http://"));
        }
        if uri.path_and_query().is_some_and(|path| path != "/") {
            return Err(wrong("must not have a path"));
        }
        let host = uri.host().ok_or_else(|| wrong("has no host"))?;
        let authority = format!("{host}:{}", uri.port_u16().unwrap_or(80));
        let host = HeaderValue::from_str(&authority).map_err(|e| wrong(&format!("{e}")))?;
        Ok(Self { authority, host })
    }

    /// `HOST:PORT`.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Sends a request and waits for the head of its answer. Dropping either ends the
    /// upstream connection at once.
    pub(crate) async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, BoxError> {
        if !request.headers().contains_key(HOST) {
            request.headers_mut().insert(HOST, self.host.clone());
        }
        let stream = TcpStream::connect(&self.authority).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let task = AbortOnDrop(tokio::spawn(async move {
            // Its error reaches the sender, or the body, whichever waits.
            let _ = connection.await;
        }));
        let response = sender.send_request(request).await?;
        Ok(response.map(|inner| Held { inner, _task: task }.boxed_unsync()))
    }
}

/// A task that ends with its owner.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A response body that keeps its connection running.
struct Held {
    inner: Incoming,
    _task: AbortOnDrop,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.inner).poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
