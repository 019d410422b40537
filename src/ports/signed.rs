//! Signed requests to services of AWS for which the program has no client (AWS, "Signature Version 4").

use std::time::{Duration, UNIX_EPOCH};

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use reqwest::Method;

use super::aws::Aws;
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::ports::clock::unix_seconds;
use crate::ports::registry::kind_of;
use crate::ports::{http, tls};

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(30);

/// A request to sign.
pub(super) struct Request<'a> {
    /// What failed, if it fails.
    pub(super) what: &'a str,
    pub(super) method: Method,
    pub(super) url: &'a str,
    /// The service and the region that the signature names.
    pub(super) service: &'static str,
    pub(super) region: &'a str,
    pub(super) settings: SigningSettings,
    /// A form; `None` for a request without a body.
    pub(super) form: Option<String>,
}

impl Aws {
    /// Signs and sends a request, and returns the status and the body, which may be an error of the service's.
    ///
    /// # Errors
    /// Without credentials, or if no answer comes.
    pub(super) async fn send(&self, config: &SdkConfig, request: Request<'_>) -> Result<(u16, Vec<u8>)> {
        let Request { what, method, url, service, region, settings, form } = request;
        let failed = || Error::of(FailureKind::AwsUnavailable, what);
        let none = || {
            let error = Error::of(FailureKind::AwsCredentials, what);
            error.cause("no AWS credentials were found")
        };
        let provider = config.credentials_provider().ok_or_else(none)?;
        let credentials = provider.provide_credentials().await.map_err(|error| none().because(&error))?;
        let identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(service)
            .time(UNIX_EPOCH + Duration::from_secs(unix_seconds()))
            .settings(settings)
            .build()
            .map_err(|error| failed().because(&error))?
            .into();
        let kind = form.is_some().then_some(("content-type", "application/x-www-form-urlencoded"));
        let body = form.unwrap_or_default();
        let signable = SignableBody::Bytes(body.as_bytes());
        let signable = SignableRequest::new(method.as_str(), url, kind.into_iter(), signable)
            .map_err(|error| failed().because(&error))?;
        let (signed, _) = sign(signable, &params).map_err(|error| failed().because(&error))?.into_parts();
        let proxies = self.proxies.clone();
        let client = http::client(tls::of_machine()?, move |url| proxies.of(url)).timeout(REQUEST);
        let client = client.build().map_err(|error| http::not_made(&error))?;
        let mut sent = client.request(method, url);
        for (name, value) in kind.into_iter().chain(signed.headers()) {
            sent = sent.header(name, value);
        }
        let unanswered = |error: reqwest::Error| {
            let kind = kind_of(&error);
            failed().of_kind(kind).because(&error.without_url())
        };
        let answer = sent.body(body).send().await.map_err(unanswered)?;
        let status = answer.status().as_u16();
        let bytes = http::body(answer, crate::budget::AWS_ANSWER).await.map_err(|why| failed().cause(why))?;
        Ok((status, bytes))
    }
}
