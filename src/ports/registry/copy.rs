//! Copies an image to another repository, of the same registry or another one. What a manifest names goes before the
//! manifest, and the tag goes last: a copy that is broken off leaves no name, and the next one finds what is there.

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use futures_util::future::{FutureExt as _, LocalBoxFuture};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use http_body::Frame;
use oci_spec::image::Descriptor;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Body, Method, Response, StatusCode, Url};

use super::answer::{Attempt, header, unanswered, unavailable};
use super::transport::{Answer, Call, base_url, read_status, redirected};
use super::url_of;
use super::write::{not_done, written};
use super::{Failure, Registry};
use crate::budget::{CHILDREN, COPIES, NESTED, UPLOAD_SILENCE};
use crate::error::Error;
use crate::failure::FailureKind;
use crate::image::{Digest, ImageReference, Repository};
use crate::ports::Writes;
use crate::ports::clock::Stopwatch;
use crate::ports::exec::from_exec;

/// The right that an upload needs, in the token service's words.
const PUSH: &str = "pull,push";

/// What a copy did with the layers and configurations of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Copied {
    /// Those that the repository had.
    pub there: usize,
    /// Those that its registry took from the other repository.
    pub mounted: usize,
    /// Those that were sent.
    pub sent: usize,
    /// The bytes of those.
    pub bytes: u64,
}

impl fmt::Display for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { there, mounted, sent, bytes } = self;
        write!(
            f,
            "{there} layers and configurations were there, {mounted} mounted, {sent} sent ({bytes} bytes)"
        )
    }
}

/// One copy.
struct Job<'a> {
    from: &'a Repository,
    to: &'a Repository,
    /// The name that the image gets, for messages.
    target: &'a ImageReference,
    writes: Writes,
    copied: Cell<Copied>,
    /// Manifests of indexes that were copied.
    children: Cell<usize>,
}

impl Job<'_> {
    fn count(&self, add: impl FnOnce(&mut Copied)) {
        let mut copied = self.copied.get();
        add(&mut copied);
        self.copied.set(copied);
    }

    /// The source's repository, if its registry is the target's.
    fn beside(&self) -> Option<&Repository> {
        Some(self.from).filter(|from| from.registry() == self.to.registry())
    }

    fn call(&self, method: Method, url: String) -> Call {
        Call { method, url, actions: PUSH, body: None, writes: Some(self.writes) }
    }
}

impl Registry {
    /// Copies the image with this digest, with everything that it names, and gives it the name `target`.
    ///
    /// # Errors
    /// If the image is not there any more, or one of the registries refuses. The caller tries again (`execute::retry`):
    /// what was copied is not copied twice.
    pub(crate) async fn copy(
        &self,
        source: &ImageReference,
        target: &ImageReference,
        writes: Writes,
    ) -> Result<Copied, Error> {
        let (from, to) = (source.repository(), target.repository());
        let job = Job { from, to, target, writes, copied: Cell::default(), children: Cell::default() };
        self.copy_document(source.clone(), target.clone(), &job, 0).await?;
        Ok(job.copied.get())
    }

    /// Copies a manifest or an index, with what it names first.
    fn copy_document<'a>(
        &'a self,
        source: ImageReference,
        target: ImageReference,
        job: &'a Job<'a>,
        level: usize,
    ) -> LocalBoxFuture<'a, Result<(), Error>> {
        let copy = async move {
            let (manifest, bytes) = self.document(&source).await?;
            if !self.has(&job.to.at(manifest.digest.clone()), "manifests", manifest.digest.as_str()).await? {
                for child in manifest.descriptors() {
                    self.copy_child(child, &source, job, level).await?;
                }
                let mut blobs = manifest.blobs();
                blobs.sort_by_key(|blob| blob.digest().to_string());
                blobs.dedup_by_key(|blob| blob.digest().to_string());
                let copies = blobs.into_iter().map(|blob| self.copy_blob(blob, job));
                stream::iter(copies).buffer_unordered(COPIES).try_collect::<Vec<()>>().await?;
            } else if target.digest().is_some() {
                return Ok(());
            }
            self.put(&target, manifest.media_type, bytes, job.writes).await
        };
        copy.boxed_local()
    }

    async fn copy_child(
        &self,
        child: &Descriptor,
        index: &ImageReference,
        job: &Job<'_>,
        level: usize,
    ) -> Result<(), Error> {
        let refused = |why: String| {
            Error::of(FailureKind::DigestMismatch, format!("failed to copy {index}")).cause(why)
        };
        job.children.set(job.children.get() + 1);
        if job.children.get() > CHILDREN {
            return Err(refused(format!("it has more than {CHILDREN} images")));
        }
        if level >= NESTED {
            return Err(refused(format!("it has more than {NESTED} indexes in one another")));
        }
        let digest: Digest = child
            .digest()
            .to_string()
            .parse()
            .map_err(|_| refused(format!("{} is no digest of sha256", child.digest())))?;
        self.copy_document(job.from.at(digest.clone()), job.to.at(digest), job, level + 1).await
    }

    /// Whether the registry has it.
    async fn has(&self, reference: &ImageReference, kind: &str, id: &str) -> Result<bool, Error> {
        match self.get(reference, Method::HEAD, kind, id).await {
            Ok(Answer::Found(_)) => Ok(true),
            Ok(Answer::NotFound) => Ok(false),
            Err(failure) => Err(written(failure, reference)),
        }
    }

    async fn copy_blob(&self, blob: &Descriptor, job: &Job<'_>) -> Result<(), Error> {
        let digest = blob.digest().to_string();
        if self.has(job.target, "blobs", &digest).await? {
            job.count(|copied| copied.there += 1);
            return Ok(());
        }
        let Some(session) = self.open_upload(&digest, job).await? else {
            job.count(|copied| copied.mounted += 1);
            return Ok(());
        };
        // An upload that is given up leaves nothing that has a name.
        let copy = self.send_blob(session, &digest, blob.size(), job);
        let copied = self.exec.unless_cancelled("copying", copy).await;
        copied.map_err(from_exec)??;
        job.count(|copied| {
            copied.sent += 1;
            copied.bytes += blob.size();
        });
        Ok(())
    }

    /// Opens an upload, and returns its address; `None` if the registry took the blob from the other repository (distribution
    /// specification, "Mounting a blob from another repository").
    async fn open_upload(&self, digest: &str, job: &Job<'_>) -> Result<Option<Url>, Error> {
        let plain = url_of(job.to, "blobs/uploads/");
        let mount = job.beside().map(|from| format!("{plain}?mount={digest}&from={}", from.path()));
        let failed = |failed| not_done(failed, job.target);
        let mounted = match mount {
            Some(mount) => self.open(job.target, &job.call(Method::POST, mount), job.beside()).await,
            None => Ok(None),
        };
        let response = match mounted {
            Ok(Some(response)) => response,
            // Some registries refuse to mount instead of asking for the blob.
            Ok(None) | Err(Attempt::Final(_)) => {
                let asked = self.open(job.target, &job.call(Method::POST, plain.clone()), job.beside()).await;
                let no_repository = || written(Failure::NoRepository, job.target);
                asked.map_err(failed)?.ok_or_else(no_repository)?
            }
            Err(again) => return Err(failed(again)),
        };
        if response.status() == StatusCode::CREATED {
            return Ok(None);
        }
        let bad = |why: &str| unavailable(job.to.registry()).cause(why.to_owned());
        let location = header(response.headers(), LOCATION.as_str());
        let asked = Url::parse(&plain).map_err(|error| bad("its address is no URL").because(&error))?;
        let session = location.and_then(|location| redirected(&asked, &location));
        let mut session =
            session.ok_or_else(|| bad("it opened an upload without an address"))?.map_err(bad)?;
        session.query_pairs_mut().append_pair("digest", digest);
        Ok(Some(session))
    }

    /// Sends a blob as it comes from the source's registry: no more of it is in memory than the network holds.
    async fn send_blob(&self, session: Url, digest: &str, size: u64, job: &Job<'_>) -> Result<(), Error> {
        let registry = job.to.registry();
        let read = url_of(job.from, &format!("blobs/{digest}"));
        let read = Call { method: Method::GET, url: read, actions: "pull", body: None, writes: None };
        let source = match digest.parse() {
            Ok(digest) => job.from.at(digest),
            Err(_) => {
                return Err(Error::of(
                    FailureKind::DigestMismatch,
                    format!("{digest} is no digest of sha256"),
                ));
            }
        };
        let blob = self.open(&source, &read, None).await.map_err(|failed| not_done(failed, &source))?;
        let blob = blob.ok_or_else(|| {
            Error::of(FailureKind::EventualRead, format!("failed to copy the image to {}", job.target))
                .cause(format!("{} has lost {digest}, which the image names", job.from))
                .hint("rebuild: true makes the image again")
        })?;
        let http = self.http_for_uploads(registry).await?;
        let mut request = http.request(Method::PUT, session.clone());
        let own = Url::parse(&base_url(registry)).is_ok_and(|base| base.origin() == session.origin());
        if own && let Some(authorization) = self.authorization(job.target, PUSH, job.beside()).await {
            request = request.header(AUTHORIZATION, authorization.expose());
        }
        let sent = Arc::new(AtomicU64::new(0));
        let body = Body::wrap(Counted { blob: blob.into(), sent: Arc::clone(&sent) });
        let request = request
            .header(CONTENT_LENGTH, size)
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(body)
            .send();
        let what =
            || Error::of(FailureKind::TransientNetwork, format!("failed to send a layer of {}", job.target));
        let response = watched(request, &sent, || {
            what().cause(format!("{registry} took nothing of {digest} for {} s", UPLOAD_SILENCE.as_secs()))
        })
        .await?;
        let response: Response = response.map_err(|error| not_done(unanswered(what(), error), job.target))?;
        if response.status().is_success() {
            return Ok(());
        }
        let call = job.call(Method::PUT, session.to_string());
        match read_status(job.target, &call, response).await {
            Err(failed) => Err(not_done(failed, job.target)),
            Ok(_) => {
                Err(Error::of(FailureKind::UploadClash, format!("failed to send a layer of {}", job.target))
                    .cause(format!("{registry} does not know the upload any more")))
            }
        }
    }
}

/// The end of an upload, or that the count of sent bytes did not change for too long.
async fn watched<T>(
    upload: impl Future<Output = T>,
    sent: &AtomicU64,
    stalled: impl FnOnce() -> Error,
) -> Result<T, Error> {
    let mut upload = std::pin::pin!(upload);
    let (mut seen, mut since) = (0, Stopwatch::start());
    loop {
        if let Ok(done) = tokio::time::timeout(UPLOAD_SILENCE / 60, upload.as_mut()).await {
            return Ok(done);
        }
        let now = sent.load(Ordering::Relaxed);
        if now != seen {
            (seen, since) = (now, Stopwatch::start());
        } else if since.elapsed() > UPLOAD_SILENCE {
            return Err(stalled());
        }
    }
}

/// A body whose bytes are counted as they are taken.
struct Counted {
    blob: Body,
    sent: Arc<AtomicU64>,
}

impl http_body::Body for Counted {
    type Data = <Body as http_body::Body>::Data;
    type Error = <Body as http_body::Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.blob).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.sent.fetch_add(length, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }
}
