//! A process as data: what is to be started, how it ended, or why it did not run to its end.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::secret::SecretString;

/// The effect of a process outside this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The process only reads.
    Read,
    /// The process may write; only the execution of a plan may start it ([`crate::ports::Writes`]).
    Write,
}

/// A process to start, as data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(String, SecretString)>,
    pub(super) stdin: Option<SecretString>,
    effect: Effect,
}

impl Invocation {
    /// A process without arguments yet.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, effect: Effect) -> Self {
        Self { program: program.into(), args: Vec::new(), env: Vec::new(), stdin: None, effect }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable for the child alone.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: SecretString) -> Self {
        self.env.push((name.into(), value));
        self
    }

    /// Gives the child this text as its standard input.
    #[must_use]
    pub fn stdin(mut self, text: SecretString) -> Self {
        self.stdin = Some(text);
        self
    }

    /// The effect of the process.
    #[must_use]
    pub const fn effect(&self) -> Effect {
        self.effect
    }

    /// The command line as a shell would read it, without variables and standard input.
    #[must_use]
    pub fn display(&self) -> String {
        let program = self.program.file_name().unwrap_or(self.program.as_os_str()).to_string_lossy();
        shell_words::join(std::iter::once(program).chain(self.args.iter().map(|arg| arg.to_string_lossy())))
    }
}

/// How a process ended.
#[derive(Clone, Debug)]
pub struct Completed {
    pub status: ExitStatus,
    /// The standard output.
    pub stdout: Vec<u8>,
    /// The last 64 KiB of the standard error.
    pub stderr: Vec<u8>,
}

impl Completed {
    /// Standard output as text.
    #[must_use]
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    #[must_use]
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// Why a process did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The process could not be started.
    #[error("failed to start `{command}`")]
    Start {
        command: String,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// The process writes, where only reads are allowed: a defect of this program.
    #[error("`{command}` would write before the plan is executed")]
    ReadOnly { command: String },
    /// The child's streams could not be read.
    #[error("lost `{command}`")]
    Io {
        command: String,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// The process was stopped because the run was cancelled.
    #[error("cancelled `{command}`")]
    Cancelled { command: String },
    /// The process was silent for too long.
    #[error("`{command}` said nothing for {}s", limit.as_secs())]
    Stalled { command: String, limit: Duration },
    /// The process took too long.
    #[error("`{command}` did not end within {}s", limit.as_secs())]
    TimedOut { command: String, limit: Duration },
}
