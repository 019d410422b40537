//! What fails, fails with its class, its code, one annotation and a hint.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Lab, Response};

#[test]
fn no_docker() {
    let lab = Lab::new();
    lab.without_docker();
    for program in [lab.build_once(), lab.shared(), lab.shared().input("mode", "pull")] {
        let start = Instant::now();
        let run = program.run().fails(60, "unsupported");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert!(
            run.error().contains("failed to find docker on the PATH\nhint: install docker"),
            "{}",
            run.error()
        );
    }
    assert_eq!(lab.registry.tags(), [""; 0]);
}

#[test]
fn no_buildx() {
    let lab = Lab::new();
    lab.rule("buildx", json!({"stderr": "docker: unknown command: docker buildx\n\nRun 'docker --help' for more information\n", "exit": 1}));
    let run = lab.shared().run().fails(60, "unsupported");
    assert!(run.error().contains("failed to find docker buildx"), "{}", run.error());
    assert!(run.error().contains("install the docker-buildx plug-in"), "{}", run.error());
}

#[test]
fn the_engine_is_down() {
    let text =
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n";
    let lab = Lab::new();
    lab.rule("image", json!({"stderr": text, "exit": 1}));
    lab.rule("info", json!({"stdout": "{\"ServerErrors\":[\"Cannot connect\"]}\n", "exit": 0}));
    for program in [lab.build_once(), lab.shared(), lab.shared().input("mode", "pull")] {
        let start = Instant::now();
        let run = program.run().fails(60, "unsupported");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert!(run.error().contains("hint: start the docker engine"), "{}", run.error());
        assert!(run.called("buildx build").is_empty());
    }
}

const FAILED: &str = concat!(
    r#"{"vertexes":[{"digest":"sha256:aa","name":"[2/2] RUN make","started":"2026-01-01T00:00:00Z"}]}"#,
    "\n",
    r#"{"logs":[{"vertex":"sha256:aa","stream":2,"data":"bWFrZTogKioqIG5vIHJ1bGUgdG8gbWFrZSBgeGAK","timestamp":"2026-01-01T00:00:01Z"}]}"#,
    "\n",
    r#"{"vertexes":[{"digest":"sha256:aa","name":"[2/2] RUN make","started":"2026-01-01T00:00:00Z","completed":"2026-01-01T00:00:02Z","error":"process \"/bin/sh -c make\" did not complete successfully: exit code: 2"}]}"#,
    "\n",
    "docker/Dockerfile.ci:2\n--------------------\n   1 |     FROM scratch\n   2 | >>> RUN make\n--------------------\n",
    "ERROR: failed to build: failed to solve: process \"/bin/sh -c make\" did not complete successfully: exit code: 2\n",
);

#[test]
fn the_users_build_fails_once_at_its_line() {
    let lab = Lab::new();
    lab.write("work/docker/Dockerfile.ci", "FROM scratch\nRUN make\n");
    lab.rule("buildx build", json!({"stderr": FAILED, "exit": 1}));
    let program = lab.shared().input("file", "docker/Dockerfile.ci").input("retries", "3");
    let run = program.run().fails(10, "build");
    assert_eq!(run.called("buildx build").len(), 1, "the same again fails the same");
    assert_eq!((run.output("attempts"), run.output("built"), run.output("pushed")), ("1", "false", "false"));
    assert_eq!((run.output("digest"), run.output("tag")), ("", ""));
    assert_eq!(
        run.commands("error")[0].properties,
        "title=build-once failed,file=docker/Dockerfile.ci,line=2"
    );
    assert!(
        run.error().contains("exit code: 2") && run.error().contains("hint: the failing step is shown above")
    );
    assert!(run.summary.contains("make: *** no rule to make `x`"), "{}", run.summary);
    assert!(run.stdout.contains("make: *** no rule to make `x`"), "{}", run.stdout);
}

#[test]
fn a_dockerfile_that_is_none() {
    let lab = Lab::new();
    lab.write("work/Dockerfile", "FROM scratch\nNONSENSE x\n");
    let run = lab.shared().run().fails(10, "build");
    assert!(
        run.commands("error")[0].properties.contains("file=Dockerfile,line=2"),
        "{:?}",
        run.commands("error")
    );
    assert!(run.calls.is_empty());
    std::fs::remove_file(lab.path("work/Dockerfile")).unwrap();
    let run = lab.shared().run().fails(10, "build");
    assert!(run.error().contains("failed to read the Dockerfile"), "{}", run.error());
}

#[test]
fn a_push_that_broke_is_tried_again_on_the_same_builder() {
    let lab = Lab::new();
    lab.set("driver", "docker");
    lab.set("containerd", false);
    let text = "ERROR: failed to build: failed to solve: failed to push: unexpected status from PUT request: 503 Service Unavailable\n";
    lab.rule("buildx build", json!({"stderr": text, "exit": 1, "times": 1}));
    let run = lab.shared().input("retries", "1").run().succeeds("built");
    assert_eq!(run.output("attempts"), "2");
    let builders: Vec<_> =
        run.called("buildx build").iter().map(|call| call.values("--builder")[0].to_owned()).collect();
    assert_eq!((builders.len(), &builders[0]), (2, &builders[1]));
    assert_eq!(run.called("buildx create").len(), 1);
    assert!(run.stdout.contains("attempt 1 failed: "), "{}", run.stdout);
    assert!(run.summary.contains("| attempts | 2 |"), "{}", run.summary);
}

#[test]
fn tries_end() {
    let lab = Lab::new();
    lab.rule(
        "buildx build",
        json!({"stderr": "ERROR: failed to solve: 503 Service Unavailable\n", "exit": 1}),
    );
    let run = lab.shared().input("retries", "0").run().fails(30, "unavailable");
    assert_eq!(run.called("buildx build").len(), 1);
}

#[test]
fn each_cause_has_its_class() {
    for (text, code, class, hint) in [
        (
            "denied: User: arn:aws:sts::1:x is not authorized to perform: ecr:PutImage on resource: y",
            20,
            "access",
            "allow the role",
        ),
        (
            "failed to push x: tag invalid: The image tag 'x' already exists and cannot be overwritten because the tag is immutable.",
            40,
            "integrity",
            "mutability",
        ),
        ("failed to copy: write /var/lib/x: no space left on device", 50, "resource", "free disk space"),
        ("failed to solve: nobody has seen this before", 30, "unavailable", ""),
        (
            "failed to do request: tls: failed to verify certificate: x509: certificate signed by unknown authority",
            60,
            "unsupported",
            "certificate authority",
        ),
    ] {
        let lab = Lab::new();
        lab.rule("buildx build", json!({"stderr": format!("ERROR: failed to build: {text}\n"), "exit": 1}));
        let run = lab.shared().input("retries", "3").run().fails(code, class);
        assert!(run.error().contains(hint) && run.error().contains(text), "{}", run.error());
        assert_eq!(run.called("buildx build").len(), 1, "{text}");
        assert_eq!(run.output("pushed"), "false");
    }
}

#[test]
fn a_step_cannot_pose_as_the_network() {
    // The log of a RUN step says what is worth another try; the final error does not.
    let lab = Lab::new();
    let log = "RVJST1I6IDUwMyBTZXJ2aWNlIFVuYXZhaWxhYmxlCg==";
    let forged = FAILED.replace("bWFrZTogKioqIG5vIHJ1bGUgdG8gbWFrZSBgeGAK", log);
    lab.rule("buildx build", json!({"stderr": forged, "exit": 1}));
    let run = lab.shared().input("retries", "3").run().fails(10, "build");
    assert_eq!(run.called("buildx build").len(), 1);
}

#[test]
fn a_builder_that_does_not_boot() {
    let text = "ERROR: Error response from daemon: pull access denied for moby/buildkit\n";
    // Only the cache needed it: the engine's own builds without.
    let lab = Lab::new();
    lab.set("containerd", false);
    lab.rule("buildx create", json!({"stderr": text, "exit": 1}));
    let run = lab.shared().run().succeeds("built").degraded();
    assert!(
        run.commands("warning")[0]
            .message
            .contains("the layer cache is not written: failed to boot a builder")
    );
    assert_eq!(run.called("buildx rm --force build-once-77-1-image-").len(), 1, "{:?}", run.lines());
    assert!(
        run.build().values("--cache-to").is_empty() && run.build().values("--builder").is_empty(),
        "{}",
        run.build().line()
    );
    // The image needs it.
    let run = lab.shared().input("image", "b").input("provenance", "true").run().fails(30, "unavailable");
    assert!(
        run.error().contains("failed to boot a builder") && run.error().contains("buildkit-image"),
        "{}",
        run.error()
    );
    assert_eq!(run.called("buildx build").len(), 1, "{:?}", run.lines());
}

#[test]
fn a_builder_that_is_not_there() {
    let lab = Lab::new();
    lab.rule("buildx inspect", json!({"stderr": "ERROR: no builder \"warm\" found\n", "exit": 1}));
    let run = lab.shared().input("builder", "warm").run().fails(60, "unsupported");
    assert!(run.error().contains("failed to look at the builder warm: ERROR: no builder"), "{}", run.error());
}

#[test]
fn a_base_that_is_nowhere() {
    let lab = Lab::new();
    lab.write("work/Dockerfile", format!("FROM scratch\nFROM {}/base:absent\n", lab.registry.address()));
    let run = lab.shared().run().fails(10, "build");
    assert!(run.error().contains("failed to resolve the base image"), "{}", run.error());
    assert!(run.commands("error")[0].properties.contains("file=Dockerfile,line=2"));
    lab.registry.fault("/base/", 9, Response::new(500, ""));
    let _ = lab.shared().run().fails(30, "unavailable");
}

#[test]
fn it_may_take_only_so_long() {
    let lab = Lab::new();
    lab.rule("buildx build", json!({"hang": true}));
    let run = lab.shared().input("timeout", "1s").run().fails(30, "unavailable");
    assert!(run.error().contains("took longer than the input timeout allows"), "{}", run.error());
}
