//! The `files` scope: what `key-files` lists, relative to the working folder.
//!
//! The patterns are those of `.dockerignore` (one language to learn), the last match wins, `!` takes back, a
//! folder stands for all below it, and `{a,b}` is both. A link stands for itself and for what it leads to within the
//! working folder. `.git` is never searched. `file.json#a.b` means only
//! that value of the file.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::select::{Listed, Selector};
use super::subkey;
use super::{Kind, Tree, Warning, walk};
use crate::budget::{ALTERNATIVES, more_than};
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
        let all = alternatives(text).ok_or_else(|| KeyError::Pattern {
            pattern: text.chars().take(200).collect(),
            reason: more_than(ALTERNATIVES, "patterns come of its braces"),
        })?;
        for one in all {
            listed.push(parse(text, &one)?);
            origin.push(index);
        }
    }
    let (selector, found) = walk_links(root, texts, listed)?;
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

/// Most times that what links name is read anew: they may lead to one another.
const HOPS: usize = 8;

/// What the patterns pick, and what the links among it lead to within `root`.
fn walk_links(
    root: &Path,
    texts: &[&str],
    mut listed: Vec<Listed>,
) -> Result<(Selector, (Tree, Vec<Warning>)), KeyError> {
    let mut known: BTreeSet<Vec<u8>> = BTreeSet::new();
    for _ in 0..HOPS {
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
            match (target(root, &link), texts.iter().find(|text| names(text, &link))) {
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

/// Whether a pattern names this very path.
fn names(text: &str, path: &[u8]) -> bool {
    alternatives(text).iter().flatten().any(|one| clean(one.trim_start_matches('/').as_bytes()) == path)
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

/// `a{b,c{d,e}}` is `ab`, `acd`, `ace`. Braces without a comma, and escaped ones, stay. `None` if there are too many.
fn alternatives(text: &str) -> Option<Vec<String>> {
    let (mut out, mut open) = (Vec::new(), vec![text.to_owned()]);
    while let Some(text) = open.pop() {
        match split(&text) {
            Some(parts) => open.extend(parts.into_iter().rev()),
            None => out.push(text),
        }
        if out.len() + open.len() > ALTERNATIVES {
            return None;
        }
    }
    Some(out)
}

/// The alternatives of the first braces.
fn split(text: &str) -> Option<Vec<String>> {
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
                    middles
                        .take(ALTERNATIVES + 1)
                        .map(|middle| [piece(0..open), middle, piece(at + 1..text.len())].concat())
                        .collect(),
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
    use super::alternatives;

    #[test]
    fn braces() {
        assert_eq!(alternatives("a{b,c{d,e}}f").unwrap(), ["abf", "acdf", "acef"]);
        assert_eq!(alternatives("{a,b}/{c,d}").unwrap(), ["a/c", "a/d", "b/c", "b/d"]);
        for plain in ["a{b}c", "a\\{b,c\\}", "a{b,c", "a,b}"] {
            assert_eq!(alternatives(plain).unwrap(), [plain]);
        }
        // D33.
        for many in ["{a,b}".repeat(20), format!("{{{}}}", "a,".repeat(2000))] {
            assert_eq!(alternatives(&many), None);
        }
    }
}
