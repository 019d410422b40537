//! Answers a registry that asks for credentials: parses `WWW-Authenticate`
//! (`Bearer realm="https://auth.docker.io/token",service="registry.docker.io"`), and asks the token service that it names
//! (<https://distribution.github.io/distribution/spec/auth/token/>).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::AUTHORIZATION;
use reqwest::{Client, RequestBuilder, Url};
use serde_json::Value;

use super::answer::{Attempt, asked_to_wait, passing, unanswered, unavailable, whole};
use crate::budget::TOKEN;
use crate::error::Error;
use crate::failure::FailureKind;
use crate::image::is_this_machine;
use crate::ports::docker_config::Credential;
use crate::secret::SecretString;

/// The credentials that a registry wants.
pub enum Challenge {
    /// User and password with each request.
    Basic,
    /// A token of its token service.
    Bearer(TokenRequest),
}

/// The token service of a registry.
pub struct TokenRequest {
    /// The service's URL.
    realm: String,
    /// The registry's name to the service.
    service: Option<String>,
}

impl Challenge {
    /// Reads `WWW-Authenticate`; `None` if it names another scheme.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, parameters) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let realm = parameter(parameters, "realm")?;
        Some(Self::Bearer(TokenRequest { realm, service: parameter(parameters, "service") }))
    }
}

/// The value of a parameter of the challenge, `name="value"` or `name=value`.
fn parameter(parameters: &str, name: &str) -> Option<String> {
    let mut rest = parameters;
    while let Some((found, after)) = rest.split_once('=') {
        let found = found.trim_start_matches([',', ' ']);
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if found.eq_ignore_ascii_case(name) {
            return Some(value.to_owned());
        }
        rest = after;
    }
    None
}

/// The header `Authorization` for user and password.
pub(super) fn basic(credential: &Credential) -> SecretString {
    let pair = format!("{}:{}", credential.user, credential.password.expose());
    format!("Basic {}", STANDARD.encode(pair)).into()
}

impl TokenRequest {
    /// Asks for a token for `scope`: `repository:<path>:<actions>`, or several with a space between. If the credential is
    /// refused, it asks without one: an old login must not hide a public image.
    pub(super) async fn token(
        &self,
        http: &Client,
        registry: &str,
        scope: &str,
        credential: Option<&Credential>,
    ) -> Result<SecretString, Attempt> {
        let refused = match self.ask(http, registry, scope, credential).await {
            Err(Attempt::Final(refused)) if credential.is_some() => refused,
            other => return other,
        };
        self.ask(http, registry, scope, None).await.map_err(|_| Attempt::Final(refused))
    }

    /// Asks for a token once.
    async fn ask(
        &self,
        http: &Client,
        registry: &str,
        scope: &str,
        credential: Option<&Credential>,
    ) -> Result<SecretString, Attempt> {
        let request = self.request(http, registry, scope, credential)?;
        let failed = || unavailable(registry).cause("its token service did not answer");
        let again = |error| unanswered(failed(), error);
        let response = request.send().await.map_err(again)?;
        let status = response.status();
        if let Some(kind) = passing(status) {
            let error = failed().of_kind(kind);
            let wait = asked_to_wait(&response, kind);
            return Err(Attempt::Again { error: error.cause(status.to_string()), wait });
        }
        if !status.is_success() {
            return Err(Attempt::error(
                Error::of(FailureKind::AuthMissing, format!("failed to log in to {registry}"))
                    .cause(format!("its token service answered {status}"))
                    .hint(format!("check the login for {registry}, and that it may use {scope}")),
            ));
        }
        let body = whole(response, TOKEN, failed, "its token service's answer is too large").await?;
        bearer(&body)
            // A registry may quote the token in an error.
            .inspect(|token| crate::shown::learn(token.expose().trim_start_matches("Bearer ")))
            .ok_or_else(|| Attempt::error(unavailable(registry).cause("its token service gave no token")))
    }

    /// The request for a token: by POST with an identity token, which is a refresh token of `OAuth2`, else by GET.
    fn request(
        &self,
        http: &Client,
        registry: &str,
        scope: &str,
        credential: Option<&Credential>,
    ) -> Result<RequestBuilder, Attempt> {
        let mut url = self.url(registry)?;
        if let Some(token) = credential.filter(|credential| credential.user == "<token>") {
            let fields = [
                ("grant_type", "refresh_token"),
                ("client_id", "build-once"),
                ("refresh_token", token.password.expose()),
                ("scope", scope),
                ("service", self.service.as_deref().unwrap_or_default()),
            ];
            // A form is encoded as the query of a URL is.
            let form = Url::parse_with_params("x:/", fields);
            let form = form.ok().and_then(|url| url.query().map(str::to_owned)).unwrap_or_default();
            return Ok(http.post(url).header("content-type", "application/x-www-form-urlencoded").body(form));
        }
        for part in scope.split(' ') {
            url.query_pairs_mut().append_pair("scope", part);
        }
        if let Some(service) = &self.service {
            url.query_pairs_mut().append_pair("service", service);
        }
        Ok(match credential {
            Some(credential) => http.get(url).header(AUTHORIZATION, basic(credential).expose()),
            None => http.get(url),
        })
    }

    /// The token service's address, if credentials may be sent to it: over TLS, or on this machine.
    #[must_use]
    pub fn address(&self) -> Option<Url> {
        Url::parse(&self.realm).ok().filter(|url| {
            let local = url.host_str().is_some_and(is_this_machine);
            url.scheme() == "https" || (url.scheme() == "http" && local)
        })
    }

    fn url(&self, registry: &str) -> Result<Url, Attempt> {
        self.address().ok_or_else(|| {
            Attempt::error(unavailable(registry).cause("its token service has no safe address"))
        })
    }
}

/// Makes the header `Authorization` from a token service's answer; `None` if that has no token.
#[must_use]
pub fn bearer(answer: &[u8]) -> Option<SecretString> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let token = answer["token"].as_str().or_else(|| answer["access_token"].as_str())?;
    Some(format!("Bearer {token}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_challenges() {
        assert!(matches!(Challenge::parse(r#"Basic realm="x""#), Some(Challenge::Basic)));
        let text = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a:pull""#;
        let Some(Challenge::Bearer(request)) = Challenge::parse(text) else { panic!("{text}") };
        assert_eq!(request.realm, "https://auth.docker.io/token");
        assert_eq!(request.service.as_deref(), Some("registry.docker.io"));
        assert!(Challenge::parse("Negotiate").is_none());
        assert!(Challenge::parse("Bearer").is_none());
    }

    #[test]
    fn a_token_service_must_be_safe() {
        for realm in [
            "http://evil.example/token",
            // D16
            "http://127.evil.example/token",
            "http://localhost.evil.example/token",
            "ftp://x",
            "nonsense",
        ] {
            let request = TokenRequest { realm: realm.into(), service: None };
            assert!(request.url("r").is_err(), "{realm}");
        }
    }
}
