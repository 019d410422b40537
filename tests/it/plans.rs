//! Each file of `tests/plans` is one case: what a run was given and what it found out. Beside it stands the plan that
//! follows, as `build-once plan --facts FILE` prints it. `guard-NAME.json` is planned a second time without that guard.
//!
//! `BUILD_ONCE_UPDATE=1 cargo it plans` writes the plans again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use build_once::testing::replay;

/// Guards that hold elsewhere than between the facts and the plan: `tests/it/attacks` plays them.
#[cfg(debug_assertions)]
const ELSEWHERE: [&str; 7] = [
    "expected-key",
    "every-child",
    "content-digest",
    "local-record",
    "cache-folder",
    "inert-log",
    "inert-summary",
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/plans")
}

/// Every case by its name.
fn cases() -> BTreeMap<String, String> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let cases = files.filter(|path| path.extension().is_some_and(|end| end == "json"));
    let name = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    cases.map(|path| (name(&path), std::fs::read_to_string(&path).unwrap())).collect()
}

#[cfg(debug_assertions)]
fn planned(name: &str, document: &str) -> String {
    let plan = replay(document);
    let Some(guard) = name.strip_prefix("guard-") else { return plan };
    let without = build_once::testing::without(guard, || replay(document)).unwrap();
    assert_ne!(plan, without, "{name}: the plan is the same without the guard");
    format!("{plan}\n--- without the guard {guard} ---\n\n{without}")
}

#[test]
#[cfg(debug_assertions)]
fn every_case_has_its_plan() {
    let update = std::env::var_os("BUILD_ONCE_UPDATE").is_some();
    let mut wrong = Vec::new();
    for (name, document) in cases() {
        let path = folder().join(format!("{name}.txt"));
        let plan = planned(&name, &document);
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if plan != expected && update {
            std::fs::write(&path, &plan).unwrap();
        } else if plan != expected {
            wrong.push(format!("--- {name}: expected\n{expected}\n--- {name}: got\n{plan}"));
        }
    }
    assert!(wrong.is_empty(), "{}\n(BUILD_ONCE_UPDATE=1 writes them)", wrong.join("\n"));
}

fn row<'a>(plan: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    plan.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix(' ').map(str::trim))
}

#[test]
#[cfg(debug_assertions)]
fn every_zone_outcome_mode_and_guard_has_a_case() {
    let cases = cases();
    assert!(cases.len() >= 80, "{} cases", cases.len());
    let plans: Vec<String> = cases.values().map(|document| replay(document)).collect();
    let seen = |name: &str| -> BTreeSet<String> {
        let values = plans.iter().flat_map(|plan| row(plan, name));
        values.map(|value| value.split(' ').next().unwrap().to_owned()).collect()
    };
    let all = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(seen("zone"), all(&["trusted", "queue", "pr", "fork"]));
    // The outcome `checked` has no plan, `failed` of the only image has no more than its error.
    let outcomes = [
        "reused-local",
        "reused-digest",
        "reused-tag",
        "reused-key",
        "built",
        "built-local",
        "missing",
        "merged",
        "failed",
    ];
    assert_eq!(seen("outcome"), all(&outcomes));
    let has = |what: &str| assert!(plans.iter().any(|plan| plan.contains(what)), "no plan with: {what}");
    // Outside GitHub, on a branch, in a pull request.
    for zone in ["no GitHub event", "branch without protection", "pull request 12 of", "from a fork"] {
        has(zone);
    }
    // Every exit code that a plan can end with.
    for code in ["exit 2 ", "exit 20 ", "exit 30 ", "exit 40 ", "exit 60 "] {
        has(code);
    }
    // Every step, and what a tag's guard says.
    for step in [
        "make the repository",
        "set scan-on-push of",
        "set the tag mutability of",
        "preview the lifecycle policy of",
        "write the lifecycle policy of",
        "remove what killed runs left",
        "note in the engine",
        "make the docker-container builder",
        "build and push",
        "build and load",
        "build, push and load",
        "load linux/",
        "read back the digest",
        "or adopt what is there",
        "to it\n",
        "store the index",
        "pull registry.example",
        "name registry.example",
    ] {
        has(step);
    }
    let said = |input: &str| -> BTreeSet<String> {
        let documents = cases.values().map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
        let images = documents.flat_map(|document| document["images"].as_array().unwrap().clone());
        images.filter_map(|image| image["inputs"][input].as_str().map(str::to_owned)).collect()
    };
    assert!(said("mode").is_superset(&all(&["pull", "merge"])));
    assert!(said("on-missing").is_superset(&all(&["build", "wait", "fail"])));
    assert!(said("registry-policy").contains("required") && said("rebuild").contains("true"));
    for kind in ["gha", "local", "inline", "s3"] {
        assert!(said("cache").iter().any(|cache| cache.contains(kind)), "no plan with cache: {kind}");
    }
    // Each guard is named in `src/guards.rs`.
    let source = std::fs::read_to_string(folder().join("../../src/guards.rs")).unwrap();
    let guards = source.lines().filter_map(|line| line.trim().split_once(" = \"")?.1.strip_suffix("\";"));
    for guard in guards {
        let here = cases.contains_key(&format!("guard-{guard}"));
        assert_ne!(here, ELSEWHERE.contains(&guard), "guard {guard}: no case, or one too many");
    }
}

#[test]
fn a_document_is_read_strictly() {
    let refused = |document: &str, why: &str| {
        let said = replay(document);
        assert!(said.starts_with("failed, exit 2 ") && said.contains(why), "{why}: {said}");
    };
    refused("", "failed to read the facts");
    refused("{}", "has no facts of a version");
    refused(r#"{"version": 2, "images": []}"#, "a document of version 2, and build-once");
    refused(r#"{"version": 1, "images": []}"#, "no image is asked for");
    refused(r#"{"version": 1, "images": [], "more": 1}"#, "unknown field `more`");
    refused(r#"{"version": 1, "images": [{"inputs": {"imege": "app"}}]}"#, "unexpected argument '--imege'");
    refused(
        r#"{"version": 1, "images": [{"inputs": {"image": "app"}, "facts": {"keys": 1}}]}"#,
        "field `keys`",
    );
    refused(&format!("{}{}", "[".repeat(1000), "]".repeat(1000)), "recursion limit");
}
