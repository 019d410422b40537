//! The build.

use super::{Journal, Workshop, ports_log, retry};
use crate::error::{Error, FailureClass, Result};
use crate::ports::buildx::{BuildSpec, Buildx};
use crate::ports::docker::Docker;

pub(super) async fn run(
    spec: &BuildSpec,
    workshop: &Workshop<'_>,
    docker: &Docker,
    journal: &mut Journal,
) -> Result<()> {
    let toolchain = workshop.toolchain.ok_or_else(|| Error::new(FailureClass::Bug, "built without tools"))?;
    let buildx = Buildx::new(docker.clone());
    loop {
        journal.attempts += 1;
        let log = ports_log(workshop, "docker buildx build");
        let (result, progress) =
            buildx.build(spec, &toolchain.buildx, workshop.metadata, |line| log.line(line)).await;
        drop(log);
        journal.progress = Some(progress);
        match result {
            Ok(_) => break,
            // On the same builder: its layers are still warm.
            Err(error) => retry::wait_after(error, journal.attempts, workshop).await?,
        }
    }
    journal.built = true;
    journal.pushed = spec.output.pushes();
    if spec.output.loads() && !spec.output.pushes() {
        journal.local_image = spec.names.first().cloned();
    }
    Ok(())
}
