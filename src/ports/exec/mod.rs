//! Starts child processes; no other code does.

mod environment;
mod invocation;
mod lines;
mod report;
mod stop;

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::sync::watch;

pub(crate) use invocation::{Completed, Effect, ExecError, Invocation};
use lines::{Lines, read_all, tail};
pub(crate) use report::{from_exec, last_line};
use stop::Group;
pub(crate) use stop::{CancelSignal, Stop, cancelled};

use super::Writes;
use super::trace::{Trace, Traced};
use crate::env::Env;

/// Starts processes with the allowed environment.
#[derive(Clone, Debug)]
pub struct Exec {
    env: Vec<(String, String)>,
    cancel: CancelSignal,
    /// True if it may start processes that write.
    writes: bool,
    trace: Trace,
}

/// Which of a child's streams a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How long to wait for more output of a child process that has ended.
const READ_AFTER_END: Duration = Duration::from_secs(2);

async fn silence(patience: Option<Duration>) {
    match patience {
        Some(patience) => tokio::time::sleep(patience).await,
        None => std::future::pending().await,
    }
}

impl Exec {
    /// A starter of processes that all stop when `cancel` says so.
    #[must_use]
    pub fn new(env: &Env, cancel: CancelSignal) -> Self {
        Self { env: environment::allowed(env), cancel, writes: false, trace: Trace::default() }
    }

    /// The same, which tells of each process whose output it read. What is streamed is shown as it comes.
    #[must_use]
    pub fn traced(self, trace: Trace) -> Self {
        Self { trace, ..self }
    }

    /// Begins an operation that the debug log tells.
    #[must_use]
    pub fn trace(&self, what: impl FnOnce() -> String) -> Option<Traced> {
        self.trace.begin(what)
    }

    /// The same, with the right to start processes that write.
    #[must_use]
    pub fn writing(&self, _: Writes) -> Self {
        Self { writes: true, ..self.clone() }
    }

    /// The same, where no child gets what `secrets` holds under a name of docker's own: of the variables that pass
    /// by their prefix, such as `DOCKER_PASSWORD`.
    #[must_use]
    pub fn withholding(mut self, secrets: &[&str]) -> Self {
        self.env.retain(|(name, value)| !environment::by_prefix(name) || !secrets.contains(&value.as_str()));
        self
    }

    /// The path of a program, on the `PATH` that children get.
    #[must_use]
    pub fn find(&self, program: &str) -> Option<PathBuf> {
        let path = self.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value);
        which::which_in(program, path, ".").ok()
    }

    /// True if children get a variable whose name begins so.
    #[must_use]
    pub fn has_env(&self, prefix: &str) -> bool {
        self.env.iter().any(|(name, _)| name.starts_with(prefix))
    }

    /// The same with a variable set for every child.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, for cleaning up: it runs even after a cancellation.
    #[must_use]
    pub fn uncancellable(&self) -> Self {
        let (_, cancel) = watch::channel(None);
        Self { cancel, ..self.clone() }
    }

    /// Runs to the end and keeps what it wrote. A status other than 0 is not an error here.
    ///
    /// # Errors
    /// If it cannot be started, is cancelled, or takes longer than `limit`.
    pub async fn output(&self, invocation: &Invocation, limit: Duration) -> Result<Completed, ExecError> {
        let _traced = self.trace(|| invocation.display());
        let command = || invocation.display();
        let io = |source| ExecError::Io { command: command(), source };
        let mut child = self.spawn(invocation)?;
        let mut group = Group::of(&child);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let run = async {
            let (stdout, stderr) = tokio::try_join!(read_all(stdout), read_all(stderr)).map_err(io)?;
            let status = child.wait().await.map_err(io)?;
            Ok(Completed { status, stdout, stderr: tail(stderr) })
        };
        tokio::select! {
            completed = run => {
                group.release();
                return completed;
            }
            _ = cancelled(&self.cancel) => {}
            () = tokio::time::sleep(limit) => {
                group.kill(&mut child).await;
                return Err(ExecError::TimedOut { command: command(), limit });
            }
        }
        group.stop(&mut child).await;
        Err(ExecError::Cancelled { command: command() })
    }

    /// Runs to the end and hands over each line as it comes, without its line break. After each
    /// silence of `patience`, `is_stalled` says whether to end it; `None` waits for ever.
    ///
    /// # Errors
    /// If it cannot be started, is cancelled, or has stalled.
    pub async fn stream(
        &self,
        invocation: &Invocation,
        patience: Option<Duration>,
        mut line: impl FnMut(Stream, &[u8]),
        mut is_stalled: impl AsyncFnMut() -> bool,
    ) -> Result<ExitStatus, ExecError> {
        let io = |source| ExecError::Io { command: invocation.display(), source };
        let mut child = self.spawn(invocation)?;
        let mut group = Group::of(&child);
        let mut stdout = Lines::new(child.stdout.take());
        let mut stderr = Lines::new(child.stderr.take());
        let mut ended = None;
        let why = loop {
            if stdout.ended && stderr.ended && ended.is_some() {
                break None;
            }
            tokio::select! {
                biased;
                _ = cancelled(&self.cancel) => break Some(ExecError::Cancelled { command: invocation.display() }),
                text = stderr.next(), if !stderr.ended => if let Some(text) = text.map_err(io)? {
                    line(Stream::Stderr, text);
                },
                text = stdout.next(), if !stdout.ended => if let Some(text) = text.map_err(io)? {
                    line(Stream::Stdout, text);
                },
                status = child.wait(), if ended.is_none() => ended = Some(status.map_err(io)?),
                // What a child left running may hold its streams open.
                () = tokio::time::sleep(READ_AFTER_END), if ended.is_some() => break None,
                () = silence(patience), if ended.is_none() => if is_stalled().await {
                    let limit = patience.unwrap_or_default();
                    break Some(ExecError::Stalled { command: invocation.display(), limit });
                },
            }
        };
        match (why, ended) {
            (None, Some(status)) => {
                group.release();
                Ok(status)
            }
            (why, _) => {
                // A child may hang if its last output is not read.
                tokio::select! {
                    () = group.stop(&mut child) => {}
                    () = async { tokio::join!(stdout.drain(), stderr.drain()); std::future::pending().await } => {}
                }
                Err(why.unwrap_or_else(|| ExecError::Cancelled { command: invocation.display() }))
            }
        }
    }

    /// Waits, unless the run is cancelled meanwhile.
    ///
    /// # Errors
    /// If it is.
    pub async fn sleep(&self, wait: Duration) -> Result<(), ExecError> {
        self.unless_cancelled("wait", tokio::time::sleep(wait)).await
    }

    /// Runs `work`, which is dropped halfway if the run is cancelled. `what` names it in the error.
    ///
    /// # Errors
    /// If it is.
    pub async fn unless_cancelled<T>(
        &self,
        what: &str,
        work: impl Future<Output = T>,
    ) -> Result<T, ExecError> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            _ = cancelled(&self.cancel) => Err(ExecError::Cancelled { command: what.to_owned() }),
        }
    }

    /// Starts a process that outlives this program; it is not waited for.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn detach(&self, invocation: &Invocation) -> Result<(), ExecError> {
        let mut command = self.prepare(invocation)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let start = |source| ExecError::Start { command: invocation.display(), source };
        command.spawn().map(drop).map_err(start)
    }

    #[expect(clippy::disallowed_methods, reason = "the only place that starts processes")]
    fn prepare(&self, invocation: &Invocation) -> Result<Command, ExecError> {
        if invocation.effect() == Effect::Write && !self.writes {
            return Err(ExecError::ReadOnly { command: invocation.display() });
        }
        let mut command = Command::new(&invocation.program);
        command
            .args(&invocation.args)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .envs(invocation.env.iter().map(|(name, value)| (name, value.expose())))
            // A group of its own: signals reach docker and its plugin through us, in our order.
            .process_group(0);
        Ok(command)
    }

    fn spawn(&self, invocation: &Invocation) -> Result<Child, ExecError> {
        let start = |source| ExecError::Start { command: invocation.display(), source };
        let mut command = self.prepare(invocation)?;
        command
            .stdin(if invocation.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(start)?;
        if let (Some(text), Some(mut stdin)) = (&invocation.stdin, child.stdin.take()) {
            let text = text.clone();
            tokio::spawn(async move {
                // A child that ends without reading is told apart by its status.
                let _ = stdin.write_all(text.expose().as_bytes()).await;
            });
        }
        Ok(child)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // D24, D36
    #[tokio::test(flavor = "current_thread")]
    async fn d24_what_writes_is_not_started_before_a_plan_is_executed() {
        let (_sender, cancel) = watch::channel(None);
        let exec = Exec::new(&Env::from([("PATH", "/bin:/usr/bin")]), cancel);
        let limit = Duration::from_secs(30);
        let (read, write) = (Invocation::new("true", Effect::Read), Invocation::new("true", Effect::Write));
        assert!(exec.output(&read, limit).await.is_ok());
        for refused in [exec.output(&write, limit).await.err(), exec.detach(&write).err()] {
            assert!(matches!(refused, Some(ExecError::ReadOnly { .. })), "{refused:?}");
        }
        #[expect(clippy::disallowed_methods, reason = "this is what is tested")]
        let exec = exec.writing(Writes::granted());
        assert!(
            exec.output(&write, limit).await.is_ok()
                && exec.uncancellable().output(&write, limit).await.is_ok()
        );
    }
}
