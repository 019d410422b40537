//! The commands besides `run`.

pub mod check;
pub mod key;
pub mod plan;

use std::io::Write as _;
use std::process::ExitCode;

use crate::error::Result;
use crate::ports::actions::{inert_json, log_line};
use crate::shown;

/// Prints a command's result, text or JSON, to standard output, or its error to standard error. Both quote foreign
/// text, and the runner obeys commands on either stream.
#[must_use]
pub fn print(result: &Result<String>, as_json: bool) -> ExitCode {
    let (written, code) = match result {
        Ok(text) if as_json => (std::io::stdout().write_all(inert_json(&shown::hide(text)).as_bytes()), 0),
        Ok(text) => (std::io::stdout().write_all(lines(text).as_bytes()), 0),
        Err(error) => {
            let text = lines(&format!("error: {error}\n"));
            (std::io::stderr().write_all(text.as_bytes()), error.class.exit_code())
        }
    };
    // A reader that has left, as `head` does, is no failure of ours.
    written.ok();
    ExitCode::from(code)
}

/// The text as people may see it, line by line.
#[must_use]
pub fn lines(text: &str) -> String {
    shown::hide(text).lines().flat_map(|line| [log_line(line), "\n".to_owned()]).collect()
}
