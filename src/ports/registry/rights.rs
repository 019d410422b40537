//! Asks a registry what the credentials may do, without doing it.

use std::time::Duration;

use reqwest::{Method, Url};

use super::Registry;
use super::answer::{Attempt, Failure};
use super::transport::{Answer, Call, base_url};
use crate::failure::FailureClass;
use crate::image::Repository;
use crate::ports::Writes;

/// The answer is not worth more waiting: it only makes a notice.
const LIMIT: Duration = Duration::from_secs(5);

impl Registry {
    /// True if the credentials may push there; `None` if the registry gives no clear answer.
    ///
    /// Opens an upload of a layer and gives it up at once, so that nothing is stored (distribution
    /// specification, "Pushing a blob in chunks", "Cancelling a blob upload"). There is no other
    /// question: ECR's tokens have no scope, and its rights to look at layers belong to pull-only
    /// policies too.
    pub(crate) async fn may_push(&self, repository: &Repository, writes: Writes) -> Option<bool> {
        tokio::time::timeout(LIMIT, self.opens_upload(repository, writes)).await.ok().flatten()
    }

    async fn opens_upload(&self, repository: &Repository, writes: Writes) -> Option<bool> {
        let base = base_url(repository.registry());
        let url = format!("{base}/v2/{}/blobs/uploads/", repository.path());
        // Calls are about an image; which one is the same here.
        let reference = repository.tagged("latest");
        let call = |method, url| Call { method, url, actions: "pull,push", body: None, writes: Some(writes) };
        match self.call(&reference, &call(Method::POST, url.clone())).await {
            Ok(Answer::Found(reply)) => {
                let session =
                    reply.header("location").and_then(|location| Url::parse(&url).ok()?.join(&location).ok());
                // Its address is the registry's word: credentials go nowhere else.
                if let Some(session) =
                    session.filter(|session| session.as_str().starts_with(&format!("{base}/")))
                {
                    let _ = self.call(&reference, &call(Method::DELETE, session.into())).await;
                }
                Some(true)
            }
            Err(Attempt::Final(Failure::Error(error))) if error.class == FailureClass::Access => Some(false),
            Ok(Answer::NotFound) | Err(_) => None,
        }
    }
}
