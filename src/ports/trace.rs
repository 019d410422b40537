//! Writes a line to the debug log for each process and request, with its time (`--verbose`, or `RUNNER_DEBUG` of "Re-run jobs
//! with debug logging"): `GET https://h/v2/… took 0.021 s`.

use std::fmt;
use std::sync::Arc;

use super::clock::Stopwatch;

type Sink = Arc<dyn Fn(&str) + Send + Sync>;

/// The receiver of the debug log's lines; without debug logging there is none.
#[derive(Clone, Default)]
pub struct Trace(Option<Sink>);

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({})", self.0.is_some())
    }
}

impl Trace {
    /// Sends `sink` a line for each operation that ended.
    pub fn to(sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(sink)))
    }

    /// Begins an operation, which ends when the returned value is dropped.
    #[must_use]
    pub fn begin(&self, what: impl FnOnce() -> String) -> Option<Traced> {
        let sink = self.0.clone()?;
        Some(Traced { what: what(), watch: Stopwatch::start(), sink })
    }
}

/// An operation that has begun.
pub struct Traced {
    what: String,
    watch: Stopwatch,
    sink: Sink,
}

impl Drop for Traced {
    fn drop(&mut self) {
        (self.sink)(&format!("{} took {:.3} s", self.what, self.watch.seconds()));
    }
}
