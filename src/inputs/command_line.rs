//! The command line: the commands, and how `INPUT_*` becomes flags of those that take inputs.
//!
//! In: `build-once pull --image app` and `INPUT_REPOSITORY=h.io/ci`. [`arguments`] makes of them
//! `build-once pull --repository=h.io/ci --image app`, and [`parse`] the typed [`Command`].

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use super::doctor::DoctorInputs;
use super::prune::PruneInputs;
use super::raw::RawInputs;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::texts::words;

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
    /// Check this machine, the repository and the job's rights, and say what mends what is wrong.
    Doctor(DoctorFlags),
    /// Print a script that completes commands and flags in a shell.
    Completions {
        /// The shell that reads the script.
        shell: Shell,
    },
}

words! {
    /// The commands by name, and what must be known of each before its flags are declared to clap.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Name {
        Run = "run",
        Build = "build",
        Pull = "pull",
        Merge = "merge",
        Plan = "plan",
        Key = "key",
        Prune = "prune",
        Doctor = "doctor",
        Completions = "completions",
    }
    pub const fn as_str;
    const ALL;
}

impl Name {
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
            Self::Doctor => DoctorInputs::schema().map(|(_, name, _)| name).collect(),
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

/// Flags of `doctor`.
#[derive(Args)]
pub struct DoctorFlags {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Write a debug log: each process and each request, with the time it took. `RUNNER_DEBUG=1` does the same.
    #[arg(long)]
    pub verbose: bool,
    #[command(flatten)]
    pub inputs: DoctorInputs,
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
        Name::Doctor => parse_flags(argv, name).map(Command::Doctor),
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
mod tests;
