//! What is done before a plan is executed only reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::support::{BuildOnce, Call, Lab, Login};

/// Commands of docker that only look.
const READS: [&str; 8] = [
    "buildx version",
    "buildx inspect",
    "buildx ls",
    "container ls",
    "volume ls",
    "info",
    "image ls",
    "image inspect",
];

fn only_looks(call: &Call) -> bool {
    READS.iter().any(|read| call.line().starts_with(read)) && !call.has("--bootstrap")
}

fn only_asks(request: &str) -> bool {
    request.starts_with("GET ") || request.starts_with("HEAD ")
}

/// A kind of run, and the zone that it has.
type Zone = (&'static str, &'static str, fn(BuildOnce<'_>) -> BuildOnce<'_>);

const ZONES: [Zone; 6] = [
    ("trusted", "trusted", |program| program.push_to("main")),
    ("branch", "pr", |program| program.push_to("work")),
    ("queue", "queue", |program| {
        let queue = format!("refs/heads/gh-readonly-queue/main/pr-12-{}", "3".repeat(40));
        program.fixture("merge_group", &queue, "merge-group", |_| {})
    }),
    ("pr", "pr", |program| program.pull_request(12)),
    ("fork", "fork", |program| program.fork()),
    ("local", "fork", |program| program.outside_github()),
];

/// Every file, link and folder of the machine, but the journal of calls and what the test itself gives to each run.
fn files(lab: &Lab) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let given = ["calls.jsonl", "event.json", "outputs", "summary"];
    let mut files = BTreeMap::new();
    let mut folders = vec![lab.root().to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            // A link is what it names: the fake docker, which is large, is one.
            if let Ok(target) = path.read_link() {
                files.insert(path, Some(target.into_os_string().into_encoded_bytes()));
            } else if path.is_dir() {
                folders.push(path);
            } else if !given.iter().any(|name| path.ends_with(name)) {
                files.insert(path.clone(), fs::read(&path).ok());
            }
        }
        files.insert(folder, None);
    }
    files
}

/// A machine that could write: with rights in the registry. Where `there`, with images to find and to merge; else an
/// image that needs a builder of its own. With the digests to merge.
fn machine(there: bool) -> (Lab, String) {
    let lab = Lab::new();
    lab.registry.let_push();
    lab.registry.require(Login::Basic("ann", "word"));
    let login = json!({"username": "ann", "password": "word"});
    lab.docker_config(&json!({"auths": {lab.registry.address(): login}}));
    lab.set("containerd", there);
    if !there {
        return (lab, format!("linux/amd64=sha256:{}", "0".repeat(64)));
    }
    let run = lab.shared().run().succeeds("built");
    // What the assertions below would see.
    assert!(
        run.calls.iter().any(|call| !only_looks(call)) && !lab.registry.asked().iter().all(|a| only_asks(a))
    );
    let part = |platform: &str| {
        let image = lab.shared().input("image", &format!("app-{platform}"));
        let run = image.input("platforms", &format!("linux/{platform}")).run().succeeds("built");
        format!("linux/{platform}={}", run.output("digest"))
    };
    let digests = [part("amd64"), part("arm64")].join("\n");
    (lab, digests)
}

/// D24: `plan` in every zone and mode, with and without a repository for pull requests, with each `push`, for an image
/// that is missing and one that is there: what arrives at docker and at the registry only asks, and no file changes.
#[test]
fn d24_a_plan_asks_and_nothing_else() {
    let plans: Vec<_> = std::thread::scope(|scope| {
        let zones = ZONES.map(|zone| scope.spawn(move || [false, true].map(|there| plans(zone, there))));
        zones.into_iter().flat_map(|zone| zone.join().unwrap()).flatten().collect()
    });
    for mode in ["build", "pull", "merge"] {
        let planned = plans.iter().filter(|(of, _)| *of == mode);
        let kinds: BTreeSet<_> = planned.map(|(_, kind)| *kind).collect();
        // A merge is published: only where that is allowed is there a plan.
        let least = if mode == "merge" { 4 } else { ZONES.len() };
        assert!(kinds.len() >= least, "{mode} is planned in {kinds:?}");
    }
    assert!(plans.len() >= 140, "most of 216 are plans: {}", plans.len());
}

/// The mode and the kind of run of each plan that was made.
fn plans((kind, zone, as_kind): Zone, there: bool) -> Vec<(&'static str, &'static str)> {
    let (lab, digests) = machine(there);
    let mut plans = Vec::new();
    let before = files(&lab);
    for mode in ["build", "pull", "merge"] {
        for pr_repository in [false, true] {
            for push in ["auto", "true", "false"] {
                let mut program = as_kind(lab.shared()).input("push", push).input("mode", mode);
                if mode == "merge" {
                    program = program.input("digests", &digests);
                }
                if pr_repository {
                    let other = lab.registry.repository().replace("/ci", "/pr");
                    program = program.input("pr-repository", &other);
                }
                lab.forget_calls();
                lab.registry.forget_requests();
                let run = program.args(&["plan"]).run();
                let what = format!(
                    "{kind}, {mode}, pr-repository {pr_repository}, push {push}, there {there}\n{}",
                    run.all()
                );
                if run.code == 0 {
                    assert!(
                        run.stdout.lines().any(|line| line.split_whitespace().take(2).eq(["zone", zone])),
                        "{what}"
                    );
                    plans.push((mode, kind));
                }
                let written: Vec<_> = run.calls.iter().filter(|call| !only_looks(call)).collect();
                assert!(written.is_empty(), "{what}: {written:?}");
                let asked = lab.registry.asked();
                assert!(asked.iter().all(|asked| only_asks(asked)), "{what}: {asked:?}");
                let after = files(&lab);
                let changed =
                    after.keys().chain(before.keys()).filter(|path| before.get(*path) != after.get(*path));
                let changed: Vec<_> = changed.collect();
                assert!(changed.is_empty(), "{what}: {changed:?}");
            }
        }
    }
    plans
}
