//! The rows, and that each test they name is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub chapter: Vec<Chapter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Chapter {
    pub title: String,
    pub row: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    /// `F01`.
    pub id: String,
    /// What breaks.
    pub fault: String,
    /// The exit code, or codes with what decides between them.
    pub exit: String,
    /// What happens and what is said.
    pub then: String,
    /// Tests that break it: `it::…`, `lab::…` or `unit::…`.
    #[serde(default)]
    pub tests: Vec<String>,
    /// Why no test breaks it, or not all of it, on one machine.
    pub cannot: Option<String>,
    /// What is not built yet.
    pub not_yet: Option<String>,
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(super) fn table() -> Table {
    toml::from_str(&fs::read_to_string(root().join("tests/it/matrix/rows.toml")).unwrap()).unwrap()
}

/// Where a test's module is written, and its function.
pub(crate) fn place(test: &str) -> (PathBuf, String) {
    let mut words: Vec<&str> = test.split("::").collect();
    let function = words.pop().unwrap().to_owned();
    let folder = match words.remove(0) {
        "it" => "tests/it",
        "lab" => "tests/lab/e2e",
        "unit" => "src",
        other => panic!("{test}: {other} is no test target"),
    };
    let find = |words: &[&str]| {
        let file = PathBuf::from(folder).join(words.join("/"));
        let candidates = [file.with_extension("rs"), file.join("mod.rs")];
        candidates.into_iter().find(|path| root().join(path).exists())
    };
    // A module of unit tests may stand in the file it tests.
    let above = words.split_last().filter(|(last, _)| **last == "tests").map(|(_, above)| above);
    let file = find(&words).or_else(|| find(above?));
    (file.unwrap_or_else(|| panic!("{test}: no such module")), function)
}

/// Whether this text holds a test function of this name: one that cargo runs.
pub(crate) fn has_test(text: &str, function: &str) -> bool {
    let mut attribute = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            attribute = true;
        } else if let Some(rest) = line.strip_prefix("fn ").or_else(|| line.strip_prefix("async fn ")) {
            let name = rest.split(['(', '<']).next().unwrap();
            if name == function && attribute {
                return true;
            }
            attribute = false;
        } else if line.starts_with("#[ignore") {
            attribute = false;
        }
    }
    false
}

#[test]
fn every_row_is_there_once() {
    let rows: Vec<String> =
        table().chapter.iter().flat_map(|chapter| &chapter.row).map(|row| row.id.clone()).collect();
    let mut sorted = rows.clone();
    sorted.sort();
    let numbers = |letter: char, last: usize| (1..=last).map(move |number| format!("{letter}{number:02}"));
    let letters = [('C', 7), ('E', 13), ('F', 82), ('P', 15), ('T', 15)];
    let expected: Vec<String> =
        letters.into_iter().flat_map(|(letter, last)| numbers(letter, last)).collect();
    assert_eq!(sorted, expected);
}

#[test]
fn every_row_is_tested_or_says_why_not() {
    for row in table().chapter.iter().flat_map(|chapter| &chapter.row) {
        let id = &row.id;
        let excused = row.cannot.is_some() || row.not_yet.is_some();
        assert!(!row.tests.is_empty() || excused, "{id} has neither a test nor a reason");
        let codes: BTreeSet<&str> =
            row.exit.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty()).collect();
        let known = ["0", "2", "10", "20", "30", "40", "50", "60", "70", "130", "143"];
        assert!(codes.iter().all(|code| known.contains(code)), "{id}: exit {}", row.exit);
        assert!(!row.fault.is_empty() && !row.then.is_empty(), "{id}");
        for test in &row.tests {
            let (file, function) = place(test);
            let text = fs::read_to_string(root().join(&file))
                .unwrap_or_else(|error| panic!("{id}: {test}: {}: {error}", file.display()));
            assert!(has_test(&text, &function), "{id}: {} has no test {function}", file.display());
        }
    }
}

#[test]
fn only_real_tests_count() {
    let text = "#[test]\nfn one() {}\nfn two() {}\n#[test]\n#[ignore]\nfn three() {}\nproptest! {\n #[test]\n fn four(a in 0..1) {}\n}";
    let found: Vec<&str> =
        ["one", "two", "three", "four", "five"].into_iter().filter(|name| has_test(text, name)).collect();
    assert_eq!(found, ["one", "four"]);
}

/// A test file is compiled: its module is named by the one above.
#[test]
fn every_named_file_is_part_of_its_target() {
    let tests: BTreeSet<String> =
        table().chapter.iter().flat_map(|chapter| &chapter.row).flat_map(|row| row.tests.clone()).collect();
    for test in tests.iter().filter(|test| !test.starts_with("unit::")) {
        let words: Vec<&str> = test.split("::").collect();
        let mut folder = root().join(if words[0] == "it" { "tests/it" } else { "tests/lab/e2e" });
        let mut above = folder.join("main.rs");
        for word in &words[1..words.len() - 1] {
            let text = fs::read_to_string(&above).unwrap();
            assert!(
                text.lines().any(|line| line.trim() == format!("mod {word};")),
                "{test}: {}",
                above.display()
            );
            folder = folder.join(word);
            above = if folder.join("mod.rs").exists() {
                folder.join("mod.rs")
            } else {
                folder.with_extension("rs")
            };
        }
    }
}
