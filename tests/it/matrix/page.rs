//! `docs/faults.md`, made from the table.

use std::fmt::Write as _;
use std::fs;

use super::table::{Row, place, root, table};

const HEAD: &str = "\
# Faults

This page says for each fault what happens and which test shows it. Each fault ends in one of two ways: the run
survives it, or an error names the cause and the remedy; and the next run works. The page is made from
`tests/it/matrix/rows.toml`, the table that the tests are tied to.

[inputs.md](inputs.md#exit-codes) explains the exit codes, [troubleshooting](troubleshooting.md) the messages, and
[SECURITY.md](../SECURITY.md) says who is protected against whom.

Every test of a run checks this too, whatever broke: no child process is left, the private docker
configuration is gone, every declared output has a value that the runner reads as it was meant, the runner obeys no
command but the program's own, every group of the log is closed, and no test secret is in the log, the outputs, the
summary, temporary files, or any child's arguments.

- **real**: on a real engine, registry and AWS emulator (`tests/lab/e2e`), faults made by a gateway before them.
- **stand-in**: the program against a docker, a registry and AWS services that misbehave on order (`tests/it`).
- **unit**: the one function that decides it (`src`).
";

fn kind(test: &str) -> &'static str {
    match test.split("::").next() {
        Some("lab") => "real",
        Some("it") => "stand-in",
        _ => "unit",
    }
}

fn result(row: &Row) -> String {
    let links = row.tests.iter().map(|test| {
        let (file, function) = place(test);
        format!("{}: [`{function}`](../{})", kind(test), file.display())
    });
    let cannot = row.cannot.iter().map(|why| format!("not on one machine: {why}"));
    let not_yet = row.not_yet.iter().map(|why| format!("**not yet**: {why}"));
    links.chain(cannot).chain(not_yet).collect::<Vec<_>>().join("<br>")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for chapter in table().chapter {
        writeln!(
            page,
            "\n## {}\n\n| | fault | exit | what happens | shown by |\n| --- | --- | --- | --- | --- |",
            chapter.title
        )
        .unwrap();
        for row in &chapter.row {
            let cells = [&row.id, &row.fault, &row.exit, &row.then, &result(row)].map(|text| cell(text));
            writeln!(page, "| {} |", cells.join(" | ")).unwrap();
        }
    }
    page
}

#[test]
fn the_page_is_as_the_table_says() {
    let path = root().join("docs/faults.md");
    let (page, found) = (page(), fs::read_to_string(&path).unwrap_or_default());
    // What the soak measured stands below, and is written by it.
    let figures = found.find("<!-- soak -->").map_or("", |at| &found[at..]);
    if std::env::var_os("BUILD_ONCE_UPDATE").is_some() {
        fs::write(&path, page + figures).unwrap();
    } else {
        let written = found.strip_suffix(figures).unwrap();
        assert!(
            written == page,
            "docs/faults.md is behind: run BUILD_ONCE_UPDATE=1 cargo test --test it matrix"
        );
        for run in ["kills", "kills-real", "races", "log", "properties", "fuzz"] {
            assert!(figures.contains(&format!("| {run} | held |")), "no figures: tests/lab/soak --write");
        }
    }
}
