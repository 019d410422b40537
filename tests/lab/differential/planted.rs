//! Lies that are planted on purpose. A search that does not find them would not find a real one either.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::case::Case;
use super::change::Change;
use super::desk::Desk;
use super::dockerfile::{Copy, Dockerfile, Instruction, Run, Stage};
use super::report::Report;
use super::work::{Wanted, planted};

/// A program around build-once that makes it wrong in one way, and the kind of fault that must be found.
pub struct Lie {
    name: &'static str,
    script: &'static str,
    found: &'static str,
}

const DIFFERS: &str = "build: lie: the published image differs";

/// `$PROGRAM` is build-once; `run` has another image than the case's, or two cases have one key.
pub const LIES: [Lie; 4] = [
    Lie { name: "label", script: "INPUT_LABELS=planted=1 exec \"$PROGRAM\" \"$@\"", found: DIFFERS },
    Lie {
        name: "content",
        script: "if [ \"$1\" = run ]; then echo planted >>\"$INPUT_CONTEXT/a.txt\"; fi; exec \"$PROGRAM\" \"$@\"",
        found: DIFFERS,
    },
    Lie {
        name: "mode",
        script: "if [ \"$1\" = run ]; then chmod 600 \"$INPUT_CONTEXT/a.txt\"; fi; exec \"$PROGRAM\" \"$@\"",
        found: DIFFERS,
    },
    Lie {
        name: "key",
        script: "\"$PROGRAM\" \"$@\" | sed -E \"s/\\\"[0-9a-f]{64}\\\"/\\\"same\\\"/\"; \
            if [ \"$1\" = run ]; then sed -E -i \"s/^[0-9a-f]{64}\\$/same/\" \"$GITHUB_OUTPUT\"; fi",
        found: "pair: lie: one key, two images",
    },
];

/// Plants one, and says what was found of it; a fault if it was not.
pub fn plant(desk: &Desk<'_>, wanted: Wanted, lie: &Lie) -> Report {
    let program = desk.world.root.path().join(format!("lie-{}", lie.name));
    let script = lie.script.replace("$PROGRAM", &desk.world.program);
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let liar = desk.with_program(&program.display().to_string());
    let change = (lie.name == "key").then(|| Change::Content("a.txt".to_owned()));
    let seen = planted(&liar, wanted, &case(), change);
    let mut report = Report { planted: 1, seconds: seen.seconds, checks: seen.checks, ..Report::default() };
    if !seen.fault_kinds.contains_key(lie.found) {
        report.not_found(lie.name, &format!("{:?} {:?}", seen.fault_kinds, seen.faults));
    }
    report
}

fn case() -> Case {
    let copy = Copy {
        add: false,
        from: None,
        flags: Vec::new(),
        sources: vec!["a.txt".to_owned()],
        destination: "/out/".to_owned(),
        json: false,
    };
    let run = Run { mounts: Vec::new(), command: "echo made >/made".to_owned(), exec: false };
    let body = vec![Instruction::Copy(copy), Instruction::Run(run)];
    let base = "{REG}/base:1".to_owned();
    let stage = Stage { base, platform: None, name: None, body };
    let dockerfile = Dockerfile { stages: vec![stage], ..Dockerfile::default() };
    let mut case = Case { dockerfile, file: "Dockerfile".to_owned(), ..Case::default() };
    case.tree.file("a.txt", "as it is\n");
    case
}
