//! Makes repositories in ECR and changes their settings.

use std::time::Duration;

use super::journal::SetUpRecord;
use super::retry::insist;
use super::{Record, StepContext};
use crate::backoff::Backoff;
use crate::budget::PREVIEW;
use crate::ecr::{Answer, Existing, LifecyclePolicy, NewRepository, Preview};
use crate::env;
use crate::error::{Error, Result};
use crate::failure::{FailureClass, FailureKind};
use crate::image::Repository;
use crate::plan::{SetUpChange, drift_notice, foreign_policy};
use crate::ports::clock::Stopwatch;
use crate::ports::docker::Docker;
use crate::ports::ecr_set_up::{Creation, EcrSetUp, PreviewState};
use crate::ports::exec::from_exec;
use crate::ports::random;

/// The waits between questions for a preview.
const PREVIEW_WAITS: Backoff = Backoff { first: Duration::from_millis(300), longest: Duration::from_secs(5) };

async fn api(repository: &Repository, context: &StepContext<'_>) -> Result<EcrSetUp> {
    let api = EcrSetUp::of(&context.ports.aws, repository).await;
    api.ok_or_else(|| Error::new(FailureClass::Bug, format!("{repository} is not in ECR")))
}

/// Makes the repository. If another run has made it meanwhile, compares it.
pub(super) async fn create(
    repository: &Repository,
    settings: &NewRepository,
    context: &StepContext<'_>,
    docker: &Docker,
    record: &mut Record,
) -> Result<()> {
    let api = api(repository, context).await?;
    let made =
        insist(repository.registry(), context, docker, async || api.create(settings, context.writes).await)
            .await?;
    let done = record.set_up.insert(SetUpRecord { done: true, ..SetUpRecord::default() });
    if made == Creation::Made {
        done.made = true;
        return Ok(());
    }
    match api.describe().await {
        Answer::Found(have) => {
            let rows = settings.compare(&have);
            record.notices.extend(drift_notice(repository, &rows));
            done.compared = Some(rows);
        }
        // ECR does not show it yet, or it was removed again: then the push fails, and tells.
        Answer::NoRepository => {}
        Answer::Unknown(error) => record.notices.push(format!(
            "another run has made {repository}; it is not compared with the inputs: {}",
            error.advice()
        )),
    }
    Ok(())
}

/// Changes a setting. `is_new`: this run has made the repository. Unless it is `required`, a failure only makes the run
/// degraded.
pub(super) async fn change(
    repository: &Repository,
    change: &SetUpChange,
    (required, is_new): (bool, bool),
    context: &StepContext<'_>,
    docker: &Docker,
    record: &mut Record,
) -> Result<()> {
    let mut done = SetUpRecord::default();
    let result = async {
        let api = api(repository, context).await?;
        match change {
            SetUpChange::ScanOnPush { scan } => {
                insist(repository.registry(), context, docker, async || {
                    api.set_scan_on_push(*scan, context.writes).await
                })
                .await
            }
            SetUpChange::Mutability { mutability } => {
                insist(repository.registry(), context, docker, async || {
                    api.set_mutability(mutability, context.writes).await
                })
                .await
            }
            SetUpChange::Lifecycle { policy, .. } => {
                let target = Lifecycle { api: &api, repository, policy };
                done.preview = target.write(is_new, context, docker).await?;
                Ok(())
            }
        }
    }
    .await;
    done.done = result.is_ok();
    record.set_up = Some(done);
    match result {
        Err(error) if !required && !error.is_stopped() => {
            record.degraded = Some(format!("the {} is not set: {}", change.setting(), error.advice()));
            Ok(())
        }
        result => result,
    }
}

/// A lifecycle policy to write.
struct Lifecycle<'a> {
    api: &'a EcrSetUp,
    repository: &'a Repository,
    policy: &'a LifecyclePolicy,
}

impl Lifecycle<'_> {
    /// Writes the policy, unless that would replace one of another author; looks at the one that is there now, because the
    /// plan is older. Returns what the policy would remove, which is in the log before the policy is written.
    async fn write(
        &self,
        is_new: bool,
        context: &StepContext<'_>,
        docker: &Docker,
    ) -> Result<Option<Preview>> {
        let Self { api, repository, policy } = *self;
        match api.lifecycle().await {
            Answer::Unknown(error) => return Err(error),
            Answer::NoRepository => {
                return Err(Error::of(FailureKind::NotFoundRepo, format!("{repository} does not exist")));
            }
            Answer::Found(None) => {}
            Answer::Found(Some(text)) => match policy.compare(&text) {
                Existing::Same => return Ok(None),
                Existing::Own => {}
                Existing::Foreign => return Err(foreign_policy(repository)),
            },
        }
        let preview = if is_new { None } else { Some(self.preview(context, docker).await?) };
        if let Some(preview) = &preview {
            context.ports.console.line(&format!("lifecycle policy of {repository}: {}", preview.sentence()));
        }
        insist(repository.registry(), context, docker, async || {
            api.put_lifecycle(policy, context.writes).await
        })
        .await?;
        Ok(preview)
    }

    /// Waits for ECR's preview. ECR computes one at a time for a repository.
    async fn preview(&self, context: &StepContext<'_>, docker: &Docker) -> Result<Preview> {
        let Self { api, repository, policy } = *self;
        let watch = Stopwatch::start();
        let mut tried = 0;
        let mut started = false;
        let limit = limit(context);
        while watch.elapsed() < limit {
            if !started {
                let start = async || api.start_preview(policy, context.writes).await;
                started = insist(repository.registry(), context, docker, start).await?;
            }
            let ask = async || api.preview(policy).await;
            if started
                && let PreviewState::Complete(preview) =
                    insist(repository.registry(), context, docker, ask).await?
            {
                return Ok(preview);
            }
            let wait = PREVIEW_WAITS.wait(tried, random::fraction());
            context.ports.exec.sleep(wait).await.map_err(from_exec)?;
            tried += 1;
        }
        let what = format!("ECR gives no preview of the lifecycle policy of {repository}");
        Err(Error::of(FailureKind::AwsUnavailable, what)
            .cause(format!("waited {}s; without a preview no policy is written", limit.as_secs())))
    }
}

/// How long to wait for a preview. A test can name fewer seconds, unless the program is a release.
fn limit(context: &StepContext<'_>) -> Duration {
    let test = context.ports.env.get(env::BUILD_ONCE_TEST_PREVIEW).filter(|_| cfg!(debug_assertions));
    test.and_then(|text| text.parse().ok()).map_or(PREVIEW, Duration::from_secs)
}
