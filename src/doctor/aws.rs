//! AWS: which credentials the job has, and whose account they are of.

use super::{Check, Known};
use crate::failure::FailureKind;
use crate::image::Repository;
use crate::ports::identity::Caller;

const LOG_IN: &str = "give the job AWS credentials: permissions id-token: write and aws-actions/configure-aws-credentials before this step, or an instance role";

/// Whether there are credentials, and of which account.
pub(crate) fn caller(caller: &Known<Caller>, repository: &Repository) -> Check {
    let name = "AWS credentials";
    match caller {
        Ok(found) => {
            let owner = repository.registry().split('.').next().unwrap_or_default();
            let is = format!("this job is {}", found.arn);
            if found.account == owner {
                Check::ok(name, is)
            } else {
                Check::warn(
                    name,
                    format!(
                        "{is}, and the repository is of account {owner}: both accounts must allow the job"
                    ),
                    format!(
                        "see whether the repository's policy names this role, and add it if not: aws ecr get-repository-policy {} --registry-id {owner}",
                        super::ecr::named(repository)
                    ),
                )
            }
        }
        Err(error) if error.is(FailureKind::AwsCredentials) => Check::fail(name, error.headline(), LOG_IN),
        Err(error) if error.is(FailureKind::ClockSkew) => Check::refused(name, error),
        Err(error) => Check::unknown(name, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;
    use crate::error::Error;

    fn of(arn: &str) -> Caller {
        Caller { arn: arn.to_owned(), account: arn.split(':').nth(4).unwrap_or_default().to_owned() }
    }

    #[test]
    fn credentials_of_each_kind() {
        let repository: Repository = "123456789012.dkr.ecr.us-east-1.amazonaws.com/ci".parse().unwrap();
        let verdict = |found: Known<Caller>| caller(&found, &repository).verdict;
        assert_eq!(verdict(Ok(of("arn:aws:iam::123456789012:user/ann"))), Verdict::Ok);
        assert_eq!(verdict(Ok(of("arn:aws:iam::999999999999:user/ann"))), Verdict::Warn);
        for (kind, wanted) in [
            (FailureKind::AwsCredentials, Verdict::Fail),
            (FailureKind::ClockSkew, Verdict::Fail),
            (FailureKind::AwsUnavailable, Verdict::Warn),
        ] {
            assert_eq!(verdict(Err(Error::of(kind, "x"))), wanted, "{kind:?}");
        }
    }
}
