//! The files a key sees, and those an image holds, in one form.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use build_once::testing::{hex, unescape};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::harness::lab;

/// Kind, executable bit, SHA-256 of contents or of a link's target; by path.
pub(super) type Set = BTreeMap<Vec<u8>, (String, bool, String)>;

pub(super) fn run(program: &str, folder: &Path, arguments: &[String]) -> Vec<u8> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("DOCKER_HOST", lab().get("DOCKER_HOST"))
        .env("DOCKER_CONFIG", lab().get("DOCKER_CONFIG"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

pub(super) fn texts(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|&text| text.to_owned()).collect()
}

/// The sets the key sees, by context.
pub(super) fn seen(folder: &Path, arguments: &[String]) -> BTreeMap<String, Set> {
    let mut all = texts(&["key", "--json", "--image", "keys", "--ssm-parameter", "/e2e/none"]);
    all.extend_from_slice(arguments);
    let listing: Value =
        serde_json::from_slice(&run(env!("CARGO_BIN_EXE_build-once"), folder, &all)).unwrap();
    let mut sets: BTreeMap<String, Set> = BTreeMap::new();
    for file in listing["files"].as_array().unwrap() {
        let text = |name: &str| file[name].as_str().unwrap().to_owned();
        let kind = text("kind");
        let sum = if kind == "folder" { String::new() } else { text("sha256") };
        let path = unescape(&text("path")).unwrap();
        sets.entry(text("context")).or_default().insert(path, (kind, text("flags").contains('x'), sum));
    }
    sets
}

/// The set below a folder that BuildKit wrote.
pub(super) fn found(root: &Path) -> Set {
    fn walk(folder: &Path, prefix: &[u8], set: &mut Set) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = [prefix, entry.file_name().as_bytes()].concat();
            let metadata = fs::symlink_metadata(entry.path()).unwrap();
            let sum = |bytes: &[u8]| hex(&Sha256::digest(bytes));
            let fact = if metadata.is_dir() {
                walk(&entry.path(), &[&path, &b"/"[..]].concat(), set);
                ("folder", false, String::new())
            } else if metadata.is_symlink() {
                ("link", false, sum(fs::read_link(entry.path()).unwrap().as_os_str().as_bytes()))
            } else {
                ("file", metadata.permissions().mode() & 0o100 != 0, sum(&fs::read(entry.path()).unwrap()))
            };
            set.insert(path, (fact.0.to_owned(), fact.1, fact.2));
        }
    }
    let mut set = Set::new();
    walk(root, b"", &mut set);
    set
}
