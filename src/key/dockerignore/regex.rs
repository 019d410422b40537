//! Reads the part of Go's `regexp` syntax that moby's translation of patterns can produce.
//!
//! moby translates a glob to a regular expression and compiles it with Go's `regexp`. Some of its output is surprising
//! (`[a*]` becomes a class, and the star in it `[^/]*`), and Rust's `regex` reads several such texts differently. So
//! `pattern` translates as moby does, and this module reads the result as Go does. What it does not know is refused, never
//! guessed.

use super::class::{self, Set};

/// One step of a compiled expression.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// One given character.
    Literal(char),
    /// One character of a set.
    One(Set),
    /// Any number of characters of a set.
    Many(Set),
    /// Any number of whole folders, or none: `(.*/)?`.
    Folders,
    /// Start of the text (`^`, `\A`).
    Start,
    /// End of the text (`$`, `\z`).
    End,
    /// Word boundary (`\b`), or its absence (`\B`).
    Boundary(bool),
}

/// A compiled expression. moby anchors each of them at the start and at the end.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    ops: Vec<Op>,
    /// The bytes that each match begins with.
    prefix: Vec<u8>,
    /// The bytes that each match ends with.
    suffix: Vec<u8>,
}

impl Program {
    /// Reads `text` as Go's `regexp.Compile` would. The error says what is not understood.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let chars: Vec<char> = text.chars().collect();
        let mut ops = Vec::new();
        let mut at = 0;
        while let Some(&first) = chars.get(at) {
            let (op, next) = parse_step(&chars, at, first)?;
            ops.push(op);
            at = next;
        }
        Ok(Self { prefix: literal_prefix(&ops), suffix: literal_suffix(&ops), ops })
    }

    /// The steps; the first is a start, the last an end.
    pub(crate) fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Tells whether `path` begins and ends as every match does: a cheap check before the expression.
    pub(crate) fn may_match(&self, path: &[u8]) -> bool {
        path.starts_with(&self.prefix) && path.ends_with(&self.suffix)
    }
}

/// Reads the step at `at`, whose first character is `first`, and the index after it.
fn parse_step(chars: &[char], at: usize, first: char) -> Result<(Op, usize), String> {
    let rest = chars.get(at..).unwrap_or_default();
    Ok(match rest {
        ['.', '*', ..] => (Op::Many(Set::not_newline()), at + 2),
        // The only group that moby writes.
        ['(', '.', '*', '/', ')', '?', ..] => (Op::Folders, at + 6),
        ['^', ..] => (Op::Start, at + 1),
        ['$', ..] => (Op::End, at + 1),
        ['\\', 'A', ..] => (Op::Start, at + 2),
        ['\\', 'z', ..] => (Op::End, at + 2),
        ['\\', 'b', ..] => (Op::Boundary(true), at + 2),
        ['\\', 'B', ..] => (Op::Boundary(false), at + 2),
        ['[', ..] => {
            let (set, next) = class::parse(chars, at)?;
            if chars.get(next) == Some(&'*') { (Op::Many(set), next + 1) } else { (Op::One(set), next) }
        }
        ['\\', ..] => match class::perl(chars, at) {
            Some((set, next)) => (Op::One(set), next),
            None => class::escape(chars, at).map(|(c, next)| (Op::Literal(c), next))?,
        },
        // moby does not escape these two, so they keep their meaning in the expression.
        ['|', ..] => return Err("`|` means \"or\" here; write `\\|`".to_owned()),
        ['{', ..] if is_repetition(rest) => {
            return Err("`{…}` means a repetition here; write `\\{`".to_owned());
        }
        _ => (Op::Literal(first), at + 1),
    })
}

/// `{2}`, `{2,}` or `{2,3}`; any other brace is a literal in Go.
fn is_repetition(rest: &[char]) -> bool {
    let Some(end) = rest.iter().position(|&c| c == '}') else { return false };
    let inner: String = rest.get(1..end).unwrap_or_default().iter().collect();
    let (low, high) = inner.split_once(',').unwrap_or((&inner, ""));
    let digits = |s: &str| s.chars().all(|c| c.is_ascii_digit());
    !low.is_empty() && digits(low) && digits(high)
}

fn literal_prefix(ops: &[Op]) -> Vec<u8> {
    let Some((Op::Start, rest)) = ops.split_first() else { return Vec::new() };
    literals(rest.iter())
}

fn literal_suffix(ops: &[Op]) -> Vec<u8> {
    let Some((Op::End, rest)) = ops.split_last() else { return Vec::new() };
    let run = rest.iter().rev().take_while(|op| plain(op).is_some()).count();
    literals(rest.iter().skip(rest.len() - run))
}

fn literals<'a>(ops: impl Iterator<Item = &'a Op>) -> Vec<u8> {
    ops.map_while(plain).collect::<String>().into_bytes()
}

/// The character of a step that matches exactly the bytes of one character. U+FFFD also stands for bytes that are not
/// UTF-8.
fn plain(op: &Op) -> Option<char> {
    match op {
        Op::Literal(c) if *c != char::REPLACEMENT_CHARACTER => Some(*c),
        _ => None,
    }
}

/// The first character of `bytes` and its width; a byte that starts no valid character is U+FFFD, one wide.
pub(crate) fn decode(bytes: &[u8]) -> Option<(char, usize)> {
    let first = *bytes.first()?;
    if first.is_ascii() {
        return Some((char::from(first), 1));
    }
    let head = bytes.get(..bytes.len().min(4)).unwrap_or(bytes);
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text.chars().next(),
        Err(error) => head
            .get(..error.valid_up_to())
            .and_then(|good| std::str::from_utf8(good).ok())
            .and_then(|text| text.chars().next()),
    };
    Some(valid.map_or((char::REPLACEMENT_CHARACTER, 1), |c| (c, c.len_utf8())))
}
