//! The user and password in an `http` URL, as the header that logs in with them.
//!
//! In: `https://ann:s%40cret@git.example/o/r.git`. Out: `https://git.example`, and `Basic` with the base64 of
//! `ann:s@cret`. git and BuildKit get the header in place of the URL, whose text other processes could read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::env::percent_decoded;
use crate::secret::SecretString;

/// The origin of the URL, and the value of the `Authorization` header; `None` if the URL is not `http` or `https`, or
/// has no user.
#[must_use]
pub fn http_login(url: &str) -> Option<(String, SecretString)> {
    let parsed = reqwest::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let decoded = |text: &str| percent_decoded(text).unwrap_or_else(|| text.to_owned());
    let (user, password) = (decoded(parsed.username()), decoded(parsed.password().unwrap_or_default()));
    if user.is_empty() && password.is_empty() {
        return None;
    }
    let header = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    Some((parsed.origin().ascii_serialization(), header.into()))
}
