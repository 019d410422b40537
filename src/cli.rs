//! The command line: which command runs, and the exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::env::Env;
use crate::error::Error;
use crate::failure::FailureKind;
use crate::inputs::{self, Command, LogStyle, arguments};
use crate::pipeline::prepare;
use crate::ports::console::Console;
use crate::session::{self, Cancel, never};
use crate::{commands, crash};
use anyhow::Context as _;

/// The program, from its arguments to its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let env = Env::capture();
    crash::keep_quiet(&env);
    let cancel = Cancel::on_signals();
    let signal = cancel.as_ref().map_or_else(|_| never(), |cancel| cancel.signal.clone());
    let console = Console::new(env.in_github_actions(), LogStyle::Grouped, signal);
    let run = || {
        let cancel = cancel?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("failed to start")?;
        let code = runtime.block_on(start(&env, &console, &cancel));
        // Threads that still read files or ask for addresses are not waited for.
        runtime.shutdown_background();
        code
    };
    let code =
        crash::caught(|| run().map_err(classed)).unwrap_or_else(|error| session::fail(error, &env, &console));
    console.finish();
    code
}

/// The error with its class. What has none failed on this machine.
fn classed(error: anyhow::Error) -> Error {
    error.downcast().unwrap_or_else(|error| {
        Error::of(FailureKind::Machine, error.to_string()).cause(error.root_cause().to_string())
    })
}

async fn start(env: &Env, console: &Console, cancel: &Cancel) -> anyhow::Result<ExitCode> {
    let argv: Vec<OsString> = std::env::args_os().collect();
    let only_prints = argv.get(1).is_some_and(|command| command == "plan" || command == "key");
    let arguments = match arguments(&argv, env) {
        Err(error) if only_prints => return Ok(commands::print(&Err(error), false, console)),
        arguments => arguments?,
    };
    let command = match inputs::parse(&arguments) {
        Ok(command) => command,
        // A workflow reads outputs and annotations.
        Err(answer) if answer.use_stderr() && env.in_github_actions() && !only_prints => {
            return Err(misread(&answer.to_string()).into());
        }
        // `--help` and `--version` are no errors.
        Err(answer) => {
            if answer.use_stderr() {
                console.result(&commands::lines(&answer.to_string()), true);
            } else {
                answer.print().ok();
            }
            return Ok(ExitCode::from(if answer.use_stderr() { 2 } else { 0 }));
        }
    };
    crash::on_purpose("start");
    let mut explain = None;
    let (flags, as_plan) = match command {
        Command::Run(raw) => return Ok(session::run(&raw, env, console, cancel).await),
        Command::Plan(flags) => (flags, true),
        Command::Key(flags) => {
            explain = flags.explain;
            (flags.plan, false)
        }
    };
    // Only printing: a failure goes to standard error, and no file of the runner's is touched.
    let text = async {
        let console = console.clone().beside_data();
        let prepared = prepare(&flags.inputs, env, &console, cancel.signal.clone()).await?;
        if as_plan {
            commands::plan::run(&prepared, flags.json).await
        } else {
            match &explain {
                Some(with) => commands::key::explain(&prepared, with, flags.json).await,
                None => commands::key::run(&prepared, flags.json).await,
            }
        }
    };
    Ok(commands::print(&session::until(&cancel.signal, text).await, flags.json, console))
}

/// What clap says of a command line: first what is wrong, then tips, then the usage.
fn misread(answer: &str) -> Error {
    let paragraphs: Vec<String> = answer
        .split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let what = paragraphs.first().map(|what| what.trim_start_matches("error: ")).unwrap_or_default();
    let tip = paragraphs.iter().find_map(|paragraph| paragraph.strip_prefix("tip: "));
    Error::input(what).hint(tip.unwrap_or("build-once run --help lists the flags"))
}
