//! The clock, the proxies, and where the program itself comes from.

use super::{Check, Known};

/// AWS refuses signatures of a clock that is this many seconds wrong.
const REFUSED: u64 = 300;
/// More than this is more than the time that an answer takes.
const WRONG: u64 = 30;

/// A server's clock and ours, in seconds since 1970, when its answer came.
pub(crate) struct Clocks {
    pub host: String,
    pub theirs: u64,
    pub ours: u64,
}

/// The clock, against the servers that told the time. One of them alone may be wrong itself: the smallest difference
/// counts.
pub(crate) fn clock(clocks: &[Clocks]) -> Check {
    let name = "clock";
    let Some(nearest) = clocks.iter().min_by_key(|clocks| clocks.theirs.abs_diff(clocks.ours)) else {
        return Check::warn(name, "could not be checked: no server told the time", "timedatectl");
    };
    let apart = nearest.theirs.abs_diff(nearest.ours);
    let way = if nearest.ours > nearest.theirs { "ahead of" } else { "behind" };
    let why = format!("{apart} s {way} {}", nearest.host);
    let fix = "set the runner's clock: timedatectl set-ntp true";
    if apart >= REFUSED {
        Check::fail(name, format!("{why}: AWS refuses signatures, and certificates may not be valid"), fix)
    } else if apart > WRONG {
        Check::warn(name, why, fix)
    } else {
        Check::ok(name, format!("as that of {}", nearest.host))
    }
}

/// The proxies of the environment and of the engine.
#[derive(Default)]
pub(crate) struct ProxyFacts {
    /// Variables that are set, by name; never their values, which may hold a password.
    pub set: Vec<String>,
    /// Variables whose value is no address of a proxy.
    pub unread: Vec<String>,
    /// Variables whose spellings in capitals and small letters differ.
    pub differ: Vec<String>,
    /// The registry is reached through a proxy; `None` without a repository.
    pub registry: Option<bool>,
    /// The engine has a proxy of its own; `None` if it does not say.
    pub engine: Option<bool>,
}

pub(crate) fn proxies(facts: &ProxyFacts) -> Check {
    let name = "proxies";
    if !facts.unread.is_empty() {
        return Check::fail(
            name,
            format!("{} holds no address of a proxy", facts.unread.join(", ")),
            "write it as http://HOST:PORT",
        );
    }
    if !facts.differ.is_empty() {
        return Check::warn(
            name,
            format!(
                "{} and the same in small letters differ: programs do not agree on which counts",
                facts.differ.join(", ")
            ),
            "set both to the same value, or one of them",
        );
    }
    match (facts.registry, facts.engine) {
        (Some(true), Some(false)) => Check::warn(
            name,
            "this job reaches the registry through a proxy, and the engine has none: its pulls and pushes go another way",
            "give the engine the proxy: https://docs.docker.com/engine/daemon/proxy/",
        ),
        (Some(false) | None, Some(true)) if facts.set.is_empty() => Check::warn(
            name,
            "the engine has a proxy, and this job has none",
            "set HTTPS_PROXY and NO_PROXY for the job too, if the registry is behind the proxy",
        ),
        _ if facts.set.is_empty() => Check::ok(name, "none"),
        _ => Check::ok(name, format!("{} are set", facts.set.join(", "))),
    }
}

/// Where the program is downloaded from.
pub(crate) enum Program {
    /// `BUILD_ONCE_BIN`.
    Local(String),
    /// The address, and the status of its answer.
    Download { url: String, is_mirror: bool, status: Known<u16> },
}

pub(crate) fn program(program: &Program) -> Check {
    let name = "download of the program";
    match program {
        Program::Local(path) => Check::ok(name, format!("none: BUILD_ONCE_BIN is {path}")),
        Program::Download { url, is_mirror, status } => {
            let fix = if *is_mirror {
                format!("put this release on the mirror: {url}; or correct BUILD_ONCE_DOWNLOAD_URL")
            } else {
                "set BUILD_ONCE_DOWNLOAD_URL to a mirror, or BUILD_ONCE_BIN to the program's path".to_owned()
            };
            match status {
                Ok(200..=399) => Check::ok(name, format!("{url} is there")),
                // This program runs, so one runner at least had it: a warning, not a failure.
                Ok(status) => Check::warn(
                    name,
                    format!("{url} answers {status}: a runner without a copy cannot download it"),
                    fix,
                ),
                Err(error) => Check::warn(
                    name,
                    format!("{}: a runner without a copy cannot download it", error.headline()),
                    fix,
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{Fail, Ok as Good, Warn};
    use crate::error::Error;
    use crate::failure::FailureKind;

    #[test]
    fn the_clock_against_the_nearest_server() {
        let of = |apart: &[i64]| {
            let clock = |apart: &i64| Clocks {
                host: "h".into(),
                theirs: 10_000,
                ours: 10_000_u64.checked_add_signed(*apart).unwrap(),
            };
            super::clock(&apart.iter().map(clock).collect::<Vec<_>>()).verdict
        };
        assert_eq!(of(&[]), Warn);
        assert_eq!(of(&[2]), Good);
        assert_eq!(of(&[60]), Warn);
        assert_eq!(of(&[-301]), Fail);
        assert_eq!(of(&[-301, 1]), Good);
    }

    #[test]
    fn proxies_of_the_job_and_of_the_engine() {
        let some = || vec!["HTTPS_PROXY".to_owned()];
        let of = |facts: ProxyFacts| proxies(&facts).verdict;
        assert_eq!(of(ProxyFacts::default()), Good);
        assert_eq!(
            of(ProxyFacts { set: some(), registry: Some(true), engine: Some(true), ..ProxyFacts::default() }),
            Good
        );
        assert_eq!(of(ProxyFacts { unread: some(), ..ProxyFacts::default() }), Fail);
        assert_eq!(of(ProxyFacts { differ: some(), ..ProxyFacts::default() }), Warn);
        assert_eq!(
            of(ProxyFacts {
                set: some(),
                registry: Some(true),
                engine: Some(false),
                ..ProxyFacts::default()
            }),
            Warn
        );
        assert_eq!(
            of(ProxyFacts { registry: Some(false), engine: Some(true), ..ProxyFacts::default() }),
            Warn
        );
    }

    #[test]
    fn where_the_program_comes_from() {
        let of = |status| {
            program(&Program::Download { url: "https://h/x".into(), is_mirror: false, status }).verdict
        };
        assert_eq!(
            [of(Ok(302)), of(Ok(404)), of(Err(Error::of(FailureKind::Dns, "no")))],
            [Good, Warn, Warn]
        );
        assert_eq!(program(&Program::Local("/b".into())).verdict, Good);
    }
}
