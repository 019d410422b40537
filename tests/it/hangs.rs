//! What moves no more: a builder, a step's builder, a registry that takes a tag and does not answer.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::reactions::{builds, with_own_builder};
use crate::support::{Lab, Response};

#[test]
fn a_builder_that_hangs_is_replaced_once() {
    // It pushes, and nothing moves.
    let stream = "{\"vertexes\":[{\"digest\":\"sha256:aa\",\"name\":\"exporting to image\",\"started\":\"2026-01-01T00:00:00Z\"}],\"statuses\":[{\"id\":\"pushing layers\",\"vertex\":\"sha256:aa\",\"started\":\"2026-01-01T00:00:00Z\"}]}\n";
    let lab = with_own_builder();
    lab.rule("buildx build", json!({"stderr": stream, "hang": true, "times": 1}));
    let run = lab.shared().input("retries", "1").input("stall-timeout", "1s").run().succeeds("built");
    assert_eq!((builds(&run), run.called("buildx create").len()), (2, 2));

    let lab = with_own_builder();
    lab.rule("buildx build", json!({"stderr": stream, "hang": true}));
    let run = lab.shared().input("retries", "3").input("stall-timeout", "1s").run().fails(30, "unavailable");
    assert_eq!((builds(&run), run.output("failure-cause")), (2, "hang"));
    assert!(run.error().contains("nothing moved for 1s while pushing"), "{}", run.error());
    assert_eq!(run.called("buildx rm --force").len(), 2);
}

#[test]
fn a_builder_that_does_not_answer_hangs_too() {
    let lab = Lab::new();
    lab.rule("buildx build", json!({"hang": true}));
    let run = lab.shared().input("stall-timeout", "1s").run().fails(30, "unavailable");
    assert!(run.error().contains("nothing moved for 1s while talking to the builder"), "{}", run.error());
    let lab = with_own_builder();
    lab.rule("buildx create", json!({"hang": true}));
    let program = lab.shared().input("provenance", "true").input("retries", "1").input("stall-timeout", "1s");
    let run = program.run().fails(30, "unavailable");
    assert_eq!((run.called("buildx create").len(), builds(&run)), (2, 0));
    assert_eq!(run.output("failure-cause"), "hang");
}

#[test]
fn a_silent_step_does_not_hang() {
    let stream = "{\"vertexes\":[{\"digest\":\"sha256:aa\",\"name\":\"[2/2] RUN make\",\"started\":\"2026-01-01T00:00:00Z\"}]}";
    let lab = Lab::new();
    let script = format!("echo '{stream}' >&2; /bin/sleep 3; echo 'ERROR: 401 Unauthorized' >&2; exit 1");
    lab.rule("buildx build", json!({"shell": script}));
    let start = Instant::now();
    let run = lab.shared().input("stall-timeout", "1s").run().fails(20, "access");
    assert!(start.elapsed() > Duration::from_secs(3));
    assert_eq!(builds(&run), 1);
}

#[test]
fn a_step_whose_builder_went_silent_hangs() {
    let stream = "{\"vertexes\":[{\"digest\":\"sha256:aa\",\"name\":\"[2/2] RUN make\",\"started\":\"2026-01-01T00:00:00Z\"}]}\n";
    let lab = with_own_builder();
    lab.rule("buildx build", json!({"stderr": stream, "hang": true}));
    let silent = "Name: b\nDriver: docker-container\n\nNodes:\nName: b0\nError: is paused\n";
    // The first time it is the current builder that is asked about.
    lab.rule("buildx inspect", json!({"times": 1}));
    lab.rule("buildx inspect", json!({"stdout": silent, "exit": 0}));
    let run = lab.shared().input("retries", "1").input("stall-timeout", "1s").run().fails(30, "unavailable");
    assert_eq!((builds(&run), run.output("failure-cause")), (2, "hang"));
    assert!(
        run.error().contains("while running the steps, and the builder does not answer"),
        "{}",
        run.error()
    );
}

/// A request that is not answered is given up after 20 s.
#[test]
fn a_registry_that_takes_a_tag_and_does_not_answer() {
    let lab = Lab::new();
    lab.registry.let_push();
    lab.registry.fault_on("PUT", "/manifests/v1", Response::hang());
    let start = Instant::now();
    let tags = "v1\nv2";
    let run = lab.shared().input("tags", tags).input("retries", "0").run().fails(30, "unavailable");
    assert!(start.elapsed() < Duration::from_mins(2), "{:?}", start.elapsed());
    let (set, not_set) = run.error().split_once("; not set: ").unwrap();
    assert!(
        set.contains("/ci:v2") && not_set.contains("/ci:v1") && !not_set.contains("/ci:v2"),
        "{}",
        run.error()
    );
    assert_eq!(lab.registry.digest("ci/v1"), None);
    // Once more, and it answers.
    lab.registry.fault_on("PUT", "/manifests/v1", Response::hang());
    let run = lab.shared().input("tags", tags).input("retries", "1").run();
    assert_eq!((run.code, run.output("degraded")), (0, "false"), "{}", run.all());
    assert_eq!(lab.registry.digest("ci/v1"), lab.registry.digest("ci/v2"));
}
