//! Keys as a whole: different entries give different keys, and the keys of a fixed example never change.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use proptest::prelude::*;

use super::dockerfile::{Analysis, AnalysisRequest, analyse};
use super::dockerignore::Ignore;
use super::files::{CopySource, Selector, key_files, walk};
use super::*;

fn analysis(text: &str) -> Analysis {
    let build = "linux/amd64".parse().unwrap();
    let request = AnalysisRequest {
        file: "Dockerfile",
        target: None,
        build_args: &[],
        platforms: &[],
        build_platform: &build,
        build_contexts: &[],
        triggers: &[],
    };
    analyse(text.as_bytes(), &request).unwrap()
}

fn of(entries: &[(EntryKind, String, String)]) -> BuildKey {
    let mut builder = KeyBuilder::new(Scope::Context);
    for (kind, name, value) in entries {
        builder.plain(*kind, name, value);
    }
    builder.finish()
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[test]
fn a_key_is_hexadecimal_and_its_short_form_starts_it() {
    let key = of(&[]);
    assert!(key.hex.len() == 64 && key.hex.bytes().all(|b| b"0123456789abcdef".contains(&b)));
    assert_eq!(key.short(), &key.hex[..32]);
}

#[test]
fn values_that_may_be_private_are_never_kept() {
    let mut builder = KeyBuilder::new(Scope::Context);
    builder
        .build_args(&owned(&[("A", "hunter2"), ("B", "hunter2")]), None)
        .labels(&owned(&[("l", "hunter2")]))
        .extra_arg("--x=hunter2");
    let key = builder.finish();
    assert!(!format!("{key:?}").contains("hunter2"));
    let values: std::collections::BTreeSet<_> = key.entries.iter().map(|entry| &entry.value).collect();
    assert_eq!(values.len(), key.entries.len(), "equal values of two names do not show as equal");
}

#[test]
fn proxies_count_only_where_they_are_declared() {
    let key = |text: &str, args: &[(&str, &str)]| {
        let mut builder = KeyBuilder::new(Scope::Context);
        builder.build_args(&owned(args), Some(&analysis(text)));
        builder.finish().hex
    };
    let proxy = [("HTTP_PROXY", "http://p"), ("no_proxy", "x")];
    assert_eq!(key("FROM a\n", &proxy), key("FROM a\n", &[]));
    assert_ne!(key("FROM a\nARG HTTP_PROXY\n", &proxy), key("FROM a\nARG HTTP_PROXY\n", &[]));
    assert_ne!(
        key("FROM a\n", &[("OTHER", "x")]),
        key("FROM a\n", &[]),
        "an argument that no instruction declares counts"
    );
}

#[test]
fn labels_of_the_run_do_not_count() {
    let key = |labels: &[(&str, &str)]| {
        let mut builder = KeyBuilder::new(Scope::Context);
        builder.labels(&owned(labels));
        builder.finish().hex
    };
    assert_eq!(
        key(&[("org.opencontainers.image.revision", "abc"), ("org.opencontainers.image.created", "now")]),
        key(&[])
    );
    assert_ne!(key(&[("team", "ci")]), key(&[]));
}

#[test]
fn extra_arguments_count_in_order() {
    let key = |arguments: &[&str]| {
        let mut builder = KeyBuilder::new(Scope::Context);
        for argument in arguments {
            builder.extra_arg(argument);
        }
        builder.finish().hex
    };
    assert_ne!(key(&["--a=1", "--b=2"]), key(&["--b=2", "--a=1"]));
    assert_ne!(key(&["--a=1 --b=2"]), key(&["--a=1", "--b=2"]));
}

const KINDS: [EntryKind; 3] = [EntryKind::BuildArg, EntryKind::Label, EntryKind::Setting];

fn entries() -> impl Strategy<Value = Vec<(EntryKind, String, String)>> {
    let entry = (0..KINDS.len(), "[a:=\\x00]{0,3}", "[a:=\\x00]{0,3}")
        .prop_map(|(kind, name, value)| (KINDS[kind], name, value));
    proptest::collection::vec(entry, 0..5)
}

proptest! {
    /// Two sets of entries have one key if and only if they are the same set, in whatever order they come.
    #[test]
    fn the_encoding_is_injective(a in entries(), b in entries()) {
        let set = |entries: &[(EntryKind, String, String)]| entries.iter().cloned().collect::<std::collections::BTreeSet<_>>();
        prop_assert_eq!(of(&a).hex == of(&b).hex, set(&a) == set(&b));
        let mut reversed = a.clone();
        reversed.reverse();
        prop_assert_eq!(of(&a).hex, of(&reversed).hex);
    }
}

/// Writes a repository with a bit of everything.
fn write_example(root: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let write = |name: &str, text: &str, mode: u32| {
        let path = root.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, text).unwrap();
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    write("requirements.txt", "flask==3.0\n", 0o644);
    write("src/app.py", "print()\n", 0o644);
    write("src/é\n.py", "", 0o600);
    write("bin/run", "#!/bin/sh\n", 0o755);
    write("package.json", "{\"name\":\"x\",\"dependencies\":{\"a\":\"^1\"}}", 0o644);
    write("node_modules/a/index.js", "x", 0o644);
    write("docs/keep.md", "k", 0o644);
    write("docs/drop.md", "d", 0o644);
    write(".dockerignore", "node_modules\ndocs/*\n!docs/keep.md\n", 0o644);
    write("Dockerfile", DOCKERFILE, 0o644);
    fs_err::create_dir(root.join("empty")).unwrap();
    fs_err::os::unix::fs::symlink("src/app.py", root.join("link")).unwrap();
}

const DOCKERFILE: &str = "# syntax=docker/dockerfile:1\nARG V=3\nFROM python:$V AS base\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\nFROM base AS unused\nRUN true\nFROM base\nCOPY src bin/* ./\nRUN <<EOF\nset -e\nEOF\n";

/// The key of that repository.
fn example_key(root: &Path, scope: Scope) -> String {
    let analysis = analysis(DOCKERFILE);
    let mut builder = KeyBuilder::new(scope);
    let ignore = Ignore::load(root, &root.join("Dockerfile")).unwrap();
    match scope {
        Scope::Files => {
            let list = ["requirements.txt", "**/*.py", "package.json#dependencies"].map(str::to_owned);
            builder.key_files(key_files(root, &list).unwrap());
        }
        Scope::Context | Scope::Copied => {
            let sources: Vec<CopySource> = match &analysis.copied {
                dockerfile::Copied::Known(sources) => sources.clone(),
                dockerfile::Copied::Unknown(reason) => panic!("{reason}"),
            };
            let selector = if scope == Scope::Copied {
                Selector::copied(root, ignore, &sources).unwrap()
            } else {
                Selector::context(ignore)
            };
            let (tree, warnings) = walk(root, &selector).unwrap();
            builder.files("context", tree, warnings);
        }
    }
    builder
        .dockerfile(&analysis, scope == Scope::Copied)
        .plain(EntryKind::BaseImage, "python:3", "sha256:00")
        .plain(EntryKind::Frontend, "docker/dockerfile:1", "sha256:11")
        .plain(EntryKind::Target, "", "")
        .plain(EntryKind::Platform, "linux/amd64", "")
        .build_args(&owned(&[("V", "3"), ("http_proxy", "x")]), Some(&analysis))
        .labels(&owned(&[("team", "ci")]))
        .plain(EntryKind::Period, "", &period(7 * 86_400, 1_795_219_200));
    builder.finish().hex
}

/// If this fails, every user's next build misses. Change a constant only together with `FORMAT_VERSION`, and say
/// so in the CHANGELOG.
#[test]
fn golden_keys() {
    let dir = tempfile::tempdir().unwrap();
    write_example(dir.path());
    let keys = [Scope::Context, Scope::Copied, Scope::Files].map(|scope| example_key(dir.path(), scope));
    assert_eq!(
        keys.each_ref().map(String::as_str),
        [
            "60b9d86faec4dd981025a3888c6749bb518a8669e438f450a5420ce111258125",
            "706ee254247677ca12916e9277481e7193fa45a05b42c70b625a7dc2868eb764",
            "22414ce6382cefe0a3200f359a2fd5d04cdf4c22be2c4037a74072cfb641cff8",
        ]
    );
}

#[test]
fn each_scope_notices_changes_of_its_files() {
    let dir = tempfile::tempdir().unwrap();
    write_example(dir.path());
    let all = || [Scope::Context, Scope::Copied, Scope::Files].map(|scope| example_key(dir.path(), scope));
    let before = all();
    // For each scope, whether it notices the change.
    let noticed = |name: &str, text: &str| {
        let path = dir.path().join(name);
        let old = fs_err::read_to_string(&path).unwrap();
        fs_err::write(&path, text).unwrap();
        let after = all();
        fs_err::write(&path, old).unwrap();
        [0, 1, 2].map(|index| before[index] != after[index])
    };
    assert_eq!(noticed("requirements.txt", "x"), [true, true, true]);
    assert_eq!(noticed("bin/run", "x"), [true, true, false]);
    assert_eq!(noticed("docs/keep.md", "x"), [true, false, false]);
    assert_eq!(noticed("docs/drop.md", "x"), [false, false, false]);
    assert_eq!(noticed("node_modules/a/index.js", "y"), [false, false, false]);
    assert_eq!(
        noticed("package.json", "{\"name\":\"y\",\"dependencies\":{\"a\":\"^1\"}}"),
        [true, false, false]
    );
    assert_eq!(
        noticed("package.json", "{\"name\":\"x\",\"dependencies\":{\"a\":\"^2\"}}"),
        [true, false, true]
    );
}
