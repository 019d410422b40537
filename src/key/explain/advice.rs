//! Advises which inputs would have made a miss a hit, such as "it would have been a hit with VERSION in key-ignore-args".

use std::collections::BTreeSet;

use super::Change;
use crate::key::digest::EntryKind;

/// Facts of the run that tell avoidable changes from real ones.
#[derive(Debug, Default)]
pub struct Clues {
    /// Build arguments and labels of the inputs.
    pub given: Vec<(String, String)>,
    /// Texts that stand for this run alone: its commits, its id and number.
    pub run: Vec<String>,
    /// Changed paths of the context that git does not know.
    pub untracked: BTreeSet<String>,
    /// Changed paths of the context that no instruction takes.
    pub untaken: BTreeSet<String>,
}

/// Names the inputs that would have made it a hit, as a clause. `None` if no input would have: the image's own content
/// differs.
#[must_use]
pub fn advice(changes: &[Change], clues: &Clues) -> Option<String> {
    let (mut arguments, mut labels, mut excluded) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut narrower = false;
    for change in changes {
        let name = change.name.as_str();
        match change.kind {
            EntryKind::Files if change.context.is_none() && clues.untaken.contains(name) => narrower = true,
            EntryKind::Git if change.context.is_none() => {
                // The name has git's answer after the path: `.git commit`.
                let path = name.rsplit_once(' ').map_or(name, |(path, _)| path);
                if clues.untaken.contains(&format!("{path}/")) {
                    narrower = true;
                    continue;
                }
                excluded.insert((path.to_owned(), ""));
            }
            EntryKind::BuildArg if names_the_run(name, clues) => {
                arguments.insert(name);
            }
            EntryKind::Label if value(name, clues).is_some_and(|value| is_of_the_run(value, clues)) => {
                labels.insert(format!("`{name}`"));
            }
            EntryKind::Files if change.context.is_none() && clues.untracked.contains(name) => {
                excluded.insert((name.trim_end_matches('/').to_owned(), " (not in git)"));
            }
            _ => return None,
        }
    }
    let mut cures = Vec::new();
    if narrower {
        cures.push("`key: auto`".to_owned());
    }
    if !arguments.is_empty() {
        let names = arguments.into_iter().collect::<Vec<_>>().join(", ");
        cures.push(format!("{names} in key-ignore-args"));
    }
    cures.extend(excluded.into_iter().map(|(path, why)| format!("`exclude: {path}`{why}")));
    if !labels.is_empty() {
        let names = labels.into_iter().collect::<Vec<_>>().join(", ");
        cures.push(format!("{names} in annotations instead of labels"));
    }
    (!cures.is_empty()).then(|| format!("it would have been a hit with {}", cures.join(" and ")))
}

/// The value of a build argument or label; the last of several counts.
fn value<'a>(name: &str, clues: &'a Clues) -> Option<&'a str> {
    clues.given.iter().rev().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

/// Tells whether a build argument names the run, not content: by its value, or by a name that has no other use.
fn names_the_run(name: &str, clues: &Clues) -> bool {
    let Some(value) = value(name, clues) else { return false };
    let upper = name.to_ascii_uppercase();
    let words: Vec<&str> = upper.split(['_', '-', '.']).collect();
    let has = |word: &&str| words.contains(word);
    is_of_the_run(value, clues)
        || WHOLE.contains(&upper.as_str())
        || WORDS.iter().any(has)
        || (has(&"BUILD") && ["ID", "NUMBER", "NUM", "NO", "TAG", "VERSION"].iter().any(has))
        || (has(&"RUN") && ["ID", "NUMBER", "ATTEMPT"].iter().any(has))
}

/// Names of arguments that have a version or branch of the run.
const WHOLE: [&str; 6] = ["VERSION", "APP_VERSION", "RELEASE", "RELEASE_VERSION", "GIT_TAG", "GIT_BRANCH"];
/// Words in names of arguments that have a commit or a time.
const WORDS: [&str; 9] =
    ["COMMIT", "SHA", "GITSHA", "REVISION", "VCS", "TIMESTAMP", "DATE", "DATETIME", "CREATED"];

/// Tells whether a value stands for the run: its commit, also shortened to seven digits, its id, or a time.
fn is_of_the_run(value: &str, clues: &Clues) -> bool {
    let names_run = clues.run.iter().filter(|text| !text.is_empty()).any(|text| {
        let is_commit = text.len() >= 40;
        value == text || (is_commit && text.get(..7).is_some_and(|short| value.contains(short)))
    });
    names_run || is_time(value)
}

/// Tells whether a value begins with a date of this century (`2026-11-26`, `20261126`), or is a time in seconds since 1970
/// (ten digits, from 2001 to 2033).
fn is_time(value: &str) -> bool {
    let date: String = value
        .chars()
        .take_while(|c| c.is_ascii_digit() || matches!(c, '-' | '/'))
        .filter(char::is_ascii_digit)
        .collect();
    let number =
        |range: std::ops::Range<usize>| date.get(range).and_then(|digits| digits.parse::<u32>().ok());
    let is_date = value.starts_with("20")
        && number(4..6).is_some_and(|month| (1..=12).contains(&month))
        && number(6..8).is_some_and(|day| (1..=31).contains(&day));
    let is_seconds = value.len() == 10 && value.starts_with('1') && value.bytes().all(|b| b.is_ascii_digit());
    is_date || is_seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: EntryKind, name: &str) -> Change {
        Change { kind, name: name.to_owned(), context: None, text: String::new() }
    }

    fn clues(given: &[(&str, &str)]) -> Clues {
        Clues {
            given: given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            run: vec!["0123456789012345678901234567890123456789".to_owned(), "4711".to_owned()],
            untracked: BTreeSet::from(["made.json".to_owned(), "out/".to_owned()]),
            untaken: BTreeSet::from(["docs/a".to_owned(), "sub/.git/".to_owned()]),
        }
    }

    #[test]
    fn d57_each_cause_has_its_cure() {
        use EntryKind::{BaseImage, BuildArg, Files, Git, Label};
        let given = clues(&[
            ("VERSION", "1.2.3"),
            ("PYTHON_VERSION", "3.13"),
            ("SOURCE_COMMIT", "x"),
            ("X", "4711"),
            ("Y", "v1-0123456"),
            ("WHEN", "2026-11-26T08:00:00Z"),
            ("AT", "1789000000"),
            ("PLAIN", "value"),
            ("YEAR", "2026"),
            ("team", "ci"),
            ("run", "4711"),
        ]);
        let told = |changes: &[(EntryKind, &str)]| {
            let changes: Vec<_> = changes.iter().map(|(kind, name)| change(*kind, name)).collect();
            advice(&changes, &given)
        };
        for name in ["VERSION", "SOURCE_COMMIT", "X", "Y", "WHEN", "AT"] {
            let expected = format!("it would have been a hit with {name} in key-ignore-args");
            assert_eq!(told(&[(BuildArg, name)]).as_deref(), Some(expected.as_str()));
        }
        for content in [
            (BuildArg, "PYTHON_VERSION"),
            (BuildArg, "PLAIN"),
            (BuildArg, "YEAR"),
            (BuildArg, "ABSENT"),
            (BuildArg, ""),
            (Label, "team"),
            (Files, "src/main.rs"),
            (BaseImage, "python:3"),
        ] {
            assert_eq!(told(&[content]), None, "{content:?}");
            assert_eq!(
                told(&[(BuildArg, "VERSION"), content]),
                None,
                "it would have been a miss all the same"
            );
        }
        assert_eq!(told(&[]), None);
        let narrower = told(&[(Files, "docs/a"), (Git, "sub/.git commit")]);
        assert_eq!(narrower.as_deref(), Some("it would have been a hit with `key: auto`"));
        assert_eq!(
            told(&[
                (Git, ".git commit"),
                (Git, ".git tags"),
                (BuildArg, "VERSION"),
                (Files, "made.json"),
                (Label, "run")
            ])
            .unwrap(),
            "it would have been a hit with VERSION in key-ignore-args and `exclude: .git` and `exclude: made.json` (not in git) and `run` in annotations instead of labels"
        );
    }
}
