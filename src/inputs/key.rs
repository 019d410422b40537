//! Reads the inputs about the key.

use super::lists::InputText as _;
use super::problems::Problems;
use super::raw::RawInputs;
use super::types::{KeyInputs, KeyScope};

pub(super) fn read(raw: &RawInputs, problems: &mut Problems) -> KeyInputs {
    KeyInputs {
        scope: problems.choice(
            "key",
            raw.key.trimmed().unwrap_or("auto"),
            &[
                ("auto", KeyScope::Auto),
                // What `auto` was called before it was the default.
                ("copied", KeyScope::Auto),
                ("context", KeyScope::Context),
                ("files", KeyScope::Files),
            ],
        ),
        files: raw.key_files.items(),
        ignore_args: ignore_args(problems, raw.key_ignore_args.comma_items()),
        extra: raw.key_extra.text(),
        max_age: raw.max_age.trimmed().map(|age| problems.duration("max-age", age)),
    }
}

/// Arguments that BuildKit itself obeys (`BUILDKIT_…`) are never left out of a key.
fn ignore_args(problems: &mut Problems, names: Vec<String>) -> Vec<String> {
    for name in &names {
        if name.contains('=') || name.contains(char::is_whitespace) {
            problems.add("key-ignore-args", "takes names of build arguments, without values");
        } else if name.starts_with("BUILDKIT_") {
            problems.add("key-ignore-args", format!("`{name}` says how the build is done: it counts"));
        }
    }
    names
}
