//! Writes to a registry: sets a tag on an image that it has, or stores an index of images that it has.

use std::time::Duration;

use reqwest::Method;

use super::answer::{Attempt, Failure};
use super::transport::{Answer, Call};
use super::url_of;
use super::{LONGEST_WAIT, Registry};
use crate::error::Error;
use crate::failure::FailureKind;
use crate::image::{ImageReference, Manifest};
use crate::ports::Writes;

/// What became of a deletion.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Deleted {
    Done,
    Absent,
    /// The registry deletes nothing, or no tag by itself.
    Unsupported(Error),
}

impl Registry {
    /// Sets a tag on an image of the same repository: stores the same bytes under the tag, so the digest cannot change.
    ///
    /// # Errors
    /// If the image cannot be read, or the registry refuses the tag.
    pub(crate) async fn put_tag(
        &self,
        source: &ImageReference,
        target: &ImageReference,
        writes: Writes,
    ) -> Result<(), Error> {
        let (manifest, bytes) = self.document(source).await?;
        self.put(target, manifest.media_type, bytes, writes).await
    }

    /// Deletes a manifest with all its tags, or one tag, as the reference says (distribution specification, "Deleting
    /// tags", "Deleting Manifests"). Blobs stay until the registry collects its garbage.
    ///
    /// # Errors
    /// If the registry gives no clear answer, or refuses for want of rights.
    pub(crate) async fn delete(&self, target: &ImageReference, writes: Writes) -> Result<Deleted, Error> {
        let url = url_of(target.repository(), &format!("manifests/{}", target.identifier()));
        let mut tried = 0;
        loop {
            let call = Call {
                method: Method::DELETE,
                url: url.clone(),
                actions: "pull,push,delete",
                body: None,
                writes: Some(writes),
            };
            let (error, wait) = match self.call(target, &call).await {
                Ok(Answer::Found(_)) => return Ok(Deleted::Done),
                Ok(Answer::NotFound) | Err(Attempt::Final(Failure::NoRepository)) => {
                    return Ok(Deleted::Absent);
                }
                Err(Attempt::Final(Failure::Error(error))) if error.is(FailureKind::DeleteOff) => {
                    return Ok(Deleted::Unsupported(*error));
                }
                Err(Attempt::Final(failure)) => return Err(written(failure, target)),
                Err(Attempt::Again { error, wait }) => (error, wait),
            };
            if tried >= self.retries {
                return Err(Error { retry_after: wait, ..error });
            }
            tried += 1;
            self.pause(wait.unwrap_or(Duration::from_secs(1)).min(LONGEST_WAIT)).await;
        }
    }

    /// A manifest or index with its exact bytes.
    ///
    /// # Errors
    /// If it cannot be read, or is not what its digest says.
    pub(crate) async fn document(&self, source: &ImageReference) -> Result<(Manifest, Vec<u8>), Error> {
        let answer = self.get(source, Method::GET, "manifests", source.identifier()).await;
        let bytes = match answer.map_err(|failure| written(failure, source))? {
            Answer::Found(reply) => reply.bytes,
            Answer::NotFound => {
                return Err(gone(source));
            }
        };
        let manifest = Manifest::parse(&bytes, None).map_err(|error| {
            Error::of(FailureKind::BadAnswer, format!("failed to read {source}")).because(&error)
        })?;
        match source.digest() {
            Some(digest) if *digest != manifest.digest => {
                let what = format!("the registry sent wrong content for {source}");
                Err(Error::of(FailureKind::DigestMismatch, what)
                    .cause(format!("expected {digest}, got {}", manifest.digest)))
            }
            _ => Ok((manifest, bytes)),
        }
    }

    /// Stores a manifest or an index under a name.
    ///
    /// # Errors
    /// If the registry refuses it: with 404 if there is no repository, with 400 if an image that an index names is absent. There
    /// are no retries here: the caller makes them (`execute::retry`).
    pub(crate) async fn put(
        &self,
        target: &ImageReference,
        media_type: String,
        bytes: Vec<u8>,
        writes: Writes,
    ) -> Result<(), Error> {
        let url = url_of(target.repository(), &format!("manifests/{}", target.identifier()));
        let (body, writes) = (Some((media_type, bytes)), Some(writes));
        let call = Call { method: Method::PUT, url, actions: "pull,push", body, writes };
        match self.call(target, &call).await {
            Ok(Answer::Found(_)) => Ok(()),
            // A tag need not exist to be set, so it is the repository that does not.
            Ok(Answer::NotFound) => Err(written(Failure::NoRepository, target)),
            Err(failed) => Err(not_done(failed, target)),
        }
    }
}

/// Makes an error of a request about `target` that failed and is not tried again here.
pub(super) fn not_done(failed: Attempt, target: &ImageReference) -> Error {
    match failed {
        Attempt::Final(failure) => written(failure, target),
        Attempt::Again { error, wait } => Error { retry_after: wait, ..error },
    }
}

/// Makes an error of a request about `target` that failed.
pub(super) fn written(failure: Failure, target: &ImageReference) -> Error {
    match failure {
        Failure::Error(error) => *error,
        Failure::NoRepository => {
            Error::of(FailureKind::NotFoundRepo, format!("{} does not exist", target.repository()))
        }
    }
}

/// The error for an image that was to be tagged and does not exist any more.
#[must_use]
pub(crate) fn gone(source: &ImageReference) -> Error {
    Error::of(FailureKind::SourceGone, format!("{source} is not there any more"))
        .hint(FailureKind::SourceGone.hint())
}
