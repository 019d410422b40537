//! An upstream that remembers what it saw, and a client that holds one connection.
#![allow(dead_code, reason = "shared by two test binaries")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use lab_gateway::{Config, Fault, Gateway, Handle, Rule};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

pub type Out = UnsyncBoxBody<Bytes, Infallible>;

/// A request as it arrived upstream.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: HeaderMap,
    pub bytes: u64,
    /// Whether its body came to its proper end.
    pub whole: bool,
}

#[derive(Clone)]
pub struct Upstream {
    pub addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Upstream {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Self { addr: listener.local_addr().unwrap(), seen: Arc::default() };
        let seen = Arc::clone(&upstream.seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::clone(&seen);
                let service = service_fn(move |r| answer(r, Arc::clone(&seen)));
                tokio::spawn(server::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        upstream
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// `GET /blob/N`: N bytes; `GET /chunked/N`: the same without a length. Anything else: 201
/// with an absolute `Location`, and `hello`.
async fn answer(
    request: Request<Incoming>,
    seen: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<Out>, Infallible> {
    let (parts, mut body) = request.into_parts();
    let (mut bytes, mut whole) = (0, true);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Err(_) => {
                whole = false;
                break;
            }
        }
    }
    let path = parts.uri.to_string();
    let host = parts.headers["host"].to_str().unwrap().to_owned();
    let method = parts.method.to_string();
    let headers = parts.headers;
    seen.lock().unwrap().push(Seen { method, path: path.clone(), headers, bytes, whole });

    let number = |prefix| path.strip_prefix(prefix).and_then(|n: &str| n.parse().ok());
    let response = Response::builder().header("docker-content-digest", "sha256:abc");
    Ok(if let Some(left) = number("/blob/") {
        response.body(Zeros { left, sized: true }.boxed_unsync()).unwrap()
    } else if let Some(left) = number("/chunked/") {
        response.body(Zeros { left, sized: false }.boxed_unsync()).unwrap()
    } else {
        response
            .status(StatusCode::CREATED)
            .header("location", format!("http://{host}/v2/a/blobs/uploads/1?_state=x"))
            .body(full("hello"))
            .unwrap()
    })
}

pub fn full(bytes: impl Into<Bytes>) -> Out {
    Full::new(bytes.into()).boxed_unsync()
}

/// So many zero bytes, made as they are asked for.
pub struct Zeros {
    pub left: u64,
    pub sized: bool,
}

impl Body for Zeros {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static BLOCK: [u8; 32768] = [0; 32768];
        let take = self.left.min(BLOCK.len() as u64);
        self.left -= take;
        let block = Bytes::from_static(&BLOCK).slice(..usize::try_from(take).unwrap());
        std::task::Poll::Ready((take > 0).then_some(Ok(Frame::data(block))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        if self.sized { SizeHint::with_exact(self.left) } else { SizeHint::default() }
    }
}

/// One client connection.
pub struct Client(client::SendRequest<Out>);

impl Client {
    pub async fn connect(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect(addr).await.unwrap()).await
    }

    pub async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = client::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    pub async fn send(&mut self, request: Request<Out>) -> hyper::Result<Response<Incoming>> {
        self.0.ready().await?;
        self.0.send_request(request).await
    }

    /// Status, headers and text of the answer.
    pub async fn ask(&mut self, method: &str, path: &str, body: &str) -> Answer {
        Answer::read(self.send(request(method, path, full(body.to_owned()))).await.unwrap()).await.unwrap()
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub async fn read(response: Response<Incoming>) -> hyper::Result<Self> {
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Self { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub fn request(method: &str, path: &str, body: Out) -> Request<Out> {
    Request::builder().method(method).uri(path).header("host", "reg.example").body(body).unwrap()
}

pub fn config(upstream: &Upstream) -> Config {
    Config::new("127.0.0.1:0".parse().unwrap(), upstream.url())
}

/// A gateway with one rule, its upstream, and a client on it.
pub async fn faulty(fault: Fault) -> (Upstream, Handle, Client) {
    ruled(vec![Rule::new(fault)]).await
}

pub async fn ruled(rules: Vec<Rule>) -> (Upstream, Handle, Client) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(config(&upstream)).await.unwrap();
    gateway.set_rules(rules).unwrap();
    let client = Client::connect(gateway.addr()).await;
    (upstream, gateway, client)
}
