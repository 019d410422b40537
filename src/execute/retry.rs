//! Carries out what [`react::decide`] decides: the wait, the line in the log, the note for the summary.

use super::StepContext;
use super::react::{self, Can, Change, Decision, Failed, Limits, SoFar};
use crate::error::{Error, Result};
use crate::phase::Phase;
use crate::ports::clock::Stopwatch;
use crate::ports::docker::Docker;
use crate::ports::exec::from_exec;
use crate::ports::random;

/// The attempts at one action.
#[derive(Default)]
pub(super) struct Attempts {
    so_far: SoFar,
    first_failure: Option<Stopwatch>,
}

impl Attempts {
    /// Waits for the next attempt and returns its change.
    ///
    /// # Errors
    /// The failure, if no attempt follows; that the run was stopped during the wait.
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
        let decision = react::decide(failed, can, &self.so_far, context.retry_limits());
        self.so_far.seen.push(kind);
        let Decision::Again { wait, change } = decision else {
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
        context.retries.borrow_mut().push(format!("{}: {next}", kind.name()));
        context.ports.exec.sleep(wait).await.map_err(|stopped| from_exec(stopped).because(&error))?;
        Ok(change)
    }

    /// As [`Self::after`], for a request to one registry, whose only change is a new login, which is made here.
    async fn after_request(
        &mut self,
        error: Error,
        registry: &str,
        context: &StepContext<'_>,
        docker: &Docker,
    ) -> Result<()> {
        // As a failed push: the request may have been carried out, and to repeat it does no harm.
        match self.after(error, Some(Phase::Push), Can::default(), context).await? {
            Change::NewLogin => log_in_again(&[registry.to_owned()], context, docker).await,
            _ => Ok(()),
        }
    }
}

/// Repeats a request to one registry until it succeeds or no further attempt may help.
pub(super) async fn insist<T>(
    registry: &str,
    context: &StepContext<'_>,
    docker: &Docker,
    request: impl AsyncFn() -> Result<T>,
) -> Result<T> {
    let mut attempts = Attempts::default();
    loop {
        match request().await {
            Err(error) => attempts.after_request(error, registry, context, docker).await?,
            done => return done,
        }
    }
}

/// Gets new tokens for these registries, for this program and for docker.
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
    fn retry_limits(&self) -> Limits {
        let reliability = &self.request.settings.reliability;
        Limits {
            retries: reliability.retries,
            remaining: reliability.timeout.map(|limit| limit.saturating_sub(self.watch.elapsed())),
            jitter: random::fraction(),
        }
    }
}
