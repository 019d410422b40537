//! Decides which requests go through a proxy, by Go's rules (`golang.org/x/net/http/httpproxy`), as docker, buildx and
//! BuildKit do. Requests to this machine never do.

use std::net::IpAddr;
use std::sync::Arc;

use reqwest::Url;

use crate::env::Env;
use crate::image::is_this_machine;

/// The proxies that the environment names.
#[derive(Clone, Debug)]
pub(crate) struct Proxies(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    /// The proxy of `http` URLs.
    http: Option<Url>,
    /// The proxy of `https` URLs.
    https: Option<Url>,
    /// The hosts without a proxy; `None` if `NO_PROXY` is `*`, so that no host has one.
    without: Option<Vec<Without>>,
}

/// One entry of `NO_PROXY`.
#[derive(Debug, PartialEq, Eq)]
enum Without {
    /// `10.0.0.0/8`
    Network { base: IpAddr, bits: u32 },
    /// `10.0.0.1:80`
    Address { ip: IpAddr, port: Option<String> },
    /// `example.com:80`
    Domain {
        /// Begins with a dot.
        end: String,
        /// True if the domain itself counts too, not only the names below it.
        itself: bool,
        port: Option<String>,
    },
}

impl Proxies {
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`; a name in capitals comes before the same in small letters.
    #[must_use]
    pub(crate) fn new(env: &Env) -> Self {
        let get = |name: &str| env.get(name).or_else(|| env.get(&name.to_ascii_lowercase()));
        let url = |text: &str| match Url::parse(text) {
            Ok(url) if url.has_host() && ["http", "https", "socks5"].contains(&url.scheme()) => Some(url),
            _ => Url::parse(&format!("http://{text}")).ok(),
        };
        Self(Arc::new(Rules {
            // As Go does: in a CGI program the variable comes from a request's header `Proxy`.
            http: get("HTTP_PROXY").filter(|_| env.get("REQUEST_METHOD").is_none()).and_then(url),
            https: get("HTTPS_PROXY").and_then(url),
            without: without(get("NO_PROXY").unwrap_or_default()),
        }))
    }

    /// The variables that are set and hold no address of a proxy.
    pub(crate) fn unread(env: &Env) -> impl Iterator<Item = &'static str> {
        let proxies = Self::new(env);
        let get = |name: &str| env.get(name).or_else(|| env.get(&name.to_ascii_lowercase())).is_some();
        let http = (get("HTTP_PROXY") && proxies.0.http.is_none() && env.get("REQUEST_METHOD").is_none())
            .then_some("HTTP_PROXY");
        let https = (get("HTTPS_PROXY") && proxies.0.https.is_none()).then_some("HTTPS_PROXY");
        http.into_iter().chain(https)
    }

    /// The proxy for this URL, in place of the client's own reading of the environment.
    #[must_use]
    pub(crate) fn of(&self, url: &Url) -> Option<Url> {
        let rules = &self.0;
        let proxy = if url.scheme() == "https" { &rules.https } else { &rules.http };
        let host = url.host_str()?.trim_matches(['[', ']']).to_ascii_lowercase();
        let port = url.port_or_known_default()?.to_string();
        let direct = is_this_machine(&host)
            || rules.without.as_ref().is_none_or(|list| list.iter().any(|entry| entry.matches(&host, &port)));
        proxy.clone().filter(|_| !direct)
    }
}

/// Parses `NO_PROXY`.
fn without(text: &str) -> Option<Vec<Without>> {
    let mut list = Vec::new();
    for entry in text.split(',').map(|entry| entry.trim().to_ascii_lowercase()) {
        if entry == "*" {
            return None;
        }
        list.extend(Without::parse(&entry));
    }
    Some(list)
}

impl Without {
    /// Parses an entry; `None` for one that matches nothing.
    fn parse(entry: &str) -> Option<Self> {
        if let Some((base, bits)) = entry.split_once('/') {
            let base: IpAddr = base.parse().ok()?;
            let most = if base.is_ipv4() { 32 } else { 128 };
            let bits = bits.parse().ok().filter(|bits| *bits <= most)?;
            return Some(Self::Network { base, bits });
        }
        let (host, port) = match entry.rsplit_once(':') {
            // An IPv6 address has its port behind brackets.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port.to_owned())),
            _ => (entry, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = host.parse() {
            return Some(Self::Address { ip, port });
        }
        let host = if host.starts_with("*.") { &host[1..] } else { host };
        let itself = !host.starts_with('.');
        let end = if itself { format!(".{host}") } else { host.to_owned() };
        (end.len() > 1).then_some(Self::Domain { end, itself, port })
    }

    fn matches(&self, host: &str, port: &str) -> bool {
        let is_port = |wanted: &Option<String>| {
            wanted.as_deref().is_none_or(|wanted| wanted.is_empty() || wanted == port)
        };
        match self {
            Self::Network { base, bits } => match (base, host.parse()) {
                (IpAddr::V4(base), Ok(IpAddr::V4(ip))) => {
                    (base.to_bits() ^ ip.to_bits()).checked_shr(32 - bits).unwrap_or(0) == 0
                }
                (IpAddr::V6(base), Ok(IpAddr::V6(ip))) => {
                    (base.to_bits() ^ ip.to_bits()).checked_shr(128 - bits).unwrap_or(0) == 0
                }
                _ => false,
            },
            Self::Address { ip, port } => host.parse() == Ok(*ip) && is_port(port),
            Self::Domain { end, itself, port } => {
                (host.ends_with(end.as_str()) || *itself && host == &end[1..]) && is_port(port)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of `httpproxy`'s own tests, and the forms in its documentation.
    #[test]
    fn d65_proxies_are_those_of_gos_clients() {
        const NO: &str = "foobar.com, .barbaz.net, *.star.example, 192.168.1.1, 192.168.1.2:81, 192.168.1.3:80, \
            10.0.0.0/30, 2001:db8::52:0:1, [2001:db8::52:0:2]:443, [2001:db8::52:0:3]:80, \
            2002:db8:a::45/64, port.example:5000, ,:80";
        for (url, proxied) in [
            ("http://localhost/", false),
            ("http://localhost:5000/", false),
            ("http://127.0.0.1/", false),
            ("http://127.0.0.2:5000/", false),
            ("http://[::1]/", false),
            ("http://[::2]/", true),
            ("http://127.evil.example/", true),
            ("http://192.168.1.1/", false),
            ("http://192.168.1.2/", true),
            ("http://192.168.1.2:81/", false),
            ("http://192.168.1.3/", false),
            ("http://192.168.1.4/", true),
            ("http://10.0.0.2/", false),
            ("http://10.0.0.4/", true),
            ("http://[2001:db8::52:0:1]/", false),
            ("http://[2001:db8::52:0:2]/", true),
            ("https://[2001:db8::52:0:2]/", false),
            ("http://[2001:db8::52:0:3]/", false),
            ("http://[2002:db8:a::123]/", false),
            ("http://[fe80::424b:c8be:1643:a1b6]/", true),
            ("http://barbaz.net/", true),
            ("http://www.barbaz.net/", false),
            ("http://foobar.com/", false),
            ("http://www.foobar.com/", false),
            ("http://foofoobar.com/", true),
            ("http://baz.com/", true),
            ("http://star.example/", true),
            ("http://x.star.example/", false),
            ("http://port.example:5000/", false),
            ("http://port.example/", true),
        ] {
            let env = [
                ("http_proxy", "proxy.example:3128"),
                ("HTTPS_PROXY", "http://u:p@proxy.example"),
                ("NO_PROXY", NO),
            ];
            let found = Proxies::new(&Env::from(env)).of(&Url::parse(url).unwrap());
            assert_eq!(found.is_some(), proxied, "{url}");
        }
        let of = |env: &[(&str, &str)], url: &str| {
            Proxies::new(&env.iter().copied().collect()).of(&Url::parse(url).unwrap()).map(String::from)
        };
        let all = [("HTTP_PROXY", "http://one"), ("http_proxy", "http://two"), ("NO_PROXY", "a, *")];
        assert_eq!(of(&all, "http://10.1.2.3/"), None);
        assert_eq!(of(&all[..2], "http://h/").as_deref(), Some("http://one/"));
        assert_eq!(of(&all[..2], "https://h/"), None);
        assert_eq!(of(&[("HTTP_PROXY", "http://x"), ("REQUEST_METHOD", "GET")], "http://h/"), None);
    }
}
