//! Makes errors of processes that did not run to their end, and of the output of those that failed.

use super::{Completed, ExecError};
use crate::error::Error;
use crate::failure::{FailureClass, FailureKind};

/// Makes the program's error of a process that did not run to its end.
#[must_use]
pub(crate) fn from_exec(error: ExecError) -> Error {
    // On Linux one argument or variable may have 131,071 bytes (`MAX_ARG_STRLEN`).
    if let ExecError::Start { source, .. } = &error
        && source.kind() == std::io::ErrorKind::ArgumentListTooLong
    {
        return Error::input("failed to start docker with these inputs")
            .because(source)
            .hint("a build argument, label or secret over 131,071 bytes belongs in a file");
    }
    let text = error.to_string();
    let mut reported = match &error {
        ExecError::Start { .. } => Error::of(FailureKind::Machine, text),
        ExecError::Io { .. } => Error::new(FailureClass::Unavailable, text),
        ExecError::Stalled { .. } | ExecError::TimedOut { .. } => {
            Error::of(FailureKind::Hang, text).hint(FailureKind::Hang.hint())
        }
        ExecError::Cancelled { .. } => Error::new(FailureClass::Interrupted, text),
        ExecError::ReadOnly { .. } => Error::new(FailureClass::Bug, text),
    };
    if let Some(source) = std::error::Error::source(&error) {
        reported = reported.because(source);
    }
    reported
}

/// The last line that a process wrote to standard error; docker's error stands there.
#[must_use]
pub(crate) fn last_line(done: &Completed) -> String {
    done.stderr_text()
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default()
        .trim()
        .to_owned()
}
