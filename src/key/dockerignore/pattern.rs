//! One pattern, compiled and matched as github.com/moby/patternmatcher does it.

use crate::budget::{Most, PATTERN};

use super::regex::{Program, decode};

impl AsRef<Self> for Pattern {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// A compiled pattern. Paths are slash-separated bytes relative to the context, without a leading slash.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    text: Vec<u8>,
    matcher: Matcher,
}

#[derive(Debug, Clone)]
enum Matcher {
    Exact,
    /// The path starts with this.
    Prefix(Vec<u8>),
    /// The path ends with this, or is this without its leading slash.
    Suffix(Vec<u8>),
    Expression(Program),
}

impl Pattern {
    /// Compiles a cleaned pattern. The error is a reason, without the pattern.
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

    /// Whether the path itself (not a parent of it) matches; `found` says it of an expression, and is asked last.
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

    /// The text up to a closing `/**` or `/*` (fsutil `patternWithoutTrailingGlob`).
    pub(crate) fn without_trailing_glob(&self) -> &[u8] {
        let text = self.text.strip_suffix(b"/**").unwrap_or(&self.text);
        text.strip_suffix(b"/*").unwrap_or(text)
    }

    /// Whether, apart from a closing `/**` or `/*`, the pattern is a plain path.
    pub(crate) fn is_prefix_only(&self) -> bool {
        !self.without_trailing_glob().iter().any(|b| b"*[]?^\\".contains(b))
    }

    /// Whether something below the folder `dir` could match, judged by the pattern's part before its first
    /// wildcard. May say yes too often, never no.
    pub(crate) fn may_match_below(&self, dir: &[u8]) -> bool {
        let wild = self.text.iter().position(|b| b"*?[\\^".contains(b));
        let lead = wild.map_or(self.text.as_slice(), |end| self.text.get(..end).unwrap_or_default());
        let within = |rest: &[u8]| rest.first() == Some(&b'/');
        let inside = match dir.strip_prefix(lead) {
            Some(rest) => wild.is_some() || rest.is_empty() || within(rest),
            None => false,
        };
        inside || lead.strip_prefix(dir).is_some_and(within)
    }
}

/// Any number of whole folders, or none.
const FOLDERS: &str = "(.*/)?";

/// moby's `Pattern.compile`: glob to regular expression, with shortcuts for the plain shapes.
fn compile(text: &[u8]) -> Result<Matcher, String> {
    #[derive(PartialEq)]
    enum Kind {
        Exact,
        Prefix,
        Suffix,
        Expression,
    }
    let chars = characters(text);
    let mut kind = Kind::Exact;
    let mut out = String::from("^");
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let first = at == 0;
        at += 1;
        match c {
            '*' if chars.get(at) == Some(&'*') => {
                at += 1;
                if chars.get(at) == Some(&'/') {
                    at += 1;
                }
                if at < chars.len() {
                    // Twice the same is as good as once, and costs as much again.
                    if !out.ends_with(FOLDERS) {
                        out.push_str(FOLDERS);
                    }
                    kind = Kind::Expression;
                } else if kind == Kind::Exact {
                    kind = Kind::Prefix;
                } else {
                    out.push_str(".*");
                    kind = Kind::Expression;
                }
                if first {
                    kind = Kind::Suffix;
                }
            }
            '*' => {
                out.push_str("[^/]*");
                kind = Kind::Expression;
            }
            '?' => {
                out.push_str("[^/]");
                kind = Kind::Expression;
            }
            // moby means to escape `{|}` too, but its bitmap overflows for them: they reach the expression bare.
            '.' | '+' | '(' | ')' | '$' => out.extend(['\\', c]),
            '\\' => {
                out.push('\\');
                if let Some(&next) = chars.get(at) {
                    out.push(next);
                    at += 1;
                    kind = Kind::Expression;
                }
            }
            '[' | ']' => {
                out.push(c);
                kind = Kind::Expression;
            }
            _ => out.push(c),
        }
    }
    Ok(match kind {
        Kind::Exact => Matcher::Exact,
        Kind::Prefix => {
            Matcher::Prefix(text.get(..text.len().saturating_sub(2)).unwrap_or_default().to_vec())
        }
        Kind::Suffix => Matcher::Suffix(text.get(2..).unwrap_or_default().to_vec()),
        Kind::Expression => {
            out.push('$');
            Matcher::Expression(Program::parse(&out)?)
        }
    })
}

/// The pattern's characters; Go's scanner drops a leading byte-order mark.
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

/// What Go's `filepath.Match` calls a bad pattern; moby asks it before anything else.
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

/// One class member: Go's `getEsc`. A member must be followed by something, or the class is open.
fn check_member(chars: &[char], mut at: usize) -> Result<usize, String> {
    match chars.get(at) {
        None => return Err("`[` is never closed".to_owned()),
        Some('-') => return Err("a `-` in a class must be escaped".to_owned()),
        Some(']') => return Err("a `]` in a class must be escaped".to_owned()),
        Some('\\') => at += 1,
        Some(_) => {}
    }
    if chars.get(at).is_none_or(|&c| c == char::REPLACEMENT_CHARACTER) || chars.get(at + 1).is_none() {
        return Err("`[` is never closed".to_owned());
    }
    Ok(at + 1)
}
