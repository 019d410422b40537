//! Names the calendar period of the input `max-age`, such as `2026-11-16/1w`: the week from that Monday. A new period gives
//! a new key, so an image is never reused for longer than that. Each job takes its own time: jobs of a run on both sides of
//! a period's end have two keys.

use time::{OffsetDateTime, Time};

const DAY: u64 = 86_400;
const WEEK: u64 = 7 * DAY;

/// Names the period of `max_age` seconds that holds `now` (seconds since 1970, UTC): its first moment and its
/// length. Periods of whole weeks begin on Mondays, all others at multiples since 1970. `max_age` 0 counts as 1.
#[must_use]
pub(crate) fn period(max_age: u64, now: u64) -> String {
    let length = max_age.max(1);
    // 1970 began on a Thursday.
    let offset = if length.is_multiple_of(WEEK) { 4 * DAY } else { 0 };
    let start = now.checked_sub(offset).map_or(0, |since| since / length * length + offset);
    format!("{}/{}", moment(start), duration(length))
}

/// A day as `2026-01-31`, any other moment with its time of the day.
fn moment(seconds: u64) -> String {
    let moment = i64::try_from(seconds).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
    // The library has no dates from the year 10000 on.
    let Some(moment) = moment else { return seconds.to_string() };
    if moment.time() == Time::MIDNIGHT {
        moment.date().to_string()
    } else {
        let (hour, minute, second) = moment.to_hms();
        format!("{}T{hour:02}:{minute:02}:{second:02}Z", moment.date())
    }
}

/// A length in the largest unit that divides it: `1w`, `36h`, `90s`.
fn duration(seconds: u64) -> String {
    [(WEEK, "w"), (DAY, "d"), (3600, "h"), (60, "m")]
        .into_iter()
        .find(|(unit, _)| seconds.is_multiple_of(*unit))
        .map_or_else(|| format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_have_calendar_names() {
        let now = 1_795_219_200 + 3723; // Saturday 2026-11-21, 01:02:03
        assert_eq!(moment(now), "2026-11-21T01:02:03Z");
        assert_eq!(period(DAY, now), "2026-11-21/1d");
        assert_eq!(period(WEEK, now), "2026-11-16/1w");
        assert_eq!(period(3600, now), "2026-11-21T01:00:00Z/1h");
        assert_eq!(period(0, now), "2026-11-21T01:02:03Z/1s");
        assert_eq!(period(WEEK, 5), "1970-01-01/1w");
        assert_eq!(moment(951_782_400), "2000-02-29");
    }

    /// The code and the page say the same.
    #[test]
    fn d38_each_job_takes_its_own_time() {
        let page = include_str!("../../docs/keys.md");
        let row = page.lines().find(|line| line.starts_with("| period |")).unwrap();
        assert!(row.contains("the calendar period's name at the time of asking"), "{row}");
        assert!(row.contains("Jobs of a run on both sides of the period's end have two keys"), "{row}");
        let end = 1_795_219_200 / DAY * DAY + DAY;
        assert_ne!(period(DAY, end - 1), period(DAY, end));
    }

    #[test]
    fn a_period_is_shared_by_all_its_moments() {
        let start = 1_795_219_200 / WEEK * WEEK + 4 * DAY; // a Monday
        let names: std::collections::BTreeSet<_> =
            (0..WEEK).step_by(3571).map(|s| period(WEEK, start + s)).collect();
        assert_eq!(names.len(), 1);
        assert_ne!(period(WEEK, start + WEEK), period(WEEK, start));
    }
}
