//! Runs `docker buildx build`, with retries, and records the image.

use std::collections::BTreeMap;

use super::react::{Can, Change};
use super::retry::{Attempts, log_in_again};
use super::transfer::TransferSession;
use super::{Record, StepContext, converge};
use crate::buildkit::failure::classify_at;
use crate::buildkit::{BuildMetadata, BuildSpec, NewBuilder, container_of};
use crate::crash;
use crate::error::{Error, Result};
use crate::failure::{FailureClass, FailureKind};
use crate::phase::Phase;
use crate::ports::buildx::{Build, Buildx, Built};
use crate::ports::docker::Docker;
use crate::ports::exec::from_exec;
use crate::ports::host;
use crate::ports::local_cache::LocalCacheUse;
use crate::secret::SecretString;

/// Builds until an attempt succeeds or no further one may help. `own`: the builder that this run alone uses.
pub(super) async fn run(
    spec: &BuildSpec,
    own: Option<&NewBuilder>,
    context: &StepContext<'_>,
    docker: &Docker,
    record: &mut Record,
) -> Result<()> {
    let buildx = Buildx::new(docker.clone()).with_stall(context.request.settings.reliability.stall_timeout);
    let mut attempts = Attempts::default();
    let mut spec = spec.clone();
    loop {
        let kills = host::memory_kills();
        let replaced = context.boot.replaced();
        // The locks of `local` last until the next attempt begins.
        let Tried { spec: tried, local, result } = try_once(&spec, &buildx, context, record).await?;
        let error = match result {
            Ok(metadata) => return succeed(&spec, metadata, local, context, record).await,
            Err(error) => error,
        };
        let phase = record.progress.as_ref().and_then(|progress| progress.phase);
        note_push_of_failed(&tried, &error, record);
        let error = out_of_memory(error, own, docker, kills).await;
        let error = match converge::after_push(&tried, error, phase, context, record).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let can = Can {
            replace_builder: own.is_some(),
            drop_layers: !tried.build.no_cache,
            drop_imports: !tried.cache_from.is_empty(),
            drop_exports: !tried.cache_to.is_empty(),
        };
        let why = error.headline();
        match attempts.after(error, phase, can, context).await {
            Ok(change) => {
                if matches!(change, Change::WithoutCacheImports | Change::WithoutCacheExports) {
                    record.degrade_further(format!("built{}: {why}", change.words()));
                }
                prepare(change, &mut spec, own.map(|own| (own, replaced)), &buildx, context, docker).await?;
            }
            Err(error) => return converge::adopt(&spec, error, context, record).await,
        }
    }
}

/// One attempt that has ended.
struct Tried {
    /// What was built, with the local caches of this attempt.
    spec: BuildSpec,
    local: Option<LocalCacheUse>,
    result: Result<BuildMetadata>,
}

/// Runs buildx once, for one image. The record gets the progress.
///
/// # Errors
/// If the attempt could not begin; the failure of buildx is in [`Tried`].
async fn try_once(
    spec: &BuildSpec,
    buildx: &Buildx,
    context: &StepContext<'_>,
    record: &mut Record,
) -> Result<Tried> {
    let mut members = [Member { spec, context, record }];
    let (mut attempts, built) = try_together(&mut members, buildx).await?;
    let missing = || Error::new(FailureClass::Bug, "a build without a result");
    let Attempt { spec, local } = attempts.pop().ok_or_else(missing)?;
    let result = built.result.and_then(|mut metadata| metadata.pop().ok_or_else(missing));
    Ok(Tried { spec, local, result })
}

/// One of the images that are built together, with its record.
pub(super) struct Member<'a, 'r> {
    pub spec: &'a BuildSpec,
    pub context: &'a StepContext<'a>,
    pub record: &'r mut Record,
}

/// What one image brought to an attempt.
pub(super) struct Attempt {
    /// What was built, with the local caches of this attempt.
    pub spec: BuildSpec,
    pub local: Option<LocalCacheUse>,
}

/// Runs buildx once, for all these images. The records get the progress.
///
/// # Errors
/// If the attempt could not begin; the failure of buildx is in [`Built`].
pub(super) async fn try_together(
    members: &mut [Member<'_, '_>],
    buildx: &Buildx,
) -> Result<(Vec<Attempt>, Built)> {
    let [Member { context, .. }, ..] = members else {
        return Err(Error::new(FailureClass::Bug, "a build of no image"));
    };
    let context = *context;
    let toolchain = context.toolchain.ok_or_else(|| Error::new(FailureClass::Bug, "built without tools"))?;
    let mut attempts = Vec::new();
    for member in members.iter_mut() {
        member.record.attempts += 1;
        // Each attempt writes a new generation.
        let local = match member.spec.local_caches.clone() {
            Some(caches) => Some(on_file_thread(context, move || LocalCacheUse::open(&caches)).await?),
            None => None,
        };
        attempts.push(Attempt { spec: with_local_caches(member.spec, local.as_ref()), local });
    }
    let alone = match attempts.as_slice() {
        [Attempt { spec, .. }] if spec.links.is_empty() => Some(spec),
        _ => None,
    };
    let is_fresh = attempts.iter().all(|attempt| attempt.spec.fresh_builder);
    let session = match alone {
        Some(spec) => TransferSession::open(spec, context)?,
        None => TransferSession::of_several(is_fresh, context)?,
    };
    let mut log = if alone.is_some() {
        context.log("docker buildx build")
    } else {
        context.log_of_all(&format!("docker buildx bake {}", names(members)))
    };
    let variables = attempts.iter().flat_map(|attempt| variables(&attempt.spec, context));
    let variables: BTreeMap<&'static str, SecretString> = variables.collect();
    let variables = variables.into_iter().chain(session.variable()).collect();
    crash::on_purpose("build");
    let secrets = |image: &str| context.secrets_of(image);
    let wanted: Vec<Build<'_>> = attempts
        .iter()
        .zip(members.iter())
        .map(|(attempt, member)| Build {
            spec: &attempt.spec,
            secrets: &secrets,
            metadata: member.context.metadata,
        })
        .collect();
    let built = buildx
        .build(&wanted, &toolchain.buildx, variables, |line| {
            log.line(line);
        })
        .await;
    // The log's fold ends here, before any message about the attempt.
    drop(log);
    if let Some(spec) = alone {
        session.close(spec, context);
    }
    for (member, progress) in members.iter_mut().zip(&built.progress) {
        member.record.progress = Some(progress.clone());
    }
    Ok((attempts, built))
}

/// The images' names, for people.
fn names(members: &[Member<'_, '_>]) -> String {
    members.iter().map(|member| member.spec.image.as_str()).collect::<Vec<_>>().join(" ")
}

/// Notes a build that succeeded, and commits its local layer cache.
pub(super) async fn succeed(
    spec: &BuildSpec,
    metadata: BuildMetadata,
    local: Option<LocalCacheUse>,
    context: &StepContext<'_>,
    record: &mut Record,
) -> Result<()> {
    // Noted before anything that waits, because the run may be stopped at any later moment.
    record.built = true;
    record.made_mut().image_id = metadata.image_id();
    if spec.output.pushes() {
        record.published(&spec.names);
    }
    if let Some(progress) = record.progress.clone() {
        if let Some(why) = progress.unwritten_cache {
            record.without_cache(&classify_at("its export failed", &why, Some(Phase::CacheExport)));
        }
        record.caches_unread(&progress.unread_caches);
    }
    if let Some(local) = local {
        record.notices.extend(local.notices.iter().cloned());
        record.notices.extend(on_file_thread(context, move || local.commit()).await?);
    }
    // An image that is pushed too is reported under its private name, which a later action gives it (`Action::Tag`).
    if spec.output.loads() && !spec.output.pushes() {
        record.local_image = spec.names.first().cloned();
    }
    Ok(())
}

/// Notes the push of a failed build, if it was complete and nothing else asks the registry: a failure of the layer cache
/// after it does not unpublish the image, and a stopped run asks nothing more. After other failures `converge` asks.
fn note_push_of_failed(spec: &BuildSpec, error: &Error, record: &mut Record) {
    let Some(progress) = record.progress.as_ref().filter(|progress| progress.pushed && spec.output.pushes())
    else {
        return;
    };
    let interrupted = error.class == FailureClass::Interrupted;
    if interrupted || progress.phase == Some(Phase::CacheExport) {
        // A stopped run does not read the digest back, so it is taken from the progress.
        let digest = progress.exported.clone().filter(|_| interrupted);
        record.published(&spec.names);
        if digest.is_some() {
            record.made_mut().digest = digest;
        }
    }
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

/// Makes the change of the next attempt. `own`: the builder of this run alone, and how often it had been replaced before
/// the failed attempt.
async fn prepare(
    change: Change,
    spec: &mut BuildSpec,
    own: Option<(&NewBuilder, u32)>,
    buildx: &Buildx,
    context: &StepContext<'_>,
    docker: &Docker,
) -> Result<()> {
    match (change, own) {
        (Change::FreshBuilder, Some((new, before))) => context.boot.replace(new, before, buildx).await,
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
    let step_killed = error.is(FailureKind::DockerfileError) && error.headline().ends_with(STEP_KILLED);
    let process_killed = error.is(FailureKind::Killed);
    // Only of a builder of its own the run knows that the kill was in this build.
    let own = own.filter(|_| step_killed || process_killed || error.is(FailureKind::BuilderLost));
    let limit = match own {
        Some(new) => docker.killed_for_memory(&container_of(&new.name)).await,
        None => None,
    };
    let why = match limit {
        // It has no limit of its own, so the machine's memory ended.
        Some(0) => "the builder ran out of its memory".to_owned(),
        Some(limit) => format!("the builder ran out of its memory of {} MiB", limit / 1024 / 1024),
        None if process_killed && kills.is_some() && host::memory_kills() > kills => {
            "the kernel ended a process of this machine for want of memory meanwhile".to_owned()
        }
        None => return error,
    };
    if step_killed {
        return error.cause(why);
    }
    let mut out_of_memory = Error::of(FailureKind::Oom, error.message).cause(why);
    out_of_memory.causes.extend(error.causes);
    out_of_memory
}

/// How BuildKit reports a step that SIGKILL ended: 128 + 9.
const STEP_KILLED: &str = "did not complete successfully: exit code: 137";

/// Adds the local caches, whose folders are known only once they are locked.
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
