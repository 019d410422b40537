//! The patterns of `${name#pattern}` and `${name/pattern/text}`: `*`, `?` and escapes, no classes.

use crate::budget::Meter;

enum Token {
    Literal(char),
    Any,
    Many,
}

/// BuildKit's `convertShellPatternToRegex`.
fn parse(pattern: &str) -> Result<Vec<Token>, String> {
    let mut out = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(match c {
            '*' => Token::Many,
            '?' => Token::Any,
            '\\' => match chars.peek() {
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

/// The lengths of the starts of `text` that the tokens match, shortest first. A wildcard does not match a line
/// break.
fn lengths(tokens: &[Token], text: &[char], meter: &Meter) -> Result<Vec<usize>, String> {
    let mut out = Vec::new();
    // Which tokens may come next.
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

/// `value` without the shortest (or, greedy, the longest) matching start or end.
pub(crate) fn trim(
    value: &str,
    pattern: &str,
    start: bool,
    greedy: bool,
    meter: &Meter,
) -> Result<String, String> {
    let mut tokens = parse(pattern)?;
    let mut chars: Vec<char> = value.chars().collect();
    if !start {
        tokens.reverse();
        chars.reverse();
    }
    let lengths = lengths(&tokens, &chars, meter)?;
    let length = if greedy { lengths.last() } else { lengths.first() };
    let mut kept = chars.split_off(length.copied().unwrap_or(0));
    if !start {
        kept.reverse();
    }
    Ok(kept.into_iter().collect())
}

/// `value` with the first, or every, longest match of `pattern` replaced, as Go's `regexp` does: an empty match
/// right after another one is none, and where all are replaced, `$` in the replacement has a meaning.
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
    let (mut out, mut at, mut last) = (String::new(), 0, 0);
    while at <= chars.len() {
        let rest = chars.get(at..).unwrap_or_default();
        let Some(&length) = lengths(&tokens, rest, meter)?.last() else {
            // What `*` at the start did not reach from here, it does not reach from further on in the line.
            let line =
                rest.iter().position(|&c| c == '\n').filter(|_| matches!(tokens.first(), Some(Token::Many)));
            let whole = matches!(tokens.first(), Some(Token::Many)) && line.is_none();
            at = if whole { chars.len() + 1 } else { at + line.unwrap_or(0) + 1 };
            continue;
        };
        out.extend(text(last..at));
        let end = at + length;
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

/// Go's `Regexp.Expand` of a template, for an expression without groups: `$0` is all of it, other names are empty.
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
