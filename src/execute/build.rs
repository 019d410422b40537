//! Runs `docker buildx build`, with retries, and records the image.

use super::react::{Can, Change};
use super::retry::{Attempts, log_in_again};
use super::transfer::TransferSession;
use super::{Record, StepContext, converge};
use crate::buildkit::failure::classify_at;
use crate::buildkit::{BuildMetadata, BuildSpec, NewBuilder, container_of};
use crate::crash;
use crate::error::{Error, Result};
use crate::failure::FailureClass;
use crate::failure::FailureKind;
use crate::phase::Phase;
use crate::ports::buildx::Buildx;
use crate::ports::docker::Docker;
use crate::ports::exec::from_exec;
use crate::ports::host;
use crate::ports::local_cache::LocalCacheUse;
use crate::secret::SecretString;

/// Builds until an attempt succeeds or no further one may help. `own`: the builder that this run has made for itself.
pub(super) async fn run(
    spec: &BuildSpec,
    own: Option<&NewBuilder>,
    context: &StepContext<'_>,
    docker: &Docker,
    record: &mut Record,
) -> Result<()> {
    let toolchain = context.toolchain.ok_or_else(|| Error::new(FailureClass::Bug, "built without tools"))?;
    let buildx = Buildx::new(docker.clone()).with_stall(context.request.settings.reliability.stall_timeout);
    let mut attempts = Attempts::default();
    let mut spec = spec.clone();
    loop {
        record.attempts += 1;
        // Each attempt writes a new generation; the locks last as long as the build.
        let local = match spec.local_caches.clone() {
            Some(caches) => Some(on_file_thread(context, move || LocalCacheUse::open(&caches)).await?),
            None => None,
        };
        let now = with_local_caches(&spec, local.as_ref());
        let mut log = context.log("docker buildx build");
        let session = TransferSession::open(&now, context)?;
        let variables = variables(&now, context).into_iter().chain(session.variable()).collect();
        crash::on_purpose("build");
        let kills = host::memory_kills();
        let (result, progress) = buildx
            .build(&now, &toolchain.buildx, context.metadata, &context.request.secrets, variables, |line| {
                log.line(line);
            })
            .await;
        drop(log);
        session.close(&now, context);
        let phase = progress.place;
        let unwritten = progress.unwritten_cache.clone();
        let unread = progress.unread_caches.clone();
        let pushed = progress.pushed && spec.output.pushes();
        let exported = progress.exported.clone();
        record.progress = Some(progress);
        let Err(error) = result else {
            if let Some(why) = unwritten {
                record.without_cache(&classify_at("its export failed", &why, Some(Phase::CacheExport)));
            }
            record.caches_unread(&unread);
            // Noted at once, because the run may be stopped at any later moment.
            record.built = true;
            record.made_mut().image_id =
                BuildMetadata::read(context.metadata).ok().and_then(BuildMetadata::image_id);
            if spec.output.pushes() {
                record.published(&spec.names);
            }
            for notice in local.iter().flat_map(|local| &local.notices) {
                record.notices.push(notice.clone());
            }
            if let Some(local) = local {
                record.notices.extend(on_file_thread(context, move || local.commit()).await?);
            }
            break;
        };
        // A failure after the push, such as that of the layer cache, does not unpublish the image.
        if pushed && (error.class == FailureClass::Interrupted || phase == Some(Phase::CacheExport)) {
            record.published(&spec.names);
            if error.class == FailureClass::Interrupted {
                // A stopped run does not read the digest back.
                record.made_mut().digest = exported;
            }
        }
        let error = out_of_memory(error, own, docker, kills).await;
        let error = match converge::after_push(&now, error, phase, context, record).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let can = Can {
            replace_builder: own.is_some(),
            drop_layers: !now.build.no_cache,
            drop_imports: !now.cache_from.is_empty(),
            drop_exports: !now.cache_to.is_empty(),
        };
        let why = error.headline();
        match attempts.after(error, phase, can, context).await {
            Ok(change) => {
                if matches!(change, Change::WithoutCacheImports | Change::WithoutCacheExports) {
                    record.degraded = Some(format!("built{}: {why}", change.words()));
                }
                prepare(change, &mut spec, own, &buildx, context, docker).await?;
            }
            Err(error) => return converge::adopt(&spec, error, context, record).await,
        }
    }
    if spec.output.loads() && !spec.output.pushes() {
        record.local_image = spec.names.first().cloned();
    }
    Ok(())
}

/// Works on files on another thread, so that a signal is noticed during the work. A stopped run does not wait for the
/// thread.
async fn on_file_thread<T: Send + 'static>(
    context: &StepContext<'_>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let work = tokio::task::spawn_blocking(work);
    let done = context.ports.exec.unless_cancelled("the local layer cache", work).await;
    done.map_err(from_exec)?.map_err(|error| crash::joined(&error))
}

/// Prepares the change of the next attempt.
async fn prepare(
    change: Change,
    spec: &mut BuildSpec,
    own: Option<&NewBuilder>,
    buildx: &Buildx,
    context: &StepContext<'_>,
    docker: &Docker,
) -> Result<()> {
    match (change, own) {
        (Change::FreshBuilder, Some(new)) => {
            // Under the same name, so that the plan still holds. If the old one cannot be removed, making the new one
            // fails and tells why.
            buildx.remove_builder(&new.name).await.ok();
            buildx.create_builder(new, false).await
        }
        (Change::FreshBuilder, None) | (Change::Nothing, _) => Ok(()),
        (Change::WithoutLayers, _) => {
            spec.build.no_cache = true;
            Ok(())
        }
        (Change::WithoutCacheImports, _) => {
            *spec = spec.without_cache_imports();
            Ok(())
        }
        (Change::WithoutCacheExports, _) => {
            *spec = spec.without_cache_exports();
            Ok(())
        }
        (Change::NewLogin, _) => log_in_again(&spec.registries(), context, docker).await,
    }
}

/// If the kernel killed the builder for want of memory, the failure becomes `oom`, which is not tried again. If it killed
/// only a step, the step's error gets that as a cause. `kills`: the kernel's count before the build
/// ([`host::memory_kills`]).
async fn out_of_memory(error: Error, own: Option<&NewBuilder>, docker: &Docker, kills: Option<u64>) -> Error {
    let step = error.is(FailureKind::DockerfileError) && error.headline().ends_with(KILLED);
    let killed = error.is(FailureKind::Killed);
    let own = own.filter(|_| step || killed || error.is(FailureKind::BuilderLost));
    let limit = match own {
        Some(new) => docker.killed_for_memory(&container_of(&new.name)).await,
        None => None,
    };
    let why = match limit {
        Some(0) => "the builder ran out of its memory".to_owned(),
        Some(limit) => format!("the builder ran out of its memory of {} MiB", limit / 1024 / 1024),
        None if killed && kills.is_some() && host::memory_kills() > kills => {
            "the kernel ended a process of this machine for want of memory meanwhile".to_owned()
        }
        None => return error,
    };
    if step {
        return error.cause(why);
    }
    let mut killed = Error::of(FailureKind::Oom, error.message).cause(why).hint(FailureKind::Oom.hint());
    killed.causes.extend(error.causes);
    killed
}

/// How BuildKit reports a step that was killed.
const KILLED: &str = "did not complete successfully: exit code: 137";

fn with_local_caches(spec: &BuildSpec, local: Option<&LocalCacheUse>) -> BuildSpec {
    let mut spec = spec.clone();
    if let Some(local) = local {
        spec.cache_from.extend(local.sources());
        spec.cache_to.extend(local.destination());
    }
    spec
}

/// The variables that the caches need; buildx gets no others of this program's environment.
fn variables(spec: &BuildSpec, context: &StepContext<'_>) -> Vec<(&'static str, SecretString)> {
    let value = |name: &'static str| Some((name, context.ports.env.get(name)?.to_owned().into()));
    spec.cache_variables().into_iter().filter_map(value).collect()
}
