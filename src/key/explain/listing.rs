//! Writes a key in full, for `build-once key --json`, and reads it back (`key --explain`): so people compare two checkouts.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::shape::{cut, flags_letter, item};
use super::{Explained, Node};
use crate::image::hex;
use crate::key::digest::{BuildKey, EntryKind, KeyEntry};
use crate::key::error::KeyError;
use crate::key::files::{Fact, Kind};
use crate::key::names::escape;
use crate::key::platforms::PlatformKey;

/// Writes everything that a key is made from as JSON, every file by its path and digest. What [`encode`](super::encode)
/// hides is hidden here too. The text is written line by line, because a tree of JSON values over a million files would
/// need too much memory.
#[must_use]
pub(crate) fn listing(key: &BuildKey, platforms: &[PlatformKey]) -> String {
    let entries = key.entries.iter().map(|entry| {
        json!({"kind": entry.kind.as_str(), "name": entry.name, "value": shown(entry)}).to_string()
    });
    let mut text = format!("{{\n  \"key\": \"{}\",\n", key.hex);
    if !platforms.is_empty() {
        let keys: Map<String, Value> =
            platforms.iter().map(|own| (own.platform.to_string(), json!(own.key.hex))).collect();
        text.extend(["  \"platforms\": ", &Value::Object(keys).to_string(), ",\n"]);
    }
    text.push_str("  \"entries\": [");
    let mut line = Separated::new();
    entries.for_each(|entry| line.add(&mut text, &entry));
    text.push_str("\n  ],\n  \"files\": [");
    let mut line = Separated::new();
    for (context, tree) in &key.trees {
        tree.visit(|path, entry| {
            let file = json!({
                "context": context,
                "path": escape(path),
                "kind": kind_name(entry.kind),
                "flags": flags(entry.fact.flags),
                "size": entry.fact.size,
                "sha256": hex(&entry.fact.digest),
            });
            line.add(&mut text, &file.to_string());
        });
    }
    text.push_str("\n  ]\n}\n");
    text
}

/// An entry's value as it may be printed; empty if it must not be.
#[must_use]
pub fn shown(entry: &KeyEntry) -> &str {
    if item(entry).value.is_empty() { "" } else { &entry.value }
}

/// Writes the lines of an array. Holds the text before the next line.
struct Separated(&'static str);

impl Separated {
    const fn new() -> Self {
        Self("\n    ")
    }

    fn add(&mut self, text: &mut String, line: &str) {
        text.push_str(self.0);
        text.push_str(line);
        self.0 = ",\n    ";
    }
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Folder => "folder",
        Kind::Symlink => "link",
        Kind::Special => "special",
    }
}

const FLAGS: [(char, u8); 3] = [('x', Fact::EXECUTABLE), ('u', Fact::SETUID), ('g', Fact::SETGID)];

/// The letters of a file's flags: `x` executable, `u` set-user-id, `g` set-group-id.
fn flags(flags: u8) -> String {
    FLAGS.iter().filter(|(_, flag)| flags & flag != 0).map(|(letter, _)| letter).collect()
}

fn flag(letter: char) -> Option<u8> {
    FLAGS.iter().find(|(known, _)| *known == letter).map(|(_, flag)| *flag)
}

/// Reads what [`listing`] gave.
///
/// # Errors
/// Anything else.
pub fn from_listing(value: &Value) -> Result<Explained, KeyError> {
    let bad = |reason: &str| KeyError::Explanation { reason: reason.to_owned() };
    let text = |value: &Value, name: &str| value[name].as_str().map(str::to_owned);
    let key = text(value, "key").ok_or_else(|| bad("no key"))?;
    let mut explained = Explained { key, ..Explained::default() };
    for entry in value["entries"].as_array().ok_or_else(|| bad("no entries"))? {
        let (Some(name), Some(value)) = (text(entry, "name"), text(entry, "value")) else {
            return Err(bad("an entry without name or value"));
        };
        match text(entry, "kind").as_deref().and_then(EntryKind::parse) {
            Some(EntryKind::Format) => explained.format = value.parse().map_err(|_| bad("no version"))?,
            Some(EntryKind::Files) => {
                let root = Node::Folder { digest: cut(&value), count: 0, entries: Some(BTreeMap::new()) };
                explained.trees.insert(name, root);
            }
            Some(kind) => explained.entries.push(super::Item { kind, name, value: cut(&value) }),
            // A kind that this version does not know cannot be compared; the key itself can.
            None => {}
        }
    }
    for file in value["files"].as_array().ok_or_else(|| bad("no files"))? {
        place(&mut explained.trees, file).ok_or_else(|| bad("broken files"))?;
    }
    explained.entries.sort();
    Ok(explained)
}

/// Puts a file, link or folder where its path says. A folder is listed before its entries.
fn place(trees: &mut BTreeMap<String, Node>, file: &Value) -> Option<()> {
    let mut node = trees.get_mut(file["context"].as_str()?)?;
    let path = file["path"].as_str()?;
    let (folders, name) = path.rsplit_once('/').map_or(("", path), |(folders, name)| (folders, name));
    let mut names = folders.split('/').filter(|name| !name.is_empty());
    let entries = loop {
        let Node::Folder { entries: Some(entries), .. } = node else { return None };
        match names.next() {
            Some(inner) => node = entries.get_mut(inner)?,
            None => break entries,
        }
    };
    let digest = cut(file["sha256"].as_str()?);
    let flags: u8 = file["flags"].as_str()?.chars().filter_map(flag).fold(0, |all, flag| all | flag);
    let leaf = |letter: char| Node::Leaf(format!("{letter}{digest}"));
    let node = match file["kind"].as_str()? {
        "folder" => Node::Folder {
            digest: digest.clone(),
            count: file["size"].as_u64()?,
            entries: Some(BTreeMap::new()),
        },
        "link" => leaf('l'),
        "special" => leaf('s'),
        _ => leaf(flags_letter(flags)),
    };
    entries.insert(name.to_owned(), node);
    Some(())
}
