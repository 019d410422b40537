//! Lists the tags of a repository, and reads manifests of any type.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, LINK};

use super::Registry;
use super::answer::fail;
use super::transport::Answer;
use super::write::written;
use crate::budget::{Most, REFERRER_PAGES, TAG_PAGES};
use crate::error::Error;
use crate::failure::FailureKind;
use crate::image::{Digest, ImageReference, OCI_INDEX, Repository};

/// Tags that are asked for at once; ECR gives no more.
const PAGE: usize = 1000;

impl Registry {
    /// All tags of a repository, in the registry's order; none if it has no such repository.
    ///
    /// # Errors
    /// If the registry does not list them, or has too many.
    pub(crate) async fn tags(&self, repository: &Repository) -> Result<Vec<String>, Error> {
        #[derive(serde::Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        // Calls are about an image; which one is the same here.
        let reference = repository.tagged("latest");
        let failed = |why: String| {
            let what = format!("failed to list the tags of {repository}");
            written(fail(Error::of(FailureKind::BadAnswer, what).cause(why)), &reference)
        };
        let (mut tags, mut page) = (Vec::new(), format!("list?n={PAGE}"));
        for _ in 0..TAG_PAGES {
            let reply = match self.get(&reference, Method::GET, "tags", &page).await {
                Ok(Answer::Found(reply)) => reply,
                Ok(Answer::NotFound) | Err(super::Failure::NoRepository) => return Ok(tags),
                Err(failure) => return Err(written(failure, &reference)),
            };
            let read: Page =
                serde_json::from_slice(&reply.bytes).map_err(|error| failed(error.to_string()))?;
            tags.extend(read.tags.unwrap_or_default());
            // A list that ends too early would hide tags that keep an image.
            let Some(link) = reply.header(LINK.as_str()).filter(|link| link.contains("next")) else {
                return Ok(tags);
            };
            let after = next(&link).ok_or_else(|| failed("its next page has no address".to_owned()))?;
            let after = format!("list?{after}");
            if after == page {
                return Err(failed("its pages lead in a circle".to_owned()));
            }
            page = after;
        }
        Err(failed(format!("it has more than {} pages of them", Most::Count(TAG_PAGES))))
    }

    /// The manifests about this one, such as its signatures (distribution specification, "Listing Referrers"); `None` if
    /// the registry does not have that API.
    ///
    /// # Errors
    /// If it has the API and gives no clear answer.
    pub(crate) async fn referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Vec<Digest>>, Error> {
        #[derive(serde::Deserialize)]
        struct Page {
            manifests: Vec<Referrer>,
        }
        #[derive(serde::Deserialize)]
        struct Referrer {
            digest: String,
        }
        let reference = repository.at(digest.clone());
        let failed = |why: String| {
            let what = format!("failed to list what is about {reference}");
            Error::of(FailureKind::BadAnswer, what).cause(why)
        };
        let (mut found, mut page) = (Vec::new(), digest.to_string());
        for _ in 0..REFERRER_PAGES {
            let reply = match self.get(&reference, Method::GET, "referrers", &page).await {
                Ok(Answer::Found(reply)) => reply,
                Ok(Answer::NotFound) | Err(super::Failure::NoRepository) => return Ok(None),
                // A registry without the API may answer 400 or 405.
                Err(super::Failure::Error(error)) if error.is(FailureKind::NotARegistry) => return Ok(None),
                Err(failure) => return Err(written(failure, &reference)),
            };
            // Another page of the same host may stand there, such as one of a web application.
            let is_index = |kind: String| kind.split(';').next().map(str::trim) == Some(OCI_INDEX);
            if !reply.header(CONTENT_TYPE.as_str()).is_some_and(is_index) {
                return Ok(None);
            }
            let read: Page =
                serde_json::from_slice(&reply.bytes).map_err(|error| failed(error.to_string()))?;
            for Referrer { digest } in read.manifests {
                let parsed = digest.parse().map_err(|_| failed(format!("{digest:?} is no digest")))?;
                found.push(parsed);
            }
            let Some(link) = reply.header(LINK.as_str()).filter(|link| link.contains("next")) else {
                return Ok(Some(found));
            };
            let after = next(&link).ok_or_else(|| failed("its next page has no address".to_owned()))?;
            let after = format!("{digest}?{after}");
            if after == page {
                return Err(failed("its pages lead in a circle".to_owned()));
            }
            page = after;
        }
        Err(failed(format!("it has more than {} pages", Most::Count(REFERRER_PAGES))))
    }

    /// The bytes of a manifest of any type, by its digest; `None` if it is not there.
    ///
    /// # Errors
    /// If the registry gives no clear answer, or other content.
    pub(crate) async fn manifest_bytes(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Vec<u8>>, Error> {
        let reference = repository.at(digest.clone());
        let answer = self.get(&reference, Method::GET, "manifests", digest.as_str()).await;
        match answer.map_err(|failure| written(failure, &reference))? {
            Answer::NotFound => Ok(None),
            Answer::Found(reply) if Digest::of(&reply.bytes) == *digest => Ok(Some(reply.bytes)),
            Answer::Found(_) => Err(Error::of(
                FailureKind::DigestMismatch,
                format!("the registry sent wrong content for {reference}"),
            )),
        }
    }

    /// The digest that a tag names now; `None` if it is not there.
    ///
    /// # Errors
    /// If the registry does not say.
    pub(crate) async fn tag_digest(&self, reference: &ImageReference) -> Result<Option<Digest>, Error> {
        match self.resolve(reference).await {
            Ok(digest) => Ok(Some(digest)),
            Err(super::Resolve::Absent) => Ok(None),
            Err(super::Resolve::Failed(error)) => Err(error),
        }
    }
}

/// The query of the next page in the header `Link: </v2/…/tags/list?last=…&n=…>; rel="next"` (RFC 8288).
fn next(link: &str) -> Option<&str> {
    let (address, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    let query = address.split_once('?')?.1;
    rest.contains("next").then_some(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_in_the_link() {
        for (link, expected) in [
            (r#"</v2/ci/tags/list?last=b&n=2>; rel="next""#, Some("last=b&n=2")),
            ("<https://h.example/v2/ci/tags/list?n=2&last=%2B>; rel=next", Some("n=2&last=%2B")),
            (r#"</v2/ci/tags/list?n=2>; rel="prev""#, None),
            ("</v2/ci/tags/list>; rel=next", None),
            ("", None),
        ] {
            assert_eq!(next(link), expected, "{link}");
        }
    }
}
