//! Compares the hosts of registries: `localhost:5000` and `127.0.0.1:5000` are one registry. A user could else name
//! another zone's image by another spelling.

use std::net::IpAddr;

use reqwest::Url;

/// Tells whether the host, with or without a port, is this machine: `localhost`, or a loopback address.
#[must_use]
pub fn is_this_machine(host: &str) -> bool {
    let name = without_port(host).0.trim_matches(['[', ']']);
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Splits the port off. A colon inside an IPv6 address begins no port, unless the address is in brackets.
fn without_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    }
}

/// Makes one spelling of a registry's host for comparisons, not for requests. Two names that only the name server knows
/// to be one host stay two.
#[must_use]
pub(crate) fn canonical(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    let (name, port) = without_port(&host);
    let name = name.trim_end_matches('.');
    if let Some(registry) = ecr(name) {
        return registry;
    }
    // Zeros before a port's number mean nothing.
    let port = port.map(|port| port.parse::<u32>().map_or_else(|_| port.to_owned(), |port| port.to_string()));
    let port = port.as_deref();
    let address = address(name);
    if address.is_some_and(|ip| ip.is_loopback() || ip.is_unspecified()) || is_localhost(name) {
        // One registry on this machine answers under all of these names.
        // Docker talks HTTP to it, so the port is 80 if none is named.
        return format!("localhost:{}", port.unwrap_or("80"));
    }
    let address = address.map(|ip| ip.to_string());
    match (address.as_deref().unwrap_or(name), port) {
        ("index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com", None | Some("443")) => {
            "docker.io".to_owned()
        }
        (name, None | Some("443")) => name.to_owned(),
        (name, Some(port)) => format!("{name}:{port}"),
    }
}

/// `localhost` and the names that stand for it (RFC 6761, section 6.3).
fn is_localhost(name: &str) -> bool {
    name == "localhost" || name == "localhost.localdomain" || name.ends_with(".localhost")
}

/// Parses an IP address in any of its spellings (`127.1`, `[::ffff:127.0.0.1]`).
fn address(name: &str) -> Option<IpAddr> {
    let ip: IpAddr = if let Ok(ip) = name.parse() {
        ip
    } else {
        // The C library and browsers read other forms of numbers too, and the parser of URLs knows them.
        let url = Url::parse(&format!("http://{name}/")).ok()?;
        url.host_str()?.trim_matches(['[', ']']).parse().ok()?
    };
    Some(ip.to_canonical())
}

/// Makes one spelling of an ECR registry, which has names for IPv4, for dual-stack and for FIPS (AWS docs, "Amazon ECR
/// endpoints and quotas").
fn ecr(name: &str) -> Option<String> {
    if matches!(name, "public.ecr.aws" | "ecr-public.aws.com") {
        return Some("public.ecr.aws".to_owned());
    }
    let (account, rest) = name.split_once('.')?;
    if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let service = ["dkr.ecr-fips.", "dkr.ecr.", "dkr-ecr-fips.", "dkr-ecr."];
    let rest = service.iter().find_map(|service| rest.strip_prefix(service))?;
    // The region decides the rest of the name.
    let (region, _) = rest.split_once('.')?;
    Some(format!("{account}.ecr.{region}"))
}

/// The host of a GitHub server's URL.
pub(super) fn host_of_server(server: Option<&str>) -> Option<&str> {
    let server = server.map(|server| server.split_once("://").map_or(server, |(_, host)| host));
    server.map(|host| host.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    // D16
    #[test]
    fn d22_spellings_of_one_host() {
        for same in [
            &["h.example", "H.Example:443", "h.example."][..],
            &["localhost:5000", "127.0.0.1:5000", "127.1.2.3:5000", "[::1]:5000", "LOCALHOST:5000"],
            &[
                "127.0.0.1:05000",
                "127.1:5000",
                "127.000.000.001:5000",
                "[::ffff:127.0.0.1]:5000",
                "0.0.0.0:5000",
            ],
            &[
                "[::]:5000",
                "a.localhost:5000",
                "localhost.localdomain:0005000",
                "0x7f.1:5000",
                "localhost:5000",
            ],
            &["10.0.0.1:5000", "10.1:5000", "[::ffff:10.0.0.1]:5000"],
            &["h.example:0443", "h.example"],
            &["docker.io", "index.docker.io", "registry-1.docker.io"],
            &[
                "123456789012.dkr.ecr.us-east-1.amazonaws.com",
                "123456789012.dkr.ecr-fips.us-east-1.amazonaws.com",
                "123456789012.dkr-ecr.us-east-1.on.aws",
                "123456789012.dkr-ecr-fips.us-east-1.on.aws",
                "123456789012.dkr.ecr.us-east-1.amazonaws.com:443",
            ],
            &["public.ecr.aws", "ecr-public.aws.com"],
        ] {
            assert!(same.iter().all(|host| canonical(host) == canonical(same[0])), "{same:?}");
        }
        let other = [
            "h.example",
            "h.example:5000",
            "localhost:5000",
            "localhost:5001",
            "127.evil.example:5000",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com",
            "123456789012.dkr.ecr.us-east-2.amazonaws.com",
            "210987654321.dkr.ecr.us-east-1.amazonaws.com",
        ];
        for (at, a) in other.iter().enumerate() {
            assert!(other[..at].iter().all(|b| canonical(a) != canonical(b)), "{a}");
        }
        assert!(is_this_machine("localhost:5000") && is_this_machine("[::1]:5000") && is_this_machine("::1"));
        assert!(!is_this_machine("127.evil.example") && !is_this_machine("localhost.evil.example:5000"));
    }
}
