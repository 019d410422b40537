//! D86. What is done otherwise than asked is said once, and is `degraded` where it is less.

use serde_json::json;

use crate::support::{HEAD, Lab, Run};

/// Said once: in one annotation and one line of the summary.
fn said_once(run: &Run, kind: &str, words: &str) {
    let told = run.commands(kind).iter().filter(|command| command.message.contains(words)).count();
    assert_eq!((told, run.summary.matches(words).count()), (1, 1), "{words}: {}", run.all());
}

fn import(name: &str, error: &str) -> String {
    let vertex = json!({"digest": format!("sha256:{name}"), "name": format!("importing cache manifest from {name}"),
        "started": "2026-01-01T00:00:00Z", "completed": "2026-01-01T00:00:01Z", "error": error});
    json!({"vertexes": [vertex]}).to_string()
}

/// D86. The texts are those of BuildKit and of buildx 0.29.
#[test]
fn d86_a_cache_that_is_not_read_is_said() {
    let refused = "failed to configure registry cache importer: failed to do request: Head \"https://h.example/v2/x/manifests/c\": dial tcp 127.0.0.1:1: connect: connection refused";
    let lab = Lab::new();
    lab.set("progress", import("h.example/x:c", refused));
    let run = lab.shared().input("cache-from", "h.example/x:c").run().succeeds("built").degraded();
    said_once(
        &run,
        "warning",
        "the layer cache h.example/x:c is not read: failed to configure registry cache importer",
    );
    // As on a first run.
    let lab = Lab::new();
    let folder = "WARNING: local cache import at /none not found due to err: could not lock /none/index.json.lock: open /none/index.json.lock: no such file or directory";
    let absent = "failed to configure registry cache importer: h.example/x:c: not found";
    lab.set("progress", [&import("h.example/x:c", absent), folder].join("\n"));
    let run = lab.shared().input("cache-from", "h.example/x:c\ntype=local,src=/none").run().succeeds("built");
    assert_eq!(run.output("degraded"), "false", "{}", run.all());
    said_once(&run, "notice", "the layer cache h.example/x:c is not there");
    said_once(&run, "notice", "the layer cache /none is not there");
}

/// D86. BuildKit passes over it.
#[test]
fn d86_a_stage_of_no_cache_filters_that_is_not_there_is_said() {
    let lab = Lab::new();
    lab.write("work/Dockerfile", "FROM scratch AS Base\nCOPY hello /\nFROM base\n");
    let run = lab.shared().input("no-cache-filters", "BASE,stage-1,biuld").run().succeeds("built");
    said_once(&run, "notice", "no-cache-filters: the Dockerfile has no stage biuld");
    assert!(!run.notices().contains("stage-1"), "{}", run.notices());
    // Only a frontend of one's own knows its stages.
    let lab = Lab::new();
    lab.registry.put("frontend", None);
    let syntax = format!("# syntax={}:frontend\nFROM scratch\nCOPY hello /\n", lab.registry.repository());
    lab.write("work/Dockerfile", syntax);
    let run = lab.shared().input("no-cache-filters", "biuld").run().succeeds("built");
    assert!(!run.notices().contains("biuld"), "{}", run.notices());
}

/// D86. An image that is there keeps its annotations.
#[test]
fn d86_annotations_on_a_hit_are_said() {
    let lab = Lab::new();
    let run = |annotations: &str| lab.shared().input("annotations", annotations).run();
    run("owner=a\norg.opencontainers.image.created=1").succeeds("built");
    let same = run("owner=a\norg.opencontainers.image.created=2").succeeds("reused-tag");
    assert!(same.notices().is_empty(), "{}", same.notices());
    let other = run("owner=b\nmanifest:more=c").succeeds("reused-tag");
    said_once(
        &other,
        "notice",
        "annotations not set: owner, manifest:more; the image that is there keeps its own",
    );
    assert_eq!(other.output("degraded"), "false");
}

/// D86. `cache-write: always` where the zone writes no cache.
#[test]
fn d86_a_cache_that_may_not_be_written_is_said() {
    let lab = Lab::new();
    let words = "the layer cache is not written, as cache-write: always asks";
    let program = || lab.shared().input("cache-write", "always");
    let run = program().fork().run().succeeds("built-local").degraded();
    said_once(&run, "warning", words);
    lab.another_machine();
    let event = json!({"repository": {"default_branch": "main"}});
    let run = program().event("push", "refs/tags/v1", HEAD, &event).run().succeeds("built").degraded();
    said_once(&run, "warning", &format!("{words}: a run of a git tag writes none"));
    // What a pull request may do, and what nobody asked for.
    let lab = Lab::new();
    assert_eq!(
        lab.shared()
            .input("cache-write", "always")
            .pull_request(12)
            .run()
            .succeeds("built")
            .output("degraded"),
        "false"
    );
    let lab = Lab::new();
    assert_eq!(lab.shared().fork().run().succeeds("built-local").output("degraded"), "false");
    let lab = Lab::new();
    let run = lab
        .shared()
        .input("cache-write", "always")
        .fork()
        .input("cache", "none")
        .run()
        .succeeds("built-local");
    assert_eq!(run.output("degraded"), "false");
    let lab = Lab::new();
    let run = lab
        .shared()
        .input("cache-write", "always")
        .pull_request(13)
        .input("push", "false")
        .run()
        .succeeds("built-local");
    said_once(&run, "notice", &format!("{words}: the input push is false"));
}

/// D86. `push: true` where the zone publishes nothing, built or found on this machine.
#[test]
fn d86_a_push_that_a_fork_may_not_do_is_said() {
    let lab = Lab::new();
    let run = || lab.shared().fork().input("push", "true").run();
    said_once(&run().succeeds("built-local").degraded(), "warning", "the image is not published");
    said_once(&run().succeeds("reused-local").degraded(), "warning", "the image is not published");
}
