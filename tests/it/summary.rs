//! The job summary, whole.

use serde_json::json;

use crate::support::{Lab, Response, scrub};

#[test]
fn built() {
    let lab = Lab::new();
    let run = lab.shared().pull_request(12).run().succeeds("built");
    insta::assert_snapshot!(scrub(&lab, &run.summary));
}

#[test]
fn hit_with_an_alias() {
    let lab = Lab::new();
    let _ = lab.shared().run().succeeds("built");
    let run = lab.shared().commit(&"4".repeat(40)).run().succeeds("reused-key");
    insta::assert_snapshot!(scrub(&lab, &run.summary));
}

#[test]
fn failed() {
    let lab = Lab::new();
    let stderr = concat!(
        r#"{"vertexes":[{"digest":"a","name":"[2/2] RUN make <all>","started":"2026-01-01T00:00:00Z"}]}"#,
        "\n",
        r#"{"logs":[{"vertex":"a","data":"b25lCmBgYAo8c2NyaXB0Pgo=","timestamp":"2026-01-01T00:00:00Z"}]}"#,
        "\n",
        r#"{"vertexes":[{"digest":"a","name":"[2/2] RUN make <all>","started":"2026-01-01T00:00:00Z","completed":"2026-01-01T00:00:01Z","error":"process did not complete successfully: exit code: 2"}]}"#,
        "\n",
        "Dockerfile:2\n",
        "ERROR: failed to solve: process \"make <all>\" did not complete successfully: exit code: 2\n",
    );
    lab.rule("buildx build", json!({"stderr": stderr, "exit": 1}));
    let run = lab.shared().run().fails(10, "build");
    insta::assert_snapshot!(scrub(&lab, &run.summary));
}

#[test]
fn degraded() {
    let lab = Lab::new();
    lab.registry.fault("/manifests/", 99, Response::new(500, ""));
    let run = lab.shared().run().succeeds("built-local").degraded();
    insta::assert_snapshot!(scrub(&lab, &run.summary));
}

#[test]
fn bad_input() {
    let lab = Lab::new();
    let run = lab.build_once().input("mode", "<b>").input("load", "`x`").run().fails(2, "input");
    insta::assert_snapshot!(scrub(&lab, &run.summary));
}
