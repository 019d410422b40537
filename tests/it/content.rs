//! What is built is what the key says: bases, platforms, flags.

use serde_json::json;

use crate::support::{Lab, Run};

/// A Dockerfile whose last stage has the name of the image it is built on.
fn named_like_its_base(lab: &Lab) -> String {
    let digest = lab.registry.publish("node/latest", &json!({}), &json!({}));
    // Without a host its short name is that of an image of Docker Hub's; here it has one.
    let base = format!("{}/node", lab.registry.address());
    lab.write("work/Dockerfile", format!("FROM {base} AS node\nCOPY hello /\n"));
    digest
}

#[test]
fn d01_a_base_is_held_without_taking_a_stages_place() {
    let lab = Lab::new();
    let digest = named_like_its_base(&lab);
    let run = lab.shared().run().succeeds("built");
    let name = format!("docker-image://{}/node", lab.registry.address());
    assert_eq!(run.build().held(), [(format!("{name}:latest"), format!("{name}@{digest}"))]);
    assert!(run.build().values("--build-context").is_empty(), "{}", run.build().line());
}

#[test]
fn d01_an_old_builder_gets_a_context_of_a_name_that_is_no_stages() {
    let lab = Lab::new();
    let digest = named_like_its_base(&lab);
    lab.set("driver", "remote");
    lab.set("buildkit", "v0.11.6");
    let run = lab.shared().run().succeeds("built");
    assert!(run.build().held().is_empty());
    let base = format!("{}/node", lab.registry.address());
    assert_eq!(run.build().values("--build-context"), [format!("{base}=docker-image://{base}@{digest}")]);
}

#[test]
fn d106_no_platform_is_named_where_none_is_asked_for() {
    let lab = Lab::new();
    lab.write("work/Dockerfile", "FROM --platform=linux/s390x scratch\nCOPY hello /\n");
    assert!(lab.shared().run().succeeds("built").build().values("--platform").is_empty());
    lab.forget_calls();
    // Another image, because its configuration says another platform.
    let asked = lab.shared().input("platforms", "linux/amd64").run().succeeds("built");
    assert_eq!(asked.build().values("--platform"), ["linux/amd64"]);
    // A builder that may build for another platform gets none that the key does not have.
    lab.set("driver", "remote");
    lab.set("platforms", "linux/s390x");
    lab.write("work/hello", "other");
    let refused = lab.shared().commit(&"5".repeat(40)).run().fails(60, "unsupported");
    assert!(refused.error().contains("set the input platforms"), "{}", refused.error());
}

#[test]
fn d59_two_platforms_and_nothing_to_publish_on_the_classic_store() {
    let lab = Lab::new();
    lab.set("containerd", false);
    let program = lab.build_once().input("platforms", "linux/amd64,linux/arm64").input("provenance", "true");
    let run = program.run().succeeds("built-local");
    let builds = run.called("buildx build");
    assert_eq!(builds[0].values("--platform"), ["linux/amd64,linux/arm64"]);
    assert!(builds[0].has("--output=type=cacheonly"), "{}", builds[0].line());
    let here = build_once::testing::Platform::of_this_machine().to_string();
    assert_eq!(builds[1].values("--platform"), [&here]);
    assert!(builds[1].has("--load") && builds[1].has("--provenance=false"), "{}", builds[1].line());
    assert_eq!(builds[0].values("--builder"), builds[1].values("--builder"));
    assert!(run.notices().contains("alone is loaded"), "{}", run.notices());
    assert_eq!(run.output("attempts"), "1");
    assert!(!run.output("local-image").is_empty());
    lab.forget_calls();
    let again = lab.build_once().input("platforms", "linux/amd64,linux/arm64").input("provenance", "true");
    again.run().succeeds("reused-local");
}

#[test]
fn d59_two_platforms_are_pushed_then_pulled_on_the_classic_store() {
    let lab = Lab::new();
    lab.set("containerd", false);
    let program = lab.shared().input("platforms", "linux/amd64,linux/arm64").input("load", "true");
    let run = program.run().succeeds("built");
    assert!(!run.build().has("--load"), "{}", run.build().line());
    assert_eq!(run.called("pull").len(), 1, "{:?}", run.lines());
    assert!(!run.output("local-image").is_empty());
}

#[test]
fn d77_annotations_and_compression_get_a_builder_that_can() {
    for (input, value) in
        [("annotations", "org.example.a=b"), ("compression", "zstd"), ("compression", "gzip,level=9")]
    {
        let lab = Lab::new();
        lab.set("containerd", false);
        let program = || lab.shared().input("cache", "none").input(input, value);
        let run = program().run().succeeds("built");
        assert_eq!(run.called("buildx create").len(), 1, "{input}: {:?}", run.lines());
        let refused =
            program().input("builder", "default").commit(&"5".repeat(40)).input("key-extra", "x").run();
        let refused = refused.fails(60, "unsupported");
        assert!(refused.error().contains("containerd image store"), "{}", refused.error());
        // Nothing is published, so nothing is lost but what no local image has.
        let local = lab.build_once().input(input, value).run().succeeds("built-local");
        assert!(local.notices().contains("the engine's image store"), "{input}: {}", local.notices());
    }
}

#[test]
fn d43_an_index_annotation_makes_an_index() {
    let lab = Lab::new();
    let run = lab.shared().input("annotations", "index:org.example.a=b").run().succeeds("built");
    assert!(
        run.build().values("--build-arg").contains(&"BUILDKIT_MULTI_PLATFORM=1"),
        "{}",
        run.build().line()
    );
    assert!(run.build().line().contains("oci-mediatypes=true"), "{}", run.build().line());
    let plain = lab.shared().commit(&"5".repeat(40)).input("annotations", "org.example.a=b");
    plain.run().succeeds("reused-key");
}

#[test]
fn d44_load_and_push_do_as_they_say() {
    let lab = Lab::new();
    // Tags of a registry that does not answer: nothing is published.
    let tags = "127.0.0.1:9/app:1\n127.0.0.1:9/app:2";
    let run = lab.build_once().input("load", "true").input("tags", tags).run().succeeds("built-local");
    let names = ["app:latest", "127.0.0.1:9/app:1", "127.0.0.1:9/app:2"];
    let tagged = |run: &Run| -> Vec<String> {
        run.called("tag").iter().filter_map(|call| call.args.last().cloned()).collect()
    };
    assert_eq!(tagged(&run), names);
    lab.forget_calls();
    let more = format!("{tags}\n127.0.0.1:9/app:3");
    let again = lab.build_once().input("load", "true").input("tags", &more).run().succeeds("reused-local");
    assert_eq!(tagged(&again), ["127.0.0.1:9/app:3"], "the image has the other names");
    lab.another_machine();
    let off = lab.build_once().input("load", "false").input("push", "false").run().succeeds("built-local");
    assert!(off.build().has("--output=type=cacheonly"), "{}", off.build().line());
    assert_eq!(off.output("local-image"), "");
    assert!(off.notices().contains("kept nowhere"), "{}", off.notices());
}

#[test]
fn d84_the_platform_that_is_asked_for_is_pulled() {
    let lab = Lab::new();
    let digest = lab.registry.put("theirs", None);
    let pull = |platforms: &str| {
        lab.forget_calls();
        let program = lab.shared().input("mode", "pull").input("digest", &digest);
        program.input("platforms", platforms).run().succeeds("reused-digest")
    };
    let foreign = pull("linux/s390x");
    assert!(foreign.called("pull")[0].line().contains("--platform=linux/s390x"), "{:?}", foreign.lines());
}

/// One key for each, and what was built.
fn key_of(lab: &Lab, inputs: &[(&str, &str)], env: &[(&str, &str)]) -> String {
    let program = inputs.iter().fold(lab.build_once(), |program, (name, value)| program.input(name, value));
    let program = env.iter().fold(program, |program, (name, value)| program.env(name, value));
    let run = program.args(&["key", "--json"]).run();
    let key: serde_json::Value =
        serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{}", run.all()));
    key["key"].as_str().unwrap().to_owned()
}

#[test]
fn d81_what_the_runners_owner_adds_counts() {
    let lab = Lab::new();
    lab.write("work/Dockerfile", "FROM scratch\nCOPY hello /\nRUN [\"/hello\"]\n");
    let owners = |flags: &str| key_of(&lab, &[], &[("BUILD_ONCE_EXTRA_ARGS", flags)]);
    let plain = key_of(&lab, &[], &[]);
    for flags in ["--network none", "--add-host a:1.2.3.4", "--from-the-future x"] {
        assert_ne!(owners(flags), plain, "{flags}");
        assert_eq!(owners(flags), key_of(&lab, &[("extra-args", flags)], &[]), "{flags}");
    }
    assert_eq!(owners("--memory 1g --cgroup-parent=x --ulimit nofile=1 --shm-size 1g"), plain);
    let run = lab.shared().env("BUILD_ONCE_EXTRA_ARGS", "--network none --add-host a:1.2.3.4").run();
    let run = run.succeeds("built");
    assert_eq!(run.build().values("--network"), ["none"]);
    assert_eq!(run.build().values("--add-host")[0], "a:1.2.3.4");
}

#[test]
fn d88_one_image_has_one_key() {
    let lab = Lab::new();
    lab.write("work/Dockerfile", "FROM scratch AS a\nFROM scratch AS b\nCOPY hello /\nRUN [\"/hello\"]\n");
    let plain = key_of(&lab, &[], &[]);
    for same in [
        ("extra-args", "--no-cache"),
        ("extra-args", "--annotation a=b"),
        ("extra-args", "--pull --no-cache-filter b"),
        ("annotations", "a=b"),
        ("target", "b"),
        ("network", "default"),
    ] {
        assert_eq!(key_of(&lab, &[same], &[]), plain, "{same:?}");
    }
    assert_ne!(key_of(&lab, &[("target", "a")], &[]), plain);
    for (input, flag) in [
        (("network", "none"), "--network=none"),
        (("add-hosts", "a:1.1.1.1,b:2.2.2.2"), "--add-host b=2.2.2.2 --add-host a=1.1.1.1"),
        (("labels", "a=b"), "--label a=b"),
    ] {
        let by_input = key_of(&lab, &[input], &[]);
        assert_ne!(by_input, plain, "{input:?}");
        assert_eq!(by_input, key_of(&lab, &[("extra-args", flag)], &[]), "{flag}");
    }
}

#[test]
fn d88_an_annotation_among_extra_arguments_is_one() {
    let lab = Lab::new();
    let run = lab.shared().input("extra-args", "--annotation a=${KEY} --no-cache").run().succeeds("built");
    let manifest = lab.registry.manifest(&format!("ci/{}", run.output("tag"))).unwrap();
    assert!(run.build().has("--no-cache"), "{}", run.build().line());
    assert_eq!(manifest["annotations"]["a"], run.output("key"));
}

/// D07
#[test]
fn d07_buildx_makes_no_labels_of_the_commit() {
    let lab = Lab::new();
    let run = lab.shared().env("BUILDX_GIT_LABELS", "full").run().succeeds("built");
    assert!(run.build().env["BUILDX_GIT_LABELS"].is_null());
}

/// D04
#[test]
fn d04_proxies_of_dockers_configuration_count_where_they_are_declared() {
    let lab = Lab::new();
    let configure = |proxy: &str| {
        lab.docker_config(&json!({"proxies": {"default": {"httpProxy": proxy, "noProxy": "here"}}}));
        key_of(&lab, &[], &[])
    };
    assert_eq!(configure("http://a:1"), configure("http://b:1"));
    lab.write("work/Dockerfile", "FROM scratch\nARG HTTP_PROXY\nENV P=$HTTP_PROXY\nCOPY hello /\n");
    let first = configure("http://a:1");
    assert_ne!(configure("http://b:1"), first);
    // Given by hand, it is what counts.
    let given = [("build-args", "HTTP_PROXY=http://a:1")];
    assert_eq!(key_of(&lab, &given, &[]), first);
}
