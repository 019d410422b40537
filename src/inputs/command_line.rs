//! The command line: the commands, and how `INPUT_*` becomes flags of those that take inputs.
//!
//! In: `build-once pull --image app` and `INPUT_REPOSITORY=h.io/ci`. [`arguments`] makes of them
//! `build-once pull --repository=h.io/ci --image app`, and [`parse`] the typed [`Command`].

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use super::prune::PruneInputs;
use super::raw::RawInputs;
use crate::env::Env;
use crate::error::{Error, Result};

/// Build a CI image once per content; every other job pulls it.
#[derive(Parser)]
#[command(name = "build-once", version, args_override_self = true, max_term_width = 100)]
pub struct CommandLine {
    /// What to do; `run` where no command is named.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Do what the input `mode` says; flags without a command mean this.
    Run(RunFlags),
    /// Find the image, or build and publish it.
    Build(RunFlags),
    /// Make the image available locally.
    #[command(mut_arg("mode", |mode| mode.default_value("pull")))]
    Pull(RunFlags),
    /// Make one image of platforms that were built apart.
    #[command(mut_arg("mode", |mode| mode.default_value("merge")))]
    Merge(RunFlags),
    /// Print what `run` would do, and write nothing.
    Plan(PlanFlags),
    /// Print the build key and what it is made of.
    Key(KeyFlags),
    /// Show which old images, tags and layer caches can go; with --apply=true remove them.
    Prune(PruneFlags),
    /// Print a script that completes commands and flags in a shell.
    Completions {
        /// The shell that reads the script.
        shell: Shell,
    },
}

/// The commands by name, and what must be known of each before its flags are declared to clap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    Run,
    Build,
    Pull,
    Merge,
    Plan,
    Key,
    Prune,
    Completions,
}

impl Name {
    const ALL: [Self; 8] = [
        Self::Run,
        Self::Build,
        Self::Pull,
        Self::Merge,
        Self::Plan,
        Self::Key,
        Self::Prune,
        Self::Completions,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Build => "build",
            Self::Pull => "pull",
            Self::Merge => "merge",
            Self::Plan => "plan",
            Self::Key => "key",
            Self::Prune => "prune",
            Self::Completions => "completions",
        }
    }

    /// The command that `argv` asks for. Flags alone mean `run`. `None` for what clap answers: `--help`, `--version`, or
    /// a word that names no command.
    pub fn of(argv: &[OsString]) -> Option<Self> {
        match argv.get(1).map(|first| first.to_str()) {
            None => Some(Self::Run),
            Some(Some(first)) if first.starts_with("--") => {
                (first != "--help" && first != "--version").then_some(Self::Run)
            }
            Some(first) => Self::ALL.into_iter().find(|name| Some(name.as_str()) == first),
        }
    }

    /// Whether the command writes neither outputs nor a summary for GitHub's runner; its errors go to standard error.
    pub const fn only_prints(self) -> bool {
        matches!(self, Self::Plan | Self::Key | Self::Completions)
    }

    /// The names of the inputs that it takes.
    fn inputs(self) -> Vec<String> {
        match self {
            Self::Completions => Vec::new(),
            Self::Prune => PruneInputs::schema().map(|(_, name, _)| name).collect(),
            _ => RawInputs::schema().map(|(_, name, _)| name).collect(),
        }
    }

    /// Whether the command is called as a value of the input `mode`, and so stands for it.
    const fn is_mode(self) -> bool {
        matches!(self, Self::Build | Self::Pull | Self::Merge)
    }
}

/// Flags of the commands that take inputs.
#[derive(Args)]
pub struct RunFlags {
    /// Write a debug log: each process and each request, with the time it took. `RUNNER_DEBUG=1` does the same.
    #[arg(long)]
    pub verbose: bool,
    #[command(flatten)]
    pub inputs: RawInputs,
}

impl RunFlags {
    /// The inputs of the command `name`, whose mode is its name.
    ///
    /// # Errors
    /// If `--mode` or `INPUT_MODE` says otherwise.
    pub fn in_mode(mut self, name: Name) -> Result<Self> {
        let name = name.as_str();
        let given = self.inputs.mode.replace(name.to_owned()).unwrap_or_default();
        if given.trim().is_empty() || given.trim() == name {
            return Ok(self);
        }
        Err(Error::input(format!("input `mode` is `{given}`, and the command is {name}"))
            .hint("leave out --mode and INPUT_MODE, or use build-once run"))
    }
}

/// Flags of `plan`.
#[derive(Args)]
pub struct PlanFlags {
    /// Make the plan from the facts in this file, and ask nothing: from what --save-facts wrote, or what the output plan names. Inputs are those in the file.
    #[arg(long, value_name = "FILE", conflicts_with = "save_facts")]
    pub facts: Option<String>,
    /// Write what the plan is made from into this file: no secret is in it.
    #[arg(long, value_name = "FILE")]
    pub save_facts: Option<String>,
    #[command(flatten)]
    pub print: PrintFlags,
}

/// Flags of the commands that can print JSON.
#[derive(Args)]
pub struct PrintFlags {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub run: RunFlags,
}

/// Flags of `prune`.
#[derive(Args)]
pub struct PruneFlags {
    /// Print the plan as JSON.
    #[arg(long)]
    pub json: bool,
    /// Write a debug log: each request, with the time it took. `RUNNER_DEBUG=1` does the same.
    #[arg(long)]
    pub verbose: bool,
    #[command(flatten)]
    pub inputs: PruneInputs,
}

/// Flags of `key`.
#[derive(Args)]
pub struct KeyFlags {
    /// Say what differs from an image, by reference; from another checkout, by a file with what its key --json printed; without either from the nearest earlier image.
    #[arg(long, value_name = "REFERENCE|FILE", num_args = 0..=1, default_missing_value = "")]
    pub explain: Option<String>,
    #[command(flatten)]
    pub print: PrintFlags,
}

/// Inputs that hold secret values, and what to give them by: they are never accepted as flags, because a process list
/// shows them.
const SECRET_INPUTS: [(&str, &str); 2] = [
    ("secrets", "use --secret-envs or --secret-files, or the environment variable INPUT_SECRETS"),
    ("github-token", "use the environment variable INPUT_GITHUB_TOKEN"),
];

/// The command line with each `INPUT_*` put in as a flag. They stand before the user's own flags, because of two flags
/// clap takes the last one. Hyphens are underscores in `INPUT_*`: shells drop variables with other names.
///
/// # Errors
/// If a secret is given as a flag, or an argument is not UTF-8.
pub fn arguments(argv: &[OsString], env: &Env) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for (at, argument) in argv.iter().enumerate() {
        // The argument is not shown: it may be a secret.
        let text = argument.to_str().ok_or_else(|| Error::input(format!("argument {at} is not UTF-8")))?;
        texts.push(text.to_owned());
    }
    let options = texts.iter().skip(1).take_while(|argument| *argument != "--");
    for (name, hint) in SECRET_INPUTS {
        let flag = format!("--{name}");
        if options.clone().any(|argument| *argument == flag || argument.starts_with(&format!("{flag}="))) {
            return Err(Error::input(format!("{flag} would show the secret in the process list")).hint(hint));
        }
    }
    let name = Name::of(argv);
    let mut texts = texts.into_iter().peekable();
    let mut arguments = vec![texts.next().unwrap_or_else(|| "build-once".to_owned())];
    if let Some(name) = name {
        // The command's own word goes first, or `run` where flags stand alone.
        texts.next_if(|first| first == name.as_str());
        arguments.push(name.as_str().to_owned());
    }
    for name in name.map(Name::inputs).unwrap_or_default() {
        let variable = format!("INPUT_{}", name.replace('-', "_").to_ascii_uppercase());
        if let Some(value) = env.get(&variable).filter(|value| !value.trim().is_empty()) {
            arguments.push(format!("--{name}={value}"));
        }
    }
    arguments.extend(texts);
    Ok(arguments)
}

/// Reads what [`arguments`] made. At first only the command that is asked for is declared to clap: to declare the sixty
/// inputs for each command takes longer than most of a run that finds its image. Where that does not parse, clap gets
/// the whole [`CommandLine`], and gives the answer.
///
/// # Errors
/// Clap's answer: what is wrong, or the text of `--help` or `--version`.
pub fn parse(argv: &[String]) -> std::result::Result<Command, clap::Error> {
    let name = argv.get(1).and_then(|first| Name::ALL.into_iter().find(|name| name.as_str() == first));
    let parsed = name.and_then(|name| match name {
        Name::Run => parse_flags(argv, name).map(Command::Run),
        Name::Build => parse_flags(argv, name).map(Command::Build),
        Name::Pull => parse_flags(argv, name).map(Command::Pull),
        Name::Merge => parse_flags(argv, name).map(Command::Merge),
        Name::Plan => parse_flags(argv, name).map(Command::Plan),
        Name::Key => parse_flags(argv, name).map(Command::Key),
        Name::Prune => parse_flags(argv, name).map(Command::Prune),
        Name::Completions => None,
    });
    parsed.map_or_else(|| CommandLine::try_parse_from(argv).map(|line| line.command), Ok)
}

/// The flags of the command `name`; `None` if they do not parse.
fn parse_flags<A: Args>(argv: &[String], name: Name) -> Option<A> {
    let mut command = A::augment_args(clap::Command::new("build-once").args_override_self(true));
    // As the attributes of [`Command::Pull`] and [`Command::Merge`] do.
    if name.is_mode() {
        command = command.mut_arg("mode", |mode| mode.default_value(name.as_str()));
    }
    A::from_arg_matches(&command.try_get_matches_from(argv.get(1..)?).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn flags(command: Command) -> RunFlags {
        match command {
            Command::Run(flags) | Command::Build(flags) | Command::Pull(flags) | Command::Merge(flags) => {
                flags
            }
            Command::Plan(PlanFlags { print: flags, .. }) | Command::Key(KeyFlags { print: flags, .. }) => {
                flags.run
            }
            Command::Prune(_) | Command::Completions { .. } => panic!("takes none of these inputs"),
        }
    }

    fn parsed(argv: &[&str], env: &Env) -> RawInputs {
        let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
        flags(parse(&arguments(&argv, env).unwrap()).ok().unwrap()).inputs
    }

    #[test]
    fn a_command_declared_alone_reads_as_the_whole_does() {
        for line in [
            "run",
            "run --image a --image b --mode=pull",
            "build --verbose --image a",
            "pull --image a",
            "pull --mode=build --image a",
            "merge --verbose",
            "merge --help",
            "bulid --image a",
            "completions",
            "completions tcsh",
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
                        Command::Plan(flags) => (Some(flags.print.json), None),
                        Command::Key(flags) => (Some(flags.print.json), flags.explain.clone()),
                        _ => (None, None),
                    };
                    assert_eq!(details(&alone), details(&whole), "{line}");
                    let (alone, whole) = (flags(alone), flags(whole));
                    assert_eq!(alone.verbose, whole.verbose, "{line}");
                    assert!(alone.inputs.entries().eq(whole.inputs.entries()), "{line}");
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
    fn completions_take_no_inputs() {
        let argv = ["build-once", "completions", "bash"].map(OsString::from);
        let arguments = arguments(&argv, &Env::from([("INPUT_IMAGE", "x")])).unwrap();
        assert_eq!(arguments, ["build-once", "completions", "bash"]);
        assert!(matches!(parse(&arguments), Ok(Command::Completions { shell: Shell::Bash })));
    }

    #[test]
    fn run_is_the_default_command() {
        let inputs = parsed(&["build-once"], &Env::from([("INPUT_IMAGE", "x")]));
        assert_eq!(inputs.image.as_deref(), Some("x"));
        let inputs = parsed(&["build-once", "--image", "y"], &Env::default());
        assert_eq!(inputs.image.as_deref(), Some("y"));
    }

    #[test]
    fn each_command_has_its_name() {
        let command = CommandLine::command();
        let known: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        assert_eq!(known, Name::ALL.map(Name::as_str));
        for name in Name::ALL {
            let flags = command.find_subcommand(name.as_str()).unwrap();
            let mode = flags.get_arguments().find(|flag| flag.get_id() == "mode");
            assert_eq!(mode.is_some(), !matches!(name, Name::Prune | Name::Completions), "{name:?}");
            let default = mode.and_then(|mode| mode.get_default_values().first()?.to_str());
            assert!(!name.is_mode() || default == Some(name.as_str()), "{name:?}: {default:?}");
        }
    }

    #[test]
    fn a_command_called_as_a_mode_takes_no_other() {
        let set = Env::from([("INPUT_MODE", "build")]);
        for (line, env, is_taken) in [
            ("build", Env::default(), true),
            ("pull", Env::default(), true),
            ("merge --mode merge", Env::default(), true),
            ("build --mode=", Env::default(), true),
            ("build", set.clone(), true),
            ("pull", set.clone(), false),
            ("pull --mode pull", set, true),
            ("build --mode merge", Env::default(), false),
            ("merge --mode other", Env::default(), false),
        ] {
            let argv: Vec<OsString> =
                std::iter::once("build-once").chain(line.split(' ')).map(OsString::from).collect();
            let name = Name::of(&argv).unwrap();
            let command = parse(&arguments(&argv, &env).unwrap()).ok().unwrap();
            match flags(command).in_mode(name) {
                Ok(flags) => {
                    assert!(is_taken && flags.inputs.mode.as_deref() == Some(name.as_str()), "{line}");
                }
                Err(error) => {
                    let error = error.to_string();
                    assert!(!is_taken && error.contains("--mode and INPUT_MODE"), "{line}: {error}");
                }
            }
        }
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
