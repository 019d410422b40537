//! Reads character classes (`[a-z]`, `\d`) and escapes (`\n`, `\x41`) as Go's `regexp/syntax` does.
//!
//! `chars` is the whole expression, `at` the index where the class or escape begins; the result has the index after it.

/// A set of characters: ranges, perhaps negated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Set {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Set {
    /// What `.` stands for in Go, without the flag `s`.
    pub(crate) fn not_newline() -> Self {
        Self { negated: true, ranges: vec![('\n', '\n')] }
    }

    pub(crate) fn contains(&self, c: char) -> bool {
        self.ranges.iter().any(|&(low, high)| low <= c && c <= high) != self.negated
    }
}

const DIGIT: &[(char, char)] = &[('0', '9')];
const SPACE: &[(char, char)] = &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')];
const WORD: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];
const NOT_DIGIT: &[(char, char)] = &[('\0', '/'), (':', char::MAX)];
const NOT_SPACE: &[(char, char)] = &[('\0', '\x08'), ('\x0b', '\x0b'), ('\x0e', '\x1f'), ('!', char::MAX)];
const NOT_WORD: &[(char, char)] = &[('\0', '/'), (':', '@'), ('[', '^'), ('`', '`'), ('{', char::MAX)];

/// Reads a class such as `\d`.
pub(crate) fn perl(chars: &[char], at: usize) -> Option<(Set, usize)> {
    perl_ranges(chars, at).map(|ranges| (Set { negated: false, ranges: ranges.to_vec() }, at + 2))
}

fn perl_ranges(chars: &[char], at: usize) -> Option<&'static [(char, char)]> {
    match chars.get(at..at + 2)? {
        ['\\', 'd'] => Some(DIGIT),
        ['\\', 's'] => Some(SPACE),
        ['\\', 'w'] => Some(WORD),
        ['\\', 'D'] => Some(NOT_DIGIT),
        ['\\', 'S'] => Some(NOT_SPACE),
        ['\\', 'W'] => Some(NOT_WORD),
        _ => None,
    }
}

/// Reads an escape, which stands for one character (Go `regexp/syntax`, `escape`).
pub(crate) fn escape(chars: &[char], at: usize) -> Result<(char, usize), String> {
    let digit =
        |index: usize| chars.get(index).filter(|c| ('0'..='7').contains(*c)).and_then(|c| c.to_digit(8));
    match chars.get(at + 1) {
        None => Err("ends in a lone `\\`".to_owned()),
        Some(c) if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok((*c, at + 2)),
        Some('a') => Ok(('\x07', at + 2)),
        Some('f') => Ok(('\x0c', at + 2)),
        Some('n') => Ok(('\n', at + 2)),
        Some('r') => Ok(('\r', at + 2)),
        Some('t') => Ok(('\t', at + 2)),
        Some('v') => Ok(('\x0b', at + 2)),
        // One to three octal digits; a single one from 1 to 7 would be a back-reference, which Go has not.
        Some(first @ '0'..='7') if *first == '0' || digit(at + 2).is_some() => {
            let run: Vec<u32> = (at + 1..at + 4).map_while(digit).collect();
            let value = run.iter().fold(0, |sum, d| sum * 8 + d);
            char::from_u32(value).map(|c| (c, at + 1 + run.len())).ok_or_else(|| invalid('0'))
        }
        Some('x') => hexadecimal(chars, at),
        Some(c) => Err(invalid(*c)),
    }
}

/// Reads `\x41` or `\x{263a}`.
fn hexadecimal(chars: &[char], at: usize) -> Result<(char, usize), String> {
    let rest = chars.get(at + 2..).unwrap_or_default();
    let (digits, end) = match rest {
        ['{', inner @ ..] => {
            let len = inner.iter().position(|&c| c == '}').ok_or_else(|| invalid('x'))?;
            (inner.get(..len).unwrap_or_default(), at + 4 + len)
        }
        _ => (rest.get(..2).ok_or_else(|| invalid('x'))?, at + 4),
    };
    let text: String = digits.iter().collect();
    u32::from_str_radix(&text, 16).ok().and_then(char::from_u32).map(|c| (c, end)).ok_or_else(|| invalid('x'))
}

fn invalid(c: char) -> String {
    format!("`\\{c}` is not an escape the build engine accepts")
}

/// Reads a class in brackets (Go `regexp/syntax`, `parseClass`).
pub(crate) fn parse(chars: &[char], at: usize) -> Result<(Set, usize), String> {
    let mut set = Set::default();
    let mut at = at + 1;
    if chars.get(at) == Some(&'^') {
        set.negated = true;
        at += 1;
    }
    // A `]` that comes first is a member.
    let mut first = true;
    while first || chars.get(at) != Some(&']') {
        first = false;
        if chars.get(at..at + 2) == Some(&['[', ':']) && has_named_end(chars, at) {
            return Err("a named class such as `[[:alpha:]]` is not supported".to_owned());
        }
        if let Some(ranges) = perl_ranges(chars, at) {
            set.ranges.extend_from_slice(ranges);
            at += 2;
            continue;
        }
        let (low, next) = class_char(chars, at)?;
        at = next;
        let mut high = low;
        if chars.get(at) == Some(&'-') && !matches!(chars.get(at + 1), None | Some(']')) {
            (high, at) = class_char(chars, at + 1)?;
            if high < low {
                return Err(format!("the range `{low}-{high}` runs backwards"));
            }
        }
        set.ranges.push((low, high));
    }
    Ok((set, at + 1))
}

/// Tells whether the `[:` at `at` has its `:]`.
fn has_named_end(chars: &[char], at: usize) -> bool {
    chars.get(at + 2..).is_some_and(|rest| rest.windows(2).any(|pair| pair == [':', ']']))
}

/// Reads a member of a class, or one end of a range.
fn class_char(chars: &[char], at: usize) -> Result<(char, usize), String> {
    match chars.get(at) {
        None => Err("`[` is never closed".to_owned()),
        Some('\\') => escape(chars, at),
        Some(c) => Ok((*c, at + 1)),
    }
}
