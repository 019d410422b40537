//! Another try, where the same may work the next time.

use std::time::Duration;

use super::Workshop;
use crate::error::{Error, Result};
use crate::ports::failure::is_transient;
use crate::ports::random;

/// The first wait; doubled each time, and spread so that jobs do not come back together.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Waits before try `tried + 1`, or hands the error back: a user's error, a refusal or a full
/// disk is the same the next time.
pub(super) async fn wait_after(error: Error, tried: u32, workshop: &Workshop<'_>) -> Result<()> {
    if !is_transient(&error) || tried > workshop.inputs.reliability.retries {
        return Err(error);
    }
    let longest = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(tried.saturating_sub(1))).min(LONGEST_WAIT);
    let wait = longest.mul_f64(0.5 + random::fraction() / 2.0);
    workshop.ports.console.line(&format!(
        "attempt {tried} failed: {}; trying again in {:.0}s",
        error.headline(),
        wait.as_secs_f64()
    ));
    workshop
        .ports
        .exec
        .sleep(wait)
        .await
        .map_err(|stopped| crate::ports::docker::from_exec(stopped).because(&error))
}
