//! Errors of AWS's services, as the user reads them.

use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};

use crate::error::{Error, chain};
use crate::failure::FailureKind;

/// The error of a request that AWS refused, or that did not reach it. `right`: what the role must be allowed.
pub(super) fn refused<E, R>(what: &str, right: &str, error: &SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    let access = |kind, hint: String| Error::of(kind, what).hint(hint);
    match error {
        SdkError::ServiceError(context) => {
            let code = context.err().code().unwrap_or("an error without code");
            let message = context.err().message().unwrap_or_default();
            let cause = format!("{code} {message}");
            let cause = cause.trim();
            let skewed =
                ["InvalidSignature", "SignatureDoesNotMatch", "RequestExpired", "RequestTimeTooSkewed"];
            if code.contains("AccessDenied") || code.contains("NotAuthorized") {
                access(FailureKind::AuthDenied, format!("allow {right} for this role")).cause(cause)
            } else if skewed.iter().any(|skewed| code.contains(skewed)) {
                access(
                    FailureKind::ClockSkew,
                    "check the AWS secret key, and the clock of this machine".to_owned(),
                )
                .cause(cause)
            } else if code.contains("Expired")
                || code.contains("InvalidClientTokenId")
                || code.contains("UnrecognizedClient")
            {
                access(FailureKind::AwsCredentials, "renew the AWS credentials of this job".to_owned())
                    .cause(cause)
            } else {
                Error::of(FailureKind::AwsUnavailable, what).cause(cause)
            }
        }
        // Credentials are resolved inside the call and fail as a dispatch or construction error.
        _ if says_no_credentials(error) => access(
            FailureKind::AwsCredentials,
            "give the job AWS credentials: aws-actions/configure-aws-credentials, or an instance role"
                .to_owned(),
        )
        .cause("no AWS credentials were found"),
        _ => Error::of(FailureKind::AwsUnavailable, what).because(error),
    }
}

fn says_no_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    chain(error).any(|text| text.contains("credentials") || text.contains("no providers in chain"))
}
