//! BuildKit's shell-like word processing (`frontend/dockerfile/shell/lex.go`): quotes, escapes, variables.

use super::glob;
use crate::budget::{Meter, NESTING, more_than};

/// What is known of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lookup {
    Set(String),
    Unset,
    /// It may come from an image that only the build engine sees.
    Unknown,
}

/// A processed word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub word: String,
    /// The word split at blanks, after variables are replaced.
    pub words: Vec<String>,
    /// Names of variables whose value only the build engine knows; they were taken as unset.
    pub unknown: Vec<String>,
    /// Names of variables without a value that came to nothing, other than where the word provides for it.
    pub unset: Vec<String>,
}

/// How words are processed. The default is how instructions are expanded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lex {
    /// `\`, or a backtick by directive.
    pub escape: char,
    pub raw_quotes: bool,
    pub raw_escapes: bool,
    /// Leave unset variables as they are written.
    pub skip_unset: bool,
}

impl Lex {
    pub(crate) fn new(escape: char) -> Self {
        Self { escape, raw_quotes: false, raw_escapes: false, skip_unset: false }
    }

    /// Processes `text`; the error is a reason.
    pub(crate) fn process(self, text: &str, env: &dyn Fn(&str) -> Lookup) -> Result<Expanded, String> {
        self.metered(text, env, &Meter::default())
    }

    /// As [`Self::process`], within what `meter` leaves.
    pub(crate) fn metered(
        self,
        text: &str,
        env: &dyn Fn(&str) -> Lookup,
        meter: &Meter,
    ) -> Result<Expanded, String> {
        meter.add_text(text)?;
        let mut run = Run {
            lex: self,
            raw_escapes: self.raw_escapes,
            chars: text.chars().collect(),
            at: 0,
            depth: 0,
            env,
            meter,
            unknown: Vec::new(),
            unset: Vec::new(),
        };
        let words = run
            .stop_on(None, self.raw_escapes)
            .map_err(|reason| format!("{reason} in `{}`", short(text, 200)))?;
        Ok(Expanded { word: words.whole, words: words.split, unknown: run.unknown, unset: run.unset })
    }
}

/// The beginning of a text, for a message.
pub(crate) fn short(text: &str, characters: usize) -> String {
    let end = text.char_indices().nth(characters);
    end.map_or_else(|| text.to_owned(), |(end, _)| format!("{}…", text.get(..end).unwrap_or_default()))
}

struct Run<'a> {
    lex: Lex,
    raw_escapes: bool,
    chars: Vec<char>,
    at: usize,
    /// How many `${…}` are open.
    depth: usize,
    env: &'a dyn Fn(&str) -> Lookup,
    meter: &'a Meter,
    unknown: Vec<String>,
    unset: Vec<String>,
}

/// The text as a whole and, at the same time, split.
#[derive(Default)]
struct Words {
    whole: String,
    split: Vec<String>,
    current: String,
    inside: bool,
}

impl Words {
    fn plain(&mut self, c: char) {
        self.whole.push(c);
        self.split(c);
    }
    fn split(&mut self, c: char) {
        if !c.is_whitespace() {
            self.current.push(c);
            self.inside = true;
        } else if self.inside && !self.current.is_empty() {
            self.split.push(std::mem::take(&mut self.current));
            self.inside = false;
        }
    }
    fn raw(&mut self, text: &str) {
        self.whole.push_str(text);
        self.current.push_str(text);
        self.inside = true;
    }
}

impl Run<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek();
        self.at += usize::from(c.is_some());
        c
    }

    fn stop_on(&mut self, stop: Option<char>, raw_escapes: bool) -> Result<Words, String> {
        if self.depth > NESTING {
            return Err(more_than(NESTING, "levels of `${…}`"));
        }
        let outer = std::mem::replace(&mut self.raw_escapes, raw_escapes);
        self.depth += 1;
        let words = self.until(stop);
        self.depth -= 1;
        self.raw_escapes = outer;
        words
    }

    fn until(&mut self, stop: Option<char>) -> Result<Words, String> {
        let mut words = Words::default();
        while let Some(c) = self.peek() {
            if Some(c) == stop {
                self.at += 1;
                return Ok(finish(words));
            }
            match c {
                '\'' => words.raw(&self.single_quote()?),
                '"' => words.raw(&self.double_quote()?),
                '<' => words.raw(&self.possible_heredoc()),
                '$' => {
                    let value = self.dollar()?;
                    words.whole.push_str(&value);
                    value.chars().for_each(|c| words.split(c));
                }
                _ => {
                    self.at += 1;
                    if c == self.lex.escape {
                        if self.raw_escapes {
                            words.raw(&c.to_string());
                        }
                        let Some(next) = self.next() else { break };
                        words.raw(&next.to_string());
                    } else {
                        words.plain(c);
                    }
                }
            }
        }
        match stop {
            Some(c) => Err(format!("`{c}` is missing")),
            None => Ok(finish(words)),
        }
    }

    /// Blanks between `<<` and a name do not part them.
    fn possible_heredoc(&mut self) -> String {
        let start = self.at;
        self.at += 1;
        if self.peek() == Some('<') {
            self.at += 1;
            while self.peek().is_some_and(|c| matches!(c, '\t' | '\r' | ' ')) {
                self.at += 1;
            }
        }
        self.chars.get(start..self.at).unwrap_or_default().iter().collect()
    }

    fn single_quote(&mut self) -> Result<String, String> {
        let mut out = String::new();
        self.at += 1;
        if self.lex.raw_quotes {
            out.push('\'');
        }
        loop {
            match self.next() {
                None => return Err("a single quote is never closed".to_owned()),
                Some('\'') => {
                    if self.lex.raw_quotes {
                        out.push('\'');
                    }
                    return Ok(out);
                }
                Some(c) => out.push(c),
            }
        }
    }

    fn double_quote(&mut self) -> Result<String, String> {
        let mut out = String::new();
        self.at += 1;
        if self.lex.raw_quotes {
            out.push('"');
        }
        loop {
            match self.peek() {
                None => return Err("a double quote is never closed".to_owned()),
                Some('"') => {
                    self.at += 1;
                    if self.lex.raw_quotes {
                        out.push('"');
                    }
                    return Ok(out);
                }
                Some('$') => out.push_str(&self.dollar()?),
                Some(mut c) => {
                    self.at += 1;
                    if c == self.lex.escape {
                        if self.raw_escapes {
                            out.push(c);
                        }
                        match self.peek() {
                            None => continue,
                            Some(next) if next == '"' || next == '$' || next == self.lex.escape => {
                                self.at += 1;
                                c = next;
                            }
                            Some(_) => {}
                        }
                    }
                    out.push(c);
                }
            }
        }
    }

    fn look_up(&mut self, name: &str) -> Result<Option<String>, String> {
        Ok(match (self.env)(name) {
            Lookup::Set(value) => {
                self.meter.add_text(&value)?;
                Some(value)
            }
            Lookup::Unset => {
                self.unset.push(name.to_owned());
                None
            }
            Lookup::Unknown => {
                self.unknown.push(name.to_owned());
                None
            }
        })
    }

    fn dollar(&mut self) -> Result<String, String> {
        self.at += 1;
        if self.peek() != Some('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return Ok(match self.look_up(&name)? {
                Some(value) => value,
                None if self.lex.skip_unset => format!("${name}"),
                None => String::new(),
            });
        }
        self.at += 1;
        match self.peek() {
            None => return Err("`}` is missing".to_owned()),
            Some('{' | '}' | ':') => return Err("bad substitution".to_owned()),
            Some(_) => {}
        }
        let name = self.name();
        self.modified(&name)
    }

    /// What follows the name in `${name…}`.
    fn modified(&mut self, name: &str) -> Result<String, String> {
        let mut modifier = self.next();
        let colon = modifier == Some(':');
        if colon {
            modifier = self.next();
        }
        match modifier {
            Some('}') if !colon => match self.look_up(name)? {
                None if self.lex.skip_unset => Ok(format!("${{{name}}}")),
                value => Ok(value.unwrap_or_default()),
            },
            Some(c @ ('+' | '-' | '?' | '#' | '%')) if !colon || !matches!(c, '#' | '%') => {
                let word = self.stop_on(Some('}'), matches!(c, '#' | '%'))?.whole;
                let known = self.unset.len();
                let value = self.look_up(name)?;
                if !matches!(c, '#' | '%') {
                    self.unset.truncate(known);
                }
                if value.is_none() && self.lex.skip_unset {
                    return Ok(format!("${{{name}{}{c}{word}}}", if colon { ":" } else { "" }));
                }
                apply(c, colon, name, &word, value, self.meter)
            }
            Some('/') if !colon => {
                let all = self.peek() == Some('/');
                self.at += usize::from(all);
                let pattern = self.stop_on(Some('/'), true)?.whole;
                let replacement = self.stop_on(Some('}'), true)?.whole;
                let value = self.look_up(name)?;
                if value.is_none() && self.lex.skip_unset {
                    return Ok(format!("${{{name}/{pattern}/{replacement}}}"));
                }
                glob::replace(&value.unwrap_or_default(), &pattern, &replacement, all, self.meter)
            }
            other => Err(format!("unsupported modifier `{}`", other.map(String::from).unwrap_or_default())),
        }
    }

    /// Letters, digits and `_`; or digits alone; or one special parameter.
    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.peek() {
            if name.is_empty() && c.is_numeric() {
                while let Some(digit) = self.peek().filter(|c| c.is_numeric()) {
                    name.push(digit);
                    self.at += 1;
                }
                return name;
            }
            if name.is_empty() && "@*#?-$!0".contains(c) {
                self.at += 1;
                return c.to_string();
            }
            if !c.is_alphanumeric() && c != '_' {
                break;
            }
            name.push(c);
            self.at += 1;
        }
        name
    }
}

fn finish(mut words: Words) -> Words {
    if !words.current.is_empty() {
        words.split.push(std::mem::take(&mut words.current));
    }
    words
}

fn apply(
    modifier: char,
    colon: bool,
    name: &str,
    word: &str,
    value: Option<String>,
    meter: &Meter,
) -> Result<String, String> {
    let absent = value.as_ref().is_none_or(|value| colon && value.is_empty());
    match modifier {
        '-' if absent => Ok(word.to_owned()),
        '+' => Ok(if absent { String::new() } else { word.to_owned() }),
        '?' if absent => {
            Err(if word.is_empty() { format!("`{name}` must be set") } else { format!("`{name}`: {word}") })
        }
        '#' | '%' => {
            let (greedy, pattern) = word.strip_prefix(modifier).map_or((false, word), |rest| (true, rest));
            glob::trim(&value.unwrap_or_default(), pattern, modifier == '#', greedy, meter)
        }
        _ => Ok(value.unwrap_or_default()),
    }
}
