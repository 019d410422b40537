//! How long a tag must stay on an image before that image counts.
//!
//! Registries have no "set unless there": of two runs that both find no image under a tag, the later one would replace what
//! the earlier one has reported. So a run looks right before it sets a tag, waits as long as another run can take from its
//! look to the end of the request that sets the tag, and looks again: the image that has the tag now keeps it (Fischer's
//! algorithm, with the registry's tag as its variable).
//!
//! One gap remains: another run that takes longer than the wait. A repository with immutable tags has no such gap: the
//! registry itself accepts only the first run.

use std::time::Duration;

/// The wait is this many times as long as this run takes for the same: other runs talk to the same registry at the same time.
const WAIT_FACTOR: u32 = 4;
/// And this many times as long as the slowest request that this run has seen: what has slowed it may slow another run next.
const STALL_FACTOR: u32 = 2;
/// Bounds of the wait. Against a registry on the same machine requests take a millisecond, and chance decides which is
/// slowest; for a slow one a first build does not wait longer than this.
const SHORTEST_WAIT: Duration = Duration::from_millis(30);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// The wait between two looks. `took`: this run's time from a look to the end of the request that sets the tag. `slowest`: that
/// of its slowest other request.
pub(super) fn wait(took: Duration, slowest: Duration) -> Duration {
    (took * WAIT_FACTOR + slowest * STALL_FACTOR).clamp(SHORTEST_WAIT, LONGEST_WAIT)
}

/// Tells whether a look took so long that its answer may be out of date. `usual`: the time of another request.
pub(super) fn is_late(look: Duration, usual: Duration) -> bool {
    look > SHORTEST_WAIT.max(2 * usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_follows_the_registry_within_bounds() {
        let wait =
            |(took, slowest)| wait(Duration::from_millis(took), Duration::from_millis(slowest)).as_millis();
        let of_one = [0, 7, 8, 100, 500, 501, 9000].map(|took| wait((took, 0)));
        assert_eq!(of_one, [30, 30, 32, 400, 2000, 2000, 2000]);
        assert_eq!([(4, 5), (4, 400), (100, 1000), (0, 9000)].map(wait), [30, 816, 2000, 2000]);
    }

    #[test]
    fn a_look_is_late_beside_what_is_usual() {
        let late = |look, usual| is_late(Duration::from_millis(look), Duration::from_millis(usual));
        assert_eq!([late(30, 1), late(31, 1), late(31, 15), late(31, 16)], [false, true, true, false]);
        assert_eq!([late(400, 200), late(401, 200)], [false, true]);
    }
}
