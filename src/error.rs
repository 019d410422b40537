//! The error type of the program, with cause, hint and exit code.

use std::fmt;
use std::time::Duration;

use crate::failure::{FailureClass, FailureKind};

/// A line in a file of the user, for the annotation.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SourceLine {
    /// Path as the user gave it.
    pub file: String,
    /// First line is 1.
    pub line: usize,
}

/// A failure as the user reads it: `message`, then the causes in lower case, then one hint.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Error {
    /// Decides the exit code.
    pub class: FailureClass,
    /// Narrower than the class; `None` if the failure has no known kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<FailureKind>,
    /// Says what failed.
    pub message: String,
    /// The reasons, outermost first.
    #[serde(default)]
    pub causes: Vec<String>,
    /// The next step for the user.
    pub hint: Option<String>,
    /// The line of the user's file that is wrong, if there is one.
    pub at: Option<Box<SourceLine>>,
    /// The wait that the server asked for before another try.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

/// A result with this crate's error.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// The texts of an error and of the errors behind it, outermost first.
pub(crate) fn chain<'a>(error: &'a (dyn std::error::Error + 'static)) -> impl Iterator<Item = String> + 'a {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string)
}

impl Error {
    /// The failure with the highest exit code; of several the first.
    #[must_use]
    pub(crate) fn worst<'a>(errors: impl Iterator<Item = &'a Self>) -> Option<&'a Self> {
        errors.reduce(
            |worst, error| {
                if error.class.exit_code() > worst.class.exit_code() { error } else { worst }
            },
        )
    }

    /// A failure without cause or hint.
    #[must_use]
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self {
            class,
            kind: None,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
            at: None,
            retry_after: None,
        }
    }

    /// Tells whether a signal stopped the run.
    #[must_use]
    pub(crate) const fn is_stopped(&self) -> bool {
        matches!(self.class, FailureClass::Interrupted | FailureClass::Terminated)
    }

    /// A failure of a known kind, with its hint.
    #[must_use]
    pub fn of(kind: FailureKind, message: impl Into<String>) -> Self {
        Self::new(kind.class(), message).of_kind(kind)
    }

    /// A file or folder that could not be written. Every cause but a full disk counts as a folder that cannot be written.
    #[must_use]
    pub fn of_io(message: impl Into<String>, error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        let full = matches!(error.kind(), StorageFull | QuotaExceeded);
        Self::of(if full { FailureKind::DiskFull } else { FailureKind::ReadOnly }, message).because(error)
    }

    /// Gives the failure this kind, with its class and hint.
    #[must_use]
    pub fn of_kind(mut self, kind: FailureKind) -> Self {
        self.class = kind.class();
        self.kind = Some(kind);
        self.hint = Some(kind.hint()).filter(|hint| !hint.is_empty()).map(str::to_owned);
        self
    }

    /// Makes this failure the cause of a wider one.
    #[must_use]
    pub fn within(mut self, message: impl Into<String>) -> Self {
        self.causes = vec![self.headline()];
        self.message = message.into();
        self
    }

    /// Makes this failure of an image the failure of another image that is built on it.
    #[must_use]
    pub(crate) fn of_base(self, image: &impl fmt::Display, base: &impl fmt::Display) -> Self {
        self.within(format!("{image} is built on {base}, which failed"))
    }

    /// The name of the kind, else of the class.
    #[must_use]
    pub fn cause_name(&self) -> &'static str {
        self.kind.map_or(self.class.name(), FailureKind::name)
    }

    /// Tells whether the failure has this kind.
    #[must_use]
    pub fn is(&self, kind: FailureKind) -> bool {
        self.kind == Some(kind)
    }

    /// A bad input.
    #[must_use]
    pub fn input(message: impl Into<String>) -> Self {
        // Without the kind's hint, because the message tells more.
        Self { kind: Some(FailureKind::BadInput), ..Self::new(FailureClass::Input, message) }
    }

    /// Adds the reason, with the reasons behind it.
    #[must_use]
    pub fn because(mut self, cause: &(dyn std::error::Error + 'static)) -> Self {
        for text in chain(cause) {
            // Several crates repeat in their text that of the error behind it.
            if !self.causes.last().is_some_and(|last| last.contains(&text)) {
                self.causes.push(text);
            }
        }
        self
    }

    /// Adds a reason that is only text.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Sets the next step for the user.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the line of the user's file that is wrong.
    #[must_use]
    pub fn at(mut self, file: impl Into<String>, line: usize) -> Self {
        self.at = Some(Box::new(SourceLine { file: file.into(), line }));
        self
    }

    /// The message and its causes on one line, without the hint.
    #[must_use]
    pub fn headline(&self) -> String {
        let mut text = self.message.clone();
        for cause in &self.causes {
            text.push_str(": ");
            text.push_str(cause);
        }
        text
    }

    /// The headline with the hint, for warnings, which are one line.
    #[must_use]
    pub fn advice(&self) -> String {
        let hint = self.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        self.headline() + &hint
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_what_why_hint() {
        let io = std::io::Error::other("connection refused");
        let error = Error::new(FailureClass::Unavailable, "failed to ask the registry")
            .because(&io)
            .hint("is it up?");
        assert_eq!(error.to_string(), "failed to ask the registry: connection refused\nhint: is it up?");
        assert_eq!(error.class.exit_code(), 30);
    }

    #[test]
    fn a_cause_that_repeats_its_source_is_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer: inner")]
        struct Outer(#[source] std::io::Error);
        let error = Error::input("failed").because(&Outer(std::io::Error::other("inner")));
        assert_eq!(error.headline(), "failed: outer: inner");
    }
}
