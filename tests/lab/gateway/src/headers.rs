//! What a proxy changes in headers, and nothing else.

use hyper::HeaderMap;
use hyper::header::{
    CONNECTION, EXPECT, HeaderName, HeaderValue, LOCATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

/// Headers about one connection, which end at a proxy.
const HOP_BY_HOP: [HeaderName; 5] = [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// Removes what concerns only the connection it came on, `Expect` included: each side
/// answers that for itself.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
    headers.remove(EXPECT);
}

/// Makes an absolute `Location` that names this server, by its outer or its inner name,
/// come back through the gateway. Relative ones and those elsewhere stay as they are.
pub(crate) fn fix_location(headers: &mut HeaderMap, scheme: &str, host: &str, upstream: &str) {
    let fixed = headers.get(LOCATION).and_then(|value| value.to_str().ok()).and_then(|location| {
        let rest = location.strip_prefix("http://").or_else(|| location.strip_prefix("https://"))?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let here = authority.eq_ignore_ascii_case(host) || authority == upstream;
        here.then(|| HeaderValue::from_str(&format!("{scheme}://{host}{path}")).ok())?
    });
    if let Some(value) = fixed {
        headers.insert(LOCATION, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(value: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_str(value).unwrap());
        fix_location(&mut headers, "https", "reg.example", "127.0.0.1:4566");
        headers[LOCATION].to_str().unwrap().to_owned()
    }

    #[test]
    fn locations_lead_back_through_the_gateway() {
        assert_eq!(location("/v2/a/blobs/uploads/1?x=y"), "/v2/a/blobs/uploads/1?x=y");
        assert_eq!(location("http://reg.example/v2/a?x=y"), "https://reg.example/v2/a?x=y");
        assert_eq!(location("http://127.0.0.1:4566/v2/a"), "https://reg.example/v2/a");
        assert_eq!(location("https://reg.example"), "https://reg.example");
        assert_eq!(location("https://s3.example/blob"), "https://s3.example/blob");
    }

    #[test]
    fn what_connection_names_goes_too() {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("close, X-Private"));
        headers.insert("x-private", HeaderValue::from_static("1"));
        headers.insert("x-kept", HeaderValue::from_static("1"));
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers.len(), 1);
        assert!(headers.contains_key("x-kept"));
    }
}
