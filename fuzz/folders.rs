//! What lies on the disk: trees, repositories, caches. Each input becomes a folder.

use std::fs;
use std::path::{Path, PathBuf};

use build_once::testing::CacheMode;
use build_once::testing::Digest;
use build_once::testing::Ignore;
use build_once::testing::LocalCacheUse;
use build_once::testing::LocalCaches;
use build_once::testing::{Selector, Tree, key_files as listed_files, leaking, walk};

use super::BREAK;

fn parts(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|byte| u32::from(*byte) == u32::from(BREAK))
}

/// Writes a file below `root`; one that has no place there is left out.
fn place(root: &Path, name: &str, content: &[u8]) {
    let path = root.join(name);
    if let Some(folder) = path.parent()
        && fs::create_dir_all(folder).is_ok()
    {
        let _ = fs::write(path, content);
    }
}

/// The name as one below the root: no way out of it.
fn inside(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    let harmless = |part: &&str| !part.is_empty() && *part != "." && *part != ".." && !part.contains('\0');
    let parts: Vec<&str> = name.split('/').filter(harmless).collect();
    (!parts.is_empty()).then(|| parts.join("/"))
}

fn facts(tree: &Tree) -> Vec<(Vec<u8>, [u8; 32])> {
    let mut facts = Vec::new();
    tree.visit(|path, entry| facts.push((path.to_vec(), entry.fact.digest)));
    facts
}

/// Ignore rules, then entries, one a part: `path`, `path>target` for a link, `path=content` for a file. Read or refused, twice the same.
pub fn tree(data: &[u8]) {
    let root = tempfile::tempdir().unwrap();
    let mut parts = parts(data);
    let rules = parts.next().unwrap_or_default();
    for part in parts.take(200) {
        let at = part.iter().position(|byte| b">=".contains(byte)).unwrap_or(part.len());
        let (name, rest) = part.split_at(at);
        let Some(name) = inside(name) else { continue };
        if let Some(target) = rest.strip_prefix(b">") {
            let target = std::os::unix::ffi::OsStrExt::from_bytes(target);
            let target: &std::ffi::OsStr = target;
            let path = root.path().join(&name);
            // Of links alone a path could lead out of the folder.
            let _ = path.parent().is_some_and(|folder| folder == root.path())
                && std::os::unix::fs::symlink(target, path).is_ok();
        } else if fs::symlink_metadata(root.path().join(name.split('/').next().unwrap()))
            .is_ok_and(|found| found.is_dir())
            || !name.contains('/')
            || rest.is_empty()
        {
            place(root.path(), &name, rest);
        }
    }
    let Ok(ignore) = Ignore::parse(rules, Path::new(".dockerignore")) else { return };
    let selector = Selector::context(ignore);
    let read = || walk(root.path(), &selector).map(|(tree, warnings)| (facts(&tree), warnings));
    match (read(), read()) {
        (Ok(one), Ok(two)) => assert_eq!(one, two),
        (one, two) => assert_eq!(one.is_ok(), two.is_ok()),
    }
}

/// A repository in the context, one file a part. It counts by what git answers, or as bytes.
pub fn git_folder(data: &[u8]) {
    const NAMES: [&str; 9] = [
        "HEAD",
        "packed-refs",
        "refs/heads/main",
        "refs/tags/v1",
        "config",
        "shallow",
        "modules/a/HEAD",
        "modules/a/config",
        "modules/a/packed-refs",
    ];
    let root = tempfile::tempdir().unwrap();
    for folder in [".git/objects", ".git/modules/a/objects"] {
        fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    for (name, content) in NAMES.iter().zip(parts(data)) {
        place(root.path(), &format!(".git/{name}"), content);
    }
    let selector = Selector::context(Ignore::default());
    let (_, warnings) = walk(root.path(), &selector).unwrap();
    let leaking = leaking(root.path(), &selector);
    // What is said of a credential does not hang on who asks.
    let said = warnings.iter().any(|warning| warning.to_string().contains("holds a credential"));
    assert!(!said || leaking.is_some());
}

/// `key-files` over a JSON and a TOML file: patterns, then the files' contents.
pub fn key_files(data: &[u8]) {
    let root = tempfile::tempdir().unwrap();
    let mut parts = parts(data);
    let patterns = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let patterns: Vec<String> = patterns.lines().map(str::to_owned).collect();
    for name in ["a.json", "b.toml", "c/d"] {
        place(root.path(), name, parts.next().unwrap_or(b"x"));
    }
    if let Ok(found) = listed_files(root.path(), &patterns) {
        assert!(facts(&found.tree).len() <= 4);
    }
}

/// A layer cache in a folder: its index, in which `@1` is the digest and `$1` the size of the first blob, then its blobs.
pub fn local_cache(data: &[u8]) {
    let root = tempfile::tempdir().unwrap();
    let cache = root.path().join("c");
    let generation = format!("gen-{}", "0".repeat(32));
    let folder = cache.join(&generation);
    let mut parts = parts(data);
    let mut index = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    for (at, blob) in parts.take(8).enumerate() {
        let digest = Digest::of(blob);
        place(&folder, &format!("blobs/{}", digest.as_str().replace(':', "/")), blob);
        index = index.replace(&format!("@{at}"), digest.as_str());
        index = index.replace(&format!("${at}"), &blob.len().to_string());
    }
    place(&folder, "index.json", index.as_bytes());
    std::os::unix::fs::symlink(&generation, cache.join("current")).unwrap();
    let caches = LocalCaches {
        root: root.path().to_owned(),
        read: vec![PathBuf::from("c")],
        write: None,
        mode: CacheMode::Min,
    };
    let opened = LocalCacheUse::open(&caches);
    assert_eq!(
        opened.sources().len() + opened.notices.len(),
        1,
        "used, or said why not: {:?}",
        opened.notices
    );
}
