//! A Dockerfile's text as logical lines: directives, comments, continuations and here-documents
//! (BuildKit `frontend/dockerfile/parser/parser.go` and `directives.go`).

use super::lex::{Lex, Lookup};
use super::words;

/// One logical line and what belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Its first and last physical line, from 1.
    pub first: usize,
    pub last: usize,
    /// Continuations joined, comments inside them gone, blanks around it trimmed.
    pub text: String,
    pub heredocs: Vec<Heredoc>,
}

/// A here-document of a `RUN`, `COPY` or `ADD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heredoc {
    pub name: String,
    /// Its delimiter is unquoted.
    pub expand: bool,
    /// Leading tabs are dropped (`<<-`).
    pub chomp: bool,
    pub content: String,
}

/// The lines of a file and the escape character in force.
#[derive(Debug)]
pub(crate) struct Lines {
    pub lines: Vec<Line>,
    pub escape: char,
}

/// A reason and the physical line it is about.
pub(crate) type Fault = (usize, String);

/// Splits `text` (no byte-order mark) into logical lines.
pub(crate) fn split(text: &str) -> Result<Lines, Fault> {
    let mut directives = Directives::default();
    let mut escape = '\\';
    let mut lines = Vec::new();
    let mut physical = text.split_inclusive('\n').enumerate().map(|(index, line)| (index + 1, line));
    while let Some((first, raw)) = physical.next() {
        let start = raw.trim_end_matches(['\r', '\n']).trim_start();
        if let Some((name, value)) = directives.read(start).map_err(|reason| (first, reason))?
            && name == "escape"
        {
            escape = match value.as_str() {
                "\\" => '\\',
                "`" => '`',
                _ => return Err((first, format!("escape `{value}` must be ` or \\"))),
            };
        }
        if start.starts_with('#') {
            continue;
        }
        let (mut joined, mut open) = continued(start, escape);
        if joined.is_empty() && !open {
            continue;
        }
        let mut last = first;
        while open {
            let Some((number, raw)) = physical.next() else { break };
            last = number;
            let next = raw.trim_end_matches(['\r', '\n']);
            if next.trim_start().starts_with('#') || next.trim().is_empty() {
                continue;
            }
            let part;
            (part, open) = continued(next, escape);
            joined.push_str(&part);
        }
        let mut line = Line { first, last, text: joined.trim().to_owned(), heredocs: Vec::new() };
        for mut heredoc in heredocs(&line.text).map_err(|reason| (first, reason))? {
            loop {
                let Some((number, raw)) = physical.next() else {
                    return Err((first, format!("here-document `{}` is never closed", heredoc.name)));
                };
                line.last = number;
                let end = raw.trim_end_matches(['\r', '\n']);
                if (if heredoc.chomp { end.trim_start_matches('\t') } else { end }) == heredoc.name {
                    break;
                }
                heredoc.content.push_str(raw);
            }
            line.heredocs.push(heredoc);
        }
        lines.push(line);
    }
    Ok(Lines { lines, escape })
}

/// The line without a closing escape, and whether it goes on. A doubled escape does not continue a line.
fn continued(line: &str, escape: char) -> (String, bool) {
    let trimmed = line.trim_end_matches([' ', '\t']);
    match trimmed.strip_suffix(escape) {
        Some(rest) if !rest.ends_with(escape) => (rest.to_owned(), true),
        _ => (line.to_owned(), false),
    }
}

/// Reads directives until something else comes.
#[derive(Debug, Default)]
struct Directives {
    done: bool,
    seen: Vec<String>,
}

impl Directives {
    fn read(&mut self, line: &str) -> Result<Option<(String, String)>, String> {
        let found = if self.done { None } else { line.strip_prefix('#').and_then(directive) };
        let Some((name, value)) = found else {
            self.done = true;
            return Ok(None);
        };
        if self.seen.contains(&name) {
            return Err(format!("only one {name} directive can be used"));
        }
        self.seen.push(name.clone());
        Ok(Some((name, value)))
    }
}

fn directive(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let (name, value) = (name.trim().to_lowercase(), value.trim());
    (matches!(name.as_str(), "syntax" | "escape" | "check") && !value.is_empty())
        .then(|| (name, value.to_owned()))
}

/// The frontend a file asks for (BuildKit `DetectSyntax`): the whole value and its line. Besides `# syntax=`
/// it may stand in a `//` comment or a JSON document; a shebang line before it is passed over.
pub(crate) fn syntax(text: &str) -> Option<(String, usize)> {
    let (body, offset) = match text.split_once('\n') {
        Some((first, rest)) if first.starts_with("#!") => (rest, 1),
        _ => (text, 0),
    };
    for mark in ["#", "//"] {
        let mut directives = Directives::default();
        for (index, line) in body.lines().enumerate() {
            let Some(comment) = line.strip_prefix(mark) else { break };
            match directives.read(&["#", comment].concat()) {
                Ok(Some((name, value))) if name == "syntax" => return Some((value, index + 1 + offset)),
                Ok(Some(_)) => {}
                _ => break,
            }
        }
    }
    let document: serde_json::Value = serde_json::from_str(body).ok()?;
    document.get("syntax")?.as_str().map(|value| (value.to_owned(), 1 + offset))
}

/// The here-documents a line announces, contents still empty.
fn heredocs(line: &str) -> Result<Vec<Heredoc>, String> {
    let command = words::command(line)
        .and_then(|c| if c.keyword == "onbuild" { words::command(&c.rest) } else { Some(c) });
    let Some(command) = command.filter(|c| matches!(c.keyword.as_str(), "run" | "copy" | "add")) else {
        return Ok(Vec::new());
    };
    if !line.contains("<<") || words::json_array(&command.rest).is_some() {
        return Ok(Vec::new());
    }
    let raw = Lex { raw_quotes: true, raw_escapes: true, skip_unset: true, ..Lex::new('\\') };
    // BuildKit ignores what it cannot split here; the shell will complain.
    let words = raw.process(line, &|_| Lookup::Unset).map(|e| e.words).unwrap_or_default();
    let mut out = Vec::new();
    for word in words {
        out.extend(heredoc(&word)?);
    }
    Ok(out)
}

/// `3<<-"EOF"`, if `word` is of that shape (BuildKit `ParseHeredoc`).
pub(crate) fn heredoc(word: &str) -> Result<Option<Heredoc>, String> {
    let after = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let Some(rest) = after.strip_prefix("<<") else { return Ok(None) };
    let (chomp, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
    let rest = rest.trim_start();
    if rest.is_empty() || rest.contains('<') {
        return Ok(None);
    }
    let lex = Lex { skip_unset: true, ..Lex::new('\\') };
    let bare = lex.process(rest, &|_| Lookup::Unset)?.words;
    let quoted = Lex { raw_quotes: true, ..lex }.process(rest, &|_| Lookup::Unset)?.words;
    let ([name], [raw]) = (bare.as_slice(), quoted.as_slice()) else { return Ok(None) };
    let marks = |text: &str| text.matches(['\'', '"']).count();
    Ok(Some(Heredoc { name: name.clone(), expand: marks(name) == marks(raw), chomp, content: String::new() }))
}
