//! The files a key sees are the files BuildKit sends: random trees and ignore files, built for real.
//!
//! Many trees go into one build, each a build context of its own. The set of files in the image (path, kind,
//! executable bit, contents) must be the set in `build-once key --json`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use build_once::testing::escape;

use super::sets::{Set, found, run, seen, texts};
use super::trees::{Dice, ignore, tree};
use crate::harness::lab;

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn difference(key: &Set, image: &Set) -> Vec<String> {
    let all: std::collections::BTreeSet<_> = key.keys().chain(image.keys()).collect();
    let differs = all.into_iter().filter(|path| match (key.get(*path), image.get(*path)) {
        // BuildKit lists files by one reading of the rules and opens them by another; where only the second
        // leaves a file out, it sends it empty (fsutil `send.go`). The key counts what it holds all the same.
        (Some(key), Some(image)) => {
            (&key.0, key.1) != (&image.0, image.1) || (key.2 != image.2 && image.2 != EMPTY)
        }
        _ => true,
    });
    differs
        .map(|path| format!("{}: key {:?}, image {:?}", escape(path), key.get(path), image.get(path)))
        .collect()
}

/// Trees of one build. A layer each, and overlay file systems stack no more than some hundred.
const BATCH: usize = 50;
const BATCHES: u64 = 4;

#[test]
fn the_key_sees_what_buildkit_sends() {
    let seed = std::env::var("BUILD_ONCE_LAB_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut threads = Vec::new();
    for batch in 0..BATCHES {
        threads.push(std::thread::spawn(move || one_batch(seed * 1000 + batch)));
    }
    let wrong: Vec<String> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// A build of many trees as build contexts, and one as the context itself.
fn one_batch(seed: u64) -> Vec<String> {
    let root = tempfile::Builder::new().prefix("build-once-keys-").tempdir().unwrap();
    let root = root.path();
    let mut dice = Dice(seed);
    let mut dockerfile = "FROM scratch\nCOPY . /context/\n".to_owned();
    let mut arguments = Vec::new();
    let mut rules = BTreeMap::new();
    for number in 0..BATCH {
        let name = format!("c{number}");
        let folder = root.join(&name);
        fs::create_dir(&folder).unwrap();
        let paths = tree(&mut dice, &folder);
        if let Some(text) = ignore(&mut dice, &paths) {
            fs::write(folder.join(".dockerignore"), &text).unwrap();
            rules.insert(name.clone(), text);
        }
        writeln!(dockerfile, "COPY --from={name} . /{name}/").unwrap();
        arguments.push(format!("{name}=./{name}"));
    }
    // The context's own rules may stand beside the Dockerfile, and then those in the context do not count.
    let context = root.join("main");
    fs::create_dir(&context).unwrap();
    let paths = tree(&mut dice, &context);
    for name in ["main/.dockerignore", "Dockerfile.dockerignore"] {
        if let Some(text) = ignore(&mut dice, &paths) {
            fs::write(root.join(name), &text).unwrap();
            rules.insert(name.to_owned(), text);
        }
    }
    fs::write(root.join("Dockerfile"), dockerfile).unwrap();

    let list = arguments.join("\n");
    let sets = seen(root, &texts(&["--context", "main", "--file", "Dockerfile", "--build-contexts", &list]));
    let mut build = texts(&[
        "buildx",
        "build",
        "--quiet",
        "--no-cache",
        "--file",
        "Dockerfile",
        "--output",
        "type=local,dest=out",
    ]);
    build.extend(arguments.iter().flat_map(|context| ["--build-context".to_owned(), context.clone()]));
    build.push("main".to_owned());
    run(lab().get("BUILD_ONCE_LAB_DOCKER"), root, &build);

    let none = Set::new();
    let mut wrong = Vec::new();
    for name in (0..BATCH).map(|number| format!("c{number}")).chain(["context".to_owned()]) {
        let image = found(&root.join("out").join(&name));
        let differs = difference(sets.get(&name).unwrap_or(&none), &image);
        if !differs.is_empty() {
            wrong.push(format!("seed {seed}, {name}, rules {:?}:\n{}", rules.get(&name), differs.join("\n")));
        }
    }
    wrong
}

#[test]
fn a_name_that_is_not_utf_8() {
    // What BuildKit makes of it is its affair; a key for it is one that no other name has.
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("Dockerfile"), "FROM scratch\nCOPY . /\n").unwrap();
    fs::write(root.path().join(OsStr::from_bytes(b"caf\xe9")), "x").unwrap();
    let sets = seen(root.path(), &[]);
    assert!(sets["context"].contains_key(&b"caf\xe9"[..]));
    let output = Command::new(lab().get("BUILD_ONCE_LAB_DOCKER"))
        .args(["buildx", "build", "--quiet", "--output", "type=local,dest=out", "."])
        .current_dir(root.path())
        .env("DOCKER_HOST", lab().get("DOCKER_HOST"))
        .env("DOCKER_CONFIG", lab().get("DOCKER_CONFIG"))
        .output()
        .unwrap();
    if output.status.success() {
        assert!(found(&root.path().join("out")).contains_key(&b"caf\xe9"[..]), "sent under another name");
    } else {
        assert!(String::from_utf8_lossy(&output.stderr).contains("UTF-8"), "{output:?}");
    }
}
