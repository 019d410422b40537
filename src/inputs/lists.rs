//! The text of an input, and inputs that are lists: one item a line, as docker/metadata-action and
//! docker/build-push-action write them. `A=1⏎# no item⏎⏎"B=two⏎lines"` has two items, `A=1` and `B=two⏎lines`.

/// Reads the text of an input, which may be unset.
pub(super) trait InputText {
    /// The text without the white space around it; `None` where nothing is left.
    fn trimmed(&self) -> Option<&str>;

    /// [`Self::trimmed`] as a value of its own.
    fn text(&self) -> Option<String>;

    /// The [`items`] of a list.
    fn items(&self) -> Vec<String>;

    /// The [`comma_items`] of a list.
    fn comma_items(&self) -> Vec<String>;
}

impl InputText for Option<String> {
    fn trimmed(&self) -> Option<&str> {
        self.as_deref().map(str::trim).filter(|text| !text.is_empty())
    }

    fn text(&self) -> Option<String> {
        self.trimmed().map(str::to_owned)
    }

    fn items(&self) -> Vec<String> {
        self.as_deref().map(items).unwrap_or_default()
    }

    fn comma_items(&self) -> Vec<String> {
        self.as_deref().map(comma_items).unwrap_or_default()
    }
}

/// The items of a list: lines, trimmed, without empty ones and without lines that start
/// with `#`. An item in double quotes may hold line breaks; `""` is a quote inside it (the
/// CSV form that docker/build-push-action documents for multi-line secrets).
#[must_use]
pub fn items(text: &str) -> Vec<String> {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let mut items = Vec::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let trimmed = rest.trim_start_matches([' ', '\t']);
        if let Some((item, after)) = trimmed.strip_prefix('"').and_then(quoted) {
            items.push(item);
            rest = after;
            continue;
        }
        let (line, after) = trimmed.split_once('\n').unwrap_or((trimmed, ""));
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            items.push(line.to_owned());
        }
        rest = after;
    }
    items
}

/// The text as an item that [`items`] reads back.
#[must_use]
pub(crate) fn quoted_item(text: &str) -> String {
    let is_plain = text == text.trim()
        && !text.is_empty()
        && !text.starts_with('#')
        && !text.contains(['\n', '\r', '"']);
    if is_plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

/// As [`items`], but quotes stay: for lines that are CSV records themselves, as of `outputs`.
#[must_use]
pub(crate) fn lines(text: &str) -> Vec<String> {
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// The quoted item whose opening quote stands before `text`, and what follows its line. `None` if there is no closing
/// quote, or more text after it: then the line is an ordinary one that begins with a quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut item = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '"' {
            item.push(c);
        } else if chars.peek().is_some_and(|(_, next)| *next == '"') {
            item.push('"');
            chars.next();
        } else {
            let (end_of_line, after) = text[at + 1..].split_once('\n').unwrap_or((&text[at + 1..], ""));
            return end_of_line.trim().is_empty().then_some((item, after));
        }
    }
    None
}

/// As [`items`], where commas separate too: for values that cannot hold a comma.
#[must_use]
pub fn comma_items(text: &str) -> Vec<String> {
    items(text)
        .iter()
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Splits each `name=value` at its first `=`. The error is the item that has no `=`, or no name before it.
#[must_use]
pub fn pairs(items: Vec<String>) -> Vec<Result<(String, String), String>> {
    items
        .into_iter()
        .map(|item| match item.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
            _ => Err(item),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_blank_lines_comments_and_windows_ends() {
        assert_eq!(items("\u{feff}a\r\n\n  b b  \n# no\n\tc"), ["a", "b b", "c"]);
        assert!(items("").is_empty());
    }

    #[test]
    fn quoted_items_hold_line_breaks() {
        assert_eq!(items("\"KEY=one\ntwo \"\"x\"\"\"\nB=2\n"), ["KEY=one\ntwo \"x\"", "B=2"]);
        assert_eq!(items("\"not closed\nb"), ["\"not closed", "b"]);
    }

    #[test]
    fn commas_where_allowed() {
        assert_eq!(
            comma_items("linux/amd64, linux/arm64\nlinux/arm/v7"),
            ["linux/amd64", "linux/arm64", "linux/arm/v7"]
        );
    }

    #[test]
    fn a_value_may_hold_equals_signs() {
        assert_eq!(
            pairs(vec!["A=b=c".into(), "=x".into(), "y".into()]),
            [Ok(("A".into(), "b=c".into())), Err("=x".into()), Err("y".into())]
        );
    }
}
