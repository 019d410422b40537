//! Hides secrets and the users of URLs in all text that people see, and words lists and sizes for them.
//!
//! This module knows every secret of the process. Each output (log, annotations, summary, outputs, plan, standard
//! output) calls [`hide`] before it escapes or cuts a text. The runner masks secrets too, but not in a text that was
//! escaped or cut.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::{PoisonError, RwLock};

use serde_json::Value;

use crate::secret_name::looks_secret;

mod forms;

use forms::Known;

/// Replaces a secret; the runner writes the same.
const HIDDEN: &str = "***";
/// Characters of the shortest text that is hidden. To hide shorter ones would remove every `{` or `e` from the log.
pub(crate) const SHORTEST_SECRET: usize = 4;

/// The secrets of this process.
static KNOWN: RwLock<Known> = RwLock::new(Known::new());

/// The lines of a secret that are long enough to be hidden, trimmed: logs show a secret of several lines line by line.
pub(crate) fn parts(secret: &str) -> impl Iterator<Item = &str> {
    secret.lines().map(str::trim).filter(|line| line.chars().count() >= SHORTEST_SECRET)
}

/// Hides this value from now on, and each of its lines, in every form that [`forms`] knows.
pub(crate) fn learn(secret: &str) {
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    for part in
        std::iter::once(secret.trim()).chain(parts(secret)).filter(|part| part.len() >= SHORTEST_SECRET)
    {
        known.add(part);
    }
}

/// Removes known secrets and the users of URLs.
#[must_use]
pub(crate) fn hide(text: &str) -> Cow<'_, str> {
    // Secrets first: one may be a URL with a user, of which only a part would be left to find.
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    let places = known.find(text);
    if places.is_empty() {
        return clean_urls(text);
    }
    let (mut clean, mut at) = (String::with_capacity(text.len()), 0);
    for place in places {
        clean.push_str(&text[at..place.start]);
        clean.push_str(HIDDEN);
        at = place.end;
    }
    clean.push_str(&text[at..]);
    Cow::Owned(clean_urls(&clean).into_owned())
}

/// The items as people read them: `a, b, c`.
#[must_use]
pub(crate) fn list(items: impl IntoIterator<Item = impl Display>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// The first items as people read them, and how many more there are: `a, b and 3 more`.
#[must_use]
pub(crate) fn first(items: &[impl Display], most: usize) -> String {
    let more = items.len().saturating_sub(most);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    list(items.iter().take(most)) + &more
}

/// The clauses as one text, `a; b`; `None` if there are none.
#[must_use]
pub(crate) fn clauses(clauses: impl IntoIterator<Item = String>) -> Option<String> {
    clauses.into_iter().reduce(|all, next| format!("{all}; {next}"))
}

/// A number of bytes for people, in the largest unit that it has one of.
#[must_use]
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]) }
}

/// Cuts the text to `most` characters, after secrets are hidden: half a secret could not be found.
#[must_use]
pub(crate) fn cut(text: &str, most: usize) -> String {
    let mut text = hide(text).into_owned();
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Hides secrets in every string and every field's name of the value.
pub(crate) fn hide_in(value: &mut Value) {
    match value {
        Value::String(text) => *text = hide(text).into_owned(),
        Value::Array(values) => values.iter_mut().for_each(hide_in),
        Value::Object(fields) => {
            for (name, mut value) in std::mem::take(fields) {
                hide_in(&mut value);
                fields.insert(hide(&name).into_owned(), value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Removes the user and password of every URL. The user of an `ssh` URL without a password stays: it is nearly always
/// `git`, and no secret.
#[must_use]
pub fn without_users(text: &str) -> Cow<'_, str> {
    if !text.contains("://") {
        return Cow::Borrowed(text);
    }
    let (mut clean, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once("://") {
        clean.extend([before, "://"]);
        let user = user(after);
        // The protocol may have more before it, as in `git+ssh`.
        let stays = before.ends_with("ssh") && !user.contains(':');
        rest = if stays || user.is_empty() { after } else { &after[user.len() + 1..] };
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

/// Removes the users of URLs, and the values in their queries whose names tell a secret (`token`, `X-Amz-Signature`, an
/// Azure `sig`).
#[must_use]
pub(crate) fn clean_urls(text: &str) -> Cow<'_, str> {
    let text = without_users(text);
    if !(text.contains("://") && text.contains('?')) {
        return text;
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some((before, after)) = rest.split_once("://") {
        clean.extend([before, "://"]);
        // A host ends at `/` and `?`, a URL does not.
        let end = after.find(|c| ends_url(c) && !matches!(c, '/' | '?')).unwrap_or(after.len());
        let (url, next) = after.split_at(end);
        let (path, query) = url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query)));
        clean.push_str(path);
        for (at, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
            clean.push(if at == 0 { '?' } else { '&' });
            match pair.split_once('=') {
                Some((name, value)) if !value.is_empty() && is_token(name) => {
                    clean.extend([name, "=", HIDDEN]);
                }
                _ => clean.push_str(pair),
            }
        }
        rest = next;
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

/// Tells whether the value of this name in a URL's query is a secret. Amazon's and Azure's signed URLs have names of their
/// own (AWS Signature Version 4; Azure Storage, "service SAS").
fn is_token(name: &str) -> bool {
    const SIGNED: [&str; 4] = ["sig", "signature", "x-amz-signature", "x-amz-security-token"];
    SIGNED.iter().any(|signed| name.eq_ignore_ascii_case(signed)) || looks_secret(&name.replace('-', "_"))
}

/// The text before the `@` of a URL, from the text after `://`; empty without a user.
fn user(after: &str) -> &str {
    let authority = after.split(ends_url).next().unwrap_or_default();
    authority.rsplit_once('@').map_or("", |(user, _)| user)
}

/// Finds passwords before a host, `USER:PASSWORD@HOST`, with or without a protocol. The word before a digest is a tag.
pub(crate) fn passwords(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '=' | '"' | '\'' | '/' | '`'));
    words.filter_map(|word| {
        let (login, host) = word.rsplit_once('@')?;
        let is_digest = ["sha256:", "sha512:"].iter().any(|algorithm| host.starts_with(algorithm));
        let (_, password) = login.split_once(':').filter(|_| !is_digest)?;
        Some(password).filter(|password| !password.is_empty())
    })
}

/// Tells whether this character ends a URL's host or the URL.
fn ends_url(c: char) -> bool {
    c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '<' | '>' | '`' | '\\')
}

/// The secret in a URL's user, as written: the password, or the whole user if there is no password and the protocol is
/// not `ssh`.
#[must_use]
pub(crate) fn secret_of(url: &str) -> Option<&str> {
    let (scheme, after) = url.split_once("://")?;
    let user = user(after);
    match user.split_once(':') {
        Some((_, password)) => Some(password),
        None if scheme.ends_with("ssh") => None,
        None => Some(user),
    }
    .filter(|secret| !secret.is_empty())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn d12_the_users_of_urls_are_gone() {
        for (text, expected) in [
            ("http://bob:pw@h/f", "http://h/f"),
            ("ADD https://ghp_token@h/r.git#main:x /y", "ADD https://h/r.git#main:x /y"),
            ("a http://u:p@h, then https://v:q@i/x?to=a@b", "a http://h, then https://i/x?to=a@b"),
            ("http://u:p@ss@h/x", "http://h/x"),
            ("ssh://git@h/r and ssh://git:pw@h/r", "ssh://git@h/r and ssh://h/r"),
            ("git@github.com:o/r.git", "git@github.com:o/r.git"),
            ("https://h/a@b://c", "https://h/a@b://c"),
            ("\"http://u:${PW}@h\"", "\"http://h\""),
            ("docker-image://h/x@sha256:0", "docker-image://h/x@sha256:0"),
        ] {
            assert_eq!(without_users(text), expected);
        }
        assert_eq!(secret_of("http://bob:p%40w@h/x"), Some("p%40w"));
        assert_eq!(secret_of("https://ghp_x@h/x"), Some("ghp_x"));
        assert_eq!(secret_of("ssh://git@h/x"), None);
        assert_eq!(secret_of("https://h/x@y"), None);
    }

    #[test]
    fn passwords_are_found_without_a_protocol() {
        for (text, found) in [
            ("bob:pw@h:5000/r", vec!["pw"]),
            ("type=registry,ref=bob:p:w@h/r\nhttp://a:b%40@h", vec!["p:w", "b%40"]),
            ("alpine:3@sha256:00 h:5000/r:1@sha512:00 git@github.com:o/r.git a@b", vec![]),
        ] {
            assert_eq!(passwords(text).collect::<Vec<_>>(), found);
        }
    }

    #[test]
    fn tokens_in_queries_are_gone() {
        for (text, expected) in [
            ("ADD https://h/x?a=1&token=abc&b /y", "ADD https://h/x?a=1&token=***&b /y"),
            ("https://u:p@h/?sv=1&sig=a%2Bb#f", "https://h/?sv=1&sig=***#f"),
            (
                "<https://b/o?X-Amz-Date=1&X-Amz-Signature=00&x-amz-security-token=t>",
                "<https://b/o?X-Amz-Date=1&X-Amz-Signature=***&x-amz-security-token=***>",
            ),
            (
                "https://h/r.git?ref=main&private-token=x and https://i?key=",
                "https://h/r.git?ref=main&private-token=*** and https://i?key=",
            ),
            ("what? token=abc", "what? token=abc"),
        ] {
            assert_eq!(clean_urls(text), expected);
            assert_eq!(hide(text), expected);
        }
    }

    #[test]
    fn d14_what_is_cut_is_hidden_first() {
        learn("d14-secret-value");
        for most in 0..40 {
            let cut = cut("before d14-secret-value after", most);
            assert!(!cut.contains("d14"), "{cut}");
        }
    }

    /// D13, D75
    #[test]
    fn a_secret_that_is_a_url_with_a_user_is_hidden_whole() {
        learn("https://u-hook@hooks.example/T1/B2/path-of-hook");
        let text =
            hide("failed to ask https://u-hook@hooks.example/T1/B2/path-of-hook, or https://u@h.example/x");
        assert_eq!(text, "failed to ask ***, or https://h.example/x");
    }

    #[test]
    fn every_form_of_a_secret_is_hidden() {
        learn("{\n  \"key\": \"d75 pä_*ss\"\n}\n");
        learn("d13_p@ss*word\n");
        let encoded = STANDARD.encode("d13_p@ss*word");
        for text in ["d13_p@ss*word", "d13_p%40ss%2Aword", encoded.as_str(), "\"key\": \"d75 pä_*ss\""] {
            assert_eq!(hide(&format!("<{text}>")), "<***>");
        }
        // A mask of one character would remove half of the log.
        assert_eq!(hide("{ }"), "{ }");
        assert_eq!(parts("{\n  \"a\": 1\n}").collect::<Vec<_>>(), ["\"a\": 1"]);
    }

    proptest! {
        #[test]
        fn d12_no_password_is_left(user in "[a-z]{1,8}", password in "[A-Za-z0-9:@!$&'()*+,;=%-]{1,20}") {
            let password = format!("d12{password}");
            for text in [format!("see http://{user}:{password}@h/x"), format!("[git://{password}@h]")] {
                prop_assert!(!hide(&text).contains("d12"), "{}", hide(&text));
            }
        }
    }
}
