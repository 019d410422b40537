//! Whether a server answers at all, and what its clock says.

use reqwest::{Method, Response, Url};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::ports::clock::unix_seconds;
use crate::ports::proxies::Proxies;
use crate::ports::registry::kind_of;
use crate::ports::{http, tls};

/// A server's answer. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    pub host: String,
    pub status: u16,
    /// Its clock, if it tells it, and ours at that moment.
    pub clocks: Option<(u64, u64)>,
}

impl Reached {
    pub(super) fn of(answer: &Response) -> Self {
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok()).and_then(http_date);
        Self {
            host: answer.url().host_str().unwrap_or_default().to_owned(),
            status: answer.status().as_u16(),
            clocks: date.map(|theirs| (theirs, unix_seconds())),
        }
    }
}

/// Asks for the head of a page, without a login; redirects are not followed.
///
/// # Errors
/// If nothing answers.
pub(crate) async fn head(url: &Url, proxies: Proxies) -> Result<Reached> {
    let host = url.host_str().unwrap_or_default();
    let client = http::client(tls::of_machine()?, move |url| proxies.of(url));
    let client = client.build().map_err(|error| http::not_made(&error))?;
    let answer = client.request(Method::HEAD, url.clone()).send().await;
    answer.map(|answer| Reached::of(&answer)).map_err(|error| unreached(host, error))
}

/// The error of a server that does not answer.
pub(super) fn unreached(host: &str, error: reqwest::Error) -> Error {
    let kind = kind_of(&error);
    Error::of(FailureKind::TransientNetwork, format!("failed to reach {host}"))
        .of_kind(kind)
        .because(&error.without_url())
        .hint(kind.hint_of_host())
}

/// Seconds since 1970 (RFC 9110, "Date").
pub(super) fn http_date(text: &str) -> Option<u64> {
    let date = OffsetDateTime::parse(&text.replace("GMT", "+0000"), &Rfc2822).ok()?;
    date.unix_timestamp().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_is_read() {
        assert_eq!(http_date("Thu, 01 Jan 1970 00:01:00 GMT"), Some(60));
        assert_eq!(http_date("Fri, 27 Nov 2026 00:22:54 GMT"), Some(1_795_738_974));
        assert_eq!(http_date("yesterday"), None);
    }
}
