//! Which builder builds, and that a fresh one is gone afterwards.

use serde_json::json;

use crate::support::{Call, Lab, Run};

/// The fresh builder's name, made, used and removed, in this order.
#[track_caller]
fn fresh(run: &Run) -> String {
    fresh_named(run, "build-once-77-1-image-")
}

#[track_caller]
fn fresh_named(run: &Run, prefix: &str) -> String {
    let create = run.called("buildx create");
    assert_eq!(create.len(), 1, "{:?}", run.lines());
    let name = create[0].values("--name")[0].to_owned();
    assert!(name.starts_with(prefix), "{name}");
    let here = build_once::testing::this_process().unwrap();
    let owner = build_once::testing::Owner::of_builder(&name).unwrap();
    assert_eq!((owner.machine, owner.boot), (here.machine, here.boot), "it says whose it is");
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
    lab.write("work/buildkitd.toml", "");
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

/// D35. Only a builder that did not boot is built without: what else the run warns of, in the plan or during the
/// build, changes neither the builder nor the caches.
#[test]
fn d35_a_warning_of_something_else_leaves_the_builder_in_use() {
    let lab = Lab::new();
    lab.set("containerd", false);
    let vertex = |name: &str, error: &str| {
        let (at, to) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z");
        json!({"vertexes": [{"digest": name, "name": name, "started": at, "completed": to, "error": error}]})
            .to_string()
    };
    let refused = "dial tcp 127.0.0.1:1: connect: connection refused";
    let stream = [vertex("importing cache manifest from h.example/x:c", refused), vertex("[1/1] RUN a", "")];
    lab.set("progress", stream.join("\n"));
    let program = lab.shared().input("cache", "registry,gha").input("cache-from", "h.example/x:c");
    let run = program.run().succeeds("built").degraded();
    fresh(&run);
    assert_eq!(run.build().values("--cache-to").len(), 1, "{}", run.build().line());
    // The builder did not boot: then there is none to use, and it cannot write the cache.
    let lab = Lab::new();
    lab.set("containerd", false);
    lab.rule("buildx create", json!({"stderr": "ERROR: no space\n", "exit": 1}));
    let run = lab.shared().run().succeeds("built").degraded();
    let build = run.build();
    assert!(
        build.values("--builder").is_empty() && build.values("--cache-to").is_empty(),
        "{}",
        build.line()
    );
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

/// A folder of buildx's own, where it notes its builders.
fn buildx_folder(lab: &Lab) -> String {
    std::fs::create_dir_all(lab.path("buildx/instances")).unwrap();
    lab.path("buildx").display().to_string()
}

#[test]
fn kept_if_asked_and_used_again_with_the_same_settings() {
    let lab = Lab::new();
    lab.set("containerd", false);
    let folder = buildx_folder(&lab);
    let program = |image: &str| {
        lab.forget_calls();
        lab.shared().input("image", image).input("keep-builder", "true").env("BUILDX_CONFIG", &folder)
    };
    let first = program("one").run().succeeds("built");
    let name = first.called("buildx create")[0].values("--name")[0].to_owned();
    assert!(name.starts_with("build-once-kept-"), "{name}");
    assert!(first.called("buildx rm").is_empty());

    let second = program("two").run().succeeds("built");
    assert!(second.called("buildx create").is_empty(), "{:?}", second.lines());
    assert_eq!(second.build().values("--builder"), [&name]);
    assert!(!second.build().values("--cache-to").is_empty(), "it can export a cache");
    assert!(second.called("buildx rm").is_empty());

    let other = program("three").input("driver-opts", "memory=4g").run().succeeds("built");
    assert_ne!(other.called("buildx create")[0].values("--name"), [&name]);
    // A builder of somebody with other rights is never this run's.
    let pull_request =
        program("four").pull_request(12).input("cache-write", "always").run().succeeds("built");
    fresh_named(&pull_request, "build-once-77-1-image-");
    assert!(pull_request.notices().contains("the builder is not kept"), "{}", pull_request.notices());
}

#[test]
fn two_runs_that_make_one_kept_builder() {
    let lab = Lab::new();
    lab.set("containerd", false);
    let lost = "ERROR: existing instance for \"build-once-kept-0\" but no append mode\n";
    lab.rule("buildx create", json!({"stderr": lost, "exit": 1}));
    let run = lab.shared().input("keep-builder", "true").run().succeeds("built");
    let name = run.called("buildx create")[0].values("--name")[0].to_owned();
    assert_eq!(run.called(&format!("buildx inspect --bootstrap {name}")).len(), 1, "{:?}", run.lines());
    assert_eq!((run.build().values("--builder"), run.called("buildx rm").len()), (vec![name.as_str()], 0));
}

#[test]
fn a_remote_one_of_two_nodes() {
    let lab = Lab::new();
    // Nothing of this machine's engine is in it.
    lab.rule("info", json!({"stderr": "Cannot connect to the Docker daemon\n", "exit": 1}));
    let program = lab.shared().input("driver", "remote").input("platforms", "linux/amd64,linux/arm64").input(
        "endpoints",
        "tcp://one.example:1234 platforms=linux/amd64\n\
         tcp://two.example:1234 platforms=linux/arm64 cacert=/tls/ca.pem cert=/tls/cert.pem key=/tls/key.pem",
    );
    let run = program.run().succeeds("built");
    let creates = run.called("buildx create");
    let name = creates[0].values("--name")[0];
    let line = |call: &Call| call.line().replace(name, "NAME");
    assert_eq!(
        creates.iter().map(|call| line(call)).collect::<Vec<_>>(),
        [
            "buildx create --name NAME --driver remote --platform linux/amd64 tcp://one.example:1234",
            "buildx create --name NAME --driver remote --driver-opt cacert=/tls/ca.pem --driver-opt cert=/tls/cert.pem --driver-opt key=/tls/key.pem --platform linux/arm64 --append --bootstrap tcp://two.example:1234",
        ]
    );
    assert_eq!(run.build().values("--builder"), [name]);
    assert!(
        run.called("buildx inspect").is_empty() && run.called("container").is_empty(),
        "{:?}",
        run.lines()
    );
    assert_eq!(run.called(&format!("buildx rm --force {name}")).len(), 1);
}

/// D48: buildx where there is no docker.
#[test]
fn d48_buildx_alone_builds_by_a_remote_builder() {
    let lab = Lab::new();
    lab.with_buildx_alone();
    let remote = || lab.shared().input("driver", "remote").input("endpoints", "tcp://one.example:1234");
    let run = remote().run().succeeds("built");
    assert_eq!((run.output("degraded"), run.output("pushed")), ("false", "true"), "{}", run.all());
    let _ = remote().run().succeeds("reused-tag");
    // What needs the engine says so.
    let without = [lab.build_once(), lab.shared().input("key-extra", "1"), remote().input("load", "true")];
    for program in without {
        let run = program.run().fails(60, "unsupported");
        let error = run.error();
        assert!(error.contains("is there alone, which builds by a remote builder"), "{error}");
        assert!(error.contains("driver: remote and endpoints"), "{error}");
    }
}

#[test]
fn pods_of_a_cluster() {
    let lab = Lab::new();
    let program = lab.shared().input("driver", "kubernetes").input("driver-opts", "namespace=ci\nreplicas=2");
    let run = program.input("buildkit-image", "moby/buildkit:v0.25.2").run().succeeds("built");
    let name = fresh_named(&run, "build-once-");
    assert!(name.len() < 63, "it names a deployment: {name}");
    let create = run.called("buildx create")[0];
    assert_eq!(create.values("--driver"), ["kubernetes"]);
    assert_eq!(create.values("--driver-opt"), ["namespace=ci", "replicas=2", "image=moby/buildkit:v0.25.2"]);
}

#[test]
fn a_remote_one_that_does_not_answer() {
    let lab = Lab::new();
    lab.rule("buildx create", json!({"stderr": "ERROR: dial tcp: connection refused\n", "exit": 1}));
    let program = lab.shared().input("driver", "remote").input("endpoints", "tcp://one.example:1234");
    let run = program.run().fails(30, "unavailable");
    assert!(run.error().contains("connection refused"), "{}", run.error());
    assert!(run.stdout.contains("endpoints"), "{}", run.stdout);
    assert_eq!(run.called("buildx rm").len(), 1, "what was noted of it goes: {:?}", run.lines());
}

#[test]
fn what_killed_runs_left_is_removed_first_and_nothing_else() {
    let lab = Lab::new();
    lab.set("containerd", false);
    let folder = buildx_folder(&lab);
    let here = build_once::testing::this_process().unwrap();
    let owned = |job: &str, change: fn(&mut build_once::testing::Owner)| {
        let mut owner = here.clone();
        change(&mut owner);
        format!("build-once-{job}-{owner}")
    };
    let dead = owned("dead", |owner| owner.started += 1);
    let gone = owned("gone", |owner| owner.boot = "000000".into());
    let alive = owned("alive", |_| {});
    let elsewhere = owned("elsewhere", |owner| owner.machine = "00000000".into());
    let container = owned("container", |owner| owner.started += 1);
    for name in [&dead, &gone, &alive, &elsewhere, &"build-once-kept-0".to_owned(), &"mine".to_owned()] {
        lab.write(&format!("buildx/instances/{name}"), "{}");
    }
    let containers = [&dead, &alive, &container].map(|name| format!("buildx_buildkit_{name}0"));
    lab.set("containers", format!("{}\nbuildx_buildkit_mine0", containers.join("\n")));

    let run = lab.shared().env("BUILDX_CONFIG", &folder).run().succeeds("built");
    let own = run.called("buildx create")[0].values("--name")[0].to_owned();
    let mut removed: Vec<String> = run.called("buildx rm").iter().map(|call| call.line()).collect();
    removed.sort();
    let mut expected = [dead, gone, own].map(|name| format!("buildx rm --force {name}"));
    expected.sort();
    assert_eq!(removed, expected);
    let line = |command: &str| run.called(command).iter().map(|call| call.line()).collect::<Vec<_>>();
    assert_eq!(
        line("container rm"),
        [format!("container rm --force --volumes buildx_buildkit_{container}0")]
    );
    assert_eq!(line("volume rm"), [format!("volume rm --force buildx_buildkit_{container}0_state")]);
    let position = |start: &str| run.lines().iter().position(|line| line.starts_with(start)).unwrap();
    assert!(position("container rm") < position("buildx build"));
}

#[test]
fn a_leftover_that_cannot_be_removed_is_told_not_fatal() {
    let lab = Lab::new();
    let folder = buildx_folder(&lab);
    let mut owner = build_once::testing::this_process().unwrap();
    owner.started += 1;
    lab.write(&format!("buildx/instances/build-once-x-{owner}"), "{}");
    lab.rule("buildx rm", json!({"stderr": "ERROR: no rights\n", "exit": 1}));
    let run = lab.shared().env("BUILDX_CONFIG", &folder).run().succeeds("built");
    assert!(run.notices().contains("a killed run's builder is still there"), "{}", run.notices());
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
fn an_old_buildx_gets_only_flags_it_knows_and_what_it_lacks_is_told() {
    let lab = Lab::new();
    lab.set("buildx", "v0.11.2");
    lab.set("progress", "#1 [internal] load build definition\n#1 DONE 0.0s\n");
    let run = lab.shared().run().succeeds("built");
    assert_eq!(run.build().values("--progress"), ["plain"]);
    assert!(run.build().values("--annotation").is_empty());
    assert!(run.stdout.contains("#1 DONE 0.0s"), "{}", run.stdout);
    for lack in [
        "annotations: found buildx 0.11.2, needs buildx 0.12 or newer; the key is in a label",
        "the progress stream: found buildx 0.11.2, needs buildx 0.13 or newer; the log is buildx's own",
    ] {
        assert!(run.notices().contains(lack), "{lack}: {}", run.notices());
    }
    let _ = lab.shared().run().succeeds("reused-tag");
}

#[test]
fn what_an_old_buildx_would_leave_out_is_refused() {
    for (version, input, found) in [
        ("v0.9.1", ("log", "plain"), "build-once: found buildx 0.9.1, needs buildx 0.10 or newer"),
        ("v0.11.2", ("annotations", "a=b"), "the input annotations: found buildx 0.11.2"),
    ] {
        let lab = Lab::new();
        lab.set("buildx", version);
        let run = lab.shared().input(input.0, input.1).run().fails(60, "unsupported");
        assert!(run.error().contains(found), "{}", run.error());
        assert!(run.called("buildx build").is_empty());
    }
}

#[test]
fn an_old_buildx_pushes_then_the_image_is_pulled() {
    let lab = Lab::new();
    lab.set("buildx", "v0.12.1");
    lab.set("driver", "docker-container");
    lab.set("progress", "#1 DONE 0.0s\n");
    let run = lab.shared().input("load", "true").run().succeeds("built");
    assert!(run.build().has("--push") && !run.build().has("--load"), "{}", run.build().line());
    let by_digest = format!("{}@{}", lab.registry.repository(), run.output("digest"));
    assert_eq!(run.called(&format!("pull {by_digest}")).len(), 1, "{:?}", run.lines());
    assert_eq!(run.output("local-image"), run.private_name("trusted"));
    assert!(run.notices().contains("the image is pushed, then pulled"), "{}", run.notices());
}
