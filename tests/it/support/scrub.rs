//! Placeholders for whatever differs between two runs of the same test.

use super::lab::Lab;

/// Paths, addresses, digests, keys, delimiters and durations replaced.
pub(crate) fn scrub(lab: &Lab, text: &str) -> String {
    let root = lab.root().display().to_string();
    let text = text.replace(&root, "[LAB]").replace(lab.registry.address(), "[REGISTRY]").replace('▇', "");
    let text = replace_runs(
        &text,
        |c| matches!(c, '0'..='9' | 'a'..='f'),
        |run| match run.len() {
            64 => Some("[64 HEX]"),
            32 => Some("[32 HEX]"),
            _ => None,
        },
    );
    let text = durations(&text);
    random_names(&text)
}

/// Replaces whole runs of such characters.
fn replace_runs(
    text: &str,
    is: impl Fn(char) -> bool,
    with: impl Fn(&str) -> Option<&'static str>,
) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(&is) {
        let end = rest[start..].find(|c| !is(c)).map_or(rest.len(), |length| start + length);
        out.push_str(&rest[..start]);
        out.push_str(with(&rest[start..end]).unwrap_or(&rest[start..end]));
        rest = &rest[end..];
    }
    out + rest
}

/// `12 ms`, `1.5 s`, `0.25s`.
fn durations(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let end = rest[start..]
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .map_or(rest.len(), |length| start + length);
        let word_before = rest[..start].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '-');
        let unit = [" ms", " s", "s"].iter().find(|unit| {
            rest[end..]
                .strip_prefix(**unit)
                .is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric()))
        });
        out.push_str(&rest[..start]);
        if let Some(unit) = unit.filter(|_| !word_before) {
            out.push_str("[TIME]");
            rest = &rest[end + unit.len()..];
        } else {
            out.push_str(&rest[start..end]);
            rest = &rest[end..];
        }
    }
    out + rest
}

/// Folders with a random end, and builders.
fn random_names(text: &str) -> String {
    let mut out = text.to_owned();
    for (prefix, inside) in [("build-once-run-", ""), ("build-once-77-1-image-", "-")] {
        let mut done = String::new();
        let mut rest = out.as_str();
        while let Some(at) = rest.find(prefix) {
            let after = &rest[at + prefix.len()..];
            let end = after
                .find(|c: char| !c.is_ascii_alphanumeric() && !inside.contains(c))
                .unwrap_or(after.len());
            done.push_str(&rest[..at + prefix.len()]);
            done.push_str("[RANDOM]");
            rest = &after[end..];
        }
        out = done + rest;
    }
    out
}
