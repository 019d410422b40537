//! Digests one value inside a JSON or TOML file: of `package.json#dependencies` the list of dependencies alone.

use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::budget;
use crate::key::error::KeyError;

/// SHA-256 over the value `key` (`a.b` is the value `b` of `a`) of `file`. The members of tables are sorted, so neither
/// their order nor the layout counts.
pub(crate) fn digest(file: &Path, key: &str) -> Result<[u8; 32], KeyError> {
    let bad = |reason: String| KeyError::SubKey { file: file.to_owned(), key: key.to_owned(), reason };
    let text = budget::read_text(file, budget::DOCUMENT_FILE)
        .map_err(|source| KeyError::Read { path: file.to_owned(), source })?;
    let document = parse(file, &text).map_err(bad)?;
    let value = find(&document, key).ok_or_else(|| bad("there is no such value".to_owned()))?;
    let mut hash = Sha256::new();
    feed(&mut hash, value);
    Ok(hash.finalize().into())
}

/// Parses by the file's ending; other files (`poetry.lock`, `Pipfile.lock`) as JSON, else as TOML.
fn parse(file: &Path, text: &str) -> Result<Value, String> {
    let text = text.trim_start_matches('\u{feff}');
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let json = || serde_json::from_str(text).map_err(|error| error.to_string());
    let toml = || toml::from_str(text).map(from_toml).map_err(|error| error.message().to_owned());
    match ending {
        "json" => json(),
        "toml" => toml(),
        _ => json().or_else(|_| toml()).map_err(|_| "it is neither JSON nor TOML".to_owned()),
    }
}

fn from_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Boolean(truth) => truth.into(),
        toml::Value::Array(items) => items.into_iter().map(from_toml).collect(),
        toml::Value::Table(table) => table.into_iter().map(|(name, item)| (name, from_toml(item))).collect(),
        // JSON has neither dates nor infinity. For them stands a table that no TOML file has, because of the zero byte.
        toml::Value::Float(number) => serde_json::Number::from_f64(number)
            .map_or_else(|| serde_json::json!({ "\0float": number.to_string() }), Value::Number),
        toml::Value::Datetime(when) => serde_json::json!({ "\0datetime": when.to_string() }),
    }
}

/// Finds the value. A name may itself have dots, so the longest name that exists is taken.
fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    let direct = |name: &str| match value {
        Value::Object(table) => table.get(name),
        Value::Array(items) => name.parse::<usize>().ok().and_then(|index| items.get(index)),
        _ => None,
    };
    direct(key).or_else(|| {
        let mut dots: Vec<usize> = key.match_indices('.').map(|(at, _)| at).collect();
        dots.reverse();
        dots.into_iter().find_map(|at| find(direct(key.get(..at)?)?, key.get(at + 1..)?))
    })
}

/// Hashes a value: its type, then its length, then its content, so that different values give different bytes.
fn feed(hash: &mut Sha256, value: &Value) {
    let mut text = |tag: u8, text: &str| {
        hash.update([tag]);
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    match value {
        Value::Null => text(b'n', ""),
        Value::Bool(truth) => text(b'b', if *truth { "1" } else { "0" }),
        Value::Number(number) => text(b'#', &number.to_string()),
        Value::String(string) => text(b's', string),
        Value::Array(items) => {
            text(b'a', &items.len().to_string());
            for item in items {
                feed(hash, item);
            }
        }
        Value::Object(table) => {
            text(b'o', &table.len().to_string());
            let mut sorted: Vec<_> = table.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| name.as_str());
            for (name, item) in sorted {
                hash.update((name.len() as u64).to_le_bytes());
                hash.update(name);
                feed(hash, item);
            }
        }
    }
}
