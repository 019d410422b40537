//! How a repository of ECR and its registry are set up, by ECR's own API. Reads alone.

use aws_sdk_ecr::Client;
use aws_sdk_ecr::operation::describe_repositories::DescribeRepositoriesError;
use aws_sdk_ecr::types::{ImageScanningConfiguration, RegistryScanningConfiguration, RegistryScanningRule};

use super::aws::Aws;
use super::aws_errors::refused;
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::image::{EcrHost, Repository};

/// Settings of a repository, as ECR tells them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EcrSettings {
    /// `MUTABLE`, `IMMUTABLE`, or one of these with `_WITH_EXCLUSION`.
    pub mutability: String,
    /// Patterns of tags for which the opposite holds.
    pub exclusions: Vec<String>,
    /// The repository's own flag, which AWS calls outdated.
    pub scan_on_push: bool,
    /// `AES256`, `KMS` or `KMS_DSSE`.
    pub encryption: String,
    pub key: Option<String>,
}

/// Asks about one repository.
pub(crate) struct EcrReader {
    client: Client,
    account: String,
    repository: Repository,
}

impl Aws {
    /// `None` if the repository is not a private one of ECR.
    pub(crate) async fn ecr_reader(&self, repository: &Repository) -> Option<EcrReader> {
        let host = EcrHost::parse(repository.registry()).filter(|host| !host.public)?;
        let config = self.config(Some(&host.region), host.fips, host.dual_stack).await;
        let account = repository.registry().split('.').next()?.to_owned();
        Some(EcrReader { client: Client::new(&config), account, repository: repository.clone() })
    }
}

impl EcrReader {
    fn what(&self, of: &str) -> String {
        format!("failed to read the {of} of {}", self.repository)
    }

    /// The repository's settings.
    ///
    /// # Errors
    /// `NotFoundRepo` if it does not exist; if the role may not ask.
    pub(crate) async fn settings(&self) -> Result<EcrSettings> {
        let what = self.what("settings");
        let request = self.client.describe_repositories().registry_id(&self.account);
        let answer = request.repository_names(self.repository.path()).send().await.map_err(|error| {
            if error
                .as_service_error()
                .is_some_and(DescribeRepositoriesError::is_repository_not_found_exception)
            {
                return Error::of(FailureKind::NotFoundRepo, &what).cause("it does not exist");
            }
            refused(&what, &format!("ecr:DescribeRepositories on {}", self.repository), &error)
        })?;
        let found = answer.repositories().first();
        let found =
            found.ok_or_else(|| Error::of(FailureKind::AwsUnavailable, &what).cause("ECR lists nothing"))?;
        let encryption = found.encryption_configuration();
        let filters = found.image_tag_mutability_exclusion_filters();
        Ok(EcrSettings {
            mutability: found.image_tag_mutability().map(|mode| mode.as_str().to_owned()).unwrap_or_default(),
            exclusions: filters.iter().map(|filter| filter.filter().to_owned()).collect(),
            scan_on_push: found
                .image_scanning_configuration()
                .is_some_and(ImageScanningConfiguration::scan_on_push),
            encryption: encryption
                .map(|found| found.encryption_type().as_str().to_owned())
                .unwrap_or_default(),
            key: encryption.and_then(|found| found.kms_key()).map(str::to_owned),
        })
    }

    /// The lifecycle policy as JSON; `None` without one.
    ///
    /// # Errors
    /// As for [`Self::settings`].
    pub(crate) async fn lifecycle(&self) -> Result<Option<String>> {
        let what = self.what("lifecycle policy");
        let request = self.client.get_lifecycle_policy().registry_id(&self.account);
        match request.repository_name(self.repository.path()).send().await {
            Ok(answer) => Ok(answer.lifecycle_policy_text),
            Err(error) => match error.as_service_error() {
                Some(of) if of.is_lifecycle_policy_not_found_exception() => Ok(None),
                Some(of) if of.is_repository_not_found_exception() => {
                    Err(Error::of(FailureKind::NotFoundRepo, what).cause("it does not exist"))
                }
                _ => Err(refused(&what, &format!("ecr:GetLifecyclePolicy on {}", self.repository), &error)),
            },
        }
    }

    /// Patterns of the repositories that the registry scans.
    ///
    /// # Errors
    /// If the role may not ask.
    pub(crate) async fn scanned(&self) -> Result<Vec<String>> {
        let what = self.what("registry's scanning");
        let answer = self.client.get_registry_scanning_configuration().send().await;
        let answer =
            answer.map_err(|error| refused(&what, "ecr:GetRegistryScanningConfiguration on *", &error))?;
        let rules =
            answer.scanning_configuration().map(RegistryScanningConfiguration::rules).unwrap_or_default();
        let automatic = rules.iter().filter(|rule| rule.scan_frequency().as_str() != "MANUAL");
        Ok(automatic
            .flat_map(RegistryScanningRule::repository_filters)
            .map(|filter| filter.filter().to_owned())
            .collect())
    }

    /// Whether layers are mounted from one repository of the account into another.
    ///
    /// # Errors
    /// If the role may not ask.
    pub(crate) async fn mounts(&self) -> Result<bool> {
        let what = self.what("account's settings");
        let request = self.client.get_account_setting().name("BLOB_MOUNTING");
        let answer = request.send().await;
        let answer = answer.map_err(|error| refused(&what, "ecr:GetAccountSetting on *", &error))?;
        Ok(answer.value().is_some_and(|value| value.eq_ignore_ascii_case("ENABLED")))
    }
}
