//! A body on a slow line.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::body::{Body, BoxError};

/// Pieces a second: small enough for a steady stream, large enough for the timer.
const PIECES: u64 = 20;

/// Lets through so many bytes a second.
pub(crate) struct Paced {
    inner: Body,
    rate: u64,
    held: Bytes,
    wait: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    pub(crate) fn new(inner: Body, bytes_per_second: u64) -> Self {
        Self { inner, rate: bytes_per_second.max(1), held: Bytes::new(), wait: None }
    }

    /// The next piece of what is held, and the wait it costs.
    fn piece(&mut self) -> Bytes {
        let most = usize::try_from((self.rate / PIECES).max(1)).unwrap_or(usize::MAX);
        let piece = self.held.split_to(most.min(self.held.len()));
        let nanos = (piece.len() as u64).saturating_mul(1_000_000_000) / self.rate;
        self.wait = Some(Box::pin(sleep(Duration::from_nanos(nanos))));
        piece
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(wait) = &mut self.wait {
            ready!(wait.as_mut().poll(cx));
            self.wait = None;
        }
        if self.held.is_empty() {
            let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            match frame.into_data() {
                Ok(data) => self.held = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let piece = self.piece();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.len() as u64;
        let inner = self.inner.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint.set_lower(inner.lower().saturating_add(held));
        hint
    }
}
