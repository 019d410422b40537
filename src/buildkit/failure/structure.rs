//! Reads the structured parts of a final error: the HTTP status of `unexpected status: 403 Forbidden`, and a registry's
//! error codes in JSON.

use reqwest::StatusCode;

use crate::failure::FailureKind;

/// The parts of a final error.
pub(super) struct FinalError {
    /// The text in lower case, without what is in double quotes, then a registry's codes and messages.
    pub(super) plain: String,
    /// The last HTTP status of an error (400 and more).
    pub(super) status: Option<u16>,
}

impl FinalError {
    /// Reads a final error as the tool printed it.
    pub(super) fn read(cause: &str) -> Self {
        let mut plain = plain(cause);
        for (code, message) in registry_errors(cause) {
            plain.extend([" ", &code.to_lowercase(), ": ", &message.to_lowercase()]);
        }
        let status = status(&plain);
        Self { plain, status }
    }

    /// Whether all of these are in the text.
    pub(super) fn has(&self, words: &[&str]) -> bool {
        words.iter().all(|word| self.plain.contains(word))
    }
}

/// Makes the text lower case and empties double quotes. A quote that is not closed stays.
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

/// Most errors of a registry's answer that are read; it has one as a rule.
const MOST_ERRORS: usize = 10;

/// Reads the codes and messages of a registry's answer (distribution specification, "Error codes").
fn registry_errors(cause: &str) -> Vec<(String, String)> {
    let Some(body) = cause.find(r#"{"errors":"#).and_then(|at| cause.get(at..)) else { return Vec::new() };
    // More text may follow the answer.
    let mut values = serde_json::Deserializer::from_str(body).into_iter::<serde_json::Value>();
    let Some(Ok(answer)) = values.next() else { return Vec::new() };
    let text = |error: &serde_json::Value, name: &str| error[name].as_str().unwrap_or_default().to_owned();
    let errors = answer["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().take(MOST_ERRORS).map(|error| (text(error, "code"), text(error, "message"))).collect()
}

/// Finds the last HTTP status: a number before its reason, or after a word such as `status`, in one line.
fn status(plain: &str) -> Option<u16> {
    plain.split(['\n', '\r']).rev().find_map(status_in)
}

fn status_in(line: &str) -> Option<u16> {
    let spaced = line.replace(['<', '>', '(', ')', ':', ','], " ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let is_named = |at: usize| {
        let before = at.checked_sub(1).and_then(|at| words.get(at)).copied().unwrap_or_default();
        matches!(before, "status" | "code" | "http" | "answered" | "returned" | "error")
    };
    let status_at = |at: usize, word: &str| {
        let number: u16 = word.parse().ok().filter(|_| word.len() == 3)?;
        let status = StatusCode::from_u16(number).ok().filter(|status| status.as_u16() >= 400)?;
        let reason = status.canonical_reason().unwrap_or_default().to_lowercase();
        let has_reason = words
            .get(at + 1)
            .is_some_and(|next| reason.split(' ').any(|word| !word.is_empty() && next.starts_with(word)));
        (has_reason || is_named(at)).then_some(number)
    };
    words.iter().enumerate().rev().find_map(|(at, word)| status_at(at, word))
}

/// The kind of failure for a status alone.
pub(super) const fn kind_of_status(status: u16) -> Option<FailureKind> {
    match status {
        401 => Some(FailureKind::AuthMissing),
        403 => Some(FailureKind::AuthDenied),
        407 => Some(FailureKind::Proxy),
        408 | 425 => Some(FailureKind::TransientNetwork),
        429 => Some(FailureKind::Throttled),
        400 | 405 | 411 | 413 | 414 | 415 | 422 | 431 | 501 => Some(FailureKind::RegistryRefused),
        507 => Some(FailureKind::RegistryQuota),
        500..=599 => Some(FailureKind::RegistryError),
        _ => None,
    }
}

/// Tells whether the status outranks the kind that the words stand for. A registry with a 5xx status did not deny access,
/// and one that denied access was reached. For 400 and similar statuses the words decide.
pub(super) fn outranks(status: u16, words: FailureKind) -> bool {
    use FailureKind::{
        AuthDenied, AuthMissing, BaseNotFound, CacheReadLost, Dns, NotARegistry, Refused, RegistryError,
        Throttled, TransientNetwork,
    };
    match (kind_of_status(status), words) {
        (Some(_), NotARegistry) | (Some(RegistryError | Throttled), BaseNotFound | CacheReadLost) => true,
        (
            Some(kind),
            AuthDenied | AuthMissing | Dns | Refused | RegistryError | Throttled | TransientNetwork,
        ) => matches!(status, 401 | 403 | 407 | 429 | 500..=599) && kind.class() != words.class(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // D52
    #[test]
    fn statuses_are_found_where_they_are_named() {
        for (text, number) in [
            ("unexpected status: 413 Request Entity Too Large", Some(413)),
            ("unexpected status from GET request to https://h:5000/v2/x?a=404: 401 Unauthorized", Some(401)),
            ("error parsing HTTP 405 response body: invalid character '<'", Some(405)),
            ("(HTTP code 500) server error", Some(500)),
            ("unknown: <html><head><title>502 Bad Gateway</title>", Some(502)),
            ("h.example answered 524 <unknown status code>", Some(524)),
            ("unexpected size 404, expected 500", None),
            ("dial tcp 10.0.0.1:443: connect: connection refused", None),
            ("status: 200 OK", None),
            ("sh: \"HTTP status: 503\"", None),
        ] {
            assert_eq!(FinalError::read(text).status, number, "{text}");
        }
    }

    // D52
    #[test]
    fn a_registrys_codes_are_read_from_its_answer() {
        let said = FinalError::read(
            r#"Get "https://h/v2/": {"errors":[{"code":"DENIED","message":"client with IP 'x' is not allowed"}]} and more"#,
        );
        assert!(said.has(&["denied: client with ip"]), "{}", said.plain);
        assert!(!FinalError::read(r#"sh "{\"errors\":[{\"code\":\"DENIED\"}]}""#).has(&["denied"]));
    }

    proptest::proptest! {
        #[test]
        fn every_text_can_be_taken_apart(text in "(?s).{0,300}") {
            let _ = FinalError::read(&text);
        }
    }
}
