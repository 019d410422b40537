//! Which builder builds, and that a fresh one is gone afterwards.

use serde_json::json;

use crate::support::{Lab, Run};

/// The fresh builder's name, made, used and removed, in this order.
#[track_caller]
fn fresh(run: &Run) -> String {
    let create = run.called("buildx create");
    assert_eq!(create.len(), 1, "{:?}", run.lines());
    let name = create[0].values("--name")[0].to_owned();
    assert!(name.starts_with("build-once-77-1-image-"), "{name}");
    let order: Vec<usize> = ["buildx create", "buildx build", "buildx rm"]
        .iter()
        .map(|command| run.lines().iter().position(|line| line.starts_with(command)).unwrap())
        .collect();
    assert!(order.is_sorted(), "{:?}", run.lines());
    assert_eq!(run.build().values("--builder"), [&name]);
    assert_eq!(run.called(&format!("buildx rm --force {name}")).len(), 1);
    name
}

#[test]
fn the_one_at_hand_if_it_can() {
    for (driver, containerd) in
        [("docker", true), ("docker-container", false), ("kubernetes", false), ("remote", true)]
    {
        let lab = Lab::new();
        lab.set("driver", driver);
        lab.set("containerd", containerd);
        let run = lab.shared().run().succeeds("built");
        assert!(run.called("buildx create").is_empty(), "{driver}: {:?}", run.lines());
        assert!(run.build().values("--builder").is_empty());
    }
}

#[test]
fn a_fresh_one_where_the_engine_cannot_export_a_cache() {
    let lab = Lab::new();
    lab.set("containerd", false);
    let program = lab
        .shared()
        .input("driver-opts", "network=host\nmemory=4g")
        .input("buildkit-image", "moby/buildkit:v0.25.2");
    let run = program.input("buildkitd-config", "buildkitd.toml").run().succeeds("built");
    fresh(&run);
    let create = run.called("buildx create")[0];
    assert_eq!(create.values("--driver"), ["docker-container"]);
    assert_eq!(create.values("--driver-opt"), ["network=host", "memory=4g", "image=moby/buildkit:v0.25.2"]);
    assert_eq!(create.values("--config"), ["buildkitd.toml"]);
    assert!(!run.build().values("--cache-to").is_empty());
}

#[test]
fn a_fresh_one_for_an_index() {
    for (name, value) in [("platforms", "linux/amd64,linux/arm64"), ("provenance", "true"), ("sbom", "true")]
    {
        let lab = Lab::new();
        lab.set("containerd", false);
        let run = lab.shared().input(name, value).input("cache", "none").run().succeeds("built");
        fresh(&run);
    }
}

#[test]
fn the_engines_own_without_a_cache() {
    let lab = Lab::new();
    lab.set("containerd", false);
    let run = lab.shared().input("cache", "none").run().succeeds("built");
    assert!(run.called("buildx create").is_empty(), "{:?}", run.lines());
    // That store writes no annotations: the key's label must do.
    assert!(run.build().values("--annotation").is_empty());
    let _ = lab.shared().run().succeeds("reused-tag");
}

#[test]
fn removed_after_a_failure_too() {
    let lab = Lab::new();
    lab.set("containerd", false);
    lab.rule(
        "buildx build",
        json!({"stderr": "ERROR: process \"x\" did not complete successfully: exit code: 1\n", "exit": 1}),
    );
    let run = lab.shared().run().fails(10, "build");
    fresh(&run);
}

#[test]
fn a_builder_that_cannot_be_removed_is_told_not_fatal() {
    let lab = Lab::new();
    lab.set("containerd", false);
    lab.rule("buildx rm", json!({"stderr": "ERROR: context deadline exceeded\n", "exit": 1}));
    let run = lab.shared().run().succeeds("built");
    assert!(run.notices().contains("failed to remove the builder"), "{}", run.notices());
}

#[test]
fn kept_if_asked() {
    let lab = Lab::new();
    lab.set("containerd", false);
    let run = lab.shared().input("keep-builder", "true").run().succeeds("built");
    assert_eq!((run.called("buildx create").len(), run.called("buildx rm").len()), (1, 0));
}

#[test]
fn two_runs_make_two_builders() {
    let lab = Lab::new();
    lab.set("containerd", false);
    let first = fresh(&lab.shared().run().succeeds("built"));
    lab.forget_calls();
    let second = fresh(&lab.shared().input("image", "other").run().succeeds("built"));
    assert_ne!(first, second);
}

#[test]
fn a_named_one_is_used_for_what_it_can() {
    let lab = Lab::new();
    lab.set("containerd", false);
    let run = lab.shared().input("builder", "warm").run().succeeds("built");
    assert_eq!(run.called("buildx inspect")[0].line(), "buildx inspect warm");
    assert_eq!(run.build().values("--builder"), ["warm"]);
    assert!(run.build().values("--cache-to").is_empty());
    assert!(run.notices().contains("layer cache is not written"), "{}", run.notices());
    let program = lab
        .shared()
        .input("builder", "warm")
        .input("platforms", "linux/amd64,linux/arm64")
        .input("image", "b");
    let run = program.run().fails(60, "unsupported");
    assert!(run.error().contains("the builder warm cannot do what this build asks"), "{}", run.error());
}

#[test]
fn an_old_buildx_gets_only_flags_it_knows() {
    let lab = Lab::new();
    lab.set("buildx", "v0.11.2");
    lab.set("progress", "#1 [internal] load build definition\n#1 DONE 0.0s\n");
    let run = lab.shared().run().succeeds("built");
    assert_eq!(run.build().values("--progress"), ["plain"]);
    assert!(run.build().values("--annotation").is_empty());
    assert!(run.stdout.contains("#1 DONE 0.0s"), "{}", run.stdout);
}
