//! Reads the files that the input `key-files` lists, relative to the working folder: the scope `files`.
//!
//! The patterns are those of `.dockerignore`. The last match decides, `!` takes back, a folder stands for all below it, and
//! `{a,b}` is both. A link stands for itself and for what it leads to within the working folder. `.git` is never searched.
//! `file.json#a.b` is only that value of the file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::select::{Listed, Selector};
use super::subkey;
use super::{Kind, Tree, Warning, walk};
use crate::budget::{ALTERNATIVES, ALTERNATIVES_TEXT, Most, SUB_KEYS, more_than};
use crate::key::dockerignore::{Pattern, clean};
use crate::key::error::KeyError;

/// The files and values that a list of patterns names.
#[derive(Debug, Default)]
pub struct KeyFiles {
    /// The files named as a whole.
    pub tree: Tree,
    /// The values named inside files, in the order of the list.
    pub sub_keys: Vec<SubKey>,
    /// Warnings for the user.
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
                if out.sub_keys.len() > SUB_KEYS {
                    return Err(too_many(text, more_than(SUB_KEYS, "values of files")));
                }
            }
            _ => whole.push(text),
        }
    }
    let (tree, warnings) = pick(root, &whole)?;
    out.tree = tree;
    out.warnings = warnings;
    Ok(out)
}

/// Reads the files that the patterns name; each pattern must name at least one.
fn pick(root: &Path, texts: &[&str]) -> Result<(Tree, Vec<Warning>), KeyError> {
    let mut listed = Vec::new();
    // For each text, the index after its last pattern.
    let mut ends = Vec::new();
    let mut left = Room::new();
    for text in texts {
        for pattern in alternatives(text, &mut left).map_err(|reason| too_many(text, reason))? {
            listed.push(parse(text, &pattern)?);
        }
        ends.push(listed.len());
    }
    let (selector, found) = walk_links(root, texts, listed)?;
    // A list in braces matches if any of its alternatives does.
    let unused: BTreeSet<usize> = selector.unused().collect();
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let without_match = texts
        .iter()
        .zip(starts.zip(&ends))
        .find(|(_, (start, end))| unused.range(start..*end).count() == *end - start);
    match without_match {
        Some((text, _)) => Err(KeyError::NoMatch { pattern: (*text).to_owned(), root: root.to_owned() }),
        None => Ok(found),
    }
}

/// The error of a text that comes to too many patterns, of which it quotes 200 characters.
fn too_many(text: &str, reason: String) -> KeyError {
    KeyError::Pattern { pattern: text.chars().take(200).collect(), reason }
}

/// Most links in a chain that are followed.
const LINK_HOPS: usize = 8;

/// Reads what the patterns name, and what the links among that lead to within `root`.
fn walk_links(
    root: &Path,
    texts: &[&str],
    mut listed: Vec<Listed>,
) -> Result<(Selector, (Tree, Vec<Warning>)), KeyError> {
    let named = named(texts);
    let mut followed: BTreeSet<Vec<u8>> = BTreeSet::new();
    for _ in 0..LINK_HOPS {
        let selector = Selector::listed(listed);
        let found = walk(root, &selector)?;
        let mut links = Vec::new();
        found.0.visit(|path, entry| {
            if entry.kind == Kind::Symlink {
                links.push(path.to_vec());
            }
        });
        links.retain(|link| followed.insert(link.clone()));
        let mut targets = Vec::new();
        for link in links {
            targets.extend(target_to_read(root, &link, named.get(&link).copied())?);
        }
        if targets.is_empty() {
            return Ok((selector, found));
        }
        listed = selector.into_listed();
        for target in targets {
            let pattern = if target.is_empty() { Pattern::all() } else { literal(&target)? };
            listed.push(Listed { pattern, negative: false, used: AtomicBool::new(false) });
        }
    }
    Err(KeyError::TooMany { what: "links that lead to links".to_owned() })
}

/// The paths that the list names as they are, each with its text.
fn named<'a>(texts: &[&'a str]) -> BTreeMap<Vec<u8>, &'a str> {
    let mut named = BTreeMap::new();
    for text in texts {
        for alternative in alternatives(text, &mut Room::new()).unwrap_or_default() {
            named.entry(clean(alternative.trim_start_matches('/').as_bytes())).or_insert(*text);
        }
    }
    named
}

/// The path that must be read too because of a link. `named`: the text that names the link itself, if one does; then the
/// link must lead to something.
fn target_to_read(root: &Path, link: &[u8], named: Option<&str>) -> Result<Option<Vec<u8>>, KeyError> {
    match (target(root, link), named) {
        (Ok(target), Some(_)) => Ok(Some(target)),
        (Ok(target), None) => {
            // A link that was only met is not followed to a folder that it is in: that would add all around it.
            let is_around = target.is_empty() || link.starts_with(&[&target, b"/".as_slice()].concat());
            Ok((!is_around).then_some(target))
        }
        (Err(reason), Some(text)) => {
            Err(KeyError::Pattern { pattern: text.to_owned(), reason: reason.to_owned() })
        }
        // A broken link that was only met counts by its text, as it does in an image.
        (Err(_), None) => Ok(None),
    }
}

/// The path that a link leads to, relative to `root`; the error is a reason.
fn target(root: &Path, link: &[u8]) -> Result<Vec<u8>, &'static str> {
    let target =
        fs_err::canonicalize(super::full(root, link)).map_err(|_| "it is a link that names nothing")?;
    let root = fs_err::canonicalize(root).map_err(|_| "its folder is gone")?;
    let inside = target.strip_prefix(root).map_err(|_| "it is a link that leaves the working folder")?;
    Ok(inside.as_os_str().as_encoded_bytes().to_vec())
}

/// The pattern that matches this path alone.
fn literal(path: &[u8]) -> Result<Pattern, KeyError> {
    let escaped: Vec<u8> =
        path.iter().flat_map(|&b| if b"\\*?[]".contains(&b) { vec![b'\\', b] } else { vec![b] }).collect();
    let pattern = crate::key::names::escape(path);
    Pattern::new(&escaped).map_err(|reason| KeyError::Pattern { pattern, reason })
}

/// Parses one alternative of `text`.
fn parse(text: &str, alternative: &str) -> Result<Listed, KeyError> {
    let bad = |reason: String| KeyError::Pattern { pattern: text.to_owned(), reason };
    let (negative, body) =
        alternative.strip_prefix('!').map_or((false, alternative), |rest| (true, rest.trim()));
    let path = clean(body.trim_start_matches('/').as_bytes());
    if path == b".." || path.starts_with(b"../") {
        return Err(bad("it leaves the working folder".to_owned()));
    }
    let pattern = if path == b"." { Pattern::all() } else { Pattern::new(&path).map_err(bad)? };
    Ok(Listed { pattern, negative, used: AtomicBool::new(false) })
}

/// What is left of the limits for one list: `{a,b}{a,b}…` comes to very many patterns.
#[derive(Debug)]
struct Room {
    /// Patterns.
    count: usize,
    /// Bytes of all patterns.
    bytes: u64,
}

impl Room {
    const fn new() -> Self {
        Self { count: ALTERNATIVES, bytes: ALTERNATIVES_TEXT }
    }

    /// Takes the room for one pattern. The error is a reason.
    fn take(&mut self, text: &str) -> Result<(), String> {
        self.count = self
            .count
            .checked_sub(1)
            .ok_or_else(|| more_than(ALTERNATIVES, "patterns, with what braces come to"))?;
        let rest = self.bytes.checked_sub(text.len() as u64);
        self.bytes =
            rest.ok_or_else(|| format!("the patterns come to more than {}", Most::Bytes(ALTERNATIVES_TEXT)))?;
        Ok(())
    }

    fn give_back(&mut self, text: &str) {
        self.count += 1;
        self.bytes += text.len() as u64;
    }
}

/// Expands braces: `a{b,c{d,e}}` to `ab`, `acd`, `ace`. Braces without a comma, and escaped ones, stay. The error is a
/// reason.
fn alternatives(text: &str, room: &mut Room) -> Result<Vec<String>, String> {
    room.take(text)?;
    let (mut out, mut open) = (Vec::new(), vec![text.to_owned()]);
    while let Some(text) = open.pop() {
        let Some(pieces) = split(&text) else {
            out.push(text);
            continue;
        };
        room.give_back(&text);
        let mut parts = Vec::new();
        for piece in pieces {
            let part = piece.concat();
            room.take(&part)?;
            parts.push(part);
        }
        open.extend(parts.into_iter().rev());
    }
    Ok(out)
}

/// Splits the alternatives of the first braces, each with the text before and after: `a{b,c}d` into `a`, `b`, `d` and `a`,
/// `c`, `d`. `None` without such braces.
fn split(text: &str) -> Option<Vec<[&str; 3]>> {
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
                let piece = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
                let starts = std::iter::once(open).chain(commas.iter().copied());
                let ends = commas.iter().copied().chain([at]);
                let middles = starts.zip(ends).map(|(from, to)| piece(from + 1..to));
                return Some(
                    middles.map(|middle| [piece(0..open), middle, piece(at + 1..text.len())]).collect(),
                );
            }
            _ => {}
        }
    }
    None
}

/// Reads the value `key` of each file that the pattern `file` names.
fn sub_keys(root: &Path, file: &str, key: &str) -> Result<Vec<SubKey>, KeyError> {
    let (tree, _) = pick(root, &[file])?;
    let mut paths = Vec::new();
    tree.visit(|path, entry| {
        if entry.kind == Kind::File {
            paths.push(path.to_vec());
        }
    });
    // A folder or a pipe has no value.
    if paths.is_empty() {
        return Err(KeyError::NoMatch { pattern: file.to_owned(), root: root.to_owned() });
    }
    paths
        .into_iter()
        .map(|path| {
            Ok(SubKey { digest: subkey::digest(&super::full(root, &path), key)?, path, key: key.to_owned() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces() {
        let alternatives = |text: &str| alternatives(text, &mut Room::new());
        assert_eq!(alternatives("a{b,c{d,e}}f").unwrap(), ["abf", "acdf", "acef"]);
        assert_eq!(alternatives("{a,b}/{c,d}").unwrap(), ["a/c", "a/d", "b/c", "b/d"]);
        for plain in ["a{b}c", "a\\{b,c\\}", "a{b,c", "a,b}"] {
            assert_eq!(alternatives(plain).unwrap(), [plain]);
        }
        // D33.
        for (many, why) in [
            ("{a,b}".repeat(20), "10,000 patterns"),
            (format!("{{{}}}", "a,".repeat(20_000)), "10,000 patterns"),
            (format!("{{{}}}{}", "a,".repeat(200), "x".repeat(4000)), "more than 256 KiB"),
        ] {
            let error = alternatives(&many).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
