//! Start and exit code; everything else is in the library.

#![recursion_limit = "256"]

use std::process::ExitCode;

use build_once::env::Env;
use build_once::inputs::{self, Command, LogStyle, arguments};
use build_once::ports::console::Console;
use build_once::session::{self, Cancel};
use build_once::{Error, commands, crash, error::FailureClass, prepare};

fn main() -> ExitCode {
    let env = Env::capture();
    let console = Console::new(env.in_github_actions(), LogStyle::Grouped);
    crash::keep_quiet(&env);
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::new(FailureClass::Resource, "failed to start").because(&error))?;
        let code = runtime.block_on(start(&env, &console));
        // Threads that still read files or ask for addresses are not waited for.
        runtime.shutdown_background();
        code
    };
    crash::caught(run).unwrap_or_else(|error| session::fail(error, &env, &console))
}

async fn start(env: &Env, console: &Console) -> Result<ExitCode, Error> {
    let command = match inputs::parse(&arguments(std::env::args().collect(), env)?) {
        Ok(command) => command,
        // `--help` and `--version` are no errors.
        Err(answer) => {
            answer.print().ok();
            return Ok(ExitCode::from(if answer.use_stderr() { 2 } else { 0 }));
        }
    };
    crash::on_purpose("start");
    let cancel = Cancel::on_signals()?;
    let mut explain = None;
    let (flags, as_plan) = match command {
        Command::Run(raw) => return Ok(session::run(&raw, env, console, &cancel).await),
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
    Ok(commands::print(&session::until(&cancel.signal, text).await))
}
