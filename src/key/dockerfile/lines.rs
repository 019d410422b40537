//! A Dockerfile's text as logical lines: directives, comments, continuations and here-documents
//! (BuildKit `frontend/dockerfile/parser/parser.go` and `directives.go`).
//!
//! In: `# escape=\⏎RUN a \⏎  # no word⏎  b <<E⏎text⏎E`. Out: one line `RUN a   b <<E` of the physical lines 2 to 6, with
//! a here-document `E` of `text`.

use super::lex::{Lex, Lookup};
use super::words;

/// One logical line and what belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Its first and last physical line, from 1.
    pub first: usize,
    pub last: usize,
    /// Continuations are joined, comments between them left out, blanks around it trimmed.
    pub text: String,
    pub heredocs: Vec<Heredoc>,
}

/// A here-document of a `RUN`, `COPY` or `ADD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heredoc {
    /// The line that ends it, such as `EOF`.
    pub name: String,
    /// Its name is not quoted, so variables in its content are replaced.
    pub expand: bool,
    /// Tabs at the beginning of its lines are dropped (`<<-`).
    pub chomp: bool,
    pub content: String,
}

/// The lines of a file and the escape character in force.
#[derive(Debug)]
pub(crate) struct Lines {
    pub lines: Vec<Line>,
    pub escape: char,
}

/// What is wrong with the file: a physical line, from 1, and a reason for the user.
pub(crate) type Fault = (usize, String);

/// Splits `text` (no byte-order mark) into logical lines.
pub(crate) fn split(text: &str) -> Result<Lines, Fault> {
    let mut directives = Directives::default();
    let mut escape = '\\';
    let mut lines = Vec::new();
    let mut physical = text.split_inclusive('\n').enumerate().map(|(index, line)| (index + 1, line));
    while let Some((first, raw)) = physical.next() {
        let start = without_line_end(raw).trim_start();
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
        let (text, goes_on) = continued(start, escape);
        if text.is_empty() && !goes_on {
            continue;
        }
        let mut line = Line { first, last: first, text, heredocs: Vec::new() };
        if goes_on {
            line.add_continuations(&mut physical, escape);
        }
        line = Line { text: line.text.trim().to_owned(), ..line };
        line.add_heredocs(&mut physical)?;
        lines.push(line);
    }
    Ok(Lines { lines, escape })
}

impl Line {
    /// Adds physical lines up to one that does not go on. Comments and blank lines between them are passed over.
    fn add_continuations<'a>(&mut self, physical: &mut impl Iterator<Item = (usize, &'a str)>, escape: char) {
        for (number, raw) in physical {
            self.last = number;
            let next = without_line_end(raw);
            if next.trim_start().starts_with('#') || next.trim().is_empty() {
                continue;
            }
            let (part, goes_on) = continued(next, escape);
            self.text.push_str(&part);
            if !goes_on {
                return;
            }
        }
    }

    /// Adds the contents of the here-documents that the line announces.
    fn add_heredocs<'a>(
        &mut self,
        physical: &mut impl Iterator<Item = (usize, &'a str)>,
    ) -> Result<(), Fault> {
        for mut heredoc in heredocs(&self.text).map_err(|reason| (self.first, reason))? {
            loop {
                let Some((number, raw)) = physical.next() else {
                    return Err((self.first, format!("here-document `{}` is never closed", heredoc.name)));
                };
                self.last = number;
                let end = without_line_end(raw);
                if (if heredoc.chomp { end.trim_start_matches('\t') } else { end }) == heredoc.name {
                    break;
                }
                heredoc.content.push_str(raw);
            }
            self.heredocs.push(heredoc);
        }
        Ok(())
    }
}

fn without_line_end(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

/// The line without an escape character at its end, and whether it had one and so goes on in the next line. Two escape
/// characters at the end do not continue a line.
fn continued(line: &str, escape: char) -> (String, bool) {
    let trimmed = line.trim_end_matches([' ', '\t']);
    match trimmed.strip_suffix(escape) {
        Some(rest) if !rest.ends_with(escape) => (rest.to_owned(), true),
        _ => (line.to_owned(), false),
    }
}

/// Reads directives such as `# escape=\` at the beginning of a file. What follows anything else is a comment.
#[derive(Debug, Default)]
struct Directives {
    /// Something other than a directive came.
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

/// Name and value of the directive that stands after a `#`.
fn directive(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let (name, value) = (name.trim().to_lowercase(), value.trim());
    (matches!(name.as_str(), "syntax" | "escape" | "check") && !value.is_empty())
        .then(|| (name, value.to_owned()))
}

/// The frontend a file asks for (BuildKit `DetectSyntax`): the whole value and its line. Besides `# syntax=`
/// it may stand in a `//` comment or a JSON document; a `#!` line before it is passed over. Other frontends have other
/// languages, so this reads the text by itself.
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
        .and_then(|outer| if outer.keyword == "onbuild" { words::command(&outer.rest) } else { Some(outer) });
    let Some(command) = command.filter(|c| matches!(c.keyword.as_str(), "run" | "copy" | "add")) else {
        return Ok(Vec::new());
    };
    if !line.contains("<<") || words::json_array(&command.rest).is_some() {
        return Ok(Vec::new());
    }
    let raw = Lex { raw_quotes: true, raw_escapes: true, skip_unset: true, ..Lex::new('\\') };
    // BuildKit too takes a line that it cannot split for one without here-documents; the step's shell refuses it.
    let words = raw.process(line, &|_| Lookup::Unset).map(|e| e.words).unwrap_or_default();
    let mut out = Vec::new();
    for word in words {
        out.extend(heredoc(&word)?);
    }
    Ok(out)
}

/// The here-document that a word announces, such as `3<<-"EOF"`; `None` if it is another word (BuildKit `ParseHeredoc`).
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
    let ([name], [quoted_name]) = (bare.as_slice(), quoted.as_slice()) else { return Ok(None) };
    let count_quotes = |text: &str| text.matches(['\'', '"']).count();
    let expand = count_quotes(name) == count_quotes(quoted_name);
    Ok(Some(Heredoc { name: name.clone(), expand, chomp, content: String::new() }))
}
