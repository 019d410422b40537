//! A stream whose reader may stop reading. A thread writes to it, so that the program can end although the thread is stuck.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::ports::clock::Stopwatch;
use crate::ports::exec::CancelSignal;

/// Bytes that may wait, so that memory does not grow if the reader is slow.
const WAITING: usize = 1024 * 1024;
/// How long, in all, a run that was told to stop waits for its reader.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the program checks, while it waits for the reader, if the run is to stop.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Queue {
    /// The stream, until the first text starts the thread that owns it.
    stream: Option<Box<dyn Write + Send>>,
    /// The text that waits.
    text: Vec<u8>,
    /// True while the thread writes text that it has taken out.
    writing: bool,
    /// True if no more text is accepted. If a text is lost, all later ones are too: the lost one may have been a mask for them.
    closed: bool,
    /// Runs since a run that was told to stop began to wait for its reader.
    stopping: Option<Stopwatch>,
}

impl Queue {
    /// Closes the queue if a run that was told to stop has waited long enough. Returns whether it is closed.
    fn give_up(&mut self, cancel: &CancelSignal) -> bool {
        if !self.closed && cancel.borrow().is_some() {
            self.closed = self.stopping.get_or_insert_with(Stopwatch::start).elapsed() > PATIENCE;
        }
        self.closed
    }
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, at most for [`LOOK`].
    fn wait<'a>(&self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        self.changed.wait_timeout(queue, LOOK).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Writes all text that comes, for ever.
    fn write_all(&self, mut stream: impl Write) {
        loop {
            let mut queue = self.lock();
            while queue.text.is_empty() {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            let text = std::mem::take(&mut queue.text);
            queue.writing = true;
            drop(queue);
            self.changed.notify_all();
            // A log whose reader is gone does not fail the build.
            let _ = stream.write_all(&text).and_then(|()| stream.flush());
            self.lock().writing = false;
            self.changed.notify_all();
        }
    }
}

/// Writes in order. Clones share one queue.
#[derive(Clone)]
pub(crate) struct Sink {
    shared: Arc<Shared>,
    cancel: CancelSignal,
}

impl Sink {
    #[must_use]
    pub(crate) fn new(stream: impl Write + Send + 'static, cancel: CancelSignal) -> Self {
        let shared = Arc::new(Shared::default());
        shared.lock().stream = Some(Box::new(stream));
        Self { shared, cancel }
    }

    /// Starts the thread at the first text. It ends with the program.
    fn start(&self, queue: &mut Queue) {
        if let Some(stream) = queue.stream.take() {
            let of_thread = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name("log".to_owned());
            // Without a thread there is no log.
            queue.closed |= thread.spawn(move || of_thread.write_all(stream)).is_err();
        }
    }

    /// Hands a text over, and waits for room if the reader is slow. Once the run is told to stop, it waits for [`PATIENCE`] in
    /// all; then this text and all later ones are lost.
    pub(crate) fn write(&self, text: &[u8]) {
        let mut queue = self.shared.lock();
        self.start(&mut queue);
        while queue.text.len() >= WAITING && !queue.give_up(&self.cancel) {
            queue = self.shared.wait(queue);
        }
        if !queue.closed {
            queue.text.extend_from_slice(text);
            drop(queue);
            self.shared.changed.notify_all();
        }
    }

    /// Waits until all is written, as long as [`Self::write`] does.
    pub(crate) fn finish(&self) {
        let mut queue = self.shared.lock();
        while (queue.writing || !queue.text.is_empty()) && !queue.give_up(&self.cancel) {
            queue = self.shared.wait(queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::exec::Stop;
    use std::sync::mpsc;

    struct Stuck;

    impl Write for Stuck {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            loop {
                std::thread::park();
            }
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    struct Sent(mpsc::Sender<Vec<u8>>);

    impl Write for Sent {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            self.0.send(text.to_vec()).unwrap();
            Ok(text.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn texts_go_out_in_order() {
        let (_sender, cancel) = tokio::sync::watch::channel(None);
        let (sender_of_texts, texts) = mpsc::channel();
        let sink = Sink::new(Sent(sender_of_texts), cancel);
        for number in 0..1000 {
            sink.write(format!("{number}\n").as_bytes());
        }
        sink.finish();
        let text: Vec<u8> = texts.try_iter().flatten().collect();
        let expected: String = (0..1000).flat_map(|number| [number.to_string(), "\n".to_owned()]).collect();
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn d18_a_stream_that_is_not_read_does_not_hold_up_a_run_that_is_told_to_stop() {
        let (sender, cancel) = tokio::sync::watch::channel(None);
        let sink = Sink::new(Stuck, cancel);
        let writer = {
            let sink = sink.clone();
            std::thread::spawn(move || (0..4).for_each(|_| sink.write(&vec![b'x'; WAITING])))
        };
        std::thread::sleep(Duration::from_millis(100));
        assert!(!writer.is_finished(), "without a signal it waits");
        sender.send(Some(Stop::Terminate)).unwrap();
        writer.join().unwrap();
        sink.finish();
        assert!(sink.shared.lock().text.len() <= 2 * WAITING);
    }
}
