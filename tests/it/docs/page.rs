//! A page in Markdown, as blocks: paragraphs, items of lists, tables.

use std::fs;

use crate::matrix::table::root;

/// One block of a page, with what its comments name.
pub(super) enum Block {
    /// A paragraph or an item of a list, on one line.
    Text(String),
    /// A row of a table, not its head; and the test that the whole table is tied to.
    Row(String, Option<String>),
}

pub(super) fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap()
}

/// Every page that makes promises to users.
pub(super) fn pages() -> Vec<String> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let docs = docs.map(|name| format!("docs/{}", name.to_str().unwrap()));
    let mut pages: Vec<String> = docs.filter(|page| root().join(page).is_file()).collect();
    pages.extend(["README.md", "SECURITY.md"].map(str::to_owned));
    pages.sort();
    pages
}

/// What `<!-- KIND: A, B -->` names in this text.
pub(super) fn named(text: &str, kind: &str) -> Vec<String> {
    let begin = format!("<!-- {kind}: ");
    let comments = text.split(begin.as_str()).skip(1).filter_map(|rest| rest.split_once(" -->"));
    comments.flat_map(|(names, _)| names.split(", ").map(str::to_owned)).collect()
}

fn is_item(line: &str) -> bool {
    let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    line.starts_with("- ") || (number.len() < line.len() && number.starts_with(". "))
}

/// A `<!-- table: TEST -->` holds for the tables after it, until the next one or the next chapter.
pub(super) fn blocks(text: &str) -> Vec<Block> {
    let (mut blocks, mut text_of) = (Vec::new(), String::new());
    let (mut code, mut table, mut rows) = (false, None, 0);
    let flush = |text: &mut String, blocks: &mut Vec<Block>| {
        if !text.is_empty() {
            blocks.push(Block::Text(std::mem::take(text)));
        }
    };
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("```") {
            code = !code;
        }
        if code || line.starts_with("```") {
            continue;
        }
        // A comment that names tests belongs to what it follows, on a line of its own too.
        let names = line.starts_with("<!-- test: ") || line == "<!-- advice -->";
        if names && !text_of.is_empty() {
            text_of.push_str(line);
            continue;
        }
        let is_row = line.starts_with('|');
        rows = if is_row { rows + 1 } else { 0 };
        if line.is_empty() || line.starts_with('#') || line.starts_with("<!--") || is_row || is_item(line) {
            flush(&mut text_of, &mut blocks);
        }
        if line.starts_with("## ") {
            table = None;
        } else if let Some(test) = named(line, "table").first().filter(|_| line.starts_with("<!--")) {
            table = Some(test.clone());
        } else if is_row {
            // The head, and the line below it.
            if rows > 2 {
                blocks.push(Block::Row(line.to_owned(), table.clone()));
            }
        } else if !line.starts_with('#') && !line.starts_with("<!--") && !line.is_empty() {
            text_of.push_str(line);
            text_of.push(' ');
        }
    }
    flush(&mut text_of, &mut blocks);
    blocks
}

/// The cells of the rows of the table under this head.
pub(crate) fn rows(page: &str, head: &str) -> Vec<Vec<String>> {
    let text = read(page);
    let (_, rest) = text.split_once(head).unwrap_or_else(|| panic!("{page} has no table `{head}`"));
    let rows = rest.lines().skip(1).take_while(|line| line.starts_with('|'));
    let cell = |cell: &str| cell.split("<!--").next().unwrap().trim().replace('\u{0}', "|");
    rows.map(|row| {
        let row = row.replace("\\|", "\u{0}");
        row.trim_matches('|').split('|').map(cell).collect()
    })
    .collect()
}
