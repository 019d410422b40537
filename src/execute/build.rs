//! The build, tried again where the same may work the next time.

use std::time::Duration;

use super::{Journal, Workshop, ports_log};
use crate::error::{Error, FailureClass, Result};
use crate::ports::buildx::{BuildSpec, Buildx};
use crate::ports::docker::Docker;
use crate::ports::failure::is_transient;
use crate::ports::random;

/// First wait before another try; doubled each time.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

pub(super) async fn run(
    spec: &BuildSpec,
    workshop: &Workshop<'_>,
    docker: &Docker,
    journal: &mut Journal,
) -> Result<()> {
    let toolchain = workshop.toolchain.ok_or_else(|| Error::new(FailureClass::Bug, "built without tools"))?;
    let buildx = Buildx::new(docker.clone());
    let retries = workshop.inputs.reliability.retries;
    loop {
        journal.attempts += 1;
        let log = ports_log(workshop, "docker buildx build");
        let (result, progress) =
            buildx.build(spec, &toolchain.buildx, workshop.metadata, |line| log.line(line)).await;
        drop(log);
        journal.progress = Some(progress);
        let error = match result {
            Ok(_) => {
                journal.built = true;
                journal.pushed = spec.output.pushes();
                if spec.output.loads() && !spec.output.pushes() {
                    journal.local_image = spec.names.first().cloned();
                }
                return Ok(());
            }
            Err(error) => error,
        };
        // A user's error, a refusal or a full disk is the same the next time.
        if !is_transient(&error) || journal.attempts > retries {
            return Err(error);
        }
        let wait = (FIRST_WAIT * 2_u32.saturating_pow(journal.attempts - 1)).min(LONGEST_WAIT).mul_f64(0.5 + random::fraction() / 2.0);
        workshop.ports.console.line(&format!(
            "attempt {} failed: {}; trying again in {:.0}s on the same builder",
            journal.attempts,
            error.headline(),
            wait.as_secs_f64()
        ));
        tokio::time::sleep(wait).await;
    }
}
