//! Each paragraph, item and row that says never, always, only, must or refused names the test that shows it, or says that
//! it is advice: what people, GitHub, AWS or docker do.

use std::fs;

use super::page::{Block, blocks, named, pages, read};
use crate::matrix::table::{has_test, place, root};

const WORDS: [&str; 5] = ["never", "always", "only", "must", "refused"];

/// Made by tests of their own, as a whole.
const GENERATED: [&str; 1] = ["docs/faults.md"];

fn promises(text: &str) -> bool {
    let plain = text.split("<!--").next().unwrap().to_lowercase();
    plain.split(|c: char| !c.is_alphanumeric()).any(|word| WORDS.contains(&word))
}

#[track_caller]
fn is_there(page: &str, test: &str) {
    if test.starts_with("tests/") {
        assert!(root().join(test).exists(), "{page} names {test}");
        return;
    }
    let (file, function) = place(test);
    let source = fs::read_to_string(root().join(&file)).unwrap();
    assert!(has_test(&source, &function), "{page}: {} has no test {function}", file.display());
}

#[test]
fn each_promise_names_its_test() {
    let mut bare = Vec::new();
    for page in pages().into_iter().filter(|page| !GENERATED.contains(&page.as_str())) {
        for block in blocks(&read(&page)) {
            let (text, tied) = match &block {
                Block::Text(text) => (text, !promises(text)),
                Block::Row(text, table) => (text, table.is_some()),
            };
            if !tied && named(text, "test").is_empty() && !text.contains("<!-- advice -->") {
                bare.push(format!("{page}: {text}"));
            }
        }
    }
    assert!(bare.is_empty(), "without a test:\n{}", bare.join("\n"));
}

#[test]
fn each_test_that_a_page_names_is_there() {
    let mut count = 0;
    for page in pages() {
        let text = read(&page);
        for test in named(&text, "test").into_iter().chain(named(&text, "table")) {
            is_there(&page, &test);
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn a_page_is_read_as_it_is_meant() {
    let text = "# A\n\nIt never\ndoes. <!-- test: it::a::b, it::c -->\n- one\n- two, always\n\n```\nmust\n```\n\n<!-- table: it::t -->\n| a |\n| --- |\n| x |\n\n## B\n\n| a |\n| --- |\n| y |\n";
    let found: Vec<String> = blocks(text)
        .into_iter()
        .map(|block| match block {
            Block::Text(text) => text,
            Block::Row(text, table) => format!("{text} {table:?}"),
        })
        .collect();
    let row = |name: &str, table: &str| format!("| {name} | {table}");
    let expected = [
        "It never does. <!-- test: it::a::b, it::c --> ".to_owned(),
        "- one ".into(),
        "- two, always ".into(),
    ];
    assert_eq!(found[..3], expected);
    assert_eq!(found[3..], [row("x", "Some(\"it::t\")"), row("y", "None")]);
    assert_eq!(named(text, "test"), ["it::a::b", "it::c"]);
    assert!(promises(&found[0]) && !promises(&found[1]) && promises(&found[2]));
}
