//! The commands of the program, right and wrong ones.

use std::process::Command;

use crate::support::{BuildOnce, Lab};

const COMMANDS: [&str; 9] =
    ["run", "build", "pull", "merge", "plan", "key", "prune", "doctor", "completions"];

fn in_terminal<'a>(lab: &'a Lab, args: &[&str]) -> BuildOnce<'a> {
    lab.build_once().outside_github().args(args)
}

#[test]
fn a_command_called_as_a_mode_is_run_with_that_mode() {
    let lab = Lab::new();
    let built = lab.shared().args(&["build"]).run().succeeds("built");
    assert_eq!(built.output("pushed"), "true");
    lab.another_machine();
    let pulled = lab.shared().args(&["pull"]).run().succeeds("reused-tag");
    assert_eq!(pulled.called("pull").len(), 1, "{:?}", pulled.lines());
    let digests = format!("linux/amd64={}", built.output("digest"));
    let run = lab.shared().args(&["merge", "--digests", &digests]).run();
    let as_mode = lab.shared().input("mode", "merge").input("digests", &digests).run();
    assert_eq!((run.code, run.output("reason")), (as_mode.code, as_mode.output("reason")));
    // What a mode needs, its command needs.
    let run = lab.shared().args(&["merge"]).run().fails(2, "input");
    assert!(
        run.error().contains("input `platforms`: needs several platforms with mode merge"),
        "{}",
        run.error()
    );
}

#[test]
fn a_command_called_as_a_mode_refuses_another_one() {
    let lab = Lab::new();
    for (args, mode) in [
        (&["build", "--mode", "pull"][..], ""),
        (&["build"], "pull"),
        (&["pull", "--mode=build"], "pull"),
        (&["pull"], "build"),
        (&["merge", "--mode", "nonsense"], ""),
    ] {
        let said = args.last().unwrap().trim_start_matches("--mode=");
        let said = if args.len() > 1 { said } else { mode };
        let what = format!("input `mode` is `{said}`, and the command is {}", args[0]);
        let run = lab.shared().input("mode", mode).args(args).run().fails(2, "input");
        assert!(run.error().starts_with(&what), "{args:?}: {}", run.error());
        assert!(run.error().contains("leave out --mode and INPUT_MODE"), "{}", run.error());
        assert!(run.calls.is_empty() && lab.registry.asked().is_empty(), "{args:?}");
        let run = in_terminal(&lab, args).input("mode", mode).run();
        assert!(run.code == 2 && run.stderr.contains(&what), "{args:?}: {}", run.all());
    }
}

#[test]
fn an_unknown_command_gets_a_suggestion() {
    let lab = Lab::new();
    let suggestion = "a similar subcommand exists: 'build'";
    let run = in_terminal(&lab, &["bulid", "--image", "app"]).run();
    assert_eq!((run.code, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.contains("unrecognized subcommand 'bulid'"), "{}", run.stderr);
    assert!(run.stderr.contains(suggestion), "{}", run.stderr);
    let run = lab.shared().args(&["bulid"]).run().fails(2, "input");
    assert!(run.error().starts_with("unrecognized subcommand 'bulid'"), "{}", run.error());
    assert!(run.error().contains(&format!("hint: {suggestion}")), "{}", run.error());
    assert!(run.summary.contains("'bulid'") && run.calls.is_empty());
    let run = lab.shared().args(&["nothing-like-it"]).run().fails(2, "input");
    assert!(run.error().contains("hint: build-once --help lists the commands"), "{}", run.error());
}

#[test]
fn help_and_docs_list_every_command() {
    let lab = Lab::new();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/usage.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, table) = page.split_once("help_and_docs_list_every_command -->").unwrap();
    let cells = table.lines().skip(3).map_while(|line| line.strip_prefix("| ")?.split(" | ").next());
    let told: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert_eq!(told, COMMANDS);
    let help = in_terminal(&lab, &["--help"]).run();
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
    for command in COMMANDS {
        let line = format!("  {command} ");
        assert!(help.stdout.lines().any(|text| text.starts_with(&line)), "{command}: {}", help.stdout);
        let own = in_terminal(&lab, &[command, "--help"]).run();
        assert!(own.code == 0 && own.stdout.contains(&format!("build-once {command}")), "{}", own.all());
        let inputs = ["--registry-policy", "--verbose"].map(|flag| own.stdout.contains(flag));
        let expected = [!["prune", "doctor", "completions"].contains(&command), command != "completions"];
        assert_eq!(inputs, expected, "{command}");
    }
    let pull = in_terminal(&lab, &["pull", "--help"]).run();
    assert!(
        pull.stdout.split_whitespace().collect::<Vec<_>>().join(" ").contains("[default: pull]"),
        "{}",
        pull.stdout
    );
}

/// What bash offers after these words.
fn offered(script: &str, words: &[&str]) -> String {
    let ask = "eval \"$0\"; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _build__once build-once \"${@: -1}\" \"${@: -2:1}\"";
    let ask = format!("{ask}; echo \"${{COMPREPLY[*]}}\"");
    let done = Command::new("bash").args(["-c", &ask, script]).args(words).output().unwrap();
    assert!(done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_shell_completes_commands_and_flags() {
    let lab = Lab::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = lab.build_once().args(&["completions", shell]).run();
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{shell}");
        assert!(COMMANDS.iter().all(|command| run.stdout.contains(command)), "{shell}: {}", run.stdout);
        assert!(run.calls.is_empty());
        if shell == "bash" {
            assert_eq!(offered(&run.stdout, &["build-once", "bui"]), "build");
            assert_eq!(offered(&run.stdout, &["build-once", "pull", "--registry-p"]), "--registry-policy");
            assert_eq!(offered(&run.stdout, &["build-once", "completions", "ba"]), "bash");
        }
    }
    let run = lab.build_once().args(&["completions", "tcsh"]).run();
    assert!(run.code == 2 && run.stdout.is_empty() && run.stderr.contains("possible values: bash"));
    let run = lab.build_once().args(&["completions"]).run();
    assert!(run.code == 2 && run.stderr.contains("<SHELL>"), "{}", run.all());
}

#[test]
fn verbose_is_a_debug_log() {
    let lab = Lab::new();
    let is_told = |log: &str| {
        let lines: Vec<&str> = log.lines().filter(|line| line.starts_with("debug: ")).collect();
        ["docker image inspect", "GET http"].iter().all(|what| lines.iter().any(|line| line.contains(what)))
    };
    let run = lab.shared().args(&["build", "--verbose"]).input("secrets", "s=a-secret-value").run();
    let run = run.succeeds("built");
    // The runner shows no debug commands unless it asks for them.
    assert!(is_told(&run.stdout) && run.commands("debug").is_empty(), "{}", run.stdout);
    assert!(!run.stdout.replace("::add-mask::a-secret-value", "").contains("a-secret-value"));
    lab.another_machine();
    let plan = lab.shared().args(&["plan", "--verbose", "--load", "true"]).run();
    assert!(plan.code == 0 && is_told(&plan.stderr), "{}", plan.all());
    assert!(!plan.stdout.contains("debug: "), "{}", plan.stdout);
    let quiet = lab.shared().args(&["plan"]).outside_github().run();
    assert!(!quiet.stderr.contains("debug: "), "{}", quiet.stderr);
}
