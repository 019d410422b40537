//! Names of hosts.

use std::time::Duration;

/// Longest a name server may take. The system's own limit is longer than a connection may take,
/// and what ends it then does not say that a name was asked for.
const NAMES: Duration = Duration::from_secs(5);

/// The system's names, within [`NAMES`].
pub(super) struct Names;

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(async move {
            let found = tokio::time::timeout(NAMES, tokio::net::lookup_host((name.as_str(), 0))).await;
            let found = found
                .map_err(|_| format!("no answer from the name server within {}s", NAMES.as_secs()))??;
            let found: Vec<std::net::SocketAddr> = found.collect();
            Ok(Box::new(found.into_iter()) as reqwest::dns::Addrs)
        })
    }
}
