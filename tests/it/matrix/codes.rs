//! That a row's exit codes are those its tests assert: read from their source, because nothing
//! else ties a number in a table to a number in a test.

use std::collections::BTreeSet;
use std::fs;

use super::table::{Row, place, root, table};

/// Rows that no test of a whole run asserts the exit of, and why.
const EXCEPT: [(&str, &str); 1] =
    [("F48", "the delimiter is drawn by one function, and its clash cannot be brought about from outside")];

/// A test's text, with that of the functions of its file that it calls, on one line.
fn source(test: &str) -> String {
    let (file, function) = place(test);
    let whole = fs::read_to_string(root().join(file)).unwrap();
    let bodies: Vec<(&str, &str)> =
        whole.split("\nfn ").flat_map(|part| part.split(" fn ")).map(named).collect();
    let body = |name: &str| bodies.iter().find(|(known, _)| *known == name).map(|(_, body)| *body);
    let own = body(&function).unwrap_or_else(|| panic!("{test}: no such function"));
    let is_called = |name: &str| own.contains(&format!("{name}("));
    let called = bodies.iter().filter(|(name, _)| *name != function && is_called(name));
    let all: Vec<&str> = std::iter::once(own).chain(called.map(|(_, body)| *body)).collect();
    all.join(" ").split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(")
}

/// A function's name and its text, to the attribute of the next one.
fn named(part: &str) -> (&str, &str) {
    let name = part.split(['(', '<']).next().unwrap_or_default();
    (name, part.split("#[test]").next().unwrap_or_default())
}

/// Whether this text says that a run ends with this code.
fn asserts(source: &str, code: &str) -> bool {
    if code == "0" {
        let well =
            [".succeeds(", ".is(\"", ".degraded()", ".assert_path(", "code, 0", "Some(0)", "(0, ", "&[0, "];
        return well.iter().any(|word| source.contains(word));
    }
    let mut said = vec![
        format!("fails({code},"),
        format!("failed({code},"),
        format!("code, {code}"),
        format!("{{ {code} }}"),
        format!("&[2, {code}]"),
        format!("&[0, {code}]"),
    ];
    // Smaller numbers count other things too.
    if !["2", "10"].contains(&code) {
        said.push(format!("({code}, \""));
        said.push(format!(", {code})"));
        said.push(format!(", {code}, "));
    }
    said.iter().any(|said| source.contains(said))
}

fn codes(row: &Row) -> BTreeSet<&str> {
    row.exit.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty()).collect()
}

#[test]
fn every_code_of_a_row_is_asserted_by_one_of_its_tests() {
    let mut without = Vec::new();
    for row in table().chapter.iter().flat_map(|chapter| &chapter.row) {
        let sources: Vec<String> =
            row.tests.iter().filter(|test| !test.starts_with("unit::")).map(|test| source(test)).collect();
        let missing: Vec<&str> =
            codes(row).into_iter().filter(|code| !sources.iter().any(|text| asserts(text, code))).collect();
        let excepted = EXCEPT.iter().any(|(id, _)| *id == row.id);
        if missing.is_empty() == excepted {
            without.push(format!("{}: {missing:?}", row.id));
        }
    }
    assert!(
        without.is_empty(),
        "no test named there ends so, or an exception is none any more: {without:#?}"
    );
}

#[test]
fn another_code_in_the_table_would_be_noticed() {
    let text = source("it::reactions::a_builder_that_ran_out_of_memory_is_not_tried_again");
    let known = ["0", "2", "10", "20", "30", "40", "50", "60", "70", "130", "143"];
    let found: Vec<&str> = known.into_iter().filter(|code| asserts(&text, code)).collect();
    assert_eq!(found, ["50"], "{text}");
    // By a function that it calls.
    let text = source("it::cancel::during_the_build");
    assert!(asserts(&text, "130") && asserts(&text, "143") && !asserts(&text, "30"), "{text}");
}
