//! The instructions that matter for a key, typed (BuildKit `frontend/dockerfile/instructions`).
//!
//! In: a logical line, such as `COPY --from=a x /`. Out: an [`Instruction`] with the [`Body`] `Copy { from: a, sources:
//! [x], … }`. Variables are not replaced yet.

use super::go::csv;
use super::grammar;
use super::lines::{Heredoc, Line, heredoc};
use super::words::{self, Command};

/// One instruction.
#[derive(Debug, Clone)]
pub(crate) struct Instruction {
    /// Its first physical line, from 1.
    pub line: usize,
    pub command: Command,
    pub heredocs: Vec<Heredoc>,
    pub body: Body,
    /// Why only a newer frontend may know what it means, as a clause: it has a flag that is not known here.
    pub doubt: Option<String>,
}

impl Instruction {
    /// The name that a `FROM` gives its stage, in lower case.
    pub(crate) fn stage_name(&self) -> Option<&str> {
        if let Body::From { name, .. } = &self.body { name.as_deref() } else { None }
    }

    pub(crate) fn doubt_with_line(&self) -> Option<String> {
        self.doubt.as_ref().map(|doubt| format!("line {}: {doubt}", self.line))
    }
}

/// What an instruction says, as far as a key cares.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    From {
        image: String,
        /// In lower case.
        name: Option<String>,
        platform: Option<String>,
    },
    /// Names, with the default each may have.
    Arg(Vec<(String, Option<String>)>),
    Env(Vec<(String, String)>),
    Copy(Copy),
    /// The values of `--mount`, as written.
    Run(Vec<String>),
    /// What runs in a stage that is built on this one, or why nothing can.
    Onbuild(Box<Result<Instruction, String>>),
    /// Any other instruction, which takes nothing from outside: only its text counts.
    Other,
}

/// A `COPY` or `ADD`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Copy {
    pub add: bool,
    /// All arguments, the destination too.
    pub words: Vec<String>,
    /// What is copied, apart from here-documents.
    pub sources: Vec<String>,
    pub from: Option<String>,
    pub excludes: Vec<String>,
    pub checksum: Option<String>,
    /// `ADD --keep-git-dir`.
    pub keep_git_dir: Option<bool>,
}

/// Keywords of [`Body::Other`].
const OTHERS: [&str; 11] = [
    "cmd",
    "entrypoint",
    "expose",
    "healthcheck",
    "label",
    "maintainer",
    "shell",
    "stopsignal",
    "user",
    "volume",
    "workdir",
];

/// Reads a line.
///
/// # Errors
/// Why BuildKit's parser refuses it.
pub(crate) fn parse(line: &Line, escape: char) -> Result<Instruction, String> {
    let command = words::command(&line.text).ok_or("an empty instruction")?;
    let body = body(&command, line, escape)?;
    let doubt = grammar::check(&command, escape)?;
    Ok(Instruction { line: line.first, command, heredocs: line.heredocs.clone(), body, doubt })
}

fn body(command: &Command, line: &Line, escape: char) -> Result<Body, String> {
    Ok(match command.keyword.as_str() {
        "from" => from(command)?,
        "arg" => Body::Arg(arguments(&command.rest, escape)?),
        "env" => Body::Env(words::pairs("ENV", &command.rest, escape)?),
        "copy" => Body::Copy(copy(command, false)?),
        "add" => Body::Copy(copy(command, true)?),
        "run" => Body::Run(mounts(command)?),
        "onbuild" => {
            let inner = Line { text: command.rest.clone(), ..line.clone() };
            let trigger = words::command(&command.rest).ok_or("ONBUILD takes an instruction")?.keyword;
            if matches!(trigger.as_str(), "onbuild" | "maintainer" | "from") {
                return Err(format!("{} is not allowed after ONBUILD", trigger.to_uppercase()));
            }
            Body::Onbuild(Box::new(parse(&inner, escape)))
        }
        other if OTHERS.contains(&other) => Body::Other,
        other => return Err(format!("unknown instruction: {}", other.to_uppercase())),
    })
}

/// The values of a flag, `true` where it stands alone. [`grammar`] refuses a flag that needs a value and has none.
fn values<'a>(command: &'a Command, name: &str) -> impl Iterator<Item = &'a str> {
    let flags = command.flags.iter().filter_map(|flag| flag.strip_prefix("--"));
    flags.filter_map(move |flag| match flag.split_once('=') {
        Some((own, value)) => (own == name).then_some(value),
        None => (flag == name).then_some("true"),
    })
}

/// The value of a flag that may be given once; an empty one counts as absent.
fn value(command: &Command, name: &str) -> Option<String> {
    values(command, name).next().filter(|value| !value.is_empty()).map(str::to_owned)
}

/// Checks the flags of a `RUN`, and gives the values of its `--mount`s.
fn mounts(command: &Command) -> Result<Vec<String>, String> {
    let mounts: Vec<String> = values(command, "mount").map(str::to_owned).collect();
    for text in &mounts {
        mount(text, |value| Ok(value.to_owned()))?;
    }
    match value(command, "network") {
        Some(mode) if !matches!(mode.as_str(), "default" | "none" | "host") => {
            Err(format!("--network is default, none or host, not `{mode}`"))
        }
        _ => Ok(mounts),
    }
}

fn from(command: &Command) -> Result<Body, String> {
    let platform = value(command, "platform");
    let fields = words::fields(&command.rest);
    let (image, name) = match fields.as_slice() {
        [image] => (image, None),
        [image, keyword, name] if keyword.eq_ignore_ascii_case("as") => (image, Some(name.to_lowercase())),
        _ => return Err("FROM takes an image, or an image AS a name".to_owned()),
    };
    if let Some(name) = name.as_deref().filter(|name| !is_stage_name(name)) {
        return Err(format!("`{name}` cannot name a stage: a letter first, then letters, digits and `-_.`"));
    }
    Ok(Body::From { image: image.clone(), name, platform })
}

fn is_stage_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c))
}

/// The names that an `ARG` declares, with their defaults.
fn arguments(rest: &str, escape: char) -> Result<Vec<(String, Option<String>)>, String> {
    let words = words::quoted(rest, escape);
    if words.is_empty() {
        return Err("ARG needs a name".to_owned());
    }
    words
        .into_iter()
        .map(|word| match word.split_once('=') {
            Some(("", _)) => Err("ARG needs a name".to_owned()),
            Some((name, value)) => Ok((name.to_owned(), Some(value.to_owned()))),
            None => Ok((word, None)),
        })
        .collect()
}

fn copy(command: &Command, add: bool) -> Result<Copy, String> {
    let keyword = command.keyword.to_uppercase();
    let words = words::json_strings(&command.rest, &keyword)?.unwrap_or_else(|| words::fields(&command.rest));
    if words.len() < 2 {
        return Err(format!("{keyword} needs a source and a destination"));
    }
    let is_path = |word: &&String| heredoc(word).ok().flatten().is_none();
    let sources = words.iter().take(words.len() - 1).filter(is_path).cloned().collect();
    Ok(Copy {
        add,
        sources,
        words,
        from: if add { None } else { value(command, "from") },
        excludes: values(command, "exclude").map(str::to_owned).collect(),
        checksum: if add { value(command, "checksum") } else { None },
        keep_git_dir: value(command, "keep-git-dir")
            .filter(|_| add)
            .map(|on| on.eq_ignore_ascii_case("true")),
    })
}

/// A parsed `--mount`, variables replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Its `type`, such as `bind` or `secret`, in lower case.
    pub kind: String,
    pub from: Option<String>,
    pub source: String,
    pub id: String,
    pub target: String,
}

impl Mount {
    /// The id of the secret or SSH socket it mounts, as a key names it; `None` for any other mount
    /// (BuildKit `dispatchSecret`, `dispatchSSH`).
    pub(crate) fn secret(&self) -> Option<String> {
        // BuildKit reads `source` before `id`, and takes the target's file name where both are absent.
        let first = |names: [&str; 2]| names.into_iter().find(|name| !name.is_empty()).map(str::to_owned);
        match self.kind.as_str() {
            "secret" => {
                first([&self.source, &self.id]).or_else(|| self.target.rsplit('/').next().map(str::to_owned))
            }
            "ssh" => first([&self.id, "default"]).map(|id| format!("ssh:{id}")),
            _ => None,
        }
    }
}

/// Reads one value of `--mount`, such as `type=secret,id=token`. `expand` replaces the variables of a part.
pub(crate) fn mount(
    text: &str,
    mut expand: impl FnMut(&str) -> Result<String, String>,
) -> Result<Mount, String> {
    let mut mount = Mount { kind: "bind".to_owned(), ..Mount::default() };
    for field in csv(text)? {
        let Some((name, value)) = field.split_once('=') else { continue };
        match name.to_lowercase().as_str() {
            "type" => mount.kind = expand(value)?.to_lowercase(),
            // A `$` at the end names no variable.
            "from" if value.trim_end_matches('$').contains('$') => {
                return Err(
                    "`from` of a mount takes no variables: define a stage and name it instead".to_owned()
                );
            }
            "from" => mount.from = Some(value.to_owned()).filter(|from| !from.is_empty()),
            "source" | "src" => mount.source = expand(value)?,
            "id" => mount.id = expand(value)?,
            "target" | "dst" | "destination" => mount.target = expand(value)?,
            _ => {}
        }
    }
    Ok(mount)
}
