//! Asks the EC2 instance metadata service, version 2, which instance this machine is.

use std::time::Duration;

use aws_config::imds::client::Client;
use aws_config::imds::client::error::ImdsError;
use aws_config::provider_config::ProviderConfig;
use aws_sdk_ecr::config::SharedHttpClient;

use crate::error::chain;

/// An EC2 instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Instance {
    /// For example `i-0123456789abcdef0`.
    pub id: String,
    /// The region that it runs in.
    pub region: Option<String>,
}

/// Why the machine does not tell its instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoInstance {
    /// Nothing answers: not an EC2 instance, or out of reach (a container with hop limit 1).
    NotEc2,
    /// The service answers, and refuses.
    Off(String),
}

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(1);
/// How long all requests together may take.
const ALL_REQUESTS: Duration = Duration::from_secs(2);

/// Asks the metadata service which instance this machine is.
///
/// # Errors
/// [`NoInstance`].
pub(crate) async fn instance(http: SharedHttpClient) -> Result<Instance, NoInstance> {
    let ask = async {
        let client = Client::builder()
            .configure(&ProviderConfig::without_region().with_http_client(http))
            .max_attempts(1)
            .connect_timeout(REQUEST)
            .read_timeout(REQUEST)
            .operation_timeout(REQUEST)
            .build();
        let id = client.get("/latest/meta-data/instance-id").await.map_err(|error| match error {
            ImdsError::ErrorResponse(_) | ImdsError::FailedToLoadToken(_) if answered(&error) => {
                NoInstance::Off(status(&error))
            }
            _ => NoInstance::NotEc2,
        })?;
        let region = client.get("/latest/meta-data/placement/region").await.ok();
        let id = id.as_ref().trim().to_owned();
        // It becomes part of a parameter's name.
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(NoInstance::Off("it answers with no instance id".to_owned()));
        }
        Ok(Instance { id, region: region.map(|region| region.as_ref().trim().to_owned()) })
    };
    tokio::time::timeout(ALL_REQUESTS, ask).await.unwrap_or(Err(NoInstance::NotEc2))
}

/// True if the service answered with a refusal; false for no answer, a refused connection, or another cloud's metadata
/// service, which knows no session tokens.
fn answered(error: &ImdsError) -> bool {
    match error {
        ImdsError::ErrorResponse(_) => true,
        _ => chain(error).any(|text| text.to_lowercase().contains("forbidden")),
    }
}

/// The refusal, as a clause.
fn status(error: &ImdsError) -> String {
    match error {
        ImdsError::ErrorResponse(context) => {
            format!("it answers with status {}", context.response().status().as_u16())
        }
        _ => "it refuses a session token".to_owned(),
    }
}
