//! The build.

use super::{Journal, Workshop, ports_log, retry};
use crate::error::{Error, FailureClass, Result};
use crate::facts::{Seen, Where, look_up};
use crate::image::ImageReference;
use crate::inputs::SecretString;
use crate::ports::buildx::{BuildSpec, Buildx};
use crate::ports::docker::Docker;
use crate::ports::failure::is_cache_fault;
use crate::ports::local_cache::LocalCacheUse;

pub(super) async fn run(
    spec: &BuildSpec,
    workshop: &Workshop<'_>,
    docker: &Docker,
    journal: &mut Journal,
) -> Result<()> {
    let toolchain = workshop.toolchain.ok_or_else(|| Error::new(FailureClass::Bug, "built without tools"))?;
    let buildx = Buildx::new(docker.clone());
    let mut spec = spec.clone();
    loop {
        journal.attempts += 1;
        // Each try writes a generation of its own; the locks last as long as the build.
        let local = spec.local_caches.as_ref().map(LocalCacheUse::open);
        let now = with_local(&spec, local.as_ref());
        let log = ports_log(workshop, "docker buildx build");
        let variables = variables(&now, workshop);
        let (result, progress) =
            buildx.build(&now, &toolchain.buildx, workshop.metadata, variables, |line| log.line(line)).await;
        drop(log);
        journal.progress = Some(progress);
        match result {
            Ok(_) => {
                for notice in local.iter().flat_map(|local| &local.notices) {
                    journal.notices.push(notice.clone());
                }
                journal.notices.extend(local.and_then(LocalCacheUse::commit));
                break;
            }
            // No fault of the cache fails a build that would pass without it.
            Err(error) if now.has_caches() && is_cache_fault(&error) => {
                workshop.ports.console.line("trying again without the layer cache");
                journal.degraded = Some(format!("built without the layer cache: {}", error.headline()));
                spec = spec.without_caches();
            }
            // On the same builder: its layers are still warm.
            Err(error) => match retry::wait_after(error, journal.attempts, workshop).await {
                Ok(()) => {}
                Err(error) => return adopt(&spec, error, workshop, journal).await,
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

fn with_local(spec: &BuildSpec, local: Option<&LocalCacheUse>) -> BuildSpec {
    let mut spec = spec.clone();
    if let Some(local) = local {
        spec.cache_from.extend(local.sources());
        spec.cache_to.extend(local.destination());
    }
    spec
}

/// What the caches need of this program's environment; nothing else of it reaches buildx.
fn variables(spec: &BuildSpec, workshop: &Workshop<'_>) -> Vec<(&'static str, SecretString)> {
    let value = |name: &'static str| Some((name, workshop.ports.env.get(name)?.to_owned().into()));
    spec.cache_variables().into_iter().filter_map(value).collect()
}
