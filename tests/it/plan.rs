//! `plan` and `key`: everything known, nothing written.

use std::fs;

use serde_json::Value;

use crate::support::{HEAD, Lab, scrub};

#[test]
fn a_plan_of_a_build() {
    let lab = Lab::new();
    lab.set("containerd", false);
    let run = lab.shared().args(&["plan"]).run();
    assert_eq!(run.code, 0, "{}", run.all());
    insta::assert_snapshot!(scrub(&lab, &run.stdout));
}

#[test]
fn a_plan_as_json() {
    let lab = Lab::new();
    let program =
        lab.shared().pull_request(12).input("build-args", "A=hidden").input("platforms", "linux/amd64");
    let run = program.args(&["plan", "--json"]).run();
    assert_eq!(run.code, 0, "{}", run.all());
    let mut plan: Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(!run.stdout.contains("hidden"), "{}", run.stdout);
    // As `tests/it/saved.rs` reads it.
    assert!(plan.as_object_mut().unwrap().shift_remove("facts").is_some());
    for annotation in plan["steps"][0]["spec"]["build"]["annotations"].as_array_mut().unwrap() {
        if annotation[0].as_str().unwrap().ends_with(".entries") {
            annotation[1] = "[ENTRIES]".into();
        }
    }
    insta::assert_snapshot!(scrub(&lab, &format!("{plan:#}")));
}

#[test]
fn a_plan_of_a_hit() {
    let lab = Lab::new();
    let _ = lab.shared().run().succeeds("built");
    let run = lab.shared().commit(&"4".repeat(40)).args(&["plan"]).run();
    assert_eq!(run.code, 0, "{}", run.all());
    assert!(lab.registry.digest(&format!("ci/sha-rf9d832d9-app-{}", "4".repeat(40))).is_none());
    insta::assert_snapshot!(scrub(&lab, &run.stdout));
}

#[test]
fn a_plan_fails_as_the_run_would() {
    let lab = Lab::new();
    let run = lab.shared().input("mode", "pull").input("on-missing", "fail").args(&["plan"]).run();
    assert_eq!((run.code, run.stdout.as_str()), (20, ""));
    assert!(
        run.stderr.contains("error: no image with this key") && run.stderr.contains("hint: "),
        "{}",
        run.stderr
    );
}

#[test]
fn a_run_does_what_the_plan_says() {
    let lab = Lab::new();
    let plan = lab.shared().args(&["plan", "--json"]).run().stdout;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    lab.forget_calls();
    let run = lab.shared().run().succeeds("built");
    let did: Value = serde_json::from_slice(&fs::read(run.output("plan")).unwrap()).unwrap();
    assert_eq!(plan["steps"], did["steps"]);
    assert_eq!(plan["images"][0]["key"], run.output("key"));
    assert_eq!(did["run"]["commit"]["head"], HEAD);
}

#[test]
fn the_key_is_stable_and_told() {
    let lab = Lab::new();
    let key = |lab: &Lab| lab.build_once().input("platforms", "linux/amd64").args(&["key"]).run();
    let first = key(&lab);
    assert_eq!(first.code, 0, "{}", first.all());
    assert!(first.calls.is_empty());
    insta::assert_snapshot!(first.stdout);
    // Another machine, another time, another commit, another owner: the same key.
    let other = Lab::new();
    std::fs::File::open(other.path("work/hello")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let again = other.build_once().pull_request(3).input("platforms", "linux/amd64").args(&["key"]).run();
    assert_eq!(first.stdout, again.stdout);
    let built = lab.shared().input("platforms", "linux/amd64").run().succeeds("built");
    assert!(first.stdout.contains(built.output("key")), "{}", first.stdout);
}

#[test]
fn whatever_decides_the_image_changes_the_key() {
    let lab = Lab::new();
    lab.write("work/Dockerfile", "FROM scratch AS a\nARG A\nCOPY hello /\nRUN --mount=type=secret,id=s true\nFROM a AS b\nLABEL x=$A\n");
    let key = |inputs: &[(&str, &str)]| {
        let program =
            inputs.iter().fold(lab.build_once(), |program, (name, value)| program.input(name, value));
        let run = program.args(&["key", "--json"]).run();
        let key: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{}", run.all()));
        key["key"].as_str().unwrap().to_owned()
    };
    let mut keys = vec![key(&[])];
    for input in [
        ("target", "a"),
        ("build-args", "A=1"),
        ("build-args", "A=2"),
        ("platforms", "linux/s390x"),
        ("labels", "a=1"),
        ("key-extra", "1"),
        ("network", "host"),
        ("compression", "zstd"),
        ("provenance", "true"),
        ("secret-envs", "s=HOME"),
        ("extra-args", "--from-the-future=x"),
    ] {
        keys.push(key(&[input]));
    }
    lab.write("work/hello", "other");
    keys.push(key(&[]));
    let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len(), "{keys:#?}");
    // What does not reach the image does not.
    let last = key(&[]);
    for input in [
        ("image", "other"),
        ("retries", "1"),
        ("cache", "none"),
        ("load", "true"),
        ("summary", "false"),
        ("builder", "b"),
    ] {
        assert_eq!(key(&[input]), last, "{input:?}");
    }
}

#[test]
fn the_key_covers_what_is_asked() {
    let lab = Lab::new();
    lab.write("work/notes", "1");
    let keys = || {
        ["context", "copied", "files"].map(|scope| {
            let program = lab.build_once().input("key", scope);
            let program = if scope == "files" { program.input("key-files", "hel*") } else { program };
            let run = program.args(&["key", "--json"]).run();
            let key: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{}", run.all()));
            key["key"].as_str().unwrap().to_owned()
        })
    };
    let first = keys();
    lab.write("work/notes", "2");
    let second = keys();
    assert_ne!(first[0], second[0], "the whole context");
    assert_eq!(first[1..], second[1..], "the Dockerfile copies no notes");
    lab.write("work/hello", "other");
    let third = keys();
    assert!((0..3).all(|at| third[at] != second[at]), "{third:?}");
    lab.write("work/.dockerignore", "notes\n");
    let ignored = keys();
    lab.write("work/notes", "3");
    assert_eq!(ignored, keys());
}
