//! The images of one ECR repository, by ECR's own API.

use aws_sdk_ecr::Client;
use aws_sdk_ecr::types::{ImageFailureCode, ImageIdentifier};

use super::aws_errors::refused;
use crate::budget::ECR_PAGES;
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::image::{Digest, MEDIA_TYPES, Repository};
use crate::ports::Writes;

/// Most images of one request (botocore's service model: `ImageIdentifierList`).
pub(crate) const IDS: usize = 100;
/// Images of a page of `DescribeImages`: the most that it gives.
const PAGE: i32 = 1000;

/// A repository in ECR.
pub(crate) struct Ecr {
    client: Client,
    account: String,
    repository: Repository,
}

/// An image as ECR describes it. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EcrImage {
    pub(crate) digest: Digest,
    pub(crate) tags: Vec<String>,
    pub(crate) pushed: Option<u64>,
    /// Recorded at most once in 24 hours.
    pub(crate) pulled: Option<u64>,
    pub(crate) bytes: u64,
    pub(crate) media_type: Option<String>,
    pub(crate) subject: Option<Digest>,
}

/// An image to delete: by its digest with all its tags, or one tag of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EcrImageId {
    pub(crate) digest: Digest,
    pub(crate) tag: Option<String>,
}

/// Why ECR deleted an image not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EcrFailure {
    NotFound,
    /// The tag names another image.
    Moved,
    /// An index lists it.
    InIndex,
    Other(String),
}

impl Ecr {
    /// The API of the registry that the host names.
    pub(super) fn new(client: Client, repository: Repository) -> Self {
        let account = repository.registry().split('.').next().unwrap_or_default().to_owned();
        Self { client, account, repository }
    }

    fn name(&self) -> &str {
        self.repository.path()
    }

    fn right(&self, action: &str) -> String {
        format!("ecr:{action} on {}", self.repository)
    }

    /// All images that can be pulled, those without a tag too. What is archived is not listed (ECR API, `DescribeImagesFilter`),
    /// and so never deleted.
    ///
    /// # Errors
    /// If one page cannot be read, or there are too many.
    pub(crate) async fn images(&self) -> Result<Vec<EcrImage>> {
        let what = format!("failed to list the images of {}", self.repository);
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..ECR_PAGES {
            let request =
                self.client.describe_images().registry_id(&self.account).repository_name(self.name());
            let answer = request.max_results(PAGE).set_next_token(next).send().await;
            let page = answer.map_err(|error| refused(&what, &self.right("DescribeImages"), &error))?;
            for image in page.image_details() {
                let digest =
                    image.image_digest().and_then(|digest| digest.parse().ok()).ok_or_else(|| {
                        Error::of(FailureKind::BadAnswer, &what)
                            .cause("an image has no digest that can be read")
                    })?;
                let subject = image.subject_manifest_digest().map(str::parse).transpose().map_err(|_| {
                    Error::of(FailureKind::BadAnswer, &what)
                        .cause(format!("{digest} has a subject that cannot be read"))
                })?;
                let seconds = |time: Option<&aws_sdk_ecr::primitives::DateTime>| {
                    time.and_then(|time| u64::try_from(time.secs()).ok())
                };
                found.push(EcrImage {
                    digest,
                    tags: image.image_tags().to_vec(),
                    pushed: seconds(image.image_pushed_at()),
                    pulled: seconds(image.last_recorded_pull_time()),
                    bytes: image
                        .image_size_in_bytes()
                        .and_then(|bytes| bytes.try_into().ok())
                        .unwrap_or_default(),
                    media_type: image.image_manifest_media_type().map(str::to_owned),
                    subject,
                });
            }
            match page.next_token() {
                Some(token) if !token.is_empty() => next = Some(token.to_owned()),
                _ => return Ok(found),
            }
        }
        let more = format!("the repository has more than {ECR_PAGES} pages of images");
        Err(Error::of(FailureKind::BadAnswer, what).cause(more))
    }

    /// The manifests of at most [`IDS`] images, as their bytes; one that is not there is left out.
    ///
    /// # Errors
    /// If one cannot be read.
    pub(crate) async fn manifests(&self, digests: &[Digest]) -> Result<Vec<Vec<u8>>> {
        let what = format!("failed to read manifests of {}", self.repository);
        let ids =
            digests.iter().map(|digest| ImageIdentifier::builder().image_digest(digest.as_str()).build());
        let request = self.client.batch_get_image().registry_id(&self.account).repository_name(self.name());
        let request = request.set_image_ids(Some(ids.collect()));
        let request = request.set_accepted_media_types(Some(MEDIA_TYPES.map(str::to_owned).to_vec()));
        let answer =
            request.send().await.map_err(|error| refused(&what, &self.right("BatchGetImage"), &error))?;
        if let Some(failure) = answer
            .failures()
            .iter()
            .find(|failure| failure.failure_code() != Some(&ImageFailureCode::ImageNotFound))
        {
            return Err(Error::of(FailureKind::BadAnswer, what).cause(reason(failure)));
        }
        let manifests = answer.images().iter().filter_map(|image| image.image_manifest());
        Ok(manifests.map(|manifest| manifest.as_bytes().to_vec()).collect())
    }

    /// Deletes at most [`IDS`] images or tags. Returns those that are still there, with the reason.
    ///
    /// # Errors
    /// If the whole request is refused.
    pub(crate) async fn delete(
        &self,
        ids: &[EcrImageId],
        _: Writes,
    ) -> Result<Vec<(EcrImageId, EcrFailure)>> {
        let what = format!("failed to delete images of {}", self.repository);
        let list = ids.iter().map(|id| {
            let image = ImageIdentifier::builder().image_digest(id.digest.as_str());
            image.set_image_tag(id.tag.clone()).build()
        });
        let request =
            self.client.batch_delete_image().registry_id(&self.account).repository_name(self.name());
        let answer = request.set_image_ids(Some(list.collect())).send().await;
        let answer = answer.map_err(|error| refused(&what, &self.right("BatchDeleteImage"), &error))?;
        let mut failed = Vec::new();
        for failure in answer.failures() {
            let id = failure.image_id();
            let digest = id.and_then(|id| id.image_digest());
            let tag = id.and_then(|id| id.image_tag());
            let asked = ids.iter().find(|asked| {
                digest.is_none_or(|digest| digest == asked.digest.as_str()) && tag == asked.tag.as_deref()
            });
            let Some(asked) = asked else {
                return Err(Error::of(FailureKind::BadAnswer, what).cause(reason(failure)));
            };
            let why = match failure.failure_code() {
                Some(ImageFailureCode::ImageNotFound) => EcrFailure::NotFound,
                Some(ImageFailureCode::ImageTagDoesNotMatchDigest) => EcrFailure::Moved,
                Some(ImageFailureCode::ImageReferencedByManifestList) => EcrFailure::InIndex,
                _ => EcrFailure::Other(reason(failure)),
            };
            failed.push((asked.clone(), why));
        }
        Ok(failed)
    }
}

fn reason(failure: &aws_sdk_ecr::types::ImageFailure) -> String {
    let code = failure.failure_code().map_or("no code", ImageFailureCode::as_str);
    format!("{code} {}", failure.failure_reason().unwrap_or_default()).trim().to_owned()
}
