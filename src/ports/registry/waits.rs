//! Counts how long a run has waited for registries.

use std::sync::Mutex;
use std::time::Duration;

use crate::budget::WAIT_IN_ALL;
use crate::ports::clock::Stopwatch;

/// The waits of one run. Time in which several requests wait counts once.
pub(super) struct Waits {
    watch: Stopwatch,
    spent: Mutex<Spent>,
}

#[derive(Default)]
struct Spent {
    /// How long the run has waited in all.
    total: Duration,
    /// When the last wait ends, on the watch.
    until: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self { watch: Stopwatch::start(), spent: Mutex::default() }
    }
}

impl Waits {
    /// Counts a wait that begins now. Returns false, and counts nothing, if all waits would take longer than [`WAIT_IN_ALL`].
    pub(super) fn try_begin(&self, wait: Duration) -> bool {
        self.try_begin_at(self.watch.elapsed(), wait)
    }

    fn try_begin_at(&self, now: Duration, wait: Duration) -> bool {
        let Ok(mut spent) = self.spent.lock() else { return false };
        let end = now + wait;
        let total = spent.total + end.saturating_sub(spent.until.max(now));
        if total > WAIT_IN_ALL {
            return false;
        }
        *spent = Spent { total, until: spent.until.max(end) };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The registry asks for a wait of 29 s after each of several questions.
    #[test]
    fn d34_all_waits_of_a_run_have_one_limit() {
        let (waits, seconds) = (Waits::default(), Duration::from_secs);
        assert!(waits.try_begin_at(seconds(0), seconds(29)));
        assert!(waits.try_begin_at(seconds(1), seconds(28)), "waits that overlap count once");
        assert!(waits.try_begin_at(seconds(30), seconds(29)));
        assert!(!waits.try_begin_at(seconds(60), seconds(29)));
        assert!(waits.try_begin_at(seconds(60), seconds(1)), "a short wait still fits");
    }
}
