//! `build-once completions`: scripts for shells, made from the definition of the command line.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::inputs::CommandLine;

/// The script that makes `shell` complete commands and flags.
pub(crate) fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "build-once", &mut script);
    // For bash the name's hyphen is written in two ways, and no flag would be completed (clap-rs/clap#6421).
    String::from_utf8_lossy(&script).replace("build__subcmd__once", "build__once")
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn each_script_completes_and_is_printed_as_it_is() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for word in ["completions", "merge", "registry-policy", "verbose"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
            let printed = crate::commands::lines(&script);
            assert_eq!(printed.trim_end(), script.trim_end(), "{shell}");
        }
    }
}
