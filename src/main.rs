//! The program; everything is in the library.

#![recursion_limit = "256"]

use std::process::ExitCode;

fn main() -> ExitCode {
    build_once::main()
}
