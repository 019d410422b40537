//! How long a run has waited for registries.

use std::sync::Mutex;
use std::time::Duration;

use crate::budget::WAITS;
use crate::ports::clock::Stopwatch;

/// The waits of one run. Those that overlap count once.
pub(super) struct Waits {
    watch: Stopwatch,
    /// How long was waited in all, and until when, on the watch.
    spent: Mutex<(Duration, Duration)>,
}

impl Default for Waits {
    fn default() -> Self {
        Self { watch: Stopwatch::start(), spent: Mutex::default() }
    }
}

impl Waits {
    /// Takes note of a wait that begins now; false if it would be too much in all.
    pub(super) fn take(&self, wait: Duration) -> bool {
        self.take_at(self.watch.elapsed(), wait)
    }

    fn take_at(&self, now: Duration, wait: Duration) -> bool {
        let Ok(mut spent) = self.spent.lock() else { return false };
        let (sum, until) = *spent;
        let end = now + wait;
        let sum = sum + end.saturating_sub(until.max(now));
        if sum > WAITS {
            return false;
        }
        *spent = (sum, until.max(end));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D34: three questions that are each told to come back after 29 s.
    #[test]
    fn d34_all_waits_of_a_run_have_one_limit() {
        let (waits, seconds) = (Waits::default(), Duration::from_secs);
        assert!(waits.take_at(seconds(0), seconds(29)));
        assert!(waits.take_at(seconds(1), seconds(28)), "waits that overlap count once");
        assert!(waits.take_at(seconds(30), seconds(29)));
        assert!(!waits.take_at(seconds(60), seconds(29)));
        assert!(waits.take_at(seconds(60), seconds(1)), "a short wait still fits");
    }
}
