//! Child processes: the only place that starts one.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::env::Env;
use crate::inputs::SecretString;

/// Whether a process changes anything outside this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It only looks.
    Read,
    /// It writes.
    Write,
}

/// A process to start, as data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(String, SecretString)>,
    stdin: Option<SecretString>,
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

    /// Hands the child this text.
    #[must_use]
    pub fn stdin(mut self, text: SecretString) -> Self {
        self.stdin = Some(text);
        self
    }

    /// Whether it writes.
    #[must_use]
    pub const fn effect(&self) -> Effect {
        self.effect
    }

    /// As a shell would read it; variables and standard input left out.
    #[must_use]
    pub fn display(&self) -> String {
        let program = self.program.file_name().unwrap_or(self.program.as_os_str()).to_string_lossy();
        shell_words::join(std::iter::once(program).chain(self.args.iter().map(|arg| arg.to_string_lossy())))
    }
}

/// How a process ended.
#[derive(Clone, Debug)]
pub struct Completed {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error; bounded to the last 64 KiB.
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

/// The process did not run to its own end.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// It could not be started.
    #[error("failed to start `{command}`")]
    Start {
        /// The command.
        command: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// Talking to it failed.
    #[error("lost `{command}`")]
    Io {
        /// The command.
        command: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// It was stopped because the run was cancelled.
    #[error("cancelled `{command}`")]
    Cancelled {
        /// The command.
        command: String,
    },
    /// It took longer than it may.
    #[error("`{command}` did not end within {}s", limit.as_secs())]
    TimedOut {
        /// The command.
        command: String,
        /// The limit.
        limit: Duration,
    },
}

/// Which signal asked the program to stop, if one did.
pub type CancelSignal = watch::Receiver<Option<Stop>>;

/// Why to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SIGINT: the runner's first word on cancellation.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// The `timeout` input.
    Timeout,
}

/// Resolves when the run is to stop.
pub async fn cancelled(signal: &CancelSignal) -> Stop {
    let mut signal = signal.clone();
    loop {
        if let Some(stop) = *signal.borrow_and_update() {
            return stop;
        }
        if signal.changed().await.is_err() {
            // Nobody is left who could cancel.
            std::future::pending::<()>().await;
        }
    }
}

/// Variables that children get. Everything else stays here: tokens and cloud credentials of
/// the step are none of docker's business.
const ALLOWED: [&str; 30] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "TERM",
    "SHELL",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSH_AUTH_SOCK",
    "KUBECONFIG",
    "SOURCE_DATE_EPOCH",
    "SYSTEMROOT",
    "USERPROFILE",
    "PROGRAMDATA",
];
const ALLOWED_PREFIXES: [&str; 3] = ["DOCKER_", "BUILDX_", "BUILDKIT_"];

/// Starts processes with the allowed environment.
#[derive(Clone, Debug)]
pub struct Exec {
    env: Vec<(String, String)>,
    cancel: CancelSignal,
}

/// Which of a child's streams a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Exec {
    /// A starter of processes that all stop when `cancel` says so.
    #[must_use]
    pub fn new(env: &Env, cancel: CancelSignal) -> Self {
        let allowed =
            |name: &str| ALLOWED.contains(&name) || ALLOWED_PREFIXES.iter().any(|p| name.starts_with(p));
        let env =
            env.iter().filter(|(name, _)| allowed(name)).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        Self { env, cancel }
    }

    /// Where a program is, on the `PATH` that children get.
    #[must_use]
    pub fn find(&self, program: &str) -> Option<PathBuf> {
        let path = self.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value);
        which::which_in(program, path, ".").ok()
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
        Self { env: self.env.clone(), cancel }
    }

    /// Runs to the end and keeps what it wrote. A status other than 0 is not an error here.
    ///
    /// # Errors
    /// If it cannot be started, is cancelled, or takes longer than `limit`.
    pub async fn output(&self, invocation: &Invocation, limit: Duration) -> Result<Completed, ExecError> {
        let command = || invocation.display();
        let io = |source| ExecError::Io { command: command(), source };
        let mut child = self.spawn(invocation)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let run = async {
            let (stdout, stderr) = tokio::try_join!(read_all(stdout), read_all(stderr)).map_err(io)?;
            let status = child.wait().await.map_err(io)?;
            Ok(Completed { status, stdout, stderr: tail(stderr) })
        };
        tokio::select! {
            completed = run => return completed,
            _ = cancelled(&self.cancel) => {}
            () = tokio::time::sleep(limit) => {
                kill(&mut child).await;
                return Err(ExecError::TimedOut { command: command(), limit });
            }
        }
        stop(&mut child).await;
        Err(ExecError::Cancelled { command: command() })
    }

    /// Runs to the end and hands over each line as it comes, without its line break.
    ///
    /// # Errors
    /// If it cannot be started or is cancelled.
    pub async fn stream(
        &self,
        invocation: &Invocation,
        mut line: impl FnMut(Stream, &[u8]),
    ) -> Result<ExitStatus, ExecError> {
        let io = |source| ExecError::Io { command: invocation.display(), source };
        let mut child = self.spawn(invocation)?;
        let mut stdout = Lines::new(child.stdout.take());
        let mut stderr = Lines::new(child.stderr.take());
        let mut is_cancelled = false;
        while !(stdout.ended && stderr.ended) {
            tokio::select! {
                biased;
                _ = cancelled(&self.cancel), if !is_cancelled => {
                    is_cancelled = true;
                    break;
                }
                text = stderr.next(), if !stderr.ended => if let Some(text) = text.map_err(io)? { line(Stream::Stderr, text) },
                text = stdout.next(), if !stdout.ended => if let Some(text) = text.map_err(io)? { line(Stream::Stdout, text) },
            }
        }
        if !is_cancelled {
            tokio::select! {
                status = child.wait() => return status.map_err(io),
                _ = cancelled(&self.cancel) => {}
            }
        }
        stop(&mut child).await;
        Err(ExecError::Cancelled { command: invocation.display() })
    }

    /// Waits, unless the run is cancelled meanwhile.
    ///
    /// # Errors
    /// If it is.
    pub async fn sleep(&self, wait: Duration) -> Result<(), ExecError> {
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            _ = cancelled(&self.cancel) => Err(ExecError::Cancelled { command: "wait".to_owned() }),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the only door for processes")]
    fn spawn(&self, invocation: &Invocation) -> Result<Child, ExecError> {
        let start = |source| ExecError::Start { command: invocation.display(), source };
        let mut command = Command::new(&invocation.program);
        command
            .args(&invocation.args)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .envs(invocation.env.iter().map(|(name, value)| (name, value.expose())))
            .stdin(if invocation.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: signals reach docker and its plugin through us, in our order.
            .process_group(0)
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

/// The runner kills everything 10 s after its first signal (actions/runner,
/// `ProcessInvoker`); this ends well before.
const POLITE: Duration = Duration::from_secs(4);
const FIRM: Duration = Duration::from_millis(1500);

async fn stop(child: &mut Child) {
    use rustix::process::Signal;
    // The docker CLI stops its plugin on the first signal and gives up on it on the third.
    for (signal, patience) in [(Signal::INT, POLITE), (Signal::TERM, FIRM)] {
        signal_group(child, signal);
        if tokio::time::timeout(patience, child.wait()).await.is_ok() {
            break;
        }
    }
    kill(child).await;
}

async fn kill(child: &mut Child) {
    signal_group(child, rustix::process::Signal::KILL);
    // The error would be that it has ended already.
    let _ = child.kill().await;
}

fn signal_group(child: &Child, signal: rustix::process::Signal) {
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // Fails only if the group has ended, which is what is wanted.
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

async fn read_all(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        stream.read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

fn tail(mut bytes: Vec<u8>) -> Vec<u8> {
    const LIMIT: usize = 64 * 1024;
    if bytes.len() > LIMIT {
        bytes.drain(..bytes.len() - LIMIT);
    }
    bytes
}

/// Lines of a stream in one buffer that is used again.
struct Lines<R> {
    reader: Option<BufReader<R>>,
    buffer: Vec<u8>,
    ended: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(stream: Option<R>) -> Self {
        let reader = stream.map(|stream| BufReader::with_capacity(64 * 1024, stream));
        Self { ended: reader.is_none(), reader, buffer: Vec::new() }
    }

    /// The next line; `None` at the end. Safe to drop and call again: what was read so far
    /// stays in the buffer.
    async fn next(&mut self) -> std::io::Result<Option<&[u8]>> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.clear();
        }
        reader.read_until(b'\n', &mut self.buffer).await?;
        if self.buffer.last() == Some(&b'\n') {
            return Ok(Some(&self.buffer[..self.buffer.len() - 1]));
        }
        self.ended = true;
        Ok(if self.buffer.is_empty() { None } else { Some(&self.buffer) })
    }
}
