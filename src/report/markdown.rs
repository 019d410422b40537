//! Puts foreign text into Markdown.

use std::fmt::Write as _;

use crate::guards::Guard;
use crate::shown;

/// Text in a table cell or a quote: one line, and nothing in it is Markdown or HTML.
pub(super) fn cell(text: &str) -> String {
    let text = &shown::hide(text);
    if !Guard::InertSummary.holds() {
        return text.to_string();
    }
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => clean.push(' '),
            '&' => clean.push_str("&amp;"),
            '<' => clean.push_str("&lt;"),
            '>' => clean.push_str("&gt;"),
            // Markdown reads no syntax in numeric forms. `@` would notify people.
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '#' | '~' | '!' | '@' | '$' => {
                let _ = write!(clean, "&#{};", c as u32);
            }
            c if c.is_control() => {}
            c => clean.push(c),
        }
    }
    // GitHub makes a link of each of these ("extended autolinks").
    clean.replace("://", "&#58;//").replace("www.", "www&#46;")
}

/// Text as code. In `<code>` the escapes of [`cell`] hold; between backticks they would be shown.
pub(super) fn code(text: &str) -> String {
    format!("<code>{}</code>", cell(text))
}
