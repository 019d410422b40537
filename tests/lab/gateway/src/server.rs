//! Connections: accepting them, speaking HTTP on them, and ending them the hard way.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::proxy::Proxy;

/// How long a client may take over its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How a connection is ended before its time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The socket is closed; under TLS without its goodbye.
    Close,
    /// The peer gets a reset, and what was not delivered yet is lost.
    Reset,
}

/// A client's connection, as its requests see it.
pub(crate) struct Connection {
    id: u64,
    ending: watch::Sender<Option<Ending>>,
}

impl Connection {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Ends the connection; whatever its requests were doing is dropped.
    pub(crate) fn end(&self, ending: Ending) {
        self.ending.send_replace(Some(ending));
    }
}

/// A stream that has a socket underneath.
trait Socket: AsyncRead + AsyncWrite + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Socket for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Socket for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Accepts for ever; the connections end with this future.
pub(crate) async fn accept<F, Fut>(listener: TcpListener, serve: F)
where
    F: Fn(u64, TcpStream) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut id = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    id += 1;
                    connections.spawn(serve(id, stream));
                }
                // Out of descriptors, most likely: it passes when others are closed.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one client connection to its end.
pub(crate) async fn serve(id: u64, tcp: TcpStream, tls: Option<TlsAcceptor>, proxy: Arc<Proxy>) {
    // Errors here mean that the client is gone or does not want this certificate.
    let _ = tcp.set_nodelay(true);
    match tls {
        None => drive(id, tcp, proxy).await,
        Some(acceptor) => {
            if let Ok(Ok(stream)) = timeout(HANDSHAKE, acceptor.accept(tcp)).await {
                drive(id, stream, proxy).await;
            }
        }
    }
}

async fn drive<S: Socket>(id: u64, stream: S, proxy: Arc<Proxy>) {
    let (ending, mut ended) = watch::channel(None);
    let connection = Arc::new(Connection { id, ending });
    let service = service_fn(|request| {
        let (proxy, connection) = (Arc::clone(&proxy), Arc::clone(&connection));
        async move { Ok::<_, Infallible>(proxy.handle(connection, request).await) }
    });
    let mut http = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let ending = tokio::select! {
        // The connection first: what can still be written is written.
        biased;
        _ = &mut http => return,
        ending = ended.wait_for(Option::is_some) => ending.map(|ending| *ending),
    };
    let stream = http.into_parts().io.into_inner();
    if matches!(ending, Ok(Some(Ending::Reset))) {
        let _ = stream.tcp().set_zero_linger();
    }
}
