//! The commands that print a result, and the check in place of a build.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod key;
pub(crate) mod plan;
pub(crate) mod prune;

use std::process::ExitCode;

use crate::error::Result;
use crate::ports::actions::{inert_json, without_controls};
use crate::ports::console::Console;
use crate::shown;

/// Prints a command's result, text or JSON, to standard output, or its error to standard error. Both quote foreign
/// text, and the runner obeys commands on either stream.
#[must_use]
pub(crate) fn print(result: &Result<String>, as_json: bool, console: &Console) -> ExitCode {
    let (text, error) = match result {
        Ok(text) if as_json => (inert_json(&shown::hide(text)), None),
        Ok(text) => (lines(text), None),
        Err(error) => (lines(&format!("error: {error}\n")), Some(error)),
    };
    console.result(&text, error.is_some());
    ExitCode::from(error.map_or(0, |error| error.class.exit_code()))
}

/// The text as people may see it: without control characters, and with a line break at its end.
#[must_use]
pub(crate) fn lines(text: &str) -> String {
    let clean = without_controls(text);
    if clean.is_empty() { clean } else { clean + "\n" }
}
