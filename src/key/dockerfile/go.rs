//! What functions of Go's standard library answer that BuildKit and buildx read texts with.

/// Go's `strconv.ParseBool`.
#[must_use]
pub(crate) fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// One record of comma-separated values (`encoding/csv`): `type=image,"name=a,b"` has two fields.
///
/// # Errors
/// What is wrong with its quotes.
pub(crate) fn csv(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => plain_field(rest)?,
        };
        fields.push(field);
        if after.is_empty() {
            return Ok(fields);
        }
        rest = after.strip_prefix(',').ok_or("text after a closing quote")?;
    }
}

/// The text as a field that [`csv`] reads back, in quotes if it needs them.
pub(crate) fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn plain_field(text: &str) -> Result<(String, &str), String> {
    let (field, after) = text.split_at(text.find(',').unwrap_or(text.len()));
    if field.contains('"') {
        return Err("a quote inside a field".to_owned());
    }
    Ok((field.to_owned(), after))
}

/// The field whose opening quote stands before `text`, where `""` is a quote, and what follows the closing quote.
fn quoted_field(text: &str) -> Result<(String, &str), String> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"').ok_or("a quote is never closed")?;
        field.push_str(part);
        let Some(more) = after.strip_prefix('"') else { return Ok((field, after)) };
        field.push('"');
        rest = more;
    }
}
