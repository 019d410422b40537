//! The identity token that GitHub makes for a job (<https://docs.github.com/actions/reference/security/oidc>).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use serde_json::Value;

use crate::budget::TOKEN;
use crate::env::{self, Env};
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::image::is_this_machine;
use crate::ports::console::Console;
use crate::ports::proxies::Proxies;
use crate::ports::registry::kind_of;
use crate::ports::{http, tls};
use crate::secret::SecretString;

/// What a token says of the job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    pub issuer: String,
    pub subject: String,
    pub audience: String,
}

/// Tells whether the runner gave the job an address to ask for a token.
pub(crate) fn is_offered(env: &Env) -> bool {
    env.get(env::ACTIONS_ID_TOKEN_REQUEST_URL).is_some()
        && env.get(env::ACTIONS_ID_TOKEN_REQUEST_TOKEN).is_some()
}

/// Asks GitHub for a token with this audience. It is masked before it is used.
///
/// # Errors
/// If GitHub does not give one, or it cannot be read.
pub(crate) async fn token(
    env: &Env,
    audience: &str,
    proxies: Proxies,
    console: &Console,
) -> Result<(SecretString, Claims)> {
    let what = || Error::of(FailureKind::AuthMissing, "failed to get an OIDC token from GitHub");
    let hint = "add to the job: permissions: { id-token: write, contents: read }";
    let (Some(url), Some(bearer)) =
        (env.get(env::ACTIONS_ID_TOKEN_REQUEST_URL), env.get(env::ACTIONS_ID_TOKEN_REQUEST_TOKEN))
    else {
        return Err(what().cause("the runner gave the job no address to ask").hint(hint));
    };
    console.mask(bearer);
    let safe = |url: &Url| url.scheme() == "https" || url.host_str().is_some_and(is_this_machine);
    let mut url =
        Url::parse(url).ok().filter(safe).ok_or_else(|| what().cause("its address is no https URL"))?;
    url.query_pairs_mut().append_pair("audience", audience);
    let client = http::client(tls::of_machine()?, move |url| proxies.of(url));
    let client = client.build().map_err(|error| http::not_made(&error))?;
    let answer = client.get(url).bearer_auth(bearer).send().await.map_err(|error| {
        let kind = kind_of(&error);
        what().of_kind(kind).because(&error.without_url())
    })?;
    let status = answer.status();
    if !status.is_success() {
        return Err(what().cause(format!("GitHub answered {status}")).hint(hint));
    }
    let body = http::body(answer, TOKEN).await.map_err(|why| what().cause(why))?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = body["value"].as_str().ok_or_else(|| what().cause("the answer holds no token"))?;
    console.mask(text);
    let claims = claims(text).ok_or_else(|| what().cause("the token cannot be read"))?;
    Ok((SecretString::from(text.to_owned()), claims))
}

/// The claims of a JSON Web Token (RFC 7519). Its signature is for AWS to check.
fn claims(token: &str) -> Option<Claims> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    let payload: Value = serde_json::from_slice(&payload).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let audience = text(&payload["aud"]).or_else(|| text(&payload["aud"][0]));
    Some(Claims { issuer: text(&payload["iss"])?, subject: text(&payload["sub"])?, audience: audience? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn claims_of_a_token() {
        let found = claims(&jwt(r#"{"iss":"https://i","sub":"repo:o/r:pull_request","aud":["a"]}"#)).unwrap();
        assert_eq!((found.subject.as_str(), found.audience.as_str()), ("repo:o/r:pull_request", "a"));
        for wrong in ["", "a.b", "e30.!.x", &jwt("[]"), &jwt(r#"{"iss":"i","sub":7,"aud":"a"}"#)] {
            assert_eq!(claims(wrong), None, "{wrong}");
        }
    }
}
