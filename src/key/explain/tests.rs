//! Explanations keep their limit, can be read back, and name the differences.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::key::digest::{KeyBuilder, Scope};
use crate::key::files::{Selector, walk};

fn tree(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(dir.path(), name, text);
    }
    dir
}

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, text).unwrap();
}

fn key(root: &Path, entries: &[(EntryKind, &str, &str)]) -> BuildKey {
    let mut builder = KeyBuilder::new(Scope::Context);
    for (kind, name, value) in entries {
        builder.plain(*kind, name, value);
    }
    let (tree, warnings) = walk(root, &Selector::default()).unwrap();
    builder.files("context", tree, warnings);
    builder.finish()
}

fn sentences(old: &BuildKey, new: &BuildKey) -> Vec<String> {
    let old = decode(&encode(old)).unwrap();
    diff(&old, &Explained::of(new, 1 << 20)).into_iter().map(|change| change.text).collect()
}

const OLD: &str = "sha256:ab00000000000000000000000000000000000000000000000000000000000000";
const NEW: &str = "sha256:cd00000000000000000000000000000000000000000000000000000000000000";

#[test]
fn sentences_a_user_can_act_on() {
    let dir = tree(&[("requirements.txt", "1"), ("src/a.py", "1"), ("src/b.py", "1"), ("gone", "1")]);
    let base = |digest| (EntryKind::BaseImage, "python:3.12", digest);
    let old = key(
        dir.path(),
        &[
            base(OLD),
            (EntryKind::Target, "", "test"),
            (EntryKind::Platform, "linux/amd64", ""),
            (EntryKind::SecretId, "pip", ""),
            (EntryKind::Dockerfile, "", OLD),
            (EntryKind::Setting, "network", "default"),
        ],
    );
    assert!(sentences(&old, &old).is_empty());
    write(dir.path(), "requirements.txt", "2");
    write(dir.path(), "new", "");
    fs_err::remove_file(dir.path().join("gone")).unwrap();
    let new = key(
        dir.path(),
        &[
            base(NEW),
            (EntryKind::Target, "", "prod"),
            (EntryKind::Platform, "linux/amd64", ""),
            (EntryKind::Platform, "linux/arm64", ""),
            (EntryKind::Dockerfile, "", NEW),
            (EntryKind::Setting, "network", "host"),
        ],
    );
    let got = sentences(&old, &new);
    assert_eq!(
        got,
        [
            "target changed from test to prod",
            "platform `linux/arm64` added",
            "base `python:3.12` moved from sha256:ab0000000000… to sha256:cd0000000000…",
            "the instructions that are reached changed",
            "secret id `pip` removed",
            "`network` changed from default to host",
            "`gone` removed",
            "`new` added",
            "`requirements.txt` changed",
        ]
    );
    let changes = diff(&Explained::of(&old, 1 << 20), &Explained::of(&new, 1 << 20));
    assert_eq!(summarise(&changes, 1), "target changed from test to prod, 8 more");
}

#[test]
fn many_files_are_told_by_folder() {
    let dir = tree(&[("src/a", "1"), ("src/x/b", "1"), ("src/c", "1"), ("top", "1"), ("docs/d", "1")]);
    let old = key(dir.path(), &[]);
    for name in ["src/a", "src/x/b", "docs/d", "top"] {
        write(dir.path(), name, "2");
    }
    fs_err::remove_file(dir.path().join("src/c")).unwrap();
    write(dir.path(), "src/n/e", "");
    assert_eq!(
        sentences(&old, &key(dir.path(), &[])),
        ["`docs/d` changed", "files under `src/` changed (2 changed, 1 added, 1 removed)", "`top` changed"]
    );
}

#[test]
fn permissions_links_and_empty_folders_are_changes_too() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tree(&[("tool", "1")]);
    let old = key(dir.path(), &[]);
    fs_err::set_permissions(dir.path().join("tool"), std::fs::Permissions::from_mode(0o755)).unwrap();
    fs_err::create_dir(dir.path().join("empty")).unwrap();
    fs_err::os::unix::fs::symlink("tool", dir.path().join("link")).unwrap();
    assert_eq!(
        sentences(&old, &key(dir.path(), &[])),
        ["empty folder `empty/` added", "`link` added", "`tool` changed"]
    );
}

#[test]
fn a_secret_looking_argument_leaves_no_digest_behind() {
    let with = |value: &str| {
        let mut builder = KeyBuilder::new(Scope::Context);
        let args = [("PIP_TOKEN".to_owned(), value.to_owned()), ("PLAIN".to_owned(), "v".to_owned())];
        builder.build_args(&args, None);
        builder.finish()
    };
    let (one, two) = (with("hunter2"), with("hunter3"));
    assert_ne!(one.hex, two.hex);
    let items = Explained::of(&one, MAX_BYTES).entries;
    assert!(items.iter().any(|item| item.name == "PIP_TOKEN" && item.value.is_empty()));
    assert!(items.iter().any(|item| item.name == "PLAIN" && item.value.len() == 12));
    assert_eq!(sentences(&one, &two), ["build-arg `PIP_TOKEN` changed"]);
    assert!(!encode(&one).contains("hunter"));
}

#[test]
fn a_large_tree_fits_and_still_says_where() {
    let dir = tempfile::tempdir().unwrap();
    for folder in 0..20 {
        for file in 0..100 {
            write(dir.path(), &format!("pkg{folder:02}/inner/file{file:03}"), "1");
        }
    }
    write(dir.path(), "setup.py", "1");
    let old = key(dir.path(), &[]);
    let text = encode(&old);
    assert!(text.len() <= MAX_BYTES && text.is_ascii() && !text.contains('\n'), "{}", text.len());
    write(dir.path(), "pkg07/inner/file003", "2");
    write(dir.path(), "setup.py", "2");
    assert_eq!(
        sentences(&old, &key(dir.path(), &[])),
        ["files under `pkg07/inner/` changed", "`setup.py` changed"]
    );
}

#[test]
fn one_huge_folder_does_not_cost_the_others_their_names() {
    let dir = tempfile::tempdir().unwrap();
    (0..3000).for_each(|n| write(dir.path(), &format!("vendor/{n}"), ""));
    (0..50).for_each(|n| write(dir.path(), &format!("src/deep/er/{n}"), ""));
    let old = key(dir.path(), &[]);
    assert!(encode(&old).len() <= MAX_BYTES);
    write(dir.path(), "src/deep/er/7", "x");
    write(dir.path(), "vendor/7", "x");
    assert_eq!(
        sentences(&old, &key(dir.path(), &[])),
        ["`src/deep/er/7` changed", "files under `vendor/` changed"]
    );
}

#[test]
fn a_root_too_large_to_list_is_still_compared() {
    let dir = tempfile::tempdir().unwrap();
    (0..3000).for_each(|n| write(dir.path(), &format!("{n}"), ""));
    let old = key(dir.path(), &[]);
    assert!(encode(&old).len() <= MAX_BYTES);
    write(dir.path(), "7", "x");
    assert_eq!(sentences(&old, &key(dir.path(), &[])), ["files changed"]);
}

#[test]
fn many_entries_are_put_together_by_kind() {
    let names: Vec<String> = (0..900).map(|n| format!("ARGUMENT_{n}")).collect();
    let dir = tree(&[("a", "1")]);
    let with = |value: &str| {
        let mut entries: Vec<_> =
            names.iter().map(|name| (EntryKind::BuildArg, name.as_str(), OLD)).collect();
        entries.push((EntryKind::BuildArg, "LAST", value));
        entries.push((EntryKind::BaseImage, "b", OLD));
        key(dir.path(), &entries)
    };
    assert!(encode(&with(OLD)).len() <= MAX_BYTES);
    let old = decode(&encode(&with(OLD))).unwrap();
    let new = decode(&encode(&with(NEW))).unwrap();
    assert_eq!(summarise(&diff(&old, &new), 3), "build arguments changed");
}

#[test]
fn what_is_no_explanation_is_refused() {
    for text in ["", "{}", "[]", "null", "{\"v\":1}", "{\"v\":1,\"key\":\"x\",\"e\":[],\"t\":{\"a\":5}}"] {
        assert!(decode(text).is_err(), "{text}");
    }
    let later = "{\"v\":9,\"key\":\"x\",\"e\":[[\"new-kind\",\"a\",\"b\"]],\"t\":{}}";
    assert_eq!(
        diff(&decode(later).unwrap(), &Explained::of(&key(tree(&[]).path(), &[]), 999))[0].text,
        "key format moved from 9 to 2"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever a key has, its explanation keeps the limit, is ASCII, and is the same after reading back.
    #[test]
    fn encoding_is_bounded_and_reversible(
        names in proptest::collection::vec("[a-c\\PC]{1,30}", 0..60),
        entries in proptest::collection::vec(("\\PC{0,40}", "\\PC{0,40}"), 0..40),
    ) {
        let dir = tempfile::tempdir().unwrap();
        for name in names.iter().filter(|name| !name.contains('/') && !name.chars().all(|c| c == '.') && name.len() < 200) {
            write(dir.path(), name, name);
        }
        let entries: Vec<_> = entries.iter().map(|(name, value)| (EntryKind::Label, name.as_str(), value.as_str())).collect();
        let key = key(dir.path(), &entries);
        let text = encode(&key);
        prop_assert!(text.len() <= MAX_BYTES && text.is_ascii());
        let back = decode(&text).unwrap();
        prop_assert_eq!(&back.key, &key.hex);
        prop_assert!(diff(&back, &Explained::of(&key, 1 << 20)).is_empty());
    }
}

#[test]
fn a_base_that_is_another_one_is_told_once() {
    let dir = tree(&[]);
    let with = |base, uses| {
        key(
            dir.path(),
            &[
                (EntryKind::BaseImage, base, OLD),
                (EntryKind::Dockerfile, "", OLD),
                (EntryKind::Dockerfile, "uses", uses),
            ],
        )
    };
    assert_eq!(
        sentences(&with("python:3.12", OLD), &with("python:3.13", NEW)),
        ["base `python:3.12` replaced by `python:3.13`"]
    );
    assert_eq!(
        sentences(&with("a", OLD), &with("a", NEW)),
        ["what the Dockerfile's stages build on changed"]
    );
}

#[test]
fn d85_another_target_does_not_change_the_dockerfile() {
    let dir = tree(&[]);
    let with = |target, dockerfile| {
        key(dir.path(), &[(EntryKind::Target, "", target), (EntryKind::Dockerfile, "", dockerfile)])
    };
    assert_eq!(
        sentences(&with("test", OLD), &with("run", NEW)),
        ["target changed from test to run", "the instructions that are reached changed"]
    );
    assert_eq!(sentences(&with("run", OLD), &with("run", NEW)), ["the Dockerfile changed"]);
}

#[test]
fn deep_folders_can_be_read_back() {
    let deep = "d/".repeat(400) + "file";
    let dir = tree(&[(&deep, "1")]);
    let old = key(dir.path(), &[]);
    write(dir.path(), &deep, "2");
    let told = sentences(&old, &key(dir.path(), &[]));
    assert!(told.len() == 1 && told[0].starts_with("files under `d/d/"), "{told:?}");
}

#[test]
fn a_listing_says_all_and_is_read_back() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tree(&[("a", "1"), ("src/b", "1"), ("src/deep/c", "1"), ("odd\n\u{e9}", "1")]);
    fs_err::create_dir(dir.path().join("empty")).unwrap();
    fs_err::os::unix::fs::symlink("a", dir.path().join("link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    fs_err::set_permissions(dir.path().join("a"), std::fs::Permissions::from_mode(0o4755)).unwrap();
    let entries = [(EntryKind::BaseImage, "python:3.12", OLD), (EntryKind::BuildArg, "NPM_TOKEN", OLD)];
    let old = key(dir.path(), &entries);
    let text: serde_json::Value = serde_json::from_str(&listing(&old, &[])).unwrap();
    assert_eq!(text["files"].as_array().unwrap().len(), 9);
    let value = |kind: &str| {
        let entries = text["entries"].as_array().unwrap();
        entries.iter().find(|entry| entry["kind"] == kind).unwrap()["value"].clone()
    };
    assert_eq!((value("base-image"), value("build-arg")), (OLD.into(), "".into()), "no digest of a secret");
    let read = from_listing(&text).unwrap();
    assert!(diff(&read, &Explained::of(&old, 1 << 20)).is_empty());
    write(dir.path(), "src/deep/c", "2");
    fs_err::remove_file(dir.path().join("link")).unwrap();
    let told: Vec<_> = diff(&read, &Explained::of(&key(dir.path(), &entries), 1 << 20))
        .into_iter()
        .map(|c| c.text)
        .collect();
    assert_eq!(told, ["`link` removed", "`src/deep/c` changed"]);
    assert!(from_listing(&serde_json::json!({"key": "x"})).is_err());
}
