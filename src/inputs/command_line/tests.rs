use clap::CommandFactory as _;

use super::*;

fn flags(command: Command) -> RunFlags {
    match command {
        Command::Run(flags) | Command::Build(flags) | Command::Pull(flags) | Command::Merge(flags) => flags,
        Command::Plan(PlanFlags { print: flags, .. }) | Command::Key(KeyFlags { print: flags, .. }) => {
            flags.run
        }
        Command::Prune(_) | Command::Doctor(_) | Command::Completions { .. } => {
            panic!("takes none of these inputs")
        }
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
        assert_eq!(
            mode.is_some(),
            !matches!(name, Name::Prune | Name::Doctor | Name::Completions),
            "{name:?}"
        );
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
