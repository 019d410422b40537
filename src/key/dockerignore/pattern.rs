//! One pattern, compiled and matched as <https://github.com/moby/patternmatcher> does it.

use crate::budget::{Most, PATTERN};

use super::regex::{Program, decode};

/// A compiled pattern. Paths are slash-separated bytes relative to the context, without a leading slash.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    text: Vec<u8>,
    matcher: Matcher,
}

#[derive(Debug, Clone)]
enum Matcher {
    /// The path is the pattern's text.
    Exact,
    /// The path starts with this.
    Prefix(Vec<u8>),
    /// The path ends with this, or is this without its leading slash.
    Suffix(Vec<u8>),
    Expression(Program),
}

/// For lists of patterns and of references to them.
impl AsRef<Self> for Pattern {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl Pattern {
    /// Compiles a cleaned pattern ([`super::clean`]). The error is a reason, without the pattern.
    pub(crate) fn new(text: &[u8]) -> Result<Self, String> {
        if text.len() as u64 > PATTERN {
            return Err(format!("longer than {}", Most::Bytes(PATTERN)));
        }
        check_syntax(text)?;
        let matcher = compile(text)?;
        Ok(Self { text: text.to_vec(), matcher })
    }

    /// The pattern `**`, which matches every path.
    pub(crate) fn all() -> Self {
        Self { text: b"**".to_vec(), matcher: Matcher::Suffix(Vec::new()) }
    }

    /// The cleaned text.
    #[cfg(test)]
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Tells whether the path itself matches, not a parent of it. `found` runs the pattern's expression on the path; it is
    /// called only if nothing cheaper decides.
    pub(super) fn matches(&self, path: &[u8], found: impl FnOnce() -> bool) -> bool {
        match &self.matcher {
            Matcher::Exact => path == self.text,
            Matcher::Prefix(prefix) => path.starts_with(prefix),
            Matcher::Suffix(suffix) => {
                path.ends_with(suffix)
                    || suffix.split_first().is_some_and(|(&b, rest)| b == b'/' && rest == path)
            }
            Matcher::Expression(program) => program.may_match(path) && found(),
        }
    }

    /// The expression, if the pattern needs one.
    pub(super) fn expression(&self) -> Option<&Program> {
        match &self.matcher {
            Matcher::Expression(program) => Some(program),
            _ => None,
        }
    }

    /// The text without a `/**` or `/*` at its end (fsutil, `patternWithoutTrailingGlob`).
    pub(crate) fn without_trailing_glob(&self) -> &[u8] {
        let text = self.text.strip_suffix(b"/**").unwrap_or(&self.text);
        text.strip_suffix(b"/*").unwrap_or(text)
    }

    /// Tells whether the pattern is a plain path, apart from a `/**` or `/*` at its end.
    pub(crate) fn is_prefix_only(&self) -> bool {
        !self.without_trailing_glob().iter().any(|b| b"*[]?^\\".contains(b))
    }

    /// Tells whether something below the folder `dir` could match, by the pattern's part before its first wildcard. It may
    /// say yes too often, never no.
    pub(crate) fn may_match_below(&self, dir: &[u8]) -> bool {
        let wildcard = self.text.iter().position(|b| b"*?[\\^".contains(b));
        let plain = wildcard.map_or(self.text.as_slice(), |end| self.text.get(..end).unwrap_or_default());
        let is_below = |rest: &[u8]| rest.first() == Some(&b'/');
        // The folder is the path that the pattern names or is below it, or the wildcard may reach it.
        let inside = match dir.strip_prefix(plain) {
            Some(rest) => wildcard.is_some() || rest.is_empty() || is_below(rest),
            None => false,
        };
        inside || plain.strip_prefix(dir).is_some_and(is_below)
    }
}

/// moby's expression for any number of whole folders, or none.
const FOLDERS: &str = "(.*/)?";

/// The shape of a pattern: all but the last are matched without an expression (moby's `matchType`).
#[derive(PartialEq)]
enum Shape {
    Exact,
    Prefix,
    Suffix,
    Expression,
}

/// moby's `Pattern.compile`.
fn compile(text: &[u8]) -> Result<Matcher, String> {
    let (shape, expression) = translate(&characters(text));
    Ok(match shape {
        Shape::Exact => Matcher::Exact,
        // Without the two stars at the end, or at the start.
        Shape::Prefix => {
            Matcher::Prefix(text.get(..text.len().saturating_sub(2)).unwrap_or_default().to_vec())
        }
        Shape::Suffix => Matcher::Suffix(text.get(2..).unwrap_or_default().to_vec()),
        Shape::Expression => Matcher::Expression(Program::parse(&expression)?),
    })
}

/// Translates a glob to a regular expression: `a*.b` to `^a[^/]*\.b$`.
fn translate(chars: &[char]) -> (Shape, String) {
    let (mut shape, mut out, mut at) = (Shape::Exact, String::from("^"), 0);
    while let Some(&c) = chars.get(at) {
        let first = at == 0;
        at += 1;
        match c {
            '*' if chars.get(at) == Some(&'*') => {
                at += 1 + usize::from(chars.get(at + 1) == Some(&'/'));
                shape = add_double_star(first, at >= chars.len(), &shape, &mut out);
            }
            '*' => {
                out.push_str("[^/]*");
                shape = Shape::Expression;
            }
            '?' => {
                out.push_str("[^/]");
                shape = Shape::Expression;
            }
            // moby means to escape `{|}` too, but its bitmap overflows for them, and they stay as they are.
            '.' | '+' | '(' | ')' | '$' => out.extend(['\\', c]),
            '\\' => {
                out.push('\\');
                if let Some(&next) = chars.get(at) {
                    out.push(next);
                    at += 1;
                    shape = Shape::Expression;
                }
            }
            '[' | ']' => {
                out.push(c);
                shape = Shape::Expression;
            }
            _ => out.push(c),
        }
    }
    out.push('$');
    (shape, out)
}

/// Adds `**`, or `**/`, to the expression and returns the pattern's shape so far.
fn add_double_star(first: bool, last: bool, shape: &Shape, out: &mut String) -> Shape {
    if !last {
        // Twice the same is as good as once, and costs as much again.
        if !out.ends_with(FOLDERS) {
            out.push_str(FOLDERS);
        }
    } else if *shape != Shape::Exact {
        out.push_str(".*");
    }
    match (first, last, shape) {
        (true, ..) => Shape::Suffix,
        (false, true, Shape::Exact) => Shape::Prefix,
        (false, ..) => Shape::Expression,
    }
}

/// The pattern's characters. Go's scanner drops a byte-order mark at the start.
fn characters(mut text: &[u8]) -> Vec<char> {
    let mut chars = Vec::with_capacity(text.len());
    while let Some((c, width)) = decode(text) {
        chars.push(c);
        text = text.get(width..).unwrap_or_default();
    }
    if chars.first() == Some(&'\u{feff}') {
        chars.remove(0);
    }
    chars
}

/// Refuses what Go's `filepath.Match` calls a bad pattern; moby asks it before anything else.
fn check_syntax(text: &[u8]) -> Result<(), String> {
    let chars = characters(text);
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        at += 1;
        match c {
            '\\' => {
                if chars.get(at).is_none() {
                    return Err("ends in a lone `\\`".to_owned());
                }
                at += 1;
            }
            '[' => at = check_class(&chars, at)?,
            _ => {}
        }
    }
    Ok(())
}

/// Checks a class whose `[` is before `at`, and returns the index after it.
fn check_class(chars: &[char], mut at: usize) -> Result<usize, String> {
    if chars.get(at) == Some(&'^') {
        at += 1;
    }
    let mut members = 0;
    loop {
        if members > 0 && chars.get(at) == Some(&']') {
            return Ok(at + 1);
        }
        at = check_member(chars, at)?;
        if chars.get(at) == Some(&'-') {
            at = check_member(chars, at + 1)?;
        }
        members += 1;
    }
}

/// Checks one member of a class, as Go's `getEsc`. Something must follow it, or the class is never closed.
fn check_member(chars: &[char], mut at: usize) -> Result<usize, String> {
    match chars.get(at) {
        None => return Err("`[` is never closed".to_owned()),
        Some('-') => return Err("a `-` in a class must be escaped".to_owned()),
        Some(']') => return Err("a `]` in a class must be escaped".to_owned()),
        Some('\\') => at += 1,
        Some(_) => {}
    }
    // Go reads a byte that is no UTF-8 as this character, and refuses it in a class.
    if chars.get(at).is_none_or(|&c| c == char::REPLACEMENT_CHARACTER) || chars.get(at + 1).is_none() {
        return Err("`[` is never closed".to_owned());
    }
    Ok(at + 1)
}
