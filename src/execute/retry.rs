//! Another attempt, where [`react::decide`] says so: the wait, the line in the log, the note.

use super::StepContext;
use super::react::{self, Action, Budget, Can, Change, Failed, SoFar};
use crate::error::{Error, Result};
use crate::phase::Phase;
use crate::ports::clock::Stopwatch;
use crate::ports::docker::Docker;
use crate::ports::exec::from_exec;
use crate::ports::random;

/// The attempts at one step.
#[derive(Default)]
pub(super) struct Attempts {
    so_far: SoFar,
    first_failure: Option<Stopwatch>,
}

impl Attempts {
    /// Waits for the next attempt and says what it does otherwise, or hands the error back: a
    /// user's error, a refusal or a full disk is the same the next time.
    pub(super) async fn after(
        &mut self,
        error: Error,
        phase: Option<Phase>,
        can: Can,
        context: &StepContext<'_>,
    ) -> Result<Change> {
        let watch = *self.first_failure.get_or_insert_with(Stopwatch::start);
        self.so_far.since_first = watch.elapsed();
        let Some(kind) = error.kind else { return Err(error) };
        let attempt = self.so_far.seen.len() + 1;
        let failed = Failed { kind, phase, retry_after: error.retry_after };
        let action = react::decide(failed, can, &self.so_far, context.budget());
        self.so_far.seen.push(kind);
        let Action::Again { wait, change } = action else {
            return Err(if attempt > 1 {
                error.cause(format!("{attempt} attempts were made"))
            } else {
                error
            });
        };
        self.so_far.retried += u32::from(react::counts(change));
        let next = format!("trying again{} in {:.1}s", change.words(), wait.as_secs_f64());
        context.ports.console.line(&format!(
            "attempt {attempt} failed: {} ({}); {next}",
            error.headline(),
            kind.name()
        ));
        context.note_retry(format!("{}: {next}", kind.name()));
        context.ports.exec.sleep(wait).await.map_err(|stopped| from_exec(stopped).because(&error))?;
        Ok(change)
    }

    /// The same for what talks to a registry alone: it may only log in again.
    pub(super) async fn after_request(
        &mut self,
        error: Error,
        registry: &str,
        context: &StepContext<'_>,
        docker: &Docker,
    ) -> Result<()> {
        // A tag is as harmless twice as a push.
        match self.after(error, Some(Phase::Push), Can::default(), context).await? {
            Change::NewLogin => log_in_again(&[registry.to_owned()], context, docker).await,
            _ => Ok(()),
        }
    }
}

/// New tokens for these registries, for this program and for docker.
pub(super) async fn log_in_again(
    registries: &[String],
    context: &StepContext<'_>,
    docker: &Docker,
) -> Result<()> {
    let registry = &context.ports.registry;
    for host in registries {
        registry.log_in_again(host).await?;
    }
    docker.renew_logins(&registry.credentials().collected().await)
}

impl StepContext<'_> {
    fn budget(&self) -> Budget {
        let limits = &self.request.settings.reliability;
        Budget {
            retries: limits.retries,
            remaining: limits.timeout.map(|limit| limit.saturating_sub(self.watch.elapsed())),
            jitter: random::fraction(),
        }
    }

    fn note_retry(&self, text: String) {
        self.retries.borrow_mut().push(text);
    }
}
