//! What is built is what the key says: bases, platforms, flags.

use serde_json::json;

use crate::support::Lab;

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
    let here = build_once::image::Platform::of_this_machine().to_string();
    assert_eq!(builds[1].values("--platform"), [&here]);
    assert!(builds[1].has("--load") && builds[1].has("--provenance=false"), "{}", builds[1].line());
    assert_eq!(builds[0].values("--builder"), builds[1].values("--builder"));
    assert!(run.notices().contains("alone is loaded"), "{}", run.notices());
    assert_eq!((run.output("attempts"), run.output("local-image")), ("1", "app:latest"));
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
    assert_eq!(run.output("local-image"), "app:latest");
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
fn d44_without_a_repository_load_and_push_do_as_they_say() {
    let lab = Lab::new();
    let tags = "h.example/app:1\nother:2";
    let run = lab.build_once().input("load", "true").input("tags", tags).run().succeeds("built-local");
    assert_eq!(run.build().values("--tag"), ["app:latest", "h.example/app:1", "docker.io/library/other:2"]);
    assert_eq!(run.output("local-image"), "app:latest");
    lab.forget_calls();
    let again = lab.build_once().input("load", "true").input("tags", tags).run().succeeds("reused-local");
    assert_eq!(again.called("tag").len(), 3, "{:?}", again.lines());
    assert_eq!(again.output("local-image"), "app:latest");
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
        program.input("platforms", platforms).run().succeeds("reused-tag")
    };
    let foreign = pull("linux/s390x");
    assert!(foreign.called("pull")[0].line().contains("--platform=linux/s390x"), "{:?}", foreign.lines());
}
