//! Judges whether the machine, the repository and the job's rights are as build-once needs them: facts in, verdicts out.
//! Nothing is asked here; `commands::doctor` gathers the facts.

pub(crate) mod aws;
pub(crate) mod caches;
pub(crate) mod disk;
pub(crate) mod ecr;
#[cfg(test)]
mod for_tests;
pub(crate) mod github;
pub(crate) mod network;
pub(crate) mod oidc;
pub(crate) mod render;
pub(crate) mod repository;
pub(crate) mod rights;
mod subject;
pub(crate) mod takers;
pub(crate) mod tools;

use crate::error::Error;
use crate::failure::FailureClass;
use crate::texts::words;

words! {
    /// What became of a check.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
    #[serde(rename_all = "kebab-case")]
    pub(crate) enum Verdict {
        Ok = "ok",
        /// It works, and can be better; or it could not be checked.
        Warn = "warn",
        /// A run will fail, or do less than it was asked for.
        Fail = "fail",
    }
    pub(crate) const fn name;
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Check {
    pub name: String,
    pub verdict: Verdict,
    /// What was found.
    pub why: String,
    /// What mends it: a command, an input, or a line of a workflow. Only of what is not ok.
    pub fix: Option<String>,
    /// The class of a failure, and so the exit code. Only two are told apart, whatever the cause: the tools of this machine
    /// (60), which its owner mends, and everything else (20).
    #[serde(skip)]
    pub class: FailureClass,
}

/// What the ports found out, or why they could not.
pub(crate) type Known<T> = Result<T, Error>;

impl Check {
    fn new(name: &str, verdict: Verdict, why: impl Into<String>, fix: Option<String>) -> Self {
        Self { name: name.to_owned(), verdict, why: why.into(), fix, class: FailureClass::Access }
    }

    pub(crate) fn ok(name: &str, why: impl Into<String>) -> Self {
        Self::new(name, Verdict::Ok, why, None)
    }

    pub(crate) fn warn(name: &str, why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(name, Verdict::Warn, why, Some(fix.into()))
    }

    pub(crate) fn fail(name: &str, why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(name, Verdict::Fail, why, Some(fix.into()))
    }

    /// A question without an answer: never ok.
    pub(crate) fn unknown(name: &str, error: &Error) -> Self {
        let why = format!("could not be checked: {}", error.headline());
        Self::new(name, Verdict::Warn, why, Some(hint_of(error)))
    }

    /// The answer that a run would fail with.
    pub(crate) fn refused(name: &str, error: &Error) -> Self {
        Self::new(name, Verdict::Fail, error.headline(), Some(hint_of(error)))
    }

    /// The same as a failure of this machine, whose exit code is another one.
    fn of_machine(self) -> Self {
        Self { class: FailureClass::Unsupported, ..self }
    }
}

fn hint_of(error: &Error) -> String {
    error.hint.clone().unwrap_or_else(|| "look at what the text names, and try again".to_owned())
}

/// The worst verdict; ok without any.
pub(crate) fn worst(checks: &[Check]) -> Verdict {
    checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok)
}

/// 0 unless a check failed; then the highest code of those that did.
pub(crate) fn exit_code(checks: &[Check]) -> u8 {
    let failed = checks.iter().filter(|check| check.verdict == Verdict::Fail);
    failed.map(|check| check.class.exit_code()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_that_of_the_worst_failure() {
        let (ok, warn) = (Check::ok("a", ""), Check::warn("b", "", ""));
        let (fail, machine) = (Check::fail("c", "", ""), Check::fail("d", "", "").of_machine());
        for (checks, verdict, code) in [
            (vec![], Verdict::Ok, 0),
            (vec![ok.clone()], Verdict::Ok, 0),
            (vec![ok.clone(), warn.clone().of_machine()], Verdict::Warn, 0),
            (vec![warn.clone(), fail.clone()], Verdict::Fail, 20),
            (vec![machine, fail, warn, ok], Verdict::Fail, 60),
        ] {
            assert_eq!((worst(&checks), exit_code(&checks)), (verdict, code));
        }
    }

    #[test]
    fn unknown_is_never_ok() {
        let error =
            Error::new(FailureClass::Unavailable, "failed to ask").cause("no answer").hint("try again");
        let check = Check::unknown("x", &error);
        assert_eq!(check.verdict, Verdict::Warn);
        assert_eq!(check.why, "could not be checked: failed to ask: no answer");
        assert_eq!(check.fix.as_deref(), Some("try again"));
    }
}
