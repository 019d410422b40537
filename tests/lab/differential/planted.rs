//! Lies that are planted on purpose. A search that does not find them would not find a real one either.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::case::Case;
use super::change::Change;
use super::desk::Desk;
use super::dockerfile::{Copy, Dockerfile, Instruction, Run, Stage};
use super::family::{Family, Link, Member};
use super::report::Report;
use super::several::{Chain, ChainOrder, Findings, PlatformOrder, Platforms, Subject};
use super::work::{Wanted, planted};

/// A program around build-once that makes it wrong in one way, and the kind of fault that must be found.
pub struct Lie {
    name: &'static str,
    asks: Asks,
    script: &'static str,
    found: &'static str,
}

/// What the program is asked.
enum Asks {
    /// One case.
    Case,
    /// One case, and the same with another content.
    Pair,
    /// An image and one that is built on it, then the same with another content of the first one, or unchanged.
    Chain { changed: bool },
    /// An image for one platform, then for both.
    Platforms,
}

const DIFFERS: &str = "build: lie: the published image differs";

/// `$PROGRAM` is build-once; `run` has another image than the case's, or says what is not so.
pub const LIES: [Lie; 8] = [
    Lie {
        name: "label",
        asks: Asks::Case,
        script: "INPUT_LABELS=planted=1 exec \"$PROGRAM\" \"$@\"",
        found: DIFFERS,
    },
    Lie {
        name: "content",
        asks: Asks::Case,
        script: "if [ \"$1\" = run ]; then echo planted >>\"$INPUT_CONTEXT/a.txt\"; fi; exec \"$PROGRAM\" \"$@\"",
        found: DIFFERS,
    },
    Lie {
        name: "mode",
        asks: Asks::Case,
        script: "if [ \"$1\" = run ]; then chmod 600 \"$INPUT_CONTEXT/a.txt\"; fi; exec \"$PROGRAM\" \"$@\"",
        found: DIFFERS,
    },
    Lie {
        name: "key",
        asks: Asks::Pair,
        script: "\"$PROGRAM\" \"$@\" | sed -E \"s/\\\"[0-9a-f]{64}\\\"/\\\"same\\\"/\"; \
            if [ \"$1\" = run ]; then sed -E -i \"s/^[0-9a-f]{64}\\$/same/\" \"$GITHUB_OUTPUT\"; fi",
        found: "pair: lie: one key, two images",
    },
    // The first parent that was published is that of all later runs: its key is nowhere in the child's.
    Lie {
        name: "parent",
        asks: Asks::Chain { changed: true },
        script: "if [ -f \"$0.on\" ]; then sed -i \"s|target:one|docker-image://$(cat \"$0.on\")|\" \"$INPUT_BAKE\"; fi; \
            \"$PROGRAM\" \"$@\"; code=$?; \
            [ -f \"$0.on\" ] || sed -E -n 's/.*\"reference\":\"([^\"]*)\".*/\\1/p' \"$GITHUB_OUTPUT\" >\"$0.on\"; exit $code",
        found: "changed: lie: a child has one key on two parents",
    },
    Lie {
        name: "built again",
        asks: Asks::Chain { changed: false },
        script: "INPUT_REBUILD=true exec \"$PROGRAM\" \"$@\"",
        found: "all: lie: built although it is there",
    },
    // Of two images that are there each has the other one's digest.
    Lie {
        name: "another image",
        asks: Asks::Chain { changed: false },
        script: "\"$PROGRAM\" \"$@\"; code=$?; grep -q '\"built\":true' \"$GITHUB_OUTPUT\" || sed -E -i \
            's/^(\\{.*\"digest\":\")(sha256:[0-9a-f]*)(.*\"digest\":\")(sha256:[0-9a-f]*)/\\1\\4\\3\\2/' \"$GITHUB_OUTPUT\"; exit $code",
        found: "changed: lie: a hit of another image",
    },
    Lie {
        name: "platform",
        asks: Asks::Platforms,
        script: "case $INPUT_PLATFORMS in *,*) INPUT_PLATFORMS=${INPUT_PLATFORMS%,*} ;; esac; exec \"$PROGRAM\" \"$@\"",
        found: "the other one too: lie: the published image differs",
    },
];

/// Plants one, and says what was found of it; a fault if it was not.
pub fn plant(desk: &Desk<'_>, wanted: Wanted, lie: &Lie) -> Report {
    let program = desk.world.root.path().join(format!("lie-{}", lie.name.replace(' ', "-")));
    let script = lie.script.replace("$PROGRAM", &desk.world.program);
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let liar = desk.with_program(&program.display().to_string());
    let content = || Change::Content("a.txt".to_owned());
    let seen = match &lie.asks {
        Asks::Case => planted(&liar, wanted, &case(), None),
        Asks::Pair => planted(&liar, wanted, &case(), Some(content())),
        Asks::Chain { changed } => {
            let edit = changed.then(|| ("one", content()));
            runs(&liar, &Chain { family: family(), edit, order: ChainOrder::Some, load: false })
        }
        Asks::Platforms => {
            runs(&liar, &Platforms { case: case(), edit: None, order: PlatformOrder::Half(0) })
        }
    };
    let mut report = Report { planted: 1, seconds: seen.seconds, checks: seen.checks, ..Report::default() };
    if !seen.fault_kinds.contains_key(lie.found) {
        report.not_found(lie.name, &format!("{:?} {:?}", seen.fault_kinds, seen.faults));
    }
    report
}

/// What the runs of a subject show.
fn runs<S: Subject>(liar: &Desk<'_>, subject: &S) -> Report {
    let Findings { faults, .. } = subject.run(liar, &subject.build(liar));
    let mut report = Report::default();
    for (what, fault) in faults {
        report.fault(0, 0, what, &fault, "");
    }
    report
}

/// An image, and one on it.
fn family() -> Family {
    let (one, mut two) = (case(), case());
    "parent".clone_into(&mut two.dockerfile.stages[0].base);
    let link = Link { on: "one", context: "parent".to_owned() };
    let member = |name, case, link| Member { name, case, link };
    Family { members: vec![member("one", one, None), member("two", two, Some(link))] }
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
