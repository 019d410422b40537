//! One line as keyword, flags and arguments, and the arguments as words (BuildKit `parser/split_command.go`,
//! `parser/line_parsers.go`). `COPY --from=a x /` has the keyword `copy`, the flag `--from=a` and the rest `x /`.

/// A logical line taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    /// Lower case.
    pub keyword: String,
    /// `--name=value` or `--name`, quotes and escapes gone.
    pub flags: Vec<String>,
    /// Everything after the flags.
    pub rest: String,
}

/// What parts words: `\t\v\f\r` and blank (`reWhitespace`).
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

/// The flags at the beginning of what follows the keyword, and the rest (`extractBuilderFlags`). `--` alone ends them.
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

/// The items of a JSON array, such as `["a", "b"]`; `None` if the text is none, and so words.
pub(crate) fn json_array(text: &str) -> Option<Vec<serde_json::Value>> {
    if text.trim_start().starts_with('[') { serde_json::from_str(text).ok() } else { None }
}

/// As [`json_array`], of strings.
///
/// # Errors
/// If an item of the array is no string.
pub(crate) fn json_strings(text: &str, keyword: &str) -> Result<Option<Vec<String>>, String> {
    let Some(items) = json_array(text) else { return Ok(None) };
    let text = |item: serde_json::Value| match item {
        serde_json::Value::String(text) => Ok(text),
        _ => Err(format!("{keyword} takes an array of strings only")),
    };
    items.into_iter().map(text).collect::<Result<_, _>>().map(Some)
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
