//! Reads a child process's output, whole or line by line.

use crate::budget::{CHILD_OUTPUT, LINE, Most};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};

/// Reads a whole stream.
///
/// # Errors
/// If it cannot be read, or has more than [`CHILD_OUTPUT`].
pub(super) async fn read_all(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(CHILD_OUTPUT + 1).read_to_end(&mut bytes).await?;
    }
    if bytes.len() as u64 > CHILD_OUTPUT {
        return Err(std::io::Error::other(format!("it prints more than {}", Most::Bytes(CHILD_OUTPUT))));
    }
    Ok(bytes)
}

/// Keeps the last 64 KiB of standard error, which is read for its last lines alone.
pub(super) fn tail(mut bytes: Vec<u8>) -> Vec<u8> {
    const LIMIT: usize = 64 * 1024;
    if bytes.len() > LIMIT {
        bytes.drain(..bytes.len() - LIMIT);
    }
    bytes
}

/// Tells whether a line has [`LINE`] bytes. Longer ones come in pieces, so that memory does not grow with what a child prints.
/// BuildKit's own messages end soon after 1 MiB of log (`client/solve.go`, `Marshal`).
fn is_full(buffer: &[u8]) -> bool {
    buffer.len() as u64 >= LINE
}

/// The lines of a stream, one after the other in one buffer.
pub(super) struct Lines<R> {
    reader: Option<BufReader<R>>,
    buffer: Vec<u8>,
    /// True if no line comes any more.
    pub(super) ended: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(stream: Option<R>) -> Self {
        let reader = stream.map(|stream| BufReader::with_capacity(64 * 1024, stream));
        Self { ended: reader.is_none(), reader, buffer: Vec::new() }
    }

    /// Reads the next line; `None` at the end. The future can be dropped halfway: the part of a line stays in the buffer.
    pub(super) async fn next(&mut self) -> std::io::Result<Option<&[u8]>> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        // The line was returned by the call before.
        if self.buffer.last() == Some(&b'\n') || is_full(&self.buffer) {
            self.buffer.clear();
        }
        let room = LINE.saturating_sub(self.buffer.len() as u64);
        (&mut *reader).take(room).read_until(b'\n', &mut self.buffer).await?;
        if self.buffer.last() == Some(&b'\n') {
            return Ok(Some(&self.buffer[..self.buffer.len() - 1]));
        }
        if is_full(&self.buffer) {
            return Ok(Some(&self.buffer));
        }
        self.ended = true;
        Ok(if self.buffer.is_empty() { None } else { Some(&self.buffer) })
    }

    /// Reads to the end and drops everything.
    pub(super) async fn drain(&mut self) {
        while !self.ended && self.next().await.is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_line_without_end_comes_in_pieces() {
        let longest = usize::try_from(LINE).unwrap();
        let text = [vec![b'x'; 2 * longest + 5], b"\nshort\nlast".to_vec()].concat();
        let mut lines = Lines::new(Some(text.as_slice()));
        let mut lengths = Vec::new();
        while !lines.ended {
            lengths.extend(lines.next().await.unwrap().map(<[u8]>::len));
        }
        assert_eq!(lengths, [longest, longest, 5, 5, 4]);
    }
}
