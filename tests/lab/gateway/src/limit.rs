//! A body that stops early: either as if that were all, or with the connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::body::{Body, BoxError};
use crate::server::{Connection, Ending};

/// Between the last byte let through and the cut: the time it takes to be written out.
const FLUSH: Duration = Duration::from_millis(50);

/// What happens at the limit.
pub(crate) enum Stop {
    /// The body ends there, well-formed.
    Quietly,
    /// The client's connection ends there.
    With(Arc<Connection>, Ending),
}

/// Lets `left` more bytes through. A body that is shorter passes whole.
pub(crate) struct Limited {
    inner: Body,
    left: u64,
    stop: Stop,
    flush: Option<Pin<Box<Sleep>>>,
}

impl Limited {
    pub(crate) fn new(inner: Body, limit: u64, stop: Stop) -> Self {
        Self { inner, left: limit, stop, flush: None }
    }

    /// At the limit: ends the body, or the connection once written bytes are out.
    fn poll_stop(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Stop::With(connection, ending) = &self.stop {
            let flush = self.flush.get_or_insert_with(|| Box::pin(sleep(FLUSH)));
            ready!(flush.as_mut().poll(cx));
            connection.end(*ending);
            // The connection's task drops this body; nothing more comes from here.
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl HttpBody for Limited {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.left == 0 {
            ready!(self.poll_stop(cx));
            return Poll::Ready(None);
        }
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other),
        };
        Poll::Ready(Some(Ok(match frame.into_data() {
            Ok(mut data) => {
                let keep = usize::try_from(self.left).unwrap_or(usize::MAX).min(data.len());
                data.truncate(keep);
                self.left -= keep as u64;
                Frame::data(data)
            }
            Err(trailers) => trailers,
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream() || (self.left == 0 && matches!(self.stop, Stop::Quietly))
    }

    // Unknown: the headers say what length was promised.
    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
