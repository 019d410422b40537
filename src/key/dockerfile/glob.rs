//! The patterns of `${name#pattern}` and `${name/pattern/text}`: `*`, `?` and escapes, no classes.

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

/// Whether the tokens match all of `text`. A wildcard does not match a line break.
fn matches(tokens: &[Token], text: &[char]) -> bool {
    match tokens.split_first() {
        None => text.is_empty(),
        Some((Token::Many, rest)) => {
            let reach = text.iter().position(|&c| c == '\n').unwrap_or(text.len());
            (0..=reach).any(|skip| matches(rest, text.get(skip..).unwrap_or_default()))
        }
        Some((token, rest)) => text.split_first().is_some_and(|(&c, tail)| {
            let fits = match token {
                Token::Literal(want) => *want == c,
                _ => c != '\n',
            };
            fits && matches(rest, tail)
        }),
    }
}

/// `value` without the shortest (or, greedy, the longest) matching start or end.
pub fn trim(value: &str, pattern: &str, start: bool, greedy: bool) -> Result<String, String> {
    let tokens = parse(pattern)?;
    let chars: Vec<char> = value.chars().collect();
    let mut lengths: Vec<usize> = (0..=chars.len()).collect();
    if greedy {
        lengths.reverse();
    }
    let split =
        |length: usize| if start { chars.split_at(length) } else { chars.split_at(chars.len() - length) };
    let kept = lengths.into_iter().find_map(|length| {
        let (head, tail) = split(length);
        let (gone, kept) = if start { (head, tail) } else { (tail, head) };
        matches(&tokens, gone).then_some(kept)
    });
    Ok(kept.unwrap_or(&chars).iter().collect())
}

/// `value` with the first, or every, longest match of `pattern` replaced.
pub fn replace(value: &str, pattern: &str, replacement: &str, all: bool) -> Result<String, String> {
    if all && replacement.contains('$') || pattern.is_empty() {
        return Err(format!("replacing `{pattern}` by `{replacement}` is not supported"));
    }
    let tokens = parse(pattern)?;
    let chars: Vec<char> = value.chars().collect();
    let mut out = String::new();
    let mut at = 0;
    let mut done = false;
    while at < chars.len() {
        let longest = (at + 1..=chars.len())
            .rev()
            .find(|&end| chars.get(at..end).is_some_and(|text| matches(&tokens, text)));
        if let Some(end) = longest.filter(|_| !done) {
            out.push_str(replacement);
            at = end;
            done = !all;
        } else {
            out.extend(chars.get(at));
            at += 1;
        }
    }
    Ok(out)
}
