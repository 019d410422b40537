//! What BuildKit's parser refuses of any instruction, also in a stage that is not built: flags and the number of
//! arguments (`instructions/{parse,bflag}.go`). `FROM --platform a` is refused, because the flag needs a value.

use super::lines::heredoc;
use super::words::{self, Command, json_strings};

/// What a flag takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `true` or `false`; alone, it is on.
    Switch,
    /// A text; the flag may be given once.
    Text,
    /// A text; the flag may be given several times.
    Texts,
}

use Kind::{Switch, Text, Texts};

/// The flags of an instruction, those of the frontend's `labs` channel too; `None` where the parser does not look at
/// them.
fn flags(keyword: &str) -> Option<&'static [(&'static str, Kind)]> {
    Some(match keyword {
        "from" => &[("platform", Text)],
        "run" => &[("mount", Texts), ("network", Text), ("security", Text), ("device", Texts)],
        "copy" => &[
            ("from", Text),
            ("chown", Text),
            ("chmod", Text),
            ("link", Switch),
            ("parents", Switch),
            ("exclude", Texts),
        ],
        "add" => &[
            ("chown", Text),
            ("chmod", Text),
            ("link", Switch),
            ("keep-git-dir", Switch),
            ("checksum", Text),
            ("unpack", Switch),
            ("exclude", Texts),
        ],
        "healthcheck" => &[
            ("interval", Text),
            ("timeout", Text),
            ("start-period", Text),
            ("start-interval", Text),
            ("retries", Text),
        ],
        "arg" | "stopsignal" => return None,
        _ => &[],
    })
}

/// Refuses what BuildKit's parser refuses. `Some` is the reason why only a newer frontend may know what the instruction
/// means.
pub(crate) fn check(command: &Command, escape: char) -> Result<Option<String>, String> {
    let Command { keyword, rest, .. } = command;
    let name = keyword.to_uppercase();
    match keyword.as_str() {
        "env" | "label" => {
            let pairs = words::pairs(&name, rest, escape)?;
            if pairs.is_empty() || pairs.iter().any(|(name, _)| name.is_empty()) {
                return Err(format!("{name} takes name=value"));
            }
        }
        "copy" | "add" => {
            let last = json_strings(rest, &name)?.unwrap_or_else(|| words::fields(rest)).pop();
            if last.is_some_and(|last| heredoc(&last).ok().flatten().is_some()) {
                return Err(format!("{name} cannot write to a here-document"));
            }
        }
        "run" | "cmd" | "entrypoint" => drop(json_strings(rest, &name)?),
        "shell" if json_strings(rest, &name)?.is_none_or(|list| list.is_empty()) => {
            return Err("SHELL takes a JSON array of strings".to_owned());
        }
        "volume" => {
            let list = json_strings(rest, &name)?.unwrap_or_else(|| words::fields(rest));
            if list.is_empty() || list.iter().any(|volume| volume.trim().is_empty()) {
                return Err("VOLUME takes at least one path".to_owned());
            }
        }
        "expose" if rest.is_empty() => return Err("EXPOSE takes at least one port".to_owned()),
        "healthcheck" => {
            let is_none = healthcheck_is_none(rest)?;
            // BuildKit does not look at the flags of this one.
            if is_none {
                return Ok(None);
            }
        }
        "maintainer" | "stopsignal" | "user" | "workdir" if rest.is_empty() => {
            return Err(format!("{name} takes one argument"));
        }
        _ => {}
    }
    flags(keyword).map_or(Ok(None), |known| check_flags(command, known))
}

/// Whether it is `HEALTHCHECK NONE`; else it must be `HEALTHCHECK CMD` with a command.
fn healthcheck_is_none(arguments: &str) -> Result<bool, String> {
    let (kind, rest) = arguments.split_once(char::is_whitespace).unwrap_or((arguments, ""));
    let rest = rest.trim();
    if kind.eq_ignore_ascii_case("none") {
        return match rest {
            "" => Ok(true),
            _ => Err("HEALTHCHECK NONE takes no arguments".to_owned()),
        };
    }
    if rest.is_empty() {
        return Err("HEALTHCHECK takes NONE, or CMD and a command".to_owned());
    }
    if !kind.eq_ignore_ascii_case("cmd") {
        return Err(format!("HEALTHCHECK takes NONE or CMD, not {kind}"));
    }
    json_strings(rest, "HEALTHCHECK").map(|_| false)
}

/// Checks the flags of a command against those its instruction takes. `Some` is the first unknown one, as a reason.
fn check_flags(command: &Command, known: &[(&str, Kind)]) -> Result<Option<String>, String> {
    let mut seen: Vec<&str> = Vec::new();
    let mut doubt = None;
    for flag in &command.flags {
        let (name, value) = flag.split_once('=').map_or((flag.as_str(), None), |(n, v)| (n, Some(v)));
        let Some((_, kind)) = known.iter().find(|(known, _)| name.strip_prefix("--") == Some(known)) else {
            doubt.get_or_insert_with(|| {
                format!("{} has a flag {name} that is not known here", command.keyword.to_uppercase())
            });
            continue;
        };
        if seen.contains(&name) && *kind != Texts {
            return Err(format!("{name} is given more than once"));
        }
        seen.push(name);
        match (kind, value) {
            (Switch, None) | (Text | Texts, Some(_)) => {}
            (Switch, Some(value)) if matches!(value.to_lowercase().as_str(), "true" | "false") => {}
            (Switch, Some(value)) => return Err(format!("{name} is true or false, not `{value}`")),
            (Text | Texts, None) => return Err(format!("{name} needs a value")),
        }
    }
    Ok(doubt)
}
