//! The `files` scope: what `key-files` lists, relative to the working folder.
//!
//! The patterns are those of `.dockerignore` (one language to learn), the last match wins, `!` takes back, a
//! folder stands for all below it, and `{a,b}` is both. A link stands for itself and for what it leads to within the
//! working folder. `.git` is never searched. `file.json#a.b` means only
//! that value of the file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::select::{Listed, Selector};
use super::subkey;
use super::{Kind, Tree, Warning, walk};
use crate::budget::{ALTERNATIVES, ALTERNATIVES_TEXT, Most, SUB_KEYS, more_than};
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

fn pick(root: &Path, texts: &[&str]) -> Result<(Tree, Vec<Warning>), KeyError> {
    let mut listed = Vec::new();
    // Of each text, the place after its last pattern.
    let mut ends = Vec::new();
    let mut space = Room::new();
    for text in texts {
        for one in alternatives(text, &mut space).map_err(|reason| too_many(text, reason))? {
            listed.push(parse(text, &one)?);
        }
        ends.push(listed.len());
    }
    let (selector, found) = walk_links(root, texts, listed)?;
    // A list in braces matches if any of its alternatives does.
    let unused: BTreeSet<usize> = selector.unused().collect();
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let barren = texts
        .iter()
        .zip(starts.zip(&ends))
        .find(|(_, (start, end))| unused.range(start..*end).count() == *end - start);
    match barren {
        Some((text, _)) => Err(KeyError::NoMatch { pattern: (*text).to_owned(), root: root.to_owned() }),
        None => Ok(found),
    }
}

fn too_many(text: &str, reason: String) -> KeyError {
    KeyError::Pattern { pattern: text.chars().take(200).collect(), reason }
}

/// Most links in a chain that are followed.
const LINK_HOPS: usize = 8;

/// What the patterns pick, and what the links among it lead to within `root`.
fn walk_links(
    root: &Path,
    texts: &[&str],
    mut listed: Vec<Listed>,
) -> Result<(Selector, (Tree, Vec<Warning>)), KeyError> {
    let mut known: BTreeSet<Vec<u8>> = BTreeSet::new();
    // What stands in the list as it is.
    let mut named: BTreeMap<Vec<u8>, &str> = BTreeMap::new();
    for text in texts {
        let mut space = Room::new();
        for one in alternatives(text, &mut space).unwrap_or_default() {
            named.entry(clean(one.trim_start_matches('/').as_bytes())).or_insert(text);
        }
    }
    for _ in 0..LINK_HOPS {
        let selector = Selector::listed(listed);
        let found = walk(root, &selector)?;
        let mut links = Vec::new();
        found.0.visit(|path, entry| {
            if entry.kind == Kind::Symlink {
                links.push(path.to_vec());
            }
        });
        links.retain(|link| known.insert(link.clone()));
        let mut targets = Vec::new();
        for link in links {
            match (target(root, &link), named.get(&link)) {
                (Ok(target), named) => {
                    // What leads to a folder above itself is followed only if it is named.
                    let above = target.is_empty() || link.starts_with(&[&target, b"/".as_slice()].concat());
                    targets.extend((named.is_some() || !above).then_some(target));
                }
                (Err(reason), Some(text)) => {
                    return Err(KeyError::Pattern { pattern: (*text).to_owned(), reason: reason.to_owned() });
                }
                // Met on the way, it counts by its text, as a broken link does in an image.
                (Err(_), None) => {}
            }
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

/// Where a link leads to, relative to `root`; the error is a reason.
fn target(root: &Path, link: &[u8]) -> Result<Vec<u8>, &'static str> {
    let target =
        fs_err::canonicalize(super::full(root, link)).map_err(|_| "it is a link that names nothing")?;
    let root = fs_err::canonicalize(root).map_err(|_| "its folder is gone")?;
    let inside = target.strip_prefix(root).map_err(|_| "it is a link that leaves the working folder")?;
    Ok(inside.as_os_str().as_encoded_bytes().to_vec())
}

/// The pattern of one path.
fn literal(path: &[u8]) -> Result<Pattern, KeyError> {
    let escaped: Vec<u8> =
        path.iter().flat_map(|&b| if b"\\*?[]".contains(&b) { vec![b'\\', b] } else { vec![b] }).collect();
    let pattern = crate::key::names::escape(path);
    Pattern::new(&escaped).map_err(|reason| KeyError::Pattern { pattern, reason })
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

/// How many patterns a list may still come to, and how many bytes they may have.
#[derive(Debug)]
struct Room {
    count: usize,
    bytes: u64,
}

impl Room {
    const fn new() -> Self {
        Self { count: ALTERNATIVES, bytes: ALTERNATIVES_TEXT }
    }

    /// The error is a reason.
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

/// `a{b,c{d,e}}` is `ab`, `acd`, `ace`. Braces without a comma, and escaped ones, stay. The error is a reason.
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

/// The alternatives of the first braces, each in three pieces.
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
