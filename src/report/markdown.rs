//! Writes text from outside into GitHub's Markdown, in which it shows as it is and does nothing.

use std::fmt::Write as _;

use crate::guards::Guard;
use crate::ports::actions::without_controls;
use crate::shown;

/// Text in a table cell or a quote: one line, and nothing in it is Markdown or HTML.
pub(crate) fn cell(text: &str) -> String {
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

/// Adds a block of code, with a fence longer than any in its content.
pub(super) fn add_fenced(text: &mut String, content: &str) {
    let content = &without_controls(&shown::hide(content));
    let longest = content.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let _ = writeln!(text, "{fence}\n{content}\n{fence}\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_forges_a_cell(text in "(?s)[|`<>\\[\\]\n\r:/@a&*_#-]{0,60}") {
            let clean = cell(&text);
            prop_assert!(!clean.contains(['|', '`', '<', '>', '\n', '\r', '[', ']', '@']));
        }

        #[test]
        fn no_text_closes_its_block(content in "[`\na]{0,40}") {
            let mut text = String::new();
            add_fenced(&mut text, &content);
            let fence = text.split('\n').next().unwrap().to_owned();
            prop_assert!(!content.contains(&fence));
        }
    }
}
