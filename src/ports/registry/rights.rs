//! Asks a registry whether the credentials may push.

use std::time::Duration;

use reqwest::{Method, Url};

use super::Registry;
use super::answer::{Attempt, Failure};
use super::transport::{Answer, Call, base_url};
use crate::failure::FailureClass;
use crate::image::Repository;
use crate::ports::Writes;

/// How long the question may take; its answer only makes a notice.
const LIMIT: Duration = Duration::from_secs(5);

impl Registry {
    /// Tells whether the credentials may push to the repository; `None` if the registry gives no clear answer.
    ///
    /// It opens the upload of a layer and cancels it at once, so nothing is stored (distribution specification, "Pushing a
    /// blob in chunks", "Cancelling a blob upload"). No question that only reads would do: ECR's tokens have no scope, and a
    /// policy for pulls has its rights to look at layers too.
    pub(crate) async fn may_push(&self, repository: &Repository, writes: Writes) -> Option<bool> {
        tokio::time::timeout(LIMIT, self.opens_upload(repository, writes)).await.ok().flatten()
    }

    async fn opens_upload(&self, repository: &Repository, writes: Writes) -> Option<bool> {
        let base = base_url(repository.registry());
        let url = format!("{base}/v2/{}/blobs/uploads/", repository.path());
        // A call names an image for its messages, of which none is shown here.
        let reference = repository.tagged("latest");
        let call = |method, url| Call { method, url, actions: "pull,push", body: None, writes: Some(writes) };
        match self.call(&reference, &call(Method::POST, url.clone())).await {
            Ok(Answer::Found(reply)) => {
                let session =
                    reply.header("location").and_then(|location| Url::parse(&url).ok()?.join(&location).ok());
                // The registry names the address, and the credentials must go to no other host.
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
