//! What BuildKit's parser refuses of any instruction, reached or not: flags and the number of arguments
//! (`instructions/{parse,bflag}.go`).

use super::lines::heredoc;
use super::words::{self, Command};

/// What a flag takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `true` or `false`; alone, it is on.
    Switch,
    Text,
    /// Text, as often as one likes.
    Texts,
}

use Kind::{Switch, Text, Texts};

/// The flags of an instruction, of every channel of the frontend; `None` where the parser does not look at them.
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

/// Refuses what BuildKit's parser refuses; says what only a newer frontend could mean.
pub(crate) fn check(command: &Command, escape: char) -> Result<Option<String>, String> {
    let Command { keyword, rest, .. } = command;
    let name = keyword.to_uppercase();
    let one = || if rest.is_empty() { Err(format!("{name} takes one argument")) } else { Ok(()) };
    match keyword.as_str() {
        "env" | "label" => {
            let pairs = words::pairs(&name, rest, escape)?;
            if pairs.is_empty() || pairs.iter().any(|(name, _)| name.is_empty()) {
                return Err(format!("{name} takes name=value"));
            }
        }
        "copy" | "add" => {
            let last = strings(rest, &name)?.unwrap_or_else(|| words::fields(rest)).pop();
            if last.is_some_and(|last| heredoc(&last).ok().flatten().is_some()) {
                return Err(format!("{name} cannot write to a here-document"));
            }
        }
        "run" | "cmd" | "entrypoint" => drop(strings(rest, &name)?),
        "shell" if strings(rest, &name)?.is_none_or(|list| list.is_empty()) => {
            return Err("SHELL takes a JSON array of strings".to_owned());
        }
        "volume" => {
            let list = strings(rest, &name)?.unwrap_or_else(|| words::fields(rest));
            if list.is_empty() || list.iter().any(|volume| volume.trim().is_empty()) {
                return Err("VOLUME takes at least one path".to_owned());
            }
        }
        "expose" if rest.is_empty() => return Err("EXPOSE takes at least one port".to_owned()),
        "healthcheck" if !health(command)? => return Ok(None),
        "maintainer" | "stopsignal" | "user" | "workdir" => one()?,
        _ => {}
    }
    flags(keyword).map_or(Ok(None), |known| given(command, known))
}

/// The strings of a JSON array; `None` if it is none.
fn strings(rest: &str, name: &str) -> Result<Option<Vec<String>>, String> {
    let Some(items) = words::json_array(rest) else { return Ok(None) };
    let text = |item: serde_json::Value| match item {
        serde_json::Value::String(text) => Ok(text),
        _ => Err(format!("{name} takes an array of strings only")),
    };
    items.into_iter().map(text).collect::<Result<_, _>>().map(Some)
}

/// Whether the flags of a `HEALTHCHECK` are looked at.
fn health(command: &Command) -> Result<bool, String> {
    let (kind, rest) = command.rest.split_once(char::is_whitespace).unwrap_or((&command.rest, ""));
    let is_none = kind.eq_ignore_ascii_case("none");
    match (is_none, rest.trim()) {
        (true, "") => return Ok(false),
        (true, _) => return Err("HEALTHCHECK NONE takes no arguments".to_owned()),
        (false, "") => return Err("HEALTHCHECK takes NONE, or CMD and a command".to_owned()),
        (false, _) if !kind.eq_ignore_ascii_case("cmd") => {
            return Err(format!("HEALTHCHECK takes NONE or CMD, not {kind}"));
        }
        (false, rest) => drop(strings(rest, "HEALTHCHECK")?),
    }
    Ok(true)
}

fn given(command: &Command, known: &[(&str, Kind)]) -> Result<Option<String>, String> {
    let mut seen: Vec<&str> = Vec::new();
    let mut doubt = None;
    for flag in &command.flags {
        let (name, value) = flag.split_once('=').map_or((flag.as_str(), None), |(n, v)| (n, Some(v)));
        let Some((_, kind)) = known.iter().find(|(own, _)| name.strip_prefix("--") == Some(own)) else {
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
