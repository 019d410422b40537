//! The command line: the commands, and how `INPUT_*` becomes flags of `run`.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};

use super::raw::RawInputs;
use crate::env::Env;
use crate::error::{Error, Result};

/// Build a CI image once per content; every other job pulls it.
#[derive(Parser)]
#[command(name = "build-once", version, args_override_self = true, max_term_width = 100)]
pub struct CommandLine {
    /// What to do; `run` when nothing is said.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Find the image, or build and publish it; or pull it (`--mode pull`).
    Run(RawInputs),
    /// Print what `run` would do, and write nothing.
    Plan(PlanFlags),
    /// Print the build key and what it is made of.
    Key(KeyFlags),
}

/// Flags of the commands that only print.
#[derive(Args)]
pub struct PlanFlags {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub inputs: RawInputs,
}

/// Flags of `key`.
#[derive(Args)]
pub struct KeyFlags {
    /// Say what differs from an image, by reference; from another checkout, by a file with what its key --json printed; without either from the nearest earlier image.
    #[arg(long, value_name = "REFERENCE|FILE", num_args = 0..=1, default_missing_value = "")]
    pub explain: Option<String>,
    #[command(flatten)]
    pub plan: PlanFlags,
}

/// Inputs that hold secret values, and what to give them by: they are never accepted as flags, because a process list
/// shows them.
const SECRET_INPUTS: [(&str, &str); 2] = [
    ("secrets", "use --secret-envs or --secret-files, or the environment variable INPUT_SECRETS"),
    ("github-token", "use the environment variable INPUT_GITHUB_TOKEN"),
];

/// The command line with `INPUT_*` put in as flags, weaker than the real ones. Hyphens are
/// underscores in `INPUT_*`, because shells drop other names.
///
/// # Errors
/// If a secret is given as a flag, or an argument is not UTF-8.
pub fn arguments(argv: &[OsString], env: &Env) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for (at, argument) in argv.iter().enumerate() {
        // Not shown: it may hold anything.
        let text = argument.to_str().ok_or_else(|| Error::input(format!("argument {at} is not UTF-8")))?;
        texts.push(text.to_owned());
    }
    let argv = texts;
    let options = argv.iter().skip(1).take_while(|argument| *argument != "--");
    for (name, hint) in SECRET_INPUTS {
        let flag = format!("--{name}");
        if options.clone().any(|argument| *argument == flag || argument.starts_with(&format!("{flag}="))) {
            return Err(Error::input(format!("{flag} would show the secret in the process list")).hint(hint));
        }
    }
    let mut argv = argv.into_iter();
    let mut arguments = vec![argv.next().unwrap_or_else(|| "build-once".to_owned())];
    let mut rest: Vec<String> = argv.collect();
    let takes_inputs = match rest.first() {
        // Asked of the names alone: declaring all inputs for each takes longer than most else.
        Some(first) if Command::has_subcommand(first) => {
            arguments.push(rest.remove(0));
            true
        }
        // Flags alone mean `run`; anything else is for clap to answer.
        Some(first) if !first.starts_with("--") || first == "--help" || first == "--version" => false,
        _ => {
            arguments.push("run".to_owned());
            true
        }
    };
    if takes_inputs {
        for (_, name, _) in RawInputs::schema() {
            let variable = format!("INPUT_{}", name.replace('-', "_").to_ascii_uppercase());
            if let Some(value) = env.get(&variable).filter(|value| !value.trim().is_empty()) {
                arguments.push(format!("--{name}={value}"));
            }
        }
    }
    arguments.append(&mut rest);
    Ok(arguments)
}

/// Reads what [`arguments`] made. The command that is asked for is declared alone: to declare every
/// input for each takes longer than most of a hit. What does not parse so, the whole answers.
///
/// # Errors
/// Clap's answer: what is wrong, or the text of `--help` or `--version`.
pub fn parse(argv: &[String]) -> std::result::Result<Command, clap::Error> {
    let known = match argv.get(1).map(String::as_str) {
        Some("run") => alone(argv).map(Command::Run),
        Some("plan") => alone(argv).map(Command::Plan),
        Some("key") => alone(argv).map(Command::Key),
        _ => None,
    };
    known.map_or_else(|| CommandLine::try_parse_from(argv).map(|line| line.command), Ok)
}

fn alone<A: Args>(argv: &[String]) -> Option<A> {
    let command = A::augment_args(clap::Command::new("build-once").args_override_self(true));
    A::from_arg_matches(&command.try_get_matches_from(argv.get(1..)?).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn inputs(command: Command) -> RawInputs {
        match command {
            Command::Run(inputs) => inputs,
            Command::Plan(flags) | Command::Key(KeyFlags { plan: flags, .. }) => flags.inputs,
        }
    }

    fn parsed(argv: &[&str], env: &Env) -> RawInputs {
        let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
        inputs(parse(&arguments(&argv, env).unwrap()).ok().unwrap())
    }

    #[test]
    fn a_command_declared_alone_reads_as_the_whole_does() {
        for line in [
            "run",
            "run --image a --image b --mode=pull",
            "run --build-args --x --load false",
            "plan --json --image a",
            "plan --image a --json",
            "key --explain --image a",
            "key --explain h/r:t --json --image=a --context=-x",
            "run --json",
            "run --unknown",
            "run positional",
            "run --image",
            "run --help",
            "key --version",
            "--help",
            "other",
        ] {
            let argv: Vec<String> =
                std::iter::once("build-once").chain(line.split(' ')).map(str::to_owned).collect();
            let whole = CommandLine::try_parse_from(&argv).map(|line| line.command);
            match (parse(&argv), whole) {
                (Ok(alone), Ok(whole)) => {
                    let details = |command: &Command| match command {
                        Command::Run(_) => (None, None),
                        Command::Plan(flags) => (Some(flags.json), None),
                        Command::Key(flags) => (Some(flags.plan.json), flags.explain.clone()),
                    };
                    assert_eq!(details(&alone), details(&whole), "{line}");
                    assert!(inputs(alone).entries().eq(inputs(whole).entries()), "{line}");
                }
                (Err(alone), Err(whole)) => assert_eq!(alone.to_string(), whole.to_string(), "{line}"),
                _ => panic!("{line}: one of the two only"),
            }
        }
    }

    #[test]
    fn flags_win_over_the_environment_and_empty_is_unset() {
        let env =
            Env::from([("INPUT_IMAGE", "from-env"), ("INPUT_MODE", ""), ("INPUT_BUILD_ARGS", "A=-1\nB=--x")]);
        let inputs = parsed(&["build-once", "run", "--image=flag"], &env);
        assert_eq!(inputs.image.as_deref(), Some("flag"));
        assert_eq!(inputs.mode.as_deref(), Some("build"));
        assert_eq!(inputs.build_args.as_deref(), Some("A=-1\nB=--x"));
    }

    #[test]
    fn run_is_the_default_command() {
        let inputs = parsed(&["build-once"], &Env::from([("INPUT_IMAGE", "x")]));
        assert_eq!(inputs.image.as_deref(), Some("x"));
        let inputs = parsed(&["build-once", "--image", "y"], &Env::default());
        assert_eq!(inputs.image.as_deref(), Some("y"));
    }

    #[test]
    fn hyphenated_names_are_not_read() {
        // Some runners set these for composite steps and the real one does not.
        let inputs = parsed(&["build-once"], &Env::from([("INPUT_BUILD-ARGS", "A=1")]));
        assert_eq!(inputs.build_args, None);
    }

    #[test]
    fn a_secret_is_no_flag() {
        for flag in ["--secrets", "--secrets=A=b"] {
            let argv = ["build-once", "run", flag, "A=b"].map(OsString::from);
            let text = arguments(&argv, &Env::default()).unwrap_err().to_string();
            assert!(text.contains("process list") && !text.contains("A=b"), "{text}");
        }
    }

    #[test]
    fn the_definition_is_sound() {
        CommandLine::command().debug_assert();
    }
}
