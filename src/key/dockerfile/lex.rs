//! BuildKit's shell-like word processing (`frontend/dockerfile/shell/lex.go`): quotes, escapes, variables.
//!
//! In: `a"$X"${Y:-z}` and what each variable is. Out: `a1z` for `X=1` and no `Y`. Names such as `processDollar` are those
//! of BuildKit's functions.

use super::glob::{self, Side};
use super::split::Words;
use crate::budget::{Meter, NESTING, more_than};

/// What is known of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lookup {
    Set(String),
    Unset,
    /// It may come from the configuration of a base image, which is not read.
    Unknown,
}

/// A processed text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Expanded {
    /// The text as one word.
    pub word: String,
    /// The text split at blanks outside quotes, after variables are replaced.
    pub words: Vec<String>,
    /// Names of variables whose value is not known; they were taken as unset.
    pub unknown: Vec<String>,
    /// Names of variables without a value, apart from those for which the text says what to do then (`${X:-1}`).
    pub unset: Vec<String>,
}

/// How texts are processed. [`Lex::new`] is how the arguments of instructions are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lex {
    /// `\`, or a backtick by directive.
    pub escape: char,
    /// Keep quotes.
    pub raw_quotes: bool,
    /// Keep escape characters.
    pub raw_escapes: bool,
    /// Keep `$X` as it is written where `X` has no value.
    pub skip_unset: bool,
}

impl Lex {
    pub(crate) fn new(escape: char) -> Self {
        Self { escape, raw_quotes: false, raw_escapes: false, skip_unset: false }
    }

    /// Processes `text`; `env` looks variables up.
    ///
    /// # Errors
    /// What BuildKit refuses in the text, as a reason.
    pub(crate) fn process(self, text: &str, env: &dyn Fn(&str) -> Lookup) -> Result<Expanded, String> {
        self.metered(text, env, &Meter::default())
    }

    /// As [`Self::process`]. `meter` counts the length of all texts of a file, and has a limit for it.
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

/// The state while one text is processed.
struct Run<'a> {
    lex: Lex,
    /// As in `lex`, but also on inside the patterns of `${X#…}` and `${X/…}`, which read escapes themselves.
    raw_escapes: bool,
    chars: Vec<char>,
    /// Where in `chars` the next character is.
    at: usize,
    /// How many `${…}` are open.
    depth: usize,
    env: &'a dyn Fn(&str) -> Lookup,
    meter: &'a Meter,
    unknown: Vec<String>,
    unset: Vec<String>,
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

    /// Processes up to the character `stop`, which is passed over, or up to the end (`processStopOn`).
    fn stop_on(&mut self, stop: Option<char>, raw_escapes: bool) -> Result<Words, String> {
        if self.depth > NESTING {
            return Err(more_than(NESTING, "levels of `${…}`"));
        }
        let outer = std::mem::replace(&mut self.raw_escapes, raw_escapes);
        self.depth += 1;
        let words = self.words_until(stop);
        self.depth -= 1;
        self.raw_escapes = outer;
        words
    }

    fn words_until(&mut self, stop: Option<char>) -> Result<Words, String> {
        let mut words = Words::default();
        while let Some(c) = self.peek() {
            if Some(c) == stop {
                self.at += 1;
                words.end_word();
                return Ok(words);
            }
            match c {
                '\'' => words.add_quoted(&self.single_quote()?),
                '"' => words.add_quoted(&self.double_quote()?),
                '<' => words.add_quoted(&self.possible_heredoc()),
                '$' => {
                    let value = self.dollar()?;
                    words.whole.push_str(&value);
                    value.chars().for_each(|c| words.add_to_words(c));
                }
                _ => {
                    self.at += 1;
                    if c == self.lex.escape {
                        if self.raw_escapes {
                            words.add_quoted(&c.to_string());
                        }
                        let Some(next) = self.next() else { break };
                        words.add_quoted(&next.to_string());
                    } else {
                        words.add_char(c);
                    }
                }
            }
        }
        if let Some(c) = stop {
            return Err(format!("`{c}` is missing"));
        }
        words.end_word();
        Ok(words)
    }

    /// `<`, or `<<` and the blanks after it, which do not part it from the name of a here-document.
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

    /// What stands in single quotes, as it is (`processSingleQuote`).
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

    /// What stands in double quotes, variables replaced (`processDoubleQuote`).
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

    /// The variable's value; without one, its name is noted in `unset` or `unknown`.
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

    /// `$name`, `${name}` and its modifiers (`processDollar`).
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

    /// `${name…}`, whose name is read already: `}`, or a modifier such as `:-word}`.
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
                let unset_before = self.unset.len();
                let value = self.look_up(name)?;
                // The text says what to do if it is unset. In `${name#pattern}` it does not.
                if !matches!(c, '#' | '%') {
                    self.unset.truncate(unset_before);
                }
                if value.is_none() && self.lex.skip_unset {
                    return Ok(format!("${{{name}{}{c}{word}}}", if colon { ":" } else { "" }));
                }
                self.apply(c, colon, name, &word, value)
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

    /// Letters, digits and `_`; or digits alone; or one of the shell's special parameters, such as `$@` (`processName`).
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

    /// What `${name:-word}` and its like come to. `colon` says that there is a `:`: then an empty value is as none.
    fn apply(
        &self,
        modifier: char,
        colon: bool,
        name: &str,
        word: &str,
        value: Option<String>,
    ) -> Result<String, String> {
        let is_absent = value.as_ref().is_none_or(|value| colon && value.is_empty());
        match modifier {
            '-' if is_absent => Ok(word.to_owned()),
            '+' => Ok(if is_absent { String::new() } else { word.to_owned() }),
            '?' if is_absent && word.is_empty() => Err(format!("`{name}` must be set")),
            '?' if is_absent => Err(format!("`{name}`: {word}")),
            '#' | '%' => {
                // `##` and `%%` take the longest match.
                let (longest, pattern) =
                    word.strip_prefix(modifier).map_or((false, word), |rest| (true, rest));
                let side = if modifier == '#' { Side::Start } else { Side::End };
                glob::trim(&value.unwrap_or_default(), pattern, side, longest, self.meter)
            }
            _ => Ok(value.unwrap_or_default()),
        }
    }
}
