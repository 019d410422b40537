//! Foreign text in the log: printed, and obeyed by nobody.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::{Lab, bare_commands};

/// Ways to make the runner obey.
const TRICKS: [&str; 16] = [
    "::set-output name=digest::sha256:evil",
    "  \t::add-path::/evil",
    "##[set-output name=outcome;]evil",
    "ok ##[error]evil",
    "quiet\r::error::evil",
    "\u{1b}[2K::warning::evil",
    "\u{1b}]0;title\u{7}::notice::evil",
    "\u{0}::stop-commands::evil",
    "::stop-commands::evil",
    "::endgroup::",
    "::::",
    "###[command]evil",
    "\u{85}::error::evil",
    "\u{2028}::error::evil",
    "\u{feff}::error::evil",
    "::add-mask::a",
];

fn names(commands: &[crate::support::Command]) -> Vec<&str> {
    commands.iter().map(|command| command.name.as_str()).collect()
}

fn from_a_step(text: &str) -> String {
    let vertex = json!({"vertexes": [{"digest": "sha256:aa", "name": "[2/2] RUN x", "started": "2026-01-01T00:00:00Z"}]});
    let log = json!({"logs": [{"vertex": "sha256:aa", "data": STANDARD.encode(text), "timestamp": "2026-01-01T00:00:00Z"}]});
    format!("{vertex}\n{log}\n")
}

#[test]
fn of_a_builds_step() {
    let lab = Lab::new();
    lab.set("progress", from_a_step(&TRICKS.join("\n")));
    let run = lab.shared().run().succeeds("built");
    // Inside its bracket nothing is obeyed; outside it nothing would be either.
    assert_eq!(names(&run.log.commands), ["group", "stop-commands", "endgroup"], "{}", run.stdout);
    let bracket = &run.log.commands[1].message;
    let told = bare_commands(&run.stdout);
    assert_eq!(names(&told), ["group", "stop-commands", bracket, "endgroup"], "{}", run.stdout);
    assert_eq!(
        run.stdout.matches("evil").count(),
        TRICKS.iter().filter(|trick| trick.contains("evil")).count(),
        "it is shown"
    );
    assert!(bracket.len() >= 32, "nobody guesses the bracket: {bracket}");
}

#[test]
fn of_buildx_itself() {
    for stream in ["stderr", "stdout"] {
        let lab = Lab::new();
        lab.rule("buildx build", json!({stream: TRICKS.join("\n")}));
        let run = lab.shared().run().succeeds("built");
        let told = bare_commands(&run.stdout);
        assert_eq!(
            names(&told),
            ["group", "stop-commands", &run.log.commands[1].message, "endgroup"],
            "{}",
            run.stdout
        );
    }
}

#[test]
fn of_names_steps_and_warnings() {
    let lab = Lab::new();
    let mut progress = String::new();
    for (at, trick) in TRICKS.iter().enumerate() {
        let vertex = json!({"vertexes": [{"digest": format!("sha256:{at}"), "name": trick, "started": "2026-01-01T00:00:00Z",
            "completed": "2026-01-01T00:00:01Z", "error": trick}], "warnings": [{"vertex": "x", "short": STANDARD.encode(trick)}]});
        progress += &vertex.to_string();
        progress += "\n";
    }
    lab.set("progress", progress);
    let run = lab.shared().run().succeeds("built");
    assert_eq!(bare_commands(&run.stdout).len(), 4, "{}", run.stdout);
}

#[test]
fn of_a_failure() {
    for trick in TRICKS {
        let lab = Lab::new();
        lab.rule(
            "buildx build",
            json!({"stderr": format!("{}ERROR: {trick}\n", from_a_step(trick)), "exit": 1}),
        );
        let run = lab.shared().run();
        assert_ne!(run.code, 0);
        let told = names(&run.log.commands);
        assert_eq!(told, ["group", "stop-commands", "endgroup", "error"], "{trick:?}: {}", run.stdout);
        // The annotation is one command on one line.
        assert_eq!(bare_commands(&run.stdout).len(), 5, "{trick:?}: {}", run.stdout);
        assert!(
            !run.summary.contains("<script") && run.summary.lines().all(|line| !line.starts_with("::")),
            "{}",
            run.summary
        );
    }
}

#[test]
fn of_the_registry() {
    for trick in ["::error::evil", "x ##[error]evil", "a\r\n::error::evil"] {
        let lab = Lab::new();
        lab.registry.fault("/manifests/", 9, crate::support::Response::error(403, "DENIED", trick));
        let run = lab.shared().run().succeeds("built-local").degraded();
        let told = names(&run.log.commands);
        assert_eq!(
            told,
            ["group", "stop-commands", "endgroup", "warning", "notice"][..told.len()],
            "{}",
            run.stdout
        );
        assert!(!run.output("reason").contains('\n'));
    }
}

#[test]
fn of_inputs_and_refs() {
    let lab = Lab::new();
    let branch = "x\u{20}##[error]evil";
    let run = lab
        .shared()
        .push_to(branch)
        .env("BUILD_ONCE_EXTRA_ARGS", "--label '##[error]evil'")
        .run()
        .succeeds("built");
    assert!(!names(&run.log.commands).contains(&"error"), "{}", run.stdout);
    let run = lab.build_once().input("mode", "##[error]evil\r::error::evil").run().fails(2, "input");
    assert_eq!(run.commands("error").len(), 1);
}

#[test]
fn plain_style_has_brackets_and_no_folds() {
    let lab = Lab::new();
    let run = lab.shared().input("log", "plain").run().succeeds("built");
    assert_eq!(names(&run.log.commands), ["stop-commands"], "{}", run.stdout);
}

#[test]
fn outputs_survive_any_text() {
    let lab = Lab::new();
    let text = "name<<EOF\nx\nEOF\noutcome=evil";
    lab.rule("buildx build", json!({"stderr": format!("ERROR: {}\n", text.replace('\n', "\r")), "exit": 1}));
    let run = lab.shared().run();
    assert_eq!(run.output("outcome"), "failed");
    assert_ne!(run.code, 0);
}

// D36
#[test]
fn d36_the_runners_debug_log_says_what_was_run_and_asked() {
    let lab = Lab::new();
    let debug = |run: &crate::support::Run| {
        run.commands("debug").iter().map(|one| one.message.clone()).collect::<Vec<_>>()
    };
    let quiet = lab.shared().run().succeeds("built");
    assert!(debug(&quiet).is_empty(), "{:?}", debug(&quiet));
    lab.another_machine();
    let secret = "d36-secret-value";
    let run = lab.shared().input("secrets", &format!("one={secret}")).input("rebuild", "true");
    let run = run.env("RUNNER_DEBUG", "1").run().succeeds("built");
    let lines = debug(&run);
    for what in ["docker info ", "HEAD http", "PUT http", " took 0."] {
        assert!(lines.iter().any(|line| line.contains(what)), "{what}: {lines:#?}");
    }
    assert!(!lines.iter().any(|line| line.contains(secret)), "{lines:#?}");
}
