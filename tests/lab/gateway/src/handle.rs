//! Starting a gateway, and holding one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::compiled::RuleSets;
use crate::config::Config;
use crate::journal::{Entry, Journal};
use crate::proxy::Proxy;
use crate::rules::{Rule, RuleState};
use crate::upstream::Upstream;
use crate::{control, server, tls};

/// The way to a running gateway.
pub struct Gateway;

impl Gateway {
    /// Binds, then serves in the background of this Tokio runtime.
    ///
    /// # Errors
    ///
    /// An address that cannot be bound, a certificate that cannot be read, or an upstream
    /// that is not a plain `http://` address.
    pub async fn start(config: Config) -> io::Result<Handle> {
        let invalid = |why| io::Error::new(io::ErrorKind::InvalidInput, why);
        let upstream = Upstream::parse(&config.upstream).map_err(invalid)?;
        let acceptor = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let proxy = Arc::new(Proxy {
            upstream,
            basic: config.basic,
            scheme: if acceptor.is_some() { "https" } else { "http" },
            rules: RuleSets::default(),
            journal: Journal::new(),
        });

        let listener = bind(config.listen).await?;
        let addr = listener.local_addr()?;
        let control = match config.control {
            Some(addr) => Some(bind(addr).await?),
            None => None,
        };
        let control_addr = control.as_ref().map(TcpListener::local_addr).transpose()?;

        let shared = Arc::clone(&proxy);
        let mut tasks = vec![tokio::spawn(server::accept(listener, move |id, stream| {
            server::serve(id, stream, acceptor.clone(), Arc::clone(&shared))
        }))];
        if let Some(listener) = control {
            let shared = Arc::clone(&proxy);
            tasks.push(tokio::spawn(server::accept(listener, move |_, stream| {
                control::serve(stream, Arc::clone(&shared))
            })));
        }
        Ok(Handle { addr, control_addr, proxy, tasks })
    }
}

/// A running gateway; it ends when this is dropped.
pub struct Handle {
    addr: SocketAddr,
    control_addr: Option<SocketAddr>,
    proxy: Arc<Proxy>,
    tasks: Vec<JoinHandle<()>>,
}

impl Handle {
    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where its control API listens, if it has one.
    #[must_use]
    pub fn control_addr(&self) -> Option<SocketAddr> {
        self.control_addr
    }

    /// The requests since the last clearing, in the order of their arrival.
    #[must_use]
    pub fn journal(&self) -> Vec<Entry> {
        self.proxy.journal.entries()
    }

    /// Forgets all requests so far.
    pub fn clear_journal(&self) {
        self.proxy.journal.clear();
    }

    /// The rules of the set without a name, with their hit counts.
    #[must_use]
    pub fn rules(&self) -> Vec<RuleState> {
        self.proxy.rules.states("")
    }

    /// Replaces these rules; counts start at zero.
    ///
    /// # Errors
    ///
    /// Says which rule is wrong and why; the old ones stay in force.
    pub fn set_rules(&self, rules: Vec<Rule>) -> Result<(), String> {
        self.proxy.rules.replace("", rules)
    }

    /// Removes these rules.
    pub fn clear_rules(&self) {
        self.proxy.rules.remove("");
    }

    /// Closes listeners and connections, and returns when they are closed.
    pub async fn shutdown(mut self) {
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            // It was told to stop: the error is that it did.
            let _ = task.await;
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(addr)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("listen on {addr}: {error}")))
}
