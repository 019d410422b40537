//! The build.

use super::{Journal, Workshop, ports_log, retry};
use crate::error::{Error, FailureClass, Result};
use crate::facts::{Seen, Where, look_up};
use crate::image::ImageReference;
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
            Err(error) => match retry::wait_after(error, journal.attempts, workshop).await {
                Ok(()) => {}
                Err(error) => return adopt(spec, error, workshop, journal).await,
            },
        }
    }
    journal.built = true;
    journal.pushed = spec.output.pushes();
    if spec.output.loads() && !spec.output.pushes() {
        journal.local_image = spec.names.first().cloned();
    }
    Ok(())
}

/// A push that failed, and the image is there under its first name: a rival's under a tag that
/// may not move, or this run's own, whose answer was lost. Else the failure stands.
async fn adopt(spec: &BuildSpec, error: Error, workshop: &Workshop<'_>, journal: &mut Journal) -> Result<()> {
    use FailureClass::{Access, Integrity, Unavailable};
    let name = spec.names.first().and_then(|name| name.parse::<ImageReference>().ok());
    let (Some(name), true) = (name, spec.output.pushes()) else { return Err(error) };
    // What the build itself died of is not in the registry.
    if !matches!(error.class, Access | Integrity | Unavailable) || workshop.key.is_none() {
        return Err(error);
    }
    match look_up(&workshop.ports.registry, Where::CommitTag, name.clone(), workshop.key).await.seen {
        Seen::Match { digest, .. } => {
            journal.notices.push(format!(
                "{name} is there with this key, {digest}, although the push failed: {}",
                error.headline()
            ));
            (journal.built, journal.adopted, journal.digest) = (true, true, Some(digest));
            Ok(())
        }
        Seen::OtherKey { digest, .. } if error.class == Integrity => {
            Err(error.cause(format!("it is {digest}, made from other inputs")))
        }
        Seen::OtherKey { .. } | Seen::Absent { .. } | Seen::Unknown(_) => Err(error),
    }
}
