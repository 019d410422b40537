//! `build-once doctor`: checks this machine, the repository and the job's rights. It only reads; one upload that is begun
//! and given up, where the input `upload-probe` asks for it, is the exception.

mod gather;
mod project;
mod repositories;

use crate::doctor::{Check, Verdict, exit_code, render, worst};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::inputs::DoctorFlags;
use crate::pipeline::prepare;
use crate::ports::actions::{self, Annotation, Level, inert_json};
use crate::ports::console::Console;
use crate::ports::exec::CancelSignal;
use crate::shown;

/// The outputs of the action, with their meaning.
pub const OUTPUTS: [(&str, &str); 2] = [
    ("verdict", "The worst verdict: ok, warn (it works, and can be better, or could not be checked) or fail"),
    ("checks", "Every check as JSON: a list of name, verdict (ok, warn, fail), why, and fix"),
];

/// Makes every check.
///
/// # Errors
/// If an input is wrong, or the event cannot be read.
pub(crate) async fn look(
    flags: &DoctorFlags,
    env: &Env,
    console: &Console,
    cancel: CancelSignal,
) -> Result<Vec<Check>> {
    let asked = flags.inputs.read()?;
    let raw = flags.inputs.of_run();
    let prepared = prepare(std::slice::from_ref(&raw), env, console, cancel).await?;
    let token = raw.github_token.filter(|token| !token.trim().is_empty());
    Ok(Box::pin(gather::checks(&prepared, &asked, token)).await)
}

/// Tells what was found, and returns the exit code: 0, 20 if a check failed, 60 if one of this machine's did; that of the
/// error if nothing could be checked. With `--json` it writes no outputs and no summary: a program reads the text.
pub(crate) fn tell(found: Result<Vec<Check>>, flags: &DoctorFlags, env: &Env, console: &Console) -> u8 {
    let checks = match found {
        Ok(checks) => checks,
        Err(error) => return fail(&error, flags.json, env, console),
    };
    if flags.json {
        let json = format!("{:#}\n", render::json(&checks));
        console.result(&inert_json(&shown::hide(&json)), false);
        return exit_code(&checks);
    }
    for line in render::text(&checks).lines() {
        console.line(line);
    }
    let failed: Vec<&str> = checks
        .iter()
        .filter(|check| check.verdict == Verdict::Fail)
        .map(|check| check.name.as_str())
        .collect();
    if !failed.is_empty() && env.in_github_actions() {
        annotate(console, format!("doctor: {} failed: {}", failed.len(), failed.join(", ")));
    }
    let mut code = exit_code(&checks);
    let wants_summary = flags.inputs.read().is_ok_and(|asked| asked.summary);
    if wants_summary && let Err(error) = actions::write_summary(env, &render::summary(&checks)) {
        console.line(&format!("warning: the job summary is not written: {error}"));
    }
    if let Err(error) = write_outputs(env, worst(&checks), &checks) {
        annotate(console, format!("the outputs are not written: {}", error.headline()));
        code = code.max(error.class.exit_code());
    }
    code
}

fn write_outputs(env: &Env, verdict: Verdict, checks: &[Check]) -> Result<()> {
    if env.get(crate::env::GITHUB_OUTPUT).is_none() {
        return Ok(());
    }
    let json = serde_json::to_string(checks).unwrap_or_default();
    let outputs = [("verdict", verdict.name().to_owned()), ("checks", inert_json(&shown::hide(&json)))];
    actions::write_outputs(env, &outputs)
}

fn annotate(console: &Console, message: String) {
    console.annotate(&Annotation::new(Level::Error, "build-once", message));
}

/// Tells that nothing could be checked, and returns the exit code.
pub(crate) fn fail(error: &Error, as_json: bool, env: &Env, console: &Console) -> u8 {
    if as_json || !env.in_github_actions() {
        let text = super::lines(&format!("error: {error}\n"));
        console.result(&text, true);
    } else {
        annotate(console, error.advice());
    }
    if as_json {
        return error.class.exit_code();
    }
    if let Err(error) = write_outputs(env, Verdict::Fail, &[]) {
        console.line(&format!("warning: the outputs are not written: {}", error.headline()));
    }
    error.class.exit_code()
}
