//! The `files` scope: what `key-files` lists, relative to the working folder.
//!
//! The patterns are those of `.dockerignore` (one language to learn), the last match wins, `!` takes back, a
//! folder stands for all below it, and `{a,b}` is both. `.git` is never searched. `file.json#a.b` means only
//! that value of the file.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::select::{Listed, Selector};
use super::subkey;
use super::{Kind, Tree, Warning, walk};
use crate::key::dockerignore::{Pattern, clean};
use crate::key::error::KeyError;

/// What a list of patterns picked.
#[derive(Debug, Default)]
pub struct KeyFiles {
    /// The files named as a whole.
    pub tree: Tree,
    /// The values named inside files, in the order of the list.
    pub sub_keys: Vec<SubKey>,
    /// What the user should know of.
    pub warnings: Vec<Warning>,
}

/// One value inside a JSON or TOML file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubKey {
    /// The file, relative to the working folder.
    pub path: Vec<u8>,
    /// The value's name, nested by dots.
    pub key: String,
    /// SHA-256 of the value, whatever the order of its tables and the layout of the file.
    pub digest: [u8; 32],
}

/// Reads the files that `patterns` name below `root`. Empty patterns are passed over.
///
/// # Errors
/// A pattern that cannot be read or matches no file, a value that is missing, and whatever [`walk`] reports.
pub fn key_files(root: &Path, patterns: &[String]) -> Result<KeyFiles, KeyError> {
    let mut whole = Vec::new();
    let mut out = KeyFiles::default();
    for text in patterns.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        match text.rsplit_once('#') {
            Some((file, key)) if !file.is_empty() && !key.is_empty() => {
                out.sub_keys.extend(sub_keys(root, file, key)?);
            }
            _ => whole.push(text),
        }
    }
    let (tree, warnings) = pick(root, &whole)?;
    out.tree = tree;
    out.warnings = warnings;
    Ok(out)
}

fn pick(root: &Path, texts: &[&str]) -> Result<(Tree, Vec<Warning>), KeyError> {
    let mut listed = Vec::new();
    let mut origin = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        for one in alternatives(text) {
            listed.push(parse(text, &one)?);
            origin.push(index);
        }
    }
    let selector = Selector::listed(listed);
    let found = walk(root, &selector)?;
    // A list in braces matches if any of its alternatives does.
    let unused: Vec<usize> = selector.unused().collect();
    let barren = (0..texts.len()).find(|text| {
        let mut own =
            origin.iter().enumerate().filter(|(_, o)| *o == text).map(|(index, _)| index).peekable();
        own.peek().is_some() && own.all(|index| unused.contains(&index))
    });
    match barren.and_then(|index| texts.get(index)) {
        Some(text) => Err(KeyError::NoMatch { pattern: (*text).to_owned(), root: root.to_owned() }),
        None => Ok(found),
    }
}

fn parse(text: &str, one: &str) -> Result<Listed, KeyError> {
    let bad = |reason: String| KeyError::Pattern { pattern: text.to_owned(), reason };
    let (negative, body) = one.strip_prefix('!').map_or((false, one), |rest| (true, rest.trim()));
    let path = clean(body.trim_start_matches('/').as_bytes());
    if path == b".." || path.starts_with(b"../") {
        return Err(bad("it leaves the working folder".to_owned()));
    }
    let pattern = if path == b"." { Pattern::all() } else { Pattern::new(&path).map_err(bad)? };
    Ok(Listed { pattern, negative, used: AtomicBool::new(false) })
}

/// `a{b,c{d,e}}` is `ab`, `acd`, `ace`. Braces without a comma, and escaped ones, stay.
fn alternatives(text: &str) -> Vec<String> {
    let mut depth = 0_u32;
    let mut start = None;
    let mut commas = Vec::new();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => {
                if depth == 0 {
                    start = Some(at);
                    commas.clear();
                }
                depth += 1;
            }
            ',' if depth == 1 => commas.push(at),
            '}' if depth > 0 => {
                depth -= 1;
                let Some(open) = start.filter(|_| depth == 0 && !commas.is_empty()) else { continue };
                let mut bounds = vec![open];
                bounds.append(&mut commas);
                bounds.push(at);
                let piece = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
                return bounds
                    .windows(2)
                    .filter_map(|pair| if let [from, to] = pair { Some(piece(from + 1..*to)) } else { None })
                    .flat_map(|middle| {
                        alternatives(&[piece(0..open), middle, piece(at + 1..text.len())].concat())
                    })
                    .collect();
            }
            _ => {}
        }
    }
    vec![text.to_owned()]
}

fn sub_keys(root: &Path, file: &str, key: &str) -> Result<Vec<SubKey>, KeyError> {
    let (tree, _) = pick(root, &[file])?;
    let mut paths = Vec::new();
    tree.visit(|path, entry| {
        if entry.kind != Kind::Folder {
            paths.push(path.to_vec());
        }
    });
    paths
        .into_iter()
        .map(|path| {
            Ok(SubKey { digest: subkey::digest(&super::full(root, &path), key)?, path, key: key.to_owned() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::alternatives;

    #[test]
    fn braces() {
        assert_eq!(alternatives("a{b,c{d,e}}f"), ["abf", "acdf", "acef"]);
        assert_eq!(alternatives("{a,b}/{c,d}"), ["a/c", "a/d", "b/c", "b/d"]);
        for plain in ["a{b}c", "a\\{b,c\\}", "a{b,c", "a,b}"] {
            assert_eq!(alternatives(plain), [plain]);
        }
    }
}
