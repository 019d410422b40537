//! Basic credentials on the registry's paths.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use hyper::{HeaderMap, Response, StatusCode, Uri};

use crate::body::{self, Body};

/// The one user and password a gateway accepts.
#[derive(Clone)]
pub struct Basic {
    token: String,
}

impl Basic {
    /// Demands this user and password.
    #[must_use]
    pub fn new(user: &str, password: &str) -> Self {
        Self { token: STANDARD.encode(format!("{user}:{password}")) }
    }

    /// Whether these headers carry the right credentials.
    pub(crate) fn accepts(&self, headers: &HeaderMap) -> bool {
        headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .is_some_and(|(scheme, token)| scheme.eq_ignore_ascii_case("basic") && token.trim() == self.token)
    }
}

impl FromStr for Basic {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (user, password) = text.split_once(':').ok_or("expected USER:PASSWORD")?;
        Ok(Self::new(user, password))
    }
}

impl fmt::Debug for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Basic(…)")
    }
}

/// Whether a path belongs to the registry; AWS calls carry signatures, not Basic.
pub(crate) fn guards(uri: &Uri) -> bool {
    uri.path() == "/v2" || uri.path().starts_with("/v2/")
}

/// What a registry answers to a request without the right credentials.
pub(crate) fn challenge() -> Response<Body> {
    let mut response =
        body::registry_error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required");
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"lab-gateway\""));
    response
}
