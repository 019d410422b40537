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

/// Starts processes with the allowed variables of the environment ([`environment`]).
#[derive(Clone, Debug)]
pub struct Exec {
    /// The variables that each child gets.
    env: Vec<(String, String)>,
    /// Stops the children.
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

/// Waits as long as a child may be silent; `None` is for ever.
async fn silence(patience: Option<Duration>) {
    match patience {
        Some(patience) => tokio::time::sleep(patience).await,
        None => std::future::pending().await,
    }
}

impl Exec {
    /// Makes a starter of processes, which all stop when `cancel` tells them to. They may only read.
    #[must_use]
    pub fn new(env: &Env, cancel: CancelSignal) -> Self {
        Self { env: environment::allowed(env), cancel, writes: false, trace: Trace::default() }
    }

    /// The same with a debug log, for processes whose output is read. Streamed output is shown anyway.
    #[must_use]
    pub fn traced(self, trace: Trace) -> Self {
        Self { trace, ..self }
    }

    /// Begins an operation for the debug log; `None` without one.
    #[must_use]
    pub fn trace(&self, what: impl FnOnce() -> String) -> Option<Traced> {
        self.trace.begin(what)
    }

    /// The same, with the right to start processes that write.
    #[must_use]
    pub fn writing(&self, _: Writes) -> Self {
        Self { writes: true, ..self.clone() }
    }

    /// The same without the variables that hold one of these secrets and are passed on only because of their prefix, such as
    /// `DOCKER_PASSWORD`.
    #[must_use]
    pub fn withholding(mut self, secrets: &[&str]) -> Self {
        self.env.retain(|(name, value)| !environment::by_prefix(name) || !secrets.contains(&value.as_str()));
        self
    }

    /// Finds a program on the `PATH` that children get.
    #[must_use]
    pub fn find(&self, program: &str) -> Option<PathBuf> {
        let path = self.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value);
        which::which_in(program, path, ".").ok()
    }

    /// Tells whether children get a variable whose name begins with this.
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

    /// The same, but not stopped by a cancellation: for cleaning up.
    #[must_use]
    pub fn uncancellable(&self) -> Self {
        let (_, cancel) = watch::channel(None);
        Self { cancel, ..self.clone() }
    }

    /// Runs a process to its end and returns its output. A status other than 0 is not an error here.
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

    /// Runs a process to its end and calls `line` with each line as it comes, without its line break. After each silence of
    /// `patience`, `is_stalled` decides whether the process is stopped; with `None` it may be silent for ever.
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
        let cancelled_command = || ExecError::Cancelled { command: invocation.display() };
        let mut child = self.spawn(invocation)?;
        let mut group = Group::of(&child);
        let mut stdout = Lines::new(child.stdout.take());
        let mut stderr = Lines::new(child.stderr.take());
        let mut ended = None;
        // Why the child is to be stopped.
        let why = loop {
            if stdout.ended && stderr.ended && ended.is_some() {
                break None;
            }
            tokio::select! {
                biased;
                _ = cancelled(&self.cancel) => break Some(cancelled_command()),
                text = stderr.next(), if !stderr.ended => if let Some(text) = text.map_err(io)? {
                    line(Stream::Stderr, text);
                },
                text = stdout.next(), if !stdout.ended => if let Some(text) = text.map_err(io)? {
                    line(Stream::Stdout, text);
                },
                status = child.wait(), if ended.is_none() => ended = Some(status.map_err(io)?),
                // A process that the child left running may hold its streams open.
                () = tokio::time::sleep(READ_AFTER_END), if ended.is_some() => break None,
                () = silence(patience), if ended.is_none() => if is_stalled().await {
                    let limit = patience.unwrap_or_default();
                    break Some(ExecError::Stalled { command: invocation.display(), limit });
                },
            }
        };
        if let (None, Some(status)) = (&why, ended) {
            group.release();
            return Ok(status);
        }
        // A child may hang if its last output is not read.
        tokio::select! {
            () = group.stop(&mut child) => {}
            () = async { tokio::join!(stdout.drain(), stderr.drain()); std::future::pending().await } => {}
        }
        Err(why.unwrap_or_else(cancelled_command))
    }

    /// Waits.
    ///
    /// # Errors
    /// If the run is cancelled meanwhile.
    pub async fn sleep(&self, wait: Duration) -> Result<(), ExecError> {
        self.unless_cancelled("wait", tokio::time::sleep(wait)).await
    }

    /// Does the work, which is dropped halfway if the run is cancelled. `what` names it in the error.
    ///
    /// # Errors
    /// If the run is cancelled.
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

    /// Makes the command; refuses one that writes without the right.
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
            // In a group of its own, so that only this program sends it signals, in the order of `stop`.
            .process_group(0);
        Ok(command)
    }

    /// Starts a process with its streams connected to this program.
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
                // If the child ends without reading, its status tells.
                let _ = stdin.write_all(text.expose().as_bytes()).await;
            });
        }
        Ok(child)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // D36
    #[tokio::test(flavor = "current_thread")]
    async fn d24_a_process_that_writes_is_not_started_without_the_right() {
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
