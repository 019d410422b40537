//! The layer cache in a folder of the machine: shared by many builds, and broken.

use std::fs;
use std::path::{Path, PathBuf};

use build_once::testing::Digest;
use serde_json::Value;

use crate::support::{BuildOnce, Lab};

fn program<'a>(lab: &'a Lab, folder: &Path) -> BuildOnce<'a> {
    lab.shared().input("cache", "local").input("cache-dir", folder.to_str().unwrap())
}

fn cache(folder: &Path) -> PathBuf {
    folder.join("o/r/trusted/cache-rf9d832d9-app-main")
}

fn generations(folder: &Path) -> usize {
    let entries = fs::read_dir(cache(folder)).unwrap().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("gen-")).count()
}

/// The generation that the next build would read, whose manifest and layers are what they are
/// called.
#[track_caller]
fn valid(folder: &Path) -> PathBuf {
    let current = cache(folder).join(fs::read_link(cache(folder).join("current")).unwrap());
    let json = |path: PathBuf| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap();
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap();
        let path = current.join("blobs").join(digest.replace(':', "/"));
        assert_eq!(Digest::of(&fs::read(&path).unwrap()).as_str(), digest);
        path
    };
    let manifest = json(blob(&json(current.join("index.json"))["manifests"][0]));
    for layer in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
        blob(layer);
    }
    current
}

#[test]
fn twenty_builds_share_a_folder() {
    // Twenty checkouts on one machine; the folder is the only thing they share.
    let folder = tempfile::tempdir().unwrap();
    let labs: Vec<Lab> = (0..20).map(|_| Lab::new()).collect();
    for (number, lab) in labs.iter().enumerate() {
        lab.write("work/hello", number.to_string());
    }
    let running: Vec<_> = labs.iter().map(|lab| program(lab, folder.path()).start()).collect();
    for run in running {
        let run = run.finish().succeeds("built");
        assert_eq!(run.output("degraded"), "false", "{}", run.all());
        assert!(!run.notices().contains("local cache not"), "{}", run.notices());
        assert_eq!(run.build().values("--cache-to").len(), 1);
    }
    valid(folder.path());
    // What was still read when the last one tidied up goes with the next.
    let next = Lab::new();
    let run = program(&next, folder.path()).run().succeeds("built");
    assert_eq!(run.build().values("--cache-from").len(), 1, "it is read");
    valid(folder.path());
    assert_eq!(generations(folder.path()), 1);
}

#[test]
fn a_broken_one_is_left_out_and_replaced() {
    type Spoil = fn(&Path);
    let index: [(Spoil, &str); 3] = [
        (|current| fs::write(current.join("index.json"), "").unwrap(), "a document is not JSON"),
        (|current| fs::write(current.join("index.json"), "{\"manifests\": [{\"di").unwrap(), "not JSON"),
        (|current| fs::remove_dir_all(current.join("blobs")).unwrap(), "is not there"),
    ];
    for (spoil, why) in index {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::new();
        let _ = program(&lab, folder.path()).run().succeeds("built");
        let broken = valid(folder.path());
        spoil(&broken);
        lab.write("work/hello", "changed");
        lab.forget_calls();
        let run = program(&lab, folder.path()).run().succeeds("built");
        assert!(run.build().values("--cache-from").is_empty(), "{}", run.build().line());
        assert!(run.notices().contains("local cache not read: "), "{}", run.notices());
        assert!(run.notices().contains(why), "{why}: {}", run.notices());
        assert_ne!(valid(folder.path()), broken, "the next build has a whole one");
    }
}
