//! `rebuild`: build although the image is there.

use serde_json::json;

use crate::support::{HEAD, Lab};

#[test]
fn the_new_image_takes_the_keys_tag() {
    let lab = Lab::new();
    let key = lab.build_once().args(&["key", "--json"]).run();
    let key: serde_json::Value = serde_json::from_str(&key.stdout).unwrap();
    let key = key["key"].as_str().unwrap();
    // Of the same key, and not what this run builds.
    let (key_tag, commit_tag) =
        (format!("ci/key-rf9d832d9-app-{}", &key[..32]), format!("ci/sha-rf9d832d9-app-{HEAD}"));
    for tag in [&key_tag, &commit_tag] {
        let annotations = json!({"io.github.build-once.key": key, "made-by": "an earlier run"});
        lab.registry.publish(tag, &json!({}), &annotations);
    }
    let old = lab.registry.digest(&key_tag).unwrap();
    let hit = lab.shared().run().succeeds("reused-tag");
    assert_eq!(hit.output("digest"), old);
    let run = lab.shared().input("rebuild", "true").run().succeeds("built");
    assert_eq!(run.output("reason"), "rebuild was asked for");
    let again = lab.shared().input("rebuild", "true").run().succeeds("built");
    assert_eq!(again.output("reason"), "rebuild was asked for");
    assert_ne!(run.output("digest"), old);
    for tag in [&key_tag, &commit_tag] {
        assert_eq!(lab.registry.digest(tag).as_deref(), Some(run.output("digest")), "{tag}");
    }
    assert_eq!((run.output("pushed"), run.output("degraded")), ("true", "false"));
    let _ = lab.shared().run().succeeds("reused-tag");
}

#[test]
fn what_the_engine_has_is_built_again_too() {
    let lab = Lab::new();
    for _ in 0..2 {
        let run = lab.build_once().input("rebuild", "true").run().succeeds("built-local");
        assert_eq!(run.output("local-image"), run.private_name("trusted"));
    }
}

#[test]
fn tags_that_cannot_be_changed_are_said() {
    let lab = Lab::new();
    let built = lab.shared().run().succeeds("built");
    lab.registry.refuse("/_publish", "400 Bad Request: tag invalid: The image tag 'x' already exists and cannot be overwritten because the tag is immutable.");
    let run = lab.shared().input("rebuild", "true").run().fails(40, "integrity");
    assert!(run.error().contains("still names the image from before"), "{}", run.error());
    assert!(run.error().contains("hint: rebuild moves tags"), "{}", run.error());
    assert_eq!((run.output("pushed"), run.output("digest")), ("false", ""));
    assert_eq!(
        lab.registry.digest(&format!("ci/sha-rf9d832d9-app-{HEAD}")).as_deref(),
        Some(built.output("digest"))
    );
}

#[test]
fn a_pull_builds_nothing_anew() {
    let lab = Lab::new();
    let run = lab.shared().input("mode", "pull").input("rebuild", "true").run().fails(2, "input");
    assert!(
        run.error().contains("rebuild only goes with mode build") || run.error().contains("`rebuild`"),
        "{}",
        run.error()
    );
}

/// D51
#[test]
fn d51_a_first_run_misses_no_tag() {
    let lab = Lab::new();
    let first = lab.shared().run().succeeds("built");
    assert_eq!(
        first.output("reason"),
        "no image has this key; there is no earlier image of app to compare with"
    );
}

#[test]
fn without_a_cache() {
    let lab = Lab::new();
    for (name, value) in [("cache", "none"), ("cache-write", "never")] {
        lab.forget_calls();
        let run =
            lab.shared().input("image", &format!("app-{value}")).input(name, value).run().succeeds("built");
        assert!(run.build().values("--cache-to").is_empty(), "{}", run.build().line());
    }
}

#[test]
fn kept_nowhere_if_nobody_wants_it() {
    let lab = Lab::new();
    let run = lab.shared().input("push", "false").input("load", "false").run().succeeds("built-local");
    assert!(run.build().has("--output=type=cacheonly"), "{}", run.build().line());
    assert_eq!((run.output("pushed"), run.output("local-image")), ("false", ""));
    assert!(run.notices().contains("kept nowhere"), "{}", run.notices());
}
