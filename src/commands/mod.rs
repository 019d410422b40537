//! The commands besides `run`.

pub mod check;
pub mod key;
pub mod plan;

use std::io::Write as _;
use std::process::ExitCode;

use crate::error::Result;

/// Prints a command's result to standard output, or its error to standard error.
#[must_use]
pub fn print(result: &Result<String>) -> ExitCode {
    let (written, code) = match result {
        Ok(text) => (std::io::stdout().write_all(text.as_bytes()), 0),
        Err(error) => (writeln!(std::io::stderr(), "error: {error}"), error.class.exit_code()),
    };
    // A reader that has left, as `head` does, is no failure of ours.
    written.ok();
    ExitCode::from(code)
}
