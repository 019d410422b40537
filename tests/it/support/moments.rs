//! Moments at which something is killed: random, so that each run tries others, and the same
//! again by their seed.

use std::time::{Duration, SystemTime};

/// Numbers from a seed (splitmix64).
pub(crate) struct Moments(u64);

impl Moments {
    /// `BUILD_ONCE_SEED` repeats a sweep; without it the clock decides. The seed is printed, which
    /// cargo shows of a test that failed.
    #[expect(clippy::print_stdout, reason = "for whoever repeats the sweep")]
    pub(crate) fn new() -> Self {
        let clock =
            || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos().into();
        let seed = std::env::var("BUILD_ONCE_SEED").map_or_else(|_| clock(), |text| text.parse().unwrap());
        println!("BUILD_ONCE_SEED={seed}");
        Self(seed)
    }

    /// A moment within this time.
    pub(crate) fn within(&mut self, whole: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let upper = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap();
        whole.mul_f64(f64::from(upper) / f64::from(u32::MAX))
    }
}
