//! What is tried again after which failure, and what is done otherwise then.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{Lab, Response, Run};

fn fails(text: &str, times: u64) -> Value {
    json!({"stderr": format!("ERROR: failed to build: failed to solve: {text}\n"), "exit": 1, "times": times})
}

/// A stream in which this vertex failed, with this final error.
fn failing_at(vertex: &str, status: &str, text: &str) -> String {
    let name = json!(vertex);
    let error = json!(text);
    format!(
        concat!(
            "{{\"vertexes\":[{{\"digest\":\"sha256:aa\",\"name\":{},\"started\":\"2026-01-01T00:00:00Z\"}}],",
            "\"statuses\":[{{\"id\":\"{}\",\"vertex\":\"sha256:aa\",\"started\":\"2026-01-01T00:00:00Z\"}}]}}\n",
            "{{\"vertexes\":[{{\"digest\":\"sha256:aa\",\"name\":{},\"started\":\"2026-01-01T00:00:00Z\",\"completed\":\"2026-01-01T00:00:01Z\",\"error\":{}}}]}}\n",
            "ERROR: failed to build: failed to solve: {}\n"
        ),
        name, status, name, error, text
    )
}

pub(crate) fn builds(run: &Run) -> usize {
    run.called("buildx build").len()
}

/// An engine whose own builder cannot write caches: the run makes one.
pub(crate) fn with_own_builder() -> Lab {
    let lab = Lab::new();
    lab.set("containerd", false);
    lab
}

#[test]
fn a_lost_builder_is_replaced_once() {
    let lost =
        "failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF";
    let lab = with_own_builder();
    lab.rule("buildx build", fails(lost, 1));
    let run = lab.shared().input("retries", "3").run().succeeds("built");
    assert_eq!((builds(&run), run.output("attempts")), (2, "2"));
    let name = run.called("buildx create")[0].values("--name")[0].to_owned();
    assert_eq!(run.called(&format!("buildx create --name {name}")).len(), 2, "{:?}", run.lines());
    assert_eq!(run.called(&format!("buildx rm --force {name}")).len(), 2, "{:?}", run.lines());
    assert!(run.stdout.contains("(builder-lost); trying again on a fresh builder"), "{}", run.stdout);
    assert!(run.summary.contains("| tried again | builder-lost"), "{}", run.summary);
    assert_eq!((run.output("failure-class"), run.output("failure-cause")), ("", ""));

    let lab = with_own_builder();
    lab.rule("buildx build", fails(lost, 9));
    let run = lab.shared().input("retries", "3").run().fails(30, "unavailable");
    assert_eq!((builds(&run), run.output("failure-cause")), (2, "builder-lost"));
    assert!(run.error().contains("2 attempts were made"), "{}", run.error());
    let removed = run.called("buildx rm --force");
    assert_eq!(removed.len(), 2, "the lost one and its successor");
}

#[test]
fn a_builder_that_ran_out_of_memory_is_not_tried_again() {
    let lab = with_own_builder();
    lab.rule(
        "buildx build",
        fails(
            "failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF",
            9,
        ),
    );
    lab.rule("container inspect", json!({"stdout": "true 134217728\n", "exit": 0}));
    let run = lab.shared().input("retries", "3").run().fails(50, "resource");
    assert_eq!((builds(&run), run.output("failure-cause")), (1, "oom"));
    assert!(run.error().contains("out of its memory of 128 MiB"), "{}", run.error());
}

#[test]
fn a_step_that_was_killed_for_its_builders_memory_stays_the_steps_failure() {
    let text = "process \"/bin/sh -c make\" did not complete successfully: exit code: 137";
    for (state, said) in [("true 134217728\n", true), ("false 134217728\n", false)] {
        let lab = with_own_builder();
        lab.rule("buildx build", fails(text, 9));
        lab.rule("container inspect", json!({"stdout": state, "exit": 0}));
        let run = lab.shared().input("retries", "3").run().fails(10, "build");
        assert_eq!((builds(&run), run.output("failure-cause")), (1, "dockerfile-error"));
        assert_eq!(run.error().contains("out of its memory of 128 MiB"), said, "{}", run.error());
    }
}

#[test]
fn a_builder_of_the_users_is_not_replaced() {
    let lab = Lab::new();
    lab.set("driver", "docker-container");
    lab.rule("buildx build", fails("healthcheck failed fatally", 1));
    let run = lab.shared().input("builder", "warm").input("retries", "1").run().succeeds("built");
    assert_eq!(builds(&run), 2);
    assert!(
        run.called("buildx rm").is_empty() && run.called("buildx create").is_empty(),
        "{:?}",
        run.lines()
    );
}

#[test]
fn a_cache_that_lost_its_layers_is_not_read_again() {
    let lab = Lab::new();
    // Something to import.
    let _ = lab.shared().run().succeeds("built");
    lab.another_machine();
    lab.write("work/hello", "other\n");
    let lost = "failed to compute cache key: failed to copy: httpReadSeeker: failed open: could not fetch content descriptor sha256:aa from remote: not found";
    lab.rule(
        "buildx build",
        json!({"stderr": failing_at("[2/2] COPY hello /", "x", lost), "exit": 1, "times": 1}),
    );
    let run = lab.shared().commit("3333333333333333333333333333333333333333").run().succeeds("built");
    let calls = run.called("buildx build");
    assert_eq!(calls.len(), 2, "without any retries, too");
    assert!(!calls[0].values("--cache-from").is_empty() && calls[1].values("--cache-from").is_empty());
    assert_eq!(calls[0].values("--cache-to"), calls[1].values("--cache-to"), "it is repaired");
    assert!(run.stdout.contains("without reading the layer cache"), "{}", run.stdout);
}

#[test]
fn a_cache_that_cannot_be_written_is_gone_without() {
    let lab = Lab::new();
    let text = "error writing layer blob: failed to reserve cache";
    let stream = failing_at("exporting cache to registry", "x", text);
    lab.rule("buildx build", json!({"stderr": stream, "exit": 1, "times": 1}));
    let run = lab.shared().run().succeeds("built");
    let calls = run.called("buildx build");
    assert_eq!((calls.len(), calls[1].values("--cache-to").len()), (2, 0));
}

#[test]
fn a_build_without_either_cache_tells_both_reasons() {
    let lab = Lab::new();
    // Something to import.
    let _ = lab.shared().run().succeeds("built");
    lab.another_machine();
    lab.write("work/hello", "other\n");
    let (lost, full) = ("could not resolve cache", "error writing layer blob: failed to reserve cache");
    let read = failing_at("[2/2] COPY hello /", "x", lost);
    let written = failing_at("exporting cache to registry", "x", full);
    lab.rule("buildx build", json!({"stderr": read, "exit": 1, "times": 1}));
    lab.rule("buildx build", json!({"stderr": written, "exit": 1, "times": 1}));
    let run = lab.shared().commit("3333333333333333333333333333333333333333").run().succeeds("built");
    assert_eq!((builds(&run), run.output("degraded")), (3, "true"));
    let said = &run.commands("warning")[0].message;
    for (change, why) in
        [("without reading the layer cache", lost), ("without writing the layer cache", full)]
    {
        assert!(said.contains(change) && said.contains(why), "{why}: {said}");
    }
}

#[test]
fn an_image_that_was_pushed_before_its_cache_failed_is_there() {
    let lab = Lab::new();
    let text = "error writing layer blob: failed to reserve cache";
    let stream = failing_at("exporting cache to registry", "x", text);
    // It publishes, and fails after that.
    lab.rule("buildx build", json!({"stderr": stream, "after": 1, "times": 1}));
    let run = lab.shared().run().succeeds("built");
    assert_eq!(builds(&run), 1);
    assert!(run.commands("warning")[0].message.contains("the layer cache is not written"));
    assert!(!run.output("digest").is_empty() && run.output("pushed") == "true");
    assert_eq!(run.output("degraded"), "true");
}

#[test]
fn a_push_whose_reply_was_lost_is_not_done_again() {
    let lab = Lab::new();
    let text = "failed to push: failed to do request: Put \"https://h/v2/\": EOF";
    let stream = failing_at("exporting to image", "pushing layers", text);
    lab.rule("buildx build", json!({"stderr": stream, "after": 1, "times": 1}));
    let run = lab.shared().input("retries", "3").run().succeeds("built");
    assert_eq!((builds(&run), run.output("pushed")), (1, "true"));
    assert!(run.stdout.contains("already stored as sha256:"), "{}", run.stdout);
    let digest = run.output("digest").to_owned();
    assert_eq!(lab.shared().run().succeeds("reused-tag").output("digest"), digest);
}

#[test]
fn an_expired_token_is_renewed() {
    let lab = Lab::new();
    let text = "failed to push: denied: Your authorization token has expired. Reauthenticate and try again.";
    lab.rule("buildx build", fails(text, 1));
    let run = lab.shared().run().succeeds("built");
    assert_eq!(builds(&run), 2, "a new login costs no retry");
    assert!(run.stdout.contains("trying again with a new login"), "{}", run.stdout);
    let lab = Lab::new();
    lab.rule("buildx build", fails(text, 9));
    let run = lab.shared().input("retries", "3").run().fails(20, "access");
    assert_eq!((builds(&run), run.output("failure-cause")), (2, "auth-expired"));
}

// D52: nothing says that trying it again helps.
#[test]
fn an_unknown_failure_is_not_tried_again() {
    let text = "something nobody has seen";
    let lab = Lab::new();
    lab.rule("buildx build", fails(text, 9));
    let run = lab.shared().input("retries", "3").run().fails(30, "unavailable");
    assert_eq!((builds(&run), run.output("failure-cause")), (1, "unknown"));
    assert!(run.error().contains(text));
    let lab = Lab::new();
    let stream = failing_at("exporting to image", "pushing layers", text);
    lab.rule("buildx build", json!({"stderr": stream, "exit": 1}));
    let run = lab.shared().input("retries", "3").run().fails(30, "unavailable");
    assert_eq!((builds(&run), run.output("failure-cause")), (1, "unknown"));
}

#[test]
fn a_refusal_of_a_base_does_not_blame_the_push() {
    let text = "h.example/base:1: failed to resolve source metadata for h.example/base:1: unexpected status from HEAD request to https://h.example/v2/base/manifests/1: 403 Forbidden";
    let lab = Lab::new();
    let stream = failing_at("[internal] load metadata for h.example/base:1", "x", text);
    lab.rule("buildx build", json!({"stderr": stream, "exit": 1}));
    let run = lab.shared().input("retries", "3").run().fails(10, "build");
    assert_eq!((builds(&run), run.output("failure-cause")), (1, "base-not-found"));
    assert!(!run.error().contains("may write"), "{}", run.error());
}

#[test]
fn no_line_of_a_step_poses_as_any_failure() {
    // Every text of the corpus, printed by a step that then fails by itself.
    let corpus = include_str!("../fixtures/failures.tsv");
    let texts: Vec<&str> = corpus.lines().filter_map(|line| line.split('\t').nth(3)).collect();
    let log = STANDARD.encode(texts.join("\n"));
    let text = "process \"/bin/sh -c ./build\" did not complete successfully: exit code: 1";
    let stream = failing_at("[2/2] RUN ./build", "x", text);
    let (first, rest) = stream.split_once('\n').unwrap();
    let log = format!(
        "{{\"logs\":[{{\"vertex\":\"sha256:aa\",\"stream\":2,\"data\":\"{log}\",\"timestamp\":\"2026-01-01T00:00:00Z\"}}]}}"
    );
    let lab = Lab::new();
    lab.rule("buildx build", json!({"stderr": format!("{first}\n{log}\n{rest}"), "exit": 1}));
    let run = lab.shared().input("retries", "3").run().fails(10, "build");
    assert_eq!((builds(&run), run.output("failure-cause")), (1, "dockerfile-error"));
}

#[test]
fn what_docker_says_when_it_is_killed() {
    let lab = Lab::new();
    lab.rule("buildx build", json!({"shell": "kill -9 $$"}));
    let run = lab.shared().input("retries", "3").run().fails(30, "unavailable");
    // Memory is one reason of several.
    assert_eq!((builds(&run), run.output("failure-cause")), (1, "killed"));
    assert!(run.error().contains("memory") && run.error().contains("SIGKILL"), "{}", run.error());
}

#[test]
fn an_alias_waits_as_long_as_it_is_told() {
    let lab = Lab::new();
    let _ = lab.shared().run().succeeds("built");
    lab.another_machine();
    lab.registry.fault_on("PUT", "manifests/sha-", Response::new(429, "").header("retry-after", "3"));
    let start = Instant::now();
    let program = lab.shared().commit("3333333333333333333333333333333333333333").input("retries", "2");
    let run = program.run().succeeds("reused-key");
    assert!(start.elapsed() > Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(run.summary.contains("| tried again | throttled"), "{}", run.summary);
}

#[test]
fn a_tag_that_is_refused_says_which_are_set() {
    let lab = Lab::new();
    let _ = lab.shared().run().succeeds("built");
    lab.another_machine();
    let tags: Vec<String> = (1..=3).map(|at| format!("{}:v{at}", lab.registry.repository())).collect();
    for tag in ["v2", "v3"] {
        let refused = Response::error(403, "DENIED", "denied");
        lab.registry.fault_on("PUT", &format!("ci/manifests/{tag}"), refused);
    }
    let run = lab.shared().input("tags", &tags.join("\n")).run().fails(20, "access");
    let said = format!("set: {}; not set: {}, {}", tags[0], tags[1], tags[2]);
    assert!(run.error().contains(&said), "{said}: {}", run.error());
    assert!(lab.registry.tags().contains(&"v1".to_owned()));
}

#[test]
fn retries_end_with_the_time_that_is_left() {
    let lab = Lab::new();
    lab.rule("buildx build", fails("503 Service Unavailable", 9));
    let start = Instant::now();
    let program = lab.shared().input("retries", "9").input("timeout", "1s");
    let run = program.run().fails(30, "unavailable");
    assert!(start.elapsed() < Duration::from_secs(4));
    assert_eq!((builds(&run), run.output("failure-cause")), (1, "registry-5xx"));
}

#[test]
fn a_token_that_runs_out_between_two_questions_is_renewed() {
    let lab = Lab::new();
    let _ = lab.shared().run().succeeds("built");
    lab.another_machine();
    let expired =
        Response::error(403, "DENIED", "Your authorization token has expired. Reauthenticate and try again.");
    lab.registry.fault("/manifests/", 1, expired);
    let _ = lab.shared().run().succeeds("reused-tag");
}

#[test]
fn content_that_is_wrong_twice_is_wrong() {
    let text =
        "failed commit on ref: unexpected commit digest sha256:a, expected sha256:b: failed precondition";
    let lab = Lab::new();
    lab.rule("buildx build", fails(text, 9));
    let run = lab.shared().input("retries", "3").run().fails(40, "integrity");
    assert!(run.error().contains("content changed"), "{}", run.error());
    assert_eq!((builds(&run), run.output("failure-cause")), (2, "digest-mismatch"));
}

/// A registry that lost an image which its tags still name.
fn lost(lab: &Lab) -> String {
    let digest = lab.shared().run().succeeds("built").output("digest").to_owned();
    lab.another_machine();
    let gone = Response::error(404, "MANIFEST_UNKNOWN", "unknown");
    lab.registry.fault(&format!("/manifests/{digest}"), 1, gone);
    digest
}

pub(crate) const OTHER_COMMIT: &str = "3333333333333333333333333333333333333333";

#[test]
fn an_image_that_is_gone_before_its_new_tag_is_built_anew() {
    let lab = Lab::new();
    let digest = lost(&lab);
    let run = lab.shared().commit(OTHER_COMMIT).input("retries", "3").run().succeeds("built");
    assert_eq!(builds(&run), 1);
    let said = format!("the image {digest} was deleted while this run was using it: looking it up again");
    assert!(run.summary.contains(&said), "{}", run.summary);
}

/// If somebody deleted the image, its base may be gone too.
#[test]
fn where_an_image_is_gone_its_base_is_asked_for_again() {
    let lab = Lab::new();
    lab.registry.publish("base/os/1", &json!({}), &json!({}));
    let from = format!("FROM {}/base/os:1\nCOPY hello /\n", lab.registry.address());
    lab.write("work/Dockerfile", from);
    let _ = lost(&lab);
    lab.registry.forget_requests();
    let _ = lab.shared().commit(OTHER_COMMIT).input("retries", "3").run().succeeds("built");
    let asked = lab.registry.asked();
    assert_eq!(asked.iter().filter(|asked| *asked == "HEAD base/os/manifests/1").count(), 2, "{asked:?}");
}

#[test]
fn what_may_not_be_built_anew_is_said_to_be_gone() {
    let lab = Lab::new();
    let _ = lost(&lab);
    lab.rule("pull", json!({"stderr": "Error response from daemon: manifest unknown\n", "exit": 1}));
    let run = lab.shared().input("mode", "pull").input("on-missing", "fail").run().fails(20, "access");
    assert!(run.error().contains("no image"), "{}", run.error());
    assert_eq!((builds(&run), run.called("pull").len()), (0, 1));
}

/// What BuildKit lost of a build that was killed is lost for the next one too, until that uses none of its layers.
#[test]
fn a_layer_that_buildkit_lost_is_built_once_more() {
    let lab = Lab::new();
    let lost = "failed to commit x to y during finalize: failed to stat active key during commit: snapshot x does not exist: not found";
    lab.rule("buildx build", fails(lost, 2));
    let run = lab.shared().input("retries", "1").run().succeeds("built");
    let without: Vec<bool> = run.called("buildx build").iter().map(|call| call.has("--no-cache")).collect();
    assert_eq!(without, [false, false, true]);
    assert!(run.summary.contains("trying again without the builder"), "{}", run.summary);
}
