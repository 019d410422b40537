//! What a gateway is told at its start.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::auth::Basic;

/// Where to listen, what to stand in front of, and what to demand.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The server behind, `http://HOST:PORT`.
    pub upstream: String,
    /// Certificate and key; without them the gateway speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Credentials that every `/v2/` request must carry.
    pub basic: Option<Basic>,
    /// Where the control API listens, in plain HTTP.
    pub control: Option<SocketAddr>,
}

impl Config {
    /// A plain HTTP gateway without credentials and without a control port.
    #[must_use]
    pub fn new(listen: SocketAddr, upstream: impl Into<String>) -> Self {
        Self { listen, upstream: upstream.into(), tls: None, basic: None, control: None }
    }
}

/// PEM files of the certificate chain (leaf first) and its private key.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}
