//! Writes the explanation as one line of JSON, and reads it back:
//! `{"v":2,"key":"…","e":[["base-image","python:3","sha256:ab0000000000"]],"t":{"context":{"":"d0123…:2","a":"f4567…"}}}`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Explained, Item, MAX_BYTES, Node};
use crate::image::{Platform, hex};
use crate::key::digest::{BuildKey, EntryKind};
use crate::key::error::KeyError;

/// The explanation of `key` as JSON of at most [`MAX_BYTES`] bytes, ASCII only, on one line.
#[must_use]
pub fn encode(key: &BuildKey) -> String {
    key.explanation.clone().unwrap_or_else(|| within_limit(|room| Explained::of(key, room)))
}

/// As [`encode`], of one platform of an index key. `own`: that platform's key.
#[must_use]
pub(crate) fn encode_of_platform(key: &BuildKey, platform: &Platform, own: &str) -> String {
    let entries = key.entries_of(platform);
    within_limit(|room| Explained::with_entries(key, own, &entries, room))
}

fn within_limit(explained: impl Fn(usize) -> Explained) -> String {
    let mut room = MAX_BYTES;
    loop {
        let text = ascii(&to_json(&explained(room)).to_string());
        // `room` is kept by estimates, and names outside ASCII become longer here. With less room more folders are closed.
        if text.len() <= MAX_BYTES || room == 0 {
            return text;
        }
        room = room.saturating_sub(MAX_BYTES / 8);
    }
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// Anything else, or a format of a later version.
pub fn decode(text: &str) -> Result<Explained, KeyError> {
    let bad = |reason: &str| KeyError::Explanation { reason: reason.to_owned() };
    let value: Value = serde_json::from_str(text).map_err(|error| bad(&error.to_string()))?;
    let format = value
        .get("v")
        .and_then(Value::as_u64)
        .and_then(|v| u32::try_from(v).ok())
        .ok_or_else(|| bad("no version"))?;
    let key = value.get("key").and_then(Value::as_str).ok_or_else(|| bad("no key"))?.to_owned();
    let list = value.get("e").and_then(Value::as_array).ok_or_else(|| bad("no entries"))?;
    // A kind that this version does not know cannot be compared; the key itself can.
    let entries = list.iter().filter_map(item).collect();
    let trees = value.get("t").and_then(Value::as_object).ok_or_else(|| bad("no files"))?;
    let trees = trees
        .iter()
        .map(|(name, node)| Ok((name.clone(), from_json(node).ok_or_else(|| bad("broken files"))?)));
    Ok(Explained { format, key, entries, trees: trees.collect::<Result<_, KeyError>>()? })
}

fn to_json(explained: &Explained) -> Value {
    let entries: Vec<Value> =
        explained.entries.iter().map(|item| json!([item.kind.as_str(), item.name, item.value])).collect();
    let trees: Map<String, Value> =
        explained.trees.iter().map(|(name, node)| (name.clone(), node_json(node))).collect();
    json!({ "v": explained.format, "key": explained.key, "e": entries, "t": trees })
}

/// Writes a file as its letter and digest, a closed folder as `d`, digest and count of files. An open folder is an object
/// with its entries; the one without a name is the folder as if closed.
fn node_json(node: &Node) -> Value {
    match node {
        Node::Leaf(text) => Value::String(text.clone()),
        Node::Folder { digest, count, entries: None } => Value::String(format!("d{digest}:{count}")),
        Node::Folder { digest, count, entries: Some(entries) } => {
            let own = [(String::new(), Value::String(format!("d{digest}:{count}")))];
            Value::Object(
                own.into_iter()
                    .chain(entries.iter().map(|(name, node)| (name.clone(), node_json(node))))
                    .collect(),
            )
        }
    }
}

fn item(value: &Value) -> Option<Item> {
    let [kind, name, value] = value.as_array()?.as_slice() else { return None };
    Some(Item {
        kind: EntryKind::parse(kind.as_str()?)?,
        name: name.as_str()?.to_owned(),
        value: value.as_str()?.to_owned(),
    })
}

fn from_json(value: &Value) -> Option<Node> {
    match value {
        Value::String(text) if text.starts_with('d') => closed(text),
        Value::String(text) => Some(Node::Leaf(text.clone())),
        Value::Object(map) => {
            let Node::Folder { digest, count, .. } = closed(map.get("")?.as_str()?)? else { return None };
            let entries = map
                .iter()
                .filter(|(name, _)| !name.is_empty())
                .map(|(name, node)| Some((name.clone(), from_json(node)?)));
            Some(Node::Folder { digest, count, entries: Some(entries.collect::<Option<BTreeMap<_, _>>>()?) })
        }
        _ => None,
    }
}

/// Reads a closed folder.
fn closed(text: &str) -> Option<Node> {
    let (digest, count) = text.strip_prefix('d')?.split_once(':')?;
    Some(Node::Folder { digest: digest.to_owned(), count: count.parse().ok()?, entries: None })
}

/// Writes everything outside ASCII as `\uNNNN`, so that registries and shells change nothing.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str("\\u");
                out.push_str(&hex(&unit.to_be_bytes()));
            }
        }
    }
    out
}
