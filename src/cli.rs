//! Runs the command of the command line and returns its exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::env::{Env, RUNNER_DEBUG};
use crate::error::{Error, Result};
use crate::failure::{FailureClass, FailureKind};
use crate::inputs::{
    self, Command, KeyFlags, LogStyle, Name, PlanFlags, PrintFlags, RawInputs, RunFlags, arguments,
};
use crate::pipeline::{Prepared, prepare};
use crate::ports::console::Console;
use crate::session::{self, Cancel, never};
use crate::{commands, crash};
use anyhow::Context as _;

/// Runs the program, from its arguments to its exit code.
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
        // Does not wait for threads that still read files or look up host names.
        runtime.shutdown_background();
        code
    };
    let code = crash::caught(|| run().map_err(classed))
        .unwrap_or_else(|error| ExitCode::from(session::fail(error, &env, &console)));
    console.finish();
    code
}

/// Runs a request of several images, which no command line can name yet, and returns the exit code. For tests.
///
/// # Errors
/// If the run cannot be set up.
pub fn run_images(images: &[RawInputs], env: &Env) -> anyhow::Result<u8> {
    let cancel = Cancel::on_signals()?;
    let console = Console::new(env.in_github_actions(), LogStyle::Grouped, cancel.signal.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(Box::pin(session::run(images, env, &console, &cancel)));
    console.finish();
    Ok(code)
}

/// Makes the plan from saved facts, as text; of a failure, the text that the user reads. For tests.
#[must_use]
pub fn replay(document: &str) -> String {
    commands::plan::from_text(document, false).unwrap_or_else(|error| {
        format!("failed, exit {} ({}): {error}\n", error.class.exit_code(), error.cause_name())
    })
}

/// The program's own error as it is; an error of another type counts as one of this machine.
fn classed(error: anyhow::Error) -> Error {
    error.downcast().unwrap_or_else(|error| {
        Error::of(FailureKind::Machine, error.to_string()).cause(error.root_cause().to_string())
    })
}

/// Reads the command line and carries out its command.
async fn start(env: &Env, console: &Console, cancel: &Cancel) -> anyhow::Result<ExitCode> {
    let argv: Vec<OsString> = std::env::args_os().collect();
    let only_prints = Name::of(&argv).is_some_and(Name::only_prints);
    let name = Name::of(&argv);
    let command = match arguments(&argv, env).map(|arguments| inputs::parse(&arguments)) {
        Ok(Ok(command)) => command,
        // In a workflow the error goes to the outputs and annotations; a command that only prints has none.
        Ok(Err(answer)) if answer.use_stderr() && env.in_github_actions() && name == Some(Name::Prune) => {
            return Ok(ExitCode::from(commands::prune::fail(misread(&answer.to_string()), env, console)));
        }
        Err(error) if env.in_github_actions() && name == Some(Name::Prune) => {
            return Ok(ExitCode::from(commands::prune::fail(error, env, console)));
        }
        Ok(Err(answer)) if answer.use_stderr() && env.in_github_actions() && name == Some(Name::Doctor) => {
            let error = misread(&answer.to_string());
            return Ok(ExitCode::from(commands::doctor::fail(&error, false, env, console)));
        }
        Err(error) if env.in_github_actions() && name == Some(Name::Doctor) => {
            return Ok(ExitCode::from(commands::doctor::fail(&error, false, env, console)));
        }
        Ok(Err(answer)) if answer.use_stderr() && env.in_github_actions() && !only_prints => {
            return Err(misread(&answer.to_string()).into());
        }
        Ok(Err(answer)) => return Ok(print_answer(&answer, console)),
        Err(error) if only_prints => return Ok(commands::print(&Err(error), false, console)),
        Err(error) => return Err(error.into()),
    };
    crash::on_purpose("start");
    let program = Program { env, console, cancel };
    match command {
        Command::Run(flags) => Ok(program.run(&flags).await),
        Command::Build(flags) => Ok(program.run(&flags.in_mode(Name::Build)?).await),
        Command::Pull(flags) => Ok(program.run(&flags.in_mode(Name::Pull)?).await),
        Command::Merge(flags) => Ok(program.run(&flags.in_mode(Name::Merge)?).await),
        Command::Plan(PlanFlags { facts: Some(path), print: PrintFlags { json, .. }, .. }) => {
            Ok(commands::print(&commands::plan::from_file(&path, json), json, console))
        }
        Command::Plan(PlanFlags { save_facts, print: PrintFlags { json, mut run }, .. }) => {
            // The steps of the jobs that a plan job starts.
            run.inputs.mode.take_if(|mode| mode.trim() == "plan");
            let plan =
                async |prepared: &Prepared| commands::plan::run(prepared, json, save_facts.as_deref()).await;
            Ok(program.print(&run, json, plan).await)
        }
        Command::Key(KeyFlags { explain, print: PrintFlags { json, run } }) => {
            let key = async |prepared: &Prepared| match &explain {
                Some(with) => commands::key::explain(prepared, with, json).await,
                None => commands::key::run(prepared, json).await,
            };
            Ok(program.print(&run, json, key).await)
        }
        Command::Prune(flags) => {
            let log = console.clone().with_debug(flags.verbose, env.flag(RUNNER_DEBUG));
            let log = if flags.json { log.beside_data() } else { log };
            let work = Box::pin(commands::prune::run(&flags, env, &log, cancel.signal.clone()));
            Ok(ExitCode::from(work.await))
        }
        Command::Doctor(flags) => {
            let log = console.clone().with_debug(flags.verbose, env.flag(RUNNER_DEBUG));
            let log = if flags.json { log.beside_data() } else { log };
            let look = commands::doctor::look(&flags, env, &log, cancel.signal.clone());
            let found = session::until(&cancel.signal, Box::pin(look)).await;
            Ok(ExitCode::from(commands::doctor::tell(found, &flags, env, &log)))
        }
        Command::Completions { shell } => {
            Ok(commands::print(&Ok(commands::completions::script(shell)), false, console))
        }
    }
}

/// What every command needs.
struct Program<'a> {
    env: &'a Env,
    console: &'a Console,
    cancel: &'a Cancel,
}

impl Program<'_> {
    /// The log, with debug messages if the flags or the workflow ask for them.
    fn log(&self, flags: &RunFlags) -> Console {
        self.console.clone().with_debug(flags.verbose, self.env.flag(RUNNER_DEBUG))
    }

    /// Executes the plan and reports.
    async fn run(&self, flags: &RunFlags) -> ExitCode {
        let images = std::slice::from_ref(&flags.inputs);
        ExitCode::from(Box::pin(session::run(images, self.env, &self.log(flags), self.cancel)).await)
    }

    /// Prints the command's result, or its error to standard error. Neither outputs nor summary are written.
    async fn print(
        &self,
        flags: &RunFlags,
        as_json: bool,
        command: impl AsyncFnOnce(&Prepared) -> Result<String>,
    ) -> ExitCode {
        let text = async {
            let console = self.log(flags).beside_data();
            let prepared =
                prepare(std::slice::from_ref(&flags.inputs), self.env, &console, self.cancel.signal.clone())
                    .await?;
            command(&prepared).await
        };
        commands::print(&session::until(&self.cancel.signal, text).await, as_json, self.console)
    }
}

/// Prints clap's answer: what is wrong, or the text of `--help` or `--version`, which is no error.
fn print_answer(answer: &clap::Error, console: &Console) -> ExitCode {
    if !answer.use_stderr() {
        answer.print().ok();
        return ExitCode::SUCCESS;
    }
    console.result(&commands::lines(&answer.to_string()), true);
    ExitCode::from(FailureClass::Input.exit_code())
}

/// Makes an error from clap's answer: paragraphs, first what is wrong, then tips, then the usage.
fn misread(answer: &str) -> Error {
    let paragraphs: Vec<String> = answer
        .split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let what = paragraphs.first().map(|what| what.trim_start_matches("error: ")).unwrap_or_default();
    let tip = paragraphs.iter().find_map(|paragraph| paragraph.strip_prefix("tip: "));
    Error::input(what)
        .hint(tip.unwrap_or("build-once --help lists the commands, build-once run --help the flags"))
}
