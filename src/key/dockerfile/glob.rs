//! The patterns of `${name#pattern}` and `${name/pattern/text}`: `*`, `?` and escapes, no classes such as `[a-z]`.
//! BuildKit makes regular expressions of them, for Go's package `regexp` (`frontend/dockerfile/shell/lex.go`).

use crate::budget::Meter;

enum Token {
    Literal(char),
    /// `?`: any one character but a line break.
    Any,
    /// `*`: any number of them.
    Many,
}

/// Reads a pattern (`convertShellPatternToRegex`).
fn parse(pattern: &str) -> Result<Vec<Token>, String> {
    let mut out = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(match c {
            '*' => Token::Many,
            '?' => Token::Any,
            '\\' => match chars.peek() {
                // They were escaped so as not to end the pattern, and stand for themselves.
                Some('}' | '/') => continue,
                Some(&next @ ('*' | '?' | '\\')) => {
                    chars.next();
                    Token::Literal(next)
                }
                _ => return Err(format!("invalid escape in pattern `{pattern}`")),
            },
            _ => Token::Literal(c),
        });
    }
    Ok(out)
}

/// The lengths of the beginnings of `text` that the tokens match, shortest first. It takes at most as many steps as the
/// product of both lengths, whatever the pattern.
fn lengths(tokens: &[Token], text: &[char], meter: &Meter) -> Result<Vec<usize>, String> {
    let mut out = Vec::new();
    // `next[i]`: the text so far matches the first `i` tokens. `after` is the same for one character more.
    let mut next = vec![false; tokens.len() + 1];
    let mut after = next.clone();
    next[0] = true;
    for at in 0..=text.len() {
        meter.add_steps(tokens.len() + 1)?;
        for (index, token) in tokens.iter().enumerate() {
            next[index + 1] |= next[index] && matches!(token, Token::Many);
        }
        if next[tokens.len()] {
            out.push(at);
        }
        let Some(&c) = text.get(at).filter(|_| next.contains(&true)) else { break };
        after.fill(false);
        for (index, token) in tokens.iter().enumerate().filter(|(index, _)| next[*index]) {
            match token {
                Token::Literal(want) => after[index + 1] |= *want == c,
                Token::Any => after[index + 1] |= c != '\n',
                Token::Many => after[index] |= c != '\n',
            }
        }
        std::mem::swap(&mut next, &mut after);
    }
    Ok(out)
}

/// Where [`trim`] removes something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Start,
    End,
}

/// `value` without the shortest, or the longest, match of `pattern` at one side.
pub(crate) fn trim(
    value: &str,
    pattern: &str,
    side: Side,
    longest: bool,
    meter: &Meter,
) -> Result<String, String> {
    let mut tokens = parse(pattern)?;
    let mut chars: Vec<char> = value.chars().collect();
    // The end of a text is the beginning of its reverse.
    if side == Side::End {
        tokens.reverse();
        chars.reverse();
    }
    let lengths = lengths(&tokens, &chars, meter)?;
    let length = if longest { lengths.last() } else { lengths.first() };
    let mut kept = chars.split_off(length.copied().unwrap_or(0));
    if side == Side::End {
        kept.reverse();
    }
    Ok(kept.into_iter().collect())
}

/// `value` with the longest match of `pattern` at the first place, or at every place, replaced, as Go's
/// `regexp` does it (`ReplaceAllString`): an empty match right after another one is none, and where all are replaced,
/// `$0` in the replacement is the match.
pub(crate) fn replace(
    value: &str,
    pattern: &str,
    replacement: &str,
    all: bool,
    meter: &Meter,
) -> Result<String, String> {
    let tokens = parse(pattern)?;
    let chars: Vec<char> = value.chars().collect();
    let text = |range: std::ops::Range<usize>| chars.get(range).unwrap_or_default().iter();
    let begins_with_many = matches!(tokens.first(), Some(Token::Many));
    let mut out = String::new();
    // Where the next match is tried, and where the last one ended.
    let (mut at, mut last) = (0, 0);
    while at <= chars.len() {
        let rest = chars.get(at..).unwrap_or_default();
        let Some(&length) = lengths(&tokens, rest, meter)?.last() else {
            // If `*…` matches nothing from here, it matches nothing from further on in this line either: without this
            // a long line takes quadratic time.
            let end_of_line = || rest.iter().position(|&c| c == '\n').unwrap_or(rest.len());
            at += if begins_with_many { end_of_line() } else { 0 } + 1;
            continue;
        };
        out.extend(text(last..at));
        let end = at + length;
        // Not an empty match right after the last one.
        if end > last || at == 0 {
            let found: String = text(at..end).collect();
            let new = if all { expanded(replacement, &found) } else { replacement.to_owned() };
            meter.add_text(&new)?;
            out.push_str(&new);
        }
        last = end;
        if !all {
            break;
        }
        at = end.max(at + 1);
    }
    out.extend(text(last..chars.len()));
    Ok(out)
}

/// Go's `Regexp.Expand` of a template, for an expression without groups: `$0` and `${0}` are all of the match, other
/// names are empty, `$$` is a `$`, and a `$` without a name stays.
fn expanded(template: &str, found: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let word = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        let (name, tail) = match after.strip_prefix('{') {
            _ if after.starts_with('$') => {
                out.push('$');
                rest = after.get(1..).unwrap_or_default();
                continue;
            }
            Some(inner) => {
                let (name, tail) = inner.split_at(word(inner));
                (name, tail.strip_prefix('}'))
            }
            None => {
                let (name, tail) = after.split_at(word(after));
                (name, Some(tail))
            }
        };
        if let Some(tail) = tail.filter(|_| !name.is_empty()) {
            out.push_str(if name.bytes().all(|b| b == b'0') { found } else { "" });
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out + rest
}
