//! Asks AWS for ECR's registry token and for the SSM parameter.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ecr::config::SharedHttpClient;
use aws_sdk_ecr::error::ProvideErrorMetadata;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::Error;
use crate::failure::FailureKind;
use crate::image::{EcrHost, Repository};
use crate::ports::aws_errors::refused;
use crate::ports::aws_http;
use crate::ports::ecr::Ecr;
use crate::ports::metadata::{self, Instance, NoInstance};
use crate::ports::proxies::Proxies;
use crate::secret::SecretString;

/// Connects to AWS. The SDK's search for credentials ends at instance metadata, which does not answer on machines that are
/// not of AWS. So each question has a limit of its own, [`QUESTION`].
#[derive(Clone, Debug)]
pub(crate) struct Aws {
    region: Option<String>,
    http: SharedHttpClient,
    /// For requests that the SDK has no client for here.
    pub(super) proxies: Proxies,
}

/// How long each question to AWS may take.
const QUESTION: Duration = Duration::from_secs(10);

impl Aws {
    /// `region`: the input `aws-region`; the hosts of ECR name their region themselves.
    #[must_use]
    pub(crate) fn new(region: Option<String>, proxies: &Proxies) -> Self {
        Self { region, http: aws_http::client(proxies.clone()), proxies: proxies.clone() }
    }

    /// The EC2 instance that this machine is.
    ///
    /// # Errors
    /// [`NoInstance`].
    pub(crate) async fn instance(&self) -> Result<Instance, NoInstance> {
        metadata::instance(self.http.clone()).await
    }

    pub(super) async fn config(&self, region: Option<&str>, fips: bool, dual_stack: bool) -> SdkConfig {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(3))
            .operation_attempt_timeout(Duration::from_secs(5))
            .build();
        // Six attempts fit into [`QUESTION`]. The SDK's own three are too few for an account that is throttled, and its
        // waits are too long for a run that may work without the answer.
        let retries = RetryConfig::standard()
            .with_max_attempts(6)
            .with_initial_backoff(Duration::from_millis(300))
            .with_max_backoff(Duration::from_secs(3));
        let loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(self.http.clone());
        let mut loader = loader.timeout_config(timeouts).retry_config(retries);
        if let Some(region) = region.or(self.region.as_deref()) {
            loader = loader.region(Region::new(region.to_owned()));
        }
        if fips {
            loader = loader.use_fips(true);
        }
        if dual_stack {
            loader = loader.use_dual_stack(true);
        }
        loader.load().await
    }

    /// The password for `docker login`, user `AWS`. Valid for 12 hours.
    ///
    /// # Errors
    /// Without credentials or the right to `ecr:GetAuthorizationToken`: access; else unavailable.
    pub(crate) async fn registry_password(&self, host: &EcrHost) -> Result<SecretString, Error> {
        let what = "failed to get a registry token from ECR";
        let token = async {
            let config = self.config(Some(&host.region), host.fips, host.dual_stack).await;
            if host.public {
                let answer =
                    aws_sdk_ecrpublic::Client::new(&config).get_authorization_token().send().await.map_err(
                        |error| {
                            refused(
                                what,
                                "ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken on *",
                                &error,
                            )
                        },
                    )?;
                Ok(answer.authorization_data().and_then(|data| data.authorization_token()).map(str::to_owned))
            } else {
                let answer = aws_sdk_ecr::Client::new(&config)
                    .get_authorization_token()
                    .send()
                    .await
                    .map_err(|error| refused(what, "ecr:GetAuthorizationToken on *", &error))?;
                Ok(answer
                    .authorization_data()
                    .first()
                    .and_then(|data| data.authorization_token())
                    .map(str::to_owned))
            }
        };
        let token = limited(what, token).await?;
        token
            .and_then(|token| STANDARD.decode(token).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|pair| {
                pair.split_once(':').map(|(_, password)| SecretString::from(password.to_owned()))
            })
            .ok_or_else(|| Error::of(FailureKind::AwsUnavailable, what).cause("the answer holds no token"))
    }

    /// The API of the repository's registry in ECR; `None` if it is in another one, or in public ECR.
    pub(crate) async fn ecr(&self, repository: &Repository) -> Option<Ecr> {
        let host = EcrHost::parse(repository.registry()).filter(|host| !host.public)?;
        Some(Ecr::new(self.ecr_client(&host).await, repository.clone()))
    }

    /// The API of private ECR, in the region that the host names.
    pub(super) async fn ecr_client(&self, host: &EcrHost) -> aws_sdk_ecr::Client {
        aws_sdk_ecr::Client::new(&self.config(Some(&host.region), host.fips, host.dual_stack).await)
    }

    /// The value of an SSM parameter.
    ///
    /// # Errors
    /// [`ParameterError`].
    pub(crate) async fn parameter(&self, name: &str, region: Option<&str>) -> Result<String, ParameterError> {
        let what = format!("failed to read the SSM parameter {name}");
        let read = async {
            let config = self.config(region, false, false).await;
            let answer = aws_sdk_ssm::Client::new(&config)
                .get_parameter()
                .name(name)
                .with_decryption(true)
                .send()
                .await;
            answer.map(|answer| answer.parameter.and_then(|parameter| parameter.value)).map_err(|error| {
                match error.as_service_error().and_then(ProvideErrorMetadata::code) {
                    Some("ParameterNotFound" | "ParameterVersionNotFound") => ParameterError::Absent,
                    Some(code) if code.contains("AccessDenied") => ParameterError::Denied,
                    _ => {
                        ParameterError::Failed(refused(&what, &format!("ssm:GetParameter on {name}"), &error))
                    }
                }
            })
        };
        let value = tokio::time::timeout(QUESTION, read)
            .await
            .unwrap_or_else(|_| Err(ParameterError::Failed(too_slow(&what))))?;
        value.filter(|value| !value.trim().is_empty()).ok_or(ParameterError::Absent)
    }
}

/// Why a parameter has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ParameterError {
    /// The parameter does not exist, or is empty.
    Absent,
    /// The role may not read it.
    Denied,
    /// The request failed.
    Failed(Error),
}

/// Waits for the work at most [`QUESTION`].
pub(super) async fn limited<T>(what: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(QUESTION, work).await.unwrap_or_else(|_| Err(too_slow(what)))
}

fn too_slow(what: &str) -> Error {
    Error::of(FailureKind::AwsUnavailable, what).cause(format!("no answer within {}s", QUESTION.as_secs()))
}
