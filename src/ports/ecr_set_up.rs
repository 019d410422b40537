//! Reads and changes the settings of one repository in private ECR.

use aws_sdk_ecr::Client;
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ecr::types::{
    EncryptionConfiguration, EncryptionType, ImageActionType, ImageScanningConfiguration, ImageTagMutability,
    ImageTagMutabilityExclusionFilter, ImageTagMutabilityExclusionFilterType as FilterType,
    LifecyclePolicyPreviewStatus, LifecyclePolicyPreviewSummary as PreviewSummary,
    RegistryScanningConfiguration as ScanningConfiguration, Tag,
};

use super::aws::{Aws, limited};
use super::aws_errors::refused;
use crate::ecr::{
    Answer, Described, Encryption, LifecyclePolicy, Mutability, MutabilityKind, NewRepository, Preview,
    RegistryScanning, ScanRule,
};
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::image::{EcrHost, Repository};
use crate::ports::Writes;

/// Images of a page of a preview: the most that ECR gives.
const PAGE: i32 = 100;
/// Most pages of a preview that are read; the preview's own sum counts the rest.
const MOST_PAGES: usize = 10;

/// A repository in ECR, and the API of its registry.
pub(crate) struct EcrSetUp {
    client: Client,
    account: String,
    repository: Repository,
}

/// The result of a request to make a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Creation {
    Made,
    /// Another run was first.
    WasThere,
}

/// The state of a preview.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PreviewState {
    /// ECR still computes it.
    InProgress,
    Complete(Preview),
}

impl EcrSetUp {
    /// `None` if the repository is not in private ECR.
    pub(crate) async fn of(aws: &Aws, repository: &Repository) -> Option<Self> {
        let host = EcrHost::parse(repository.registry()).filter(|host| !host.public)?;
        let account = repository.registry().split('.').next().unwrap_or_default().to_owned();
        Some(Self { client: aws.ecr_client(&host).await, account, repository: repository.clone() })
    }

    fn name(&self) -> &str {
        self.repository.path()
    }

    /// Waits for the answer. `action`: what IAM calls the right to this request.
    async fn ask<T, E, R>(
        &self,
        doing: &str,
        action: &str,
        request: impl Future<Output = std::result::Result<T, SdkError<E, R>>>,
    ) -> std::result::Result<T, Refusal>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        let what = format!("failed to {doing} {}", self.repository);
        let answer = limited(&what, async { Ok(request.await) }).await;
        let answer = answer.map_err(|error| Refusal { code: None, error })?;
        answer.map_err(|error| self.refusal(&what, action, &error))
    }

    fn refusal<E, R>(&self, what: &str, action: &str, error: &SdkError<E, R>) -> Refusal
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        let metadata = error.as_service_error().map(ProvideErrorMetadata::meta);
        let code = metadata.and_then(|metadata| metadata.code()).map(str::to_owned);
        let message = metadata.and_then(|metadata| metadata.message()).unwrap_or_default();
        let of = |kind: FailureKind| {
            let cause = format!("{} {message}", code.as_deref().unwrap_or_default());
            Error::of(kind, what).cause(cause.trim())
        };
        let error = match code.as_deref().unwrap_or_default() {
            code if code.starts_with("Throttling") || code == "TooManyRequestsException" => {
                of(FailureKind::Throttled)
            }
            "LimitExceededException" => of(FailureKind::RegistryQuota)
                .hint("remove repositories, or raise the account's quota for ECR"),
            "KmsException" => of(FailureKind::AuthDenied)
                .hint("check the input kms-key; allow kms:CreateGrant and kms:DescribeKey on the key"),
            "InvalidParameterException" | "ValidationException" | "InvalidTagParameterException" => {
                of(FailureKind::BadInput)
            }
            _ => {
                // The message names the right where a request needs several.
                let missing =
                    message.split("perform: ").nth(1).and_then(|rest| rest.split_whitespace().next());
                refused(what, &format!("{} on {}", missing.unwrap_or(action), self.repository), error)
            }
        };
        Refusal { code, error }
    }

    /// Describes the repository.
    pub(crate) async fn describe(&self) -> Answer<Described> {
        let request =
            self.client.describe_repositories().registry_id(&self.account).repository_names(self.name());
        let answer = self.ask("describe", "ecr:DescribeRepositories", request.send()).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(refusal) => return refusal.answer(),
        };
        let Some(found) = answer.repositories().first() else { return Answer::NoRepository };
        let exclusions =
            found.image_tag_mutability_exclusion_filters().iter().map(|one| one.filter().to_owned());
        let kind = match found.image_tag_mutability() {
            Some(ImageTagMutability::Immutable) => MutabilityKind::Immutable,
            Some(ImageTagMutability::ImmutableWithExclusion) => MutabilityKind::ImmutableWithExclusion,
            Some(ImageTagMutability::MutableWithExclusion) => MutabilityKind::MutableWithExclusion,
            _ => MutabilityKind::Mutable,
        };
        let encryption = found.encryption_configuration().map(|encryption| Encryption {
            kind: encryption.encryption_type().as_str().to_owned(),
            key: encryption.kms_key().map(str::to_owned),
        });
        Answer::Found(Described {
            mutability: Mutability { kind, exclusions: exclusions.collect() },
            scan_on_push: found
                .image_scanning_configuration()
                .is_some_and(ImageScanningConfiguration::scan_on_push),
            encryption: encryption.unwrap_or_else(|| Encryption { kind: "AES256".to_owned(), key: None }),
        })
    }

    /// Reads the registry's scanning configuration.
    pub(crate) async fn registry_scanning(&self) -> Answer<RegistryScanning> {
        let what = "read the registry's scanning configuration for";
        let request = self.client.get_registry_scanning_configuration().send();
        let answer = match self.ask(what, "ecr:GetRegistryScanningConfiguration", request).await {
            Ok(answer) => answer,
            Err(refusal) => return refusal.answer(),
        };
        if answer.registry_id().is_some_and(|id| id != self.account) {
            // The request knows no other registry than that of the credentials.
            let why = "the credentials are those of another AWS account";
            return Answer::Unknown(
                Error::of(FailureKind::AuthDenied, format!("failed to {what} {}", self.repository))
                    .cause(why),
            );
        }
        let configuration = answer.scanning_configuration();
        let rules = configuration.map(ScanningConfiguration::rules).unwrap_or_default();
        Answer::Found(RegistryScanning {
            scan_type: configuration
                .and_then(|configuration| configuration.scan_type())
                .map_or("BASIC", |kind| kind.as_str())
                .to_owned(),
            rules: rules
                .iter()
                .map(|rule| ScanRule {
                    frequency: rule.scan_frequency().as_str().to_owned(),
                    filters: rule.repository_filters().iter().map(|one| one.filter().to_owned()).collect(),
                })
                .collect(),
        })
    }

    /// Reads the text of the repository's lifecycle policy; `Found(None)` if it has none.
    pub(crate) async fn lifecycle(&self) -> Answer<Option<String>> {
        let request =
            self.client.get_lifecycle_policy().registry_id(&self.account).repository_name(self.name());
        match self.ask("read the lifecycle policy of", "ecr:GetLifecyclePolicy", request.send()).await {
            Ok(answer) => Answer::Found(answer.lifecycle_policy_text().map(str::to_owned)),
            Err(refusal) if refusal.is("LifecyclePolicyNotFoundException") => Answer::Found(None),
            Err(refusal) => refusal.answer(),
        }
    }

    /// Whether layers are mounted from one repository of the account into another.
    pub(crate) async fn mounts(&self) -> Answer<bool> {
        let request = self.client.get_account_setting().name("BLOB_MOUNTING").send();
        match self.ask("read the account's settings for", "ecr:GetAccountSetting", request).await {
            Ok(answer) => {
                Answer::Found(answer.value().is_some_and(|value| value.eq_ignore_ascii_case("ENABLED")))
            }
            Err(refusal) => refusal.answer(),
        }
    }

    /// Makes the repository.
    ///
    /// # Errors
    /// If ECR refuses, for another reason than that it is there.
    pub(crate) async fn create(&self, settings: &NewRepository, _: Writes) -> Result<Creation> {
        let what = format!("failed to make {}", self.repository);
        let built =
            |error: aws_sdk_ecr::error::BuildError| Error::of(FailureKind::BadInput, &what).because(&error);
        let Encryption { kind, key } = &settings.encryption;
        let encryption =
            EncryptionConfiguration::builder().encryption_type(EncryptionType::from(kind.as_str()));
        let encryption = encryption.set_kms_key(key.clone()).build().map_err(built)?;
        let tags = settings.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
        let scanning = settings
            .scan_on_push
            .map(|scan| ImageScanningConfiguration::builder().scan_on_push(scan).build());
        let request = self.client.create_repository().registry_id(&self.account).repository_name(self.name());
        let request = request
            .image_tag_mutability(word(&settings.mutability))
            .set_image_tag_mutability_exclusion_filters(filters(&settings.mutability).map_err(built)?)
            .set_image_scanning_configuration(scanning)
            .encryption_configuration(encryption)
            .set_tags(Some(tags.collect::<std::result::Result<_, _>>().map_err(built)?));
        match self.ask("make", "ecr:CreateRepository", request.send()).await {
            Ok(_) => Ok(Creation::Made),
            Err(refusal) if refusal.is("RepositoryAlreadyExistsException") => Ok(Creation::WasThere),
            Err(refusal) => Err(refusal.error),
        }
    }

    /// Sets the repository's own flag for scanning.
    ///
    /// # Errors
    /// If ECR refuses.
    pub(crate) async fn set_scan_on_push(&self, scan: bool, _: Writes) -> Result<()> {
        let request = self.client.put_image_scanning_configuration();
        let request = request.registry_id(&self.account).repository_name(self.name());
        let setting = ImageScanningConfiguration::builder().scan_on_push(scan).build();
        let request = request.image_scanning_configuration(setting).send();
        let done = self.ask("set scan-on-push of", "ecr:PutImageScanningConfiguration", request).await;
        done.map(drop).map_err(|refusal| refusal.error)
    }

    /// Sets whether tags can be moved.
    ///
    /// # Errors
    /// If ECR refuses.
    pub(crate) async fn set_mutability(&self, mutability: &Mutability, _: Writes) -> Result<()> {
        let filters = filters(mutability).map_err(|error| {
            Error::of(FailureKind::BadInput, "an exclusion without a pattern").because(&error)
        })?;
        let request = self.client.put_image_tag_mutability();
        let request = request.registry_id(&self.account).repository_name(self.name());
        let request = request.image_tag_mutability(word(mutability));
        let request = request.set_image_tag_mutability_exclusion_filters(filters).send();
        let done = self.ask("set the tag mutability of", "ecr:PutImageTagMutability", request).await;
        done.map(drop).map_err(|refusal| refusal.error)
    }

    /// Writes the lifecycle policy.
    ///
    /// # Errors
    /// If ECR refuses.
    pub(crate) async fn put_lifecycle(&self, policy: &LifecyclePolicy, _: Writes) -> Result<()> {
        let request =
            self.client.put_lifecycle_policy().registry_id(&self.account).repository_name(self.name());
        let request = request.lifecycle_policy_text(policy.text()).send();
        let done = self.ask("write the lifecycle policy of", "ecr:PutLifecyclePolicy", request).await;
        done.map(drop).map_err(|refusal| refusal.error)
    }

    /// Lets ECR compute what a policy would remove. Returns false if it computes another preview now.
    ///
    /// # Errors
    /// If ECR refuses.
    pub(crate) async fn start_preview(&self, policy: &LifecyclePolicy, _: Writes) -> Result<bool> {
        let request = self.client.start_lifecycle_policy_preview();
        let request = request.registry_id(&self.account).repository_name(self.name());
        let request = request.lifecycle_policy_text(policy.text()).send();
        match self.ask(PREVIEW, "ecr:StartLifecyclePolicyPreview", request).await {
            Ok(_) => Ok(true),
            Err(refusal) if refusal.is("LifecyclePolicyPreviewInProgressException") => Ok(false),
            Err(refusal) => Err(refusal.error),
        }
    }

    /// Reads the preview of this policy.
    ///
    /// # Errors
    /// If ECR refuses, failed to compute it, or has that of another policy.
    pub(crate) async fn preview(&self, policy: &LifecyclePolicy) -> Result<PreviewState> {
        let mut preview = Preview::default();
        let mut next: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let request = self.client.get_lifecycle_policy_preview();
            let request = request.registry_id(&self.account).repository_name(self.name());
            let request = request.max_results(PAGE).set_next_token(next.take()).send();
            let page = self.ask(PREVIEW, "ecr:GetLifecyclePolicyPreview", request).await;
            let page = page.map_err(|refusal| refusal.error)?;
            let of_policy = page
                .lifecycle_policy_text()
                .is_none_or(|text| policy.compare(text) == crate::ecr::Existing::Same);
            match page.status() {
                _ if !of_policy => return Err(self.preview_lost("another run has started another preview")),
                Some(LifecyclePolicyPreviewStatus::Complete) => {}
                Some(LifecyclePolicyPreviewStatus::InProgress) => return Ok(PreviewState::InProgress),
                other => {
                    let status = other.map_or("no status", |status| status.as_str());
                    return Err(self.preview_lost(&format!("its status is {status}")));
                }
            }
            let expiring = page.summary().and_then(PreviewSummary::expiring_image_total_count);
            preview.expiring = expiring.and_then(|count| count.try_into().ok()).unwrap_or(preview.expiring);
            for image in page.preview_results() {
                let kind = image.action().and_then(|action| action.r#type());
                let Some(priority) =
                    image.applied_rule_priority().filter(|_| kind == Some(&ImageActionType::Expire))
                else {
                    continue;
                };
                let name = image.image_tags().first().map(String::as_str).or(image.image_digest());
                preview.add(priority, name.unwrap_or_default(), policy);
            }
            next = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                return Ok(PreviewState::Complete(preview));
            }
        }
        preview.cut = true;
        Ok(PreviewState::Complete(preview))
    }

    fn preview_lost(&self, why: &str) -> Error {
        Error::of(FailureKind::AwsUnavailable, format!("failed to {PREVIEW} {}", self.repository)).cause(why)
    }
}

/// What is done with a preview, for messages.
const PREVIEW: &str = "preview the lifecycle policy of";

/// Why a request failed.
struct Refusal {
    /// AWS's code; `None` if the request did not reach it.
    code: Option<String>,
    error: Error,
}

impl Refusal {
    fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    fn answer<T>(self) -> Answer<T> {
        if self.is("RepositoryNotFoundException") {
            Answer::NoRepository
        } else {
            Answer::Unknown(self.error)
        }
    }
}

fn word(mutability: &Mutability) -> ImageTagMutability {
    ImageTagMutability::from(mutability.kind.name())
}

/// The exclusions as a request has them; `None` without any, because an empty list is refused.
fn filters(
    mutability: &Mutability,
) -> std::result::Result<Option<Vec<ImageTagMutabilityExclusionFilter>>, aws_sdk_ecr::error::BuildError> {
    let filter = |pattern: &String| {
        let filter = ImageTagMutabilityExclusionFilter::builder().filter_type(FilterType::Wildcard);
        filter.filter(pattern).build()
    };
    let filters = mutability.exclusions.iter().map(filter).collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(Some(filters).filter(|filters| !filters.is_empty()))
}
