//! How long to wait before something is tried again.

use std::time::Duration;

/// Waits that double, each with jitter, so that jobs do not come back together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pub first: Duration,
    pub longest: Duration,
}

impl Backoff {
    /// The wait that follows `tried` earlier waits. `jitter`: a random number; 0 gives half of the wait, 1 all of it.
    #[must_use]
    pub(crate) fn wait(self, tried: u32, jitter: f64) -> Duration {
        let whole = self.first.saturating_mul(2_u32.saturating_pow(tried)).min(self.longest);
        whole.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let backoff = Backoff { first: Duration::from_millis(200), longest: Duration::from_secs(1) };
        let waits = [0, 1, 2, 3, 40, u32::MAX].map(|tried| backoff.wait(tried, 1.0).as_millis());
        assert_eq!(waits, [200, 400, 800, 1000, 1000, 1000]);
        assert_eq!(backoff.wait(1, 0.0), Duration::from_millis(200));
    }
}
