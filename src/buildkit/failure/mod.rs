//! Classifies docker's and BuildKit's errors by kind, class and hint.
//!
//! In: `failed to solve: …: no space left on device`. Out: an [`Error`] of the kind `DiskFull`, with its hint. `signatures`
//! is the table of words, `structure` reads HTTP statuses and registries' codes.
//!
//! The classifier reads the final error and the part of the build that it came from, never the build's log: a `RUN` step
//! can print anything. It does not read text in double quotes either, which are the user's commands, paths and names.

#[cfg(test)]
mod public;
mod signatures;
mod structure;
#[cfg(test)]
mod tests;

use std::time::Duration;

use signatures::SIGNATURES;
use structure::FinalError;

use crate::error::Error;
use crate::failure::{FailureClass, FailureKind};
use crate::phase::Phase;

/// Makes an error from the final text of docker or buildx. `what` says what failed, such as `failed to build`.
#[must_use]
pub fn classify(what: &str, text: &str) -> Error {
    classify_at(what, text, None)
}

/// As [`classify`], with the phase of the build that the text is about. A text without a rule has the kind `unknown`.
#[must_use]
pub(crate) fn classify_at(what: &str, text: &str, phase: Option<Phase>) -> Error {
    let cause = text.trim().trim_start_matches("ERROR: ").to_owned();
    let final_error = FinalError::read(&cause);
    let found = find(&final_error);
    let by_words = found.map_or(FailureKind::Unknown, |(kind, _)| kind);
    let kind = in_phase(by_words, &final_error, phase);
    let hint = found.filter(|_| kind == by_words).and_then(|(_, hint)| hint).unwrap_or(kind.hint());
    let mut error = Error::of(kind, what);
    error.retry_after = retry_after(&final_error.plain);
    let error = if cause.is_empty() { error } else { error.cause(cause) };
    if hint.is_empty() { error } else { error.hint(hint) }
}

/// Finds the kind and hint of the first signature in the text, unless the status outranks it.
fn find(final_error: &FinalError) -> Option<(FailureKind, Option<&'static str>)> {
    let by_status = final_error.status.and_then(structure::kind_of_status);
    let signature =
        SIGNATURES.iter().find(|signature| signature.any.iter().any(|words| final_error.has(words)));
    match (signature, final_error.status) {
        (Some(signature), Some(status)) if structure::outranks(status, signature.kind) => {
            by_status.map(|kind| (kind, None))
        }
        (Some(signature), _) => Some((signature.kind, signature.hint)),
        (None, _) => by_status.map(|kind| (kind, None)),
    }
}

/// Makes the error of a builder that did not boot, from buildx's final text. A refused or absent image is the builder's,
/// not the user's. If something did not answer, it is the builder, unless the engine reports a registry.
#[must_use]
pub(crate) fn classify_boot(text: &str) -> Error {
    use FailureKind::{CredentialHelper, Dns, Proxy, Refused, TransientNetwork, Unknown};
    let error = classify("failed to boot a builder", text);
    let kind = error.kind.unwrap_or(Unknown);
    let is_of_image =
        matches!(kind.class(), FailureClass::Build | FailureClass::Access | FailureClass::Integrity)
            && !matches!(kind, CredentialHelper | Proxy);
    let is_silent_builder = matches!(kind, Dns | Refused | TransientNetwork)
        && !text.to_lowercase().contains("error response from daemon");
    if !(is_of_image || is_silent_builder || kind == Unknown) {
        return error;
    }
    let hint = if is_of_image { NO_BUILDER_IMAGE } else { FailureKind::BootFailed.hint() };
    let boot = FailureKind::BootFailed;
    Error { class: boot.class(), kind: Some(boot), hint: Some(hint.to_owned()), ..error }
}

/// The hint for a builder whose image cannot be pulled.
const NO_BUILDER_IMAGE: &str = "name a BuildKit image that this runner can pull in the input buildkit-image, or a builder in the input builder";

/// What the words mean in this phase: a refusal while a base image is fetched says nothing
/// of the credentials for the push, and no fault of the cache is the registry's.
fn in_phase(kind: FailureKind, final_error: &FinalError, phase: Option<Phase>) -> FailureKind {
    use FailureKind::{
        AuthDenied, AuthMissing, BadInput, BaseNotFound, BuilderLost, BuildkitInternal, CacheReadLost,
        CacheWriteFailed, DiskFull, DockerfileError, ImmutableTag, Killed, NotFoundRepo, Oom, RegistryError,
        TagLimit, Unknown,
    };
    match (phase, kind) {
        // The text says itself that the login is wrong, and not that the base is absent.
        (Some(Phase::Base), AuthMissing) if final_error.has(&["incorrect username or password"]) => kind,
        (Some(Phase::Base), AuthDenied | AuthMissing | NotFoundRepo | CacheReadLost) => BaseNotFound,
        (Some(Phase::Base), Unknown) if final_error.has(&["not found"]) => BaseNotFound,
        // The code `UNKNOWN` of a registry (distribution specification, "Error codes").
        (Some(Phase::Push), Unknown) if final_error.has(&["unknown: "]) => RegistryError,
        (Some(Phase::Steps), AuthDenied | AuthMissing | NotFoundRepo | ImmutableTag | TagLimit) => {
            DockerfileError
        }
        // The name of the result is wrong, which an input gives, not that of a base.
        (Some(Phase::Export | Phase::Push), DockerfileError)
            if final_error.has(&["invalid reference format"]) =>
        {
            BadInput
        }
        (_, DockerfileError | BuilderLost | BuildkitInternal | DiskFull | Killed | Oom) => kind,
        (Some(Phase::CacheImport), _) => CacheReadLost,
        (Some(Phase::CacheExport), _) => CacheWriteFailed,
        _ => kind,
    }
}

/// How long to wait, which some registries say in the text: `retry-after: 1.5s`, as Go prints durations.
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
