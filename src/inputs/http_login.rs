//! The user of a URL, as a header.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::env::percent_decoded;
use crate::secret::SecretString;

/// The origin of an `http` URL with a user, and the value of the `Authorization` header that its user makes.
#[must_use]
pub fn http_login(url: &str) -> Option<(String, SecretString)> {
    let parsed = reqwest::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let clear = |text: &str| percent_decoded(text).unwrap_or_else(|| text.to_owned());
    let (user, password) = (clear(parsed.username()), clear(parsed.password().unwrap_or_default()));
    if user.is_empty() && password.is_empty() {
        return None;
    }
    let header = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    Some((parsed.origin().ascii_serialization(), header.into()))
}
