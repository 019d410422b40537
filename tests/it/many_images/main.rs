//! Runs one request of several images through the library: flags of each image, with `--and` between. What all of them
//! share stands in `INPUT_*`.

#![expect(clippy::unwrap_used, reason = "a program of the tests")]

use std::ffi::OsString;
use std::process::ExitCode;

use build_once::testing::{Command, Env, RawInputs, arguments, parse, run_images};

fn main() -> ExitCode {
    let env = Env::capture();
    let flags: Vec<OsString> = std::env::args_os().skip(1).collect();
    let images: Vec<RawInputs> = flags.split(|flag| flag == "--and").map(|flags| read(flags, &env)).collect();
    ExitCode::from(run_images(&images, &env).unwrap())
}

fn read(flags: &[OsString], env: &Env) -> RawInputs {
    let mut argv: Vec<OsString> = vec!["build-once".into(), "run".into()];
    argv.extend_from_slice(flags);
    match parse(&arguments(&argv, env).unwrap()) {
        Ok(Command::Run(flags)) => flags.inputs,
        _ => panic!("no flags of run: {flags:?}"),
    }
}
