//! What docker and BuildKit say when they fail, turned into a kind, a class and a hint.
//!
//! Only the final error is read, and where in the build it came up; never the build's log: a
//! `RUN` step can print anything. What stands between double quotes is the user's (commands,
//! paths, names) and is not read either.

mod classes;
mod signatures;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use classes::{FailureKind, Reaction};
use signatures::{SIGNATURES, Signature};

use crate::error::Error;
use crate::ports::buildx::Phase;

/// The error for a child's final words.
#[must_use]
pub fn classify(what: &str, text: &str) -> Error {
    classify_at(what, text, None)
}

/// The error for a child's final words, and the part of the build they are about. What is not
/// known is `unknown` with the raw line: it is never success.
#[must_use]
pub fn classify_at(what: &str, text: &str, phase: Option<Phase>) -> Error {
    let cause = text.trim().trim_start_matches("ERROR: ").to_owned();
    let plain = plain(&cause);
    let found = find(&plain);
    let words = found.map_or(FailureKind::Unknown, |found| found.kind);
    let kind = at(words, &plain, phase);
    let hint = found.filter(|_| kind == words).and_then(|found| found.hint).unwrap_or(kind.hint());
    let mut error = Error::of(kind, what);
    error.retry_after = retry_after(&plain);
    let error = if cause.is_empty() { error } else { error.cause(cause) };
    if hint.is_empty() { error } else { error.hint(hint) }
}

/// Lower case, and double quotes emptied; a quote that never ends is none.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.char_indices();
    let mut open = None;
    while let Some((at, c)) = chars.next() {
        match (c, open) {
            ('"', None) => open = Some(at + 1),
            ('"', Some(_)) => {
                open = None;
                plain.push_str("\"\"");
            }
            ('\\', Some(_)) => {
                chars.next();
            }
            (_, Some(_)) => {}
            (c, None) => plain.extend(c.to_lowercase()),
        }
    }
    if let Some(rest) = open.and_then(|at| text.get(at..)) {
        plain.push_str(&rest.to_lowercase());
    }
    plain
}

fn find(plain: &str) -> Option<&'static Signature> {
    let stand = |words: &&[&str]| words.iter().all(|word| plain.contains(word));
    SIGNATURES.iter().find(|signature| signature.any.iter().any(stand))
}

/// What the words mean where they came up: a refusal while a base image is fetched says nothing
/// of the credentials for the push, and no fault of the cache is the registry's.
fn at(kind: FailureKind, plain: &str, phase: Option<Phase>) -> FailureKind {
    use FailureKind::{
        AuthDenied, AuthMissing, BaseNotFound, BuilderLost, BuildkitInternal, CacheReadLost,
        CacheWriteFailed, DiskFull, DockerfileError, ImmutableTag, NotFoundRepo, Oom, TagLimit, Unknown,
    };
    match (phase, kind) {
        (Some(Phase::Base), AuthDenied | AuthMissing | NotFoundRepo | CacheReadLost) => BaseNotFound,
        (Some(Phase::Base), Unknown) if plain.contains("not found") => BaseNotFound,
        (Some(Phase::Steps), AuthDenied | AuthMissing | NotFoundRepo | ImmutableTag | TagLimit | Unknown) => {
            DockerfileError
        }
        (_, DockerfileError | BuilderLost | BuildkitInternal | DiskFull | Oom) => kind,
        (Some(Phase::CacheImport), _) => CacheReadLost,
        (Some(Phase::CacheExport), _) => CacheWriteFailed,
        _ => kind,
    }
}

/// Some registries say in the text how long to wait, as Go prints durations.
fn retry_after(plain: &str) -> Option<Duration> {
    let rest = plain.split_once("retry-after: ").or_else(|| plain.split_once("retry after "))?.1;
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
    let number: f64 = rest[..end].parse().ok()?;
    let unit: String = rest[end..].chars().take_while(|c| c.is_alphabetic()).collect();
    let seconds = match unit.as_str() {
        "" | "s" | "sec" | "second" | "seconds" => number,
        "ms" => number / 1e3,
        "µs" | "μs" | "us" => number / 1e6,
        "m" => number * 60.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}
