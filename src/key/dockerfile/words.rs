//! One line as keyword, flags and arguments (BuildKit `parser/split_command.go`, `parser/line_parsers.go`).

/// A line taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    /// Lower case.
    pub keyword: String,
    /// `--name=value` or `--name`, quotes and escapes gone.
    pub flags: Vec<String>,
    /// Everything after the flags.
    pub rest: String,
}

const BLANKS: [char; 5] = [' ', '\t', '\u{b}', '\u{c}', '\r'];

/// Takes a line apart; `None` if it is blank.
pub(crate) fn command(line: &str) -> Option<Command> {
    let line = line.trim();
    let (keyword, tail) = line.split_once(BLANKS).unwrap_or((line, ""));
    if keyword.is_empty() {
        return None;
    }
    let (flags, rest) = flags(tail);
    Some(Command { keyword: keyword.to_lowercase(), flags, rest: rest.trim().to_owned() })
}

fn flags(text: &str) -> (Vec<String>, String) {
    let chars: Vec<char> = text.chars().collect();
    let mut out = Vec::new();
    let mut at = 0;
    loop {
        while chars.get(at).is_some_and(|c| c.is_whitespace()) {
            at += 1;
        }
        if chars.get(at..at + 2) != Some(&['-', '-']) {
            return (out, chars.get(at..).unwrap_or_default().iter().collect());
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(&c) = chars.get(at) {
            match c {
                '\\' => {
                    at += 1;
                    word.extend(chars.get(at));
                }
                _ if quote == Some(c) => quote = None,
                _ if quote.is_some() => word.push(c),
                '\'' | '"' => quote = Some(c),
                _ if c.is_whitespace() => break,
                _ => word.push(c),
            }
            at += 1;
        }
        if word == "--" {
            return (out, chars.get(at..).unwrap_or_default().iter().collect());
        }
        out.push(word);
    }
}

/// The strings of a JSON array; `None` if it is none. An array of other things is the caller's error.
pub(crate) fn json_array(text: &str) -> Option<Vec<serde_json::Value>> {
    if text.trim_start().starts_with('[') { serde_json::from_str(text).ok() } else { None }
}

/// Arguments split at blanks, as `FROM`, `COPY` and `ADD` read them.
pub(crate) fn fields(rest: &str) -> Vec<String> {
    rest.split(BLANKS).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Arguments split at blanks outside quotes; quotes and escapes stay (`parseWords`).
pub(crate) fn quoted(rest: &str, escape: char) -> Vec<String> {
    let mut out = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut started = false;
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            if started {
                out.push(std::mem::take(&mut word));
                started = false;
            }
            continue;
        }
        started = true;
        if c == escape && quote != Some('\'') {
            let Some(next) = chars.next() else { break };
            word.extend([c, next]);
            continue;
        }
        match quote {
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if open == c => quote = None,
            _ => {}
        }
        word.push(c);
    }
    if started && !word.is_empty() {
        out.push(word);
    }
    out
}

/// The pairs of an `ENV` or `LABEL`: `name=value …`, or the old `name value` (`parseNameVal`).
pub(crate) fn pairs(keyword: &str, rest: &str, escape: char) -> Result<Vec<(String, String)>, String> {
    let words = quoted(rest, escape);
    if words.first().is_some_and(|first| !first.contains('=')) {
        let (name, value) =
            rest.split_once(BLANKS).ok_or_else(|| format!("{keyword} must have two arguments"))?;
        return Ok(vec![(name.to_owned(), value.trim_start_matches(BLANKS).to_owned())]);
    }
    let pair = |word: &String| {
        let (name, value) =
            word.split_once('=').ok_or_else(|| format!("`{word}` must be of the form name=value"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    words.iter().map(pair).collect()
}

/// One record of comma-separated values, as Go's `encoding/csv` reads it.
///
/// # Errors
/// What is wrong with its quotes.
pub(crate) fn csv(text: &str) -> Result<Vec<String>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        let (field, tail) = if let Some(inner) = rest.strip_prefix('"') {
            let mut field = String::new();
            let mut inner = inner;
            loop {
                let at = inner.find('"').ok_or("a quote is never closed")?;
                field.push_str(inner.get(..at).unwrap_or_default());
                inner = inner.get(at + 1..).unwrap_or_default();
                match inner.strip_prefix('"') {
                    Some(more) => {
                        field.push('"');
                        inner = more;
                    }
                    None => break,
                }
            }
            (field, inner)
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let (field, tail) = rest.split_at(end);
            if field.contains('"') {
                return Err("a quote inside a field".to_owned());
            }
            (field.to_owned(), tail)
        };
        out.push(field);
        if tail.is_empty() {
            return Ok(out);
        }
        rest = tail.strip_prefix(',').ok_or("text after a closing quote")?;
    }
}
