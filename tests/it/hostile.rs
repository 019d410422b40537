//! Hostile text of any kind, through the whole program and through each encoder, with the
//! runner's own reading as the judge. `PROPTEST_CASES` makes the properties longer.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use build_once::testing::Error;
use build_once::testing::FailureClass;
use build_once::testing::{ImageReport, Report, annotations, outputs, summary};
use build_once::testing::{encode_outputs, inert};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use serde_json::json;

use crate::support::scanner::{bare_commands, file_command, scan};
use crate::support::{CANARY, Lab};

/// Text that is mostly trouble: the runner's syntax, line ends, escapes, Markdown, HTML.
fn trouble() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\r"),
        Just("\n"),
        Just("\r\n"),
        Just("\0"),
        Just("\u{1b}[2K"),
        Just("\u{1b}]0;t\u{7}"),
        Just("\u{1b}"),
        Just("::"),
        Just(" ::"),
        Just("\u{a0}::"),
        Just("\u{2028}"),
        Just("\u{85}"),
        Just("##["),
        Just("#"),
        Just("]"),
        Just("error"),
        Just("set-output name=digest"),
        Just("stop-commands"),
        Just("add-mask"),
        Just("%0A"),
        Just("%"),
        Just("|"),
        Just("`"),
        Just("```"),
        Just("<script>"),
        Just("</details>"),
        Just("\n\n# x\n"),
        Just("\n| a | b |\n"),
        Just("[x](y)"),
        Just("@all"),
        Just("<<EOF"),
        Just("outcome=forged"),
        Just("text"),
        Just(" "),
    ];
    proptest::collection::vec(prop_oneof![4 => piece.prop_map(str::to_owned), 1 => ".{0,6}"], 0..24)
        .prop_map(|pieces| pieces.concat())
}

fn report(text: &str) -> Report {
    let image = ImageReport {
        image: text.to_owned(),
        reason: text.to_owned(),
        changes: vec![text.to_owned(), text.to_owned()],
        tag: Some(text.to_owned()),
        tags: vec![format!("h/r:{text}")],
        local_image: Some(text.to_owned()),
        key: Some(text.to_owned()),
        degraded: Some(text.to_owned()),
        notices: vec![text.to_owned()],
        ..ImageReport::default()
    };
    let mut report = Report {
        images: vec![image],
        zone: Some(("pr", text.to_owned())),
        repository: Some(text.to_owned()),
        ..Report::default()
    };
    report.fail(
        Error::new(FailureClass::Build, format!("failed {text}"))
            .cause(text)
            .hint(text)
            .at(text.to_owned(), 3),
    );
    report
}

/// Rows of tables with their number of cells, and lines that begin a block.
fn shape(markdown: &str) -> Vec<(char, usize)> {
    let lines = markdown.lines().filter(|line| !line.is_empty());
    lines.map(|line| (line.chars().next().unwrap(), line.matches('|').count())).collect()
}

proptest! {
    #[test]
    fn a_log_line_is_obeyed_by_nobody(text in trouble(), bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let text = text.as_bytes();
        for bytes in [text.to_vec(), [text, &bytes].concat(), [&bytes, text].concat()] {
            let clean = inert(&bytes);
            let broken = clean.contains(['\r', '\n', '\0', '\u{1b}']);
            prop_assert!(!broken);
            prop_assert_eq!(bare_commands(&clean), vec![]);
            let behind = format!("#7 0.1 {clean}");
            prop_assert_eq!(bare_commands(&behind), vec![]);
        }
    }

    #[test]
    fn an_output_is_what_was_written(text in trouble(), other in trouble()) {
        let given = [("reason", text), ("tag", other)];
        let expected: Vec<_> = given.iter().map(|(name, text)| ((*name).to_owned(), text.replace('\r', ""))).collect();
        prop_assert_eq!(file_command(&encode_outputs(&given).unwrap()), Ok(expected));
    }

    #[test]
    fn an_annotation_is_one_command(text in trouble()) {
        let report = report(&text);
        for annotation in annotations(&report) {
            let obeyed = scan(&annotation.to_command()).commands;
            prop_assert_eq!(obeyed.len(), 1, "{:?}", obeyed);
            prop_assert_eq!(&obeyed[0].name, &annotation.level.to_string());
            prop_assert_eq!(bare_commands(&annotation.to_command()).len(), 1);
        }
    }

    #[test]
    fn a_report_has_its_outputs_and_no_more(text in trouble()) {
        let all = outputs(&report(&text));
        let read = file_command(&encode_outputs(&all).unwrap()).unwrap();
        prop_assert_eq!(read.len(), all.len());
        let same = read.iter().zip(&all).all(|(read, (name, _))| read.0 == *name);
        prop_assert!(same);
        let get = |name: &str| read.iter().find(|(known, _)| known == name).unwrap().1.as_str();
        prop_assert_eq!((get("outcome"), get("digest"), get("failure-class")), ("failed", "", "build"));
    }

    /// The same rows, cells and blocks as with a harmless word, and no HTML but our own.
    #[test]
    fn a_summary_keeps_its_form(text in trouble()) {
        prop_assume!(!text.trim().is_empty() && !inert(text.as_bytes()).trim().is_empty());
        let forged = summary(&report(&text));
        // Fields that hold nothing visible drop their row; these hold the same each.
        prop_assert_eq!(shape(&forged), shape(&summary(&report("word"))), "{}", forged);
        for tag in ["<script", "</details>\n#", "@all", "[x](y)"] {
            prop_assert!(!forged.contains(tag), "{}", forged);
        }
    }
}

/// Two thousand lines of trouble from one step, and the rest of the step is as ever: what
/// comes after the bracket is obeyed, masks too.
#[test]
fn a_step_full_of_trouble() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let lines: Vec<String> = (0..2000).map(|_| trouble().new_tree(&mut runner).unwrap().current()).collect();
    let vertex = json!({"vertexes": [{"digest": "sha256:aa", "name": "[2/2] RUN x", "started": "2026-01-01T00:00:00Z"}]});
    let mut progress = format!("{vertex}\n");
    for piece in lines.chunks(40) {
        let mut bytes = piece.join("\n").into_bytes();
        bytes.extend_from_slice(b"\xff\xfe\xc3");
        let log = json!({"logs": [{"vertex": "sha256:aa", "data": STANDARD.encode(bytes), "timestamp": "2026-01-01T00:00:00Z"}]});
        writeln!(progress, "{log}").unwrap();
    }
    progress += "::error::buildx itself\r::stop-commands::x\n##[error]too\n";
    let lab = Lab::new();
    lab.set("progress", progress);
    let run = lab.shared().input("secrets", &format!("a={CANARY}")).run().succeeds("built");
    let names: Vec<&str> = run.log.commands.iter().map(|command| command.name.as_str()).collect();
    assert_eq!(names, ["add-mask", "group", "stop-commands", "endgroup"], "{}", run.stdout);
    assert_eq!(bare_commands(&run.stdout).len(), 5, "outside the bracket nothing would be obeyed either");
}
