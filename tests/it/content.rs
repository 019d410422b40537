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
