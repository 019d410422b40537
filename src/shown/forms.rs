//! Finds secrets in the forms that the runner masks (actions/runner, `ValueEncoders`), and in JSON as Go writes it.
//!
//! A form is found wherever it stands. Inside base64 a secret has one of three encodings, by its offset in the encoded
//! text, and its neighbours share characters with it, so there the whole word is hidden.

use std::collections::BTreeMap;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;

/// Characters of the shortest base64 that is searched inside a longer word: shorter ones are found by chance.
const SHORTEST_WORD: usize = 8;

/// Bytes of a form's start, by which the forms are indexed; no form is shorter.
const START: usize = super::SHORTEST_SECRET;

/// What is hidden where a form is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Hides {
    #[default]
    Form,
    /// The base64 word around it.
    Word,
}

/// The forms of all secrets, by their first bytes.
pub(super) struct Known(BTreeMap<[u8; START], BTreeMap<String, Hides>>);

impl Known {
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(super) fn add(&mut self, secret: &str) {
        let written = written_forms(secret).into_iter().map(|form| (form, Hides::Form));
        let encoded = inside_base64(secret).into_iter().map(|form| (form, Hides::Word));
        for (form, hides) in written.chain(encoded) {
            if let Some(start) = form.as_bytes().first_chunk() {
                let known = self.0.entry(*start).or_default().entry(form).or_default();
                *known = hides.max(*known);
            }
        }
    }

    /// Finds secrets in the text: ranges in order, without overlaps.
    pub(super) fn find(&self, text: &str) -> Vec<Range<usize>> {
        // `hidden_to`: the end of the last place.
        let (mut places, mut hidden_to) = (Vec::new(), 0);
        if self.0.is_empty() {
            return places;
        }
        for (at, start) in text.as_bytes().windows(START).enumerate() {
            let Some(forms) = <&[u8; START]>::try_from(start).ok().and_then(|start| self.0.get(start)) else {
                continue;
            };
            let rest = &text.as_bytes()[at..];
            for (form, hides) in forms.iter().filter(|(form, _)| rest.starts_with(form.as_bytes())) {
                let place = at..at + form.len();
                // A word with several secrets is searched once.
                if place.end > hidden_to {
                    let place = match hides {
                        Hides::Form => place,
                        Hides::Word => word(text, place),
                    };
                    hidden_to = hidden_to.max(place.end);
                    places.push(place);
                }
            }
        }
        places.sort_by_key(|place| (place.start, place.end));
        places.dedup_by(|next, before| {
            let joins = next.start <= before.end;
            if joins {
                before.end = before.end.max(next.end);
            }
            joins
        });
        places
    }
}

/// Writes the secret as a command line, an expression, JSON, a URL, XML and base64 do.
fn written_forms(secret: &str) -> Vec<String> {
    let json = Value::from(secret).to_string();
    let json = &json[1..json.len() - 1];
    let go = json.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
    let xml = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&apos;")];
    let xml = xml.iter().fold(secret.to_owned(), |text, (plain, written)| text.replace(plain, written));
    // The runner's `TrimDoubleQuotes`: the text inside quotes, of secrets with more than 8 characters.
    let quoted = secret.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let unquoted = quoted.filter(|_| secret.len() > 8).unwrap_or(secret);
    vec![
        secret.to_owned(),
        secret.replace('"', "\\\""),
        secret.replace('\'', "''"),
        json.to_owned(),
        go,
        percent(secret),
        xml,
        unquoted.to_owned(),
        STANDARD.encode(secret),
    ]
}

/// Encodes the secret's whole groups of three bytes for each of the three offsets it can have in a longer text.
fn inside_base64(secret: &str) -> Vec<String> {
    let mut found = Vec::new();
    for skipped in 0..3 {
        let rest = secret.as_bytes().get(skipped..).unwrap_or_default();
        let whole = &rest[..rest.len() / 3 * 3];
        found.extend([STANDARD_NO_PAD.encode(whole), URL_SAFE_NO_PAD.encode(whole)]);
    }
    found.retain(|text| text.len() >= SHORTEST_WORD);
    found
}

/// Widens a range to the base64 word around it.
fn word(text: &str, place: Range<usize>) -> Range<usize> {
    let of_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_' | '=');
    let start = text[..place.start].trim_end_matches(of_base64).len();
    let rest = &text[place.end..];
    let end = text.len() - rest.trim_start_matches(of_base64).len();
    start..end
}

/// Encodes a text for a URL's query or user.
fn percent(text: &str) -> String {
    let byte = |b: u8| match b {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(known: &Known, text: &str) -> String {
        let mut text = text.to_owned();
        known.find(&text).into_iter().rev().for_each(|place| text.replace_range(place, "***"));
        text
    }

    #[test]
    fn d37_a_secret_inside_base64_is_hidden_at_each_offset() {
        let mut known = Known::new();
        known.add("d37_p@ss*word>?");
        for before in ["", "a", "ann:", "user:"] {
            for after in ["", "\n", "xy"] {
                let basic = STANDARD.encode(format!("{before}d37_p@ss*word>?{after}"));
                assert_eq!(hidden(&known, &format!("Basic {basic}, more")), "Basic ***, more");
            }
        }
        // A short one would hide words that have nothing to do with it.
        let mut short = Known::new();
        short.add("main");
        assert_eq!(hidden(&short, "bWFpbmx5 bWFpbg=="), "bWFpbmx5 ***");
    }

    #[test]
    fn d37_places_that_overlap_are_one() {
        let mut known = Known::new();
        known.add("abcdefgh");
        known.add("efghijkl");
        assert_eq!(hidden(&known, "<abcdefghijkl> abcdefgh"), "<***> ***");
    }

    /// A secret's file may have thousands of lines; each place of a line of the log costs one look all the same.
    #[test]
    fn d37_many_lines_cost_one_pass() {
        let mut known = Known::new();
        for at in 0..8000 {
            known.add(&format!("{at}-line-of-a-file-with-a-secret-in-it"));
        }
        known.add(&"x".repeat(500 * 1024));
        let text = "a line of the log that says nothing of it ".repeat(20_000);
        assert!(known.find(&text).is_empty());
    }
}
