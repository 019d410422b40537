//! An image that is there is used as it is; one that is not the same never is.

use serde_json::json;

use crate::support::{HEAD, Lab, Response};

const OTHER: &str = "3333333333333333333333333333333333333333";

#[test]
fn by_commit_without_docker_on_one_connection() {
    let lab = Lab::new();
    let built = lab.shared().run().succeeds("built");
    lab.forget_calls();
    lab.registry.forget_requests();
    let hit = lab.shared().run().succeeds("reused-tag");
    assert!(hit.calls.is_empty(), "{:?}", hit.lines());
    // Whether the key's tag is there, too: a run that was cancelled may have left it out.
    let key_tag = built.output("tag");
    let asked = [format!("sha-rf9d832d9-app-{HEAD}"), key_tag.to_owned()]
        .map(|tag| format!("GET ci/manifests/{tag}"));
    assert_eq!(lab.registry.asked(), asked);
    assert_eq!(lab.registry.connections(), 1);
    let digest = built.output("digest");
    for (name, value) in [
        ("digest", digest),
        ("tag", key_tag),
        ("commit-tag", &format!("sha-rf9d832d9-app-{HEAD}")),
        ("image", &format!("{}@{digest}", lab.registry.repository())),
        ("local-image", ""),
        ("key", built.output("key")),
        ("zone", "trusted"),
        ("built", "false"),
        ("pushed", "false"),
        ("degraded", "false"),
        ("attempts", "0"),
        ("cached-steps", ""),
        ("total-steps", ""),
        ("metadata-file", ""),
    ] {
        assert_eq!(hit.output(name), value, "{name}");
    }
    assert!(hit.output("reason").contains("this commit's image is there"), "{}", hit.output("reason"));
}

#[test]
fn a_hit_needs_no_docker_at_all() {
    let lab = Lab::new();
    let _ = lab.shared().run().succeeds("built");
    lab.without_docker();
    let _ = lab.shared().run().succeeds("reused-tag");
}

#[test]
fn by_key_with_an_alias_of_the_same_digest() {
    let lab = Lab::new();
    let built = lab.shared().run().succeeds("built");
    lab.forget_calls();
    let hit = lab.shared().commit(OTHER).run().succeeds("reused-key");
    assert_eq!(hit.output("digest"), built.output("digest"));
    assert_eq!(hit.output("tag"), built.output("tag"));
    assert_eq!(hit.output("commit-tag"), format!("sha-rf9d832d9-app-{OTHER}"));
    assert_eq!(
        lab.registry.digest(&format!("ci/sha-rf9d832d9-app-{OTHER}")).as_deref(),
        Some(built.output("digest"))
    );
    assert!(hit.calls.is_empty(), "{:?}", hit.lines());
    // The next run of that commit needs none of it.
    lab.forget_calls();
    assert!(lab.shared().commit(OTHER).run().succeeds("reused-tag").calls.is_empty());
}

#[test]
fn an_alias_with_another_digest_is_no_alias() {
    let lab = Lab::new();
    let _ = lab.shared().run().succeeds("built");
    // A registry that says it has set the tag, and has not.
    let repository = lab.registry.repository();
    lab.registry.fault_on("PUT", &format!("sha-rf9d832d9-app-{OTHER}"), Response::new(201, ""));
    lab.registry.publish(&format!("ci/sha-rf9d832d9-app-{OTHER}"), &json!({"x": "y"}), &json!({}));
    let run = lab.shared().commit(OTHER).run().fails(40, "integrity");
    assert!(
        run.error().contains(&format!("{repository}:sha-rf9d832d9-app-{OTHER} has another digest")),
        "{}",
        run.error()
    );
}

#[test]
fn a_full_tag_list_costs_the_alias_not_the_run() {
    let lab = Lab::new();
    let built = lab.shared().run().succeeds("built");
    let full = Response::error(400, "LIMIT", "The repository exceeds the maximum allowed number of tags");
    lab.registry.fault_on("PUT", &format!("sha-rf9d832d9-app-{OTHER}"), full);
    let hit = lab.shared().commit(OTHER).run().succeeds("reused-key");
    assert_eq!((hit.output("digest"), hit.output("commit-tag")), (built.output("digest"), ""));
    assert_eq!(hit.output("tag"), built.output("tag"));
    assert!(hit.notices().contains("the digest carries the hand-over"), "{}", hit.notices());
    assert_eq!(hit.output("degraded"), "false");
}

#[test]
fn the_label_counts_where_there_is_no_annotation() {
    let lab = Lab::new();
    let key = lab.build_once().args(&["key", "--json"]).run();
    let key: serde_json::Value = serde_json::from_str(&key.stdout).unwrap();
    let digest =
        lab.registry.put_labelled(&format!("sha-rf9d832d9-app-{HEAD}"), key["key"].as_str().unwrap());
    let hit = lab.shared().run().succeeds("reused-tag");
    assert_eq!(hit.output("digest"), digest);
}

#[test]
fn a_tag_with_another_key_is_never_used() {
    let other_key = "f".repeat(64);
    for (key, labelled) in [(Some(other_key.as_str()), false), (Some(&other_key), true), (None, false)] {
        let lab = Lab::new();
        let tag = format!("sha-rf9d832d9-app-{HEAD}");
        let wrong = match key {
            Some(key) if labelled => lab.registry.put_labelled(&tag, key),
            key => lab.registry.put(&tag, key),
        };
        let run = lab.shared().run().succeeds("built");
        assert_ne!(run.output("digest"), wrong);
        let reason = run.output("reason");
        assert!(reason.starts_with(&format!("{tag} was made from other inputs")), "{reason}");
    }
}

#[test]
fn a_key_tag_with_another_key_is_never_used() {
    let lab = Lab::new();
    let first = lab.shared().run().succeeds("built");
    let key_tag = format!("key-rf9d832d9-app-{}", &first.output("key")[..32]);
    let wrong = lab.registry.put(&key_tag, Some(&"f".repeat(64)));
    let run = lab.shared().commit(OTHER).run().succeeds("built");
    assert_ne!(run.output("digest"), wrong);
}

#[test]
fn other_content_is_another_image() {
    let lab = Lab::new();
    let first = lab.shared().run().succeeds("built");
    lab.write("work/hello", "changed\n");
    let second = lab.shared().commit(OTHER).run().succeeds("built");
    assert_ne!(first.output("key"), second.output("key"));
    assert_ne!(first.output("digest"), second.output("digest"));
    assert!(second.output("reason").starts_with("no image has this key"), "{}", second.output("reason"));
}

#[test]
fn asked_for_tags_are_set_on_a_hit_too() {
    let lab = Lab::new();
    let built = lab.shared().run().succeeds("built");
    let repository = lab.registry.repository();
    let tags = format!("{repository}:latest\n{}/released:1.2", lab.registry.address());
    lab.registry.let_push();
    lab.without_docker();
    let _ = lab.shared().input("tags", &tags).run().succeeds("reused-tag");
    for name in ["ci/latest", "released/1.2"] {
        assert_eq!(lab.registry.digest(name).as_deref(), Some(built.output("digest")), "{name}");
    }
    // They are what was asked for: if they cannot be set, the run fails.
    lab.registry.fault_on("PUT", "ci/manifests/other", Response::error(403, "DENIED", "no"));
    let run = lab.shared().input("tags", &format!("{repository}:other")).run().fails(20, "access");
    assert!(run.error().contains(&format!("failed to set {repository}:other")), "{}", run.error());
}

#[test]
fn a_hit_is_loaded_where_it_is_wanted() {
    let lab = Lab::new();
    let built = lab.shared().run().succeeds("built");
    let reference = format!("{}@{}", lab.registry.repository(), built.output("digest"));
    lab.another_machine();
    let hit = lab.shared().input("load", "true").run().succeeds("reused-tag");
    let private = hit.private_name("trusted");
    assert_eq!(hit.output("local-image"), private);
    assert_eq!(hit.called("pull")[0].line(), format!("pull {reference}"));
    assert_eq!(hit.called("tag")[0].line(), format!("tag {reference} {private}"));
    assert_eq!(hit.called("tag")[1].line(), format!("tag {private} app:latest"));
    // The second time the engine has it under both names: nothing is fetched and nothing is named.
    let again = || {
        lab.forget_calls();
        let again = lab.shared().input("load", "true").run().succeeds("reused-local");
        assert!(again.called("pull").is_empty(), "{:?}", again.lines());
        assert_eq!(again.output("local-image"), private);
        assert_eq!(again.output("digest"), built.output("digest"));
        again.called("tag").iter().map(|call| call.line()).collect::<Vec<_>>()
    };
    assert_eq!(again(), Vec::<String>::new());
    // Another image has taken the local name since.
    let other = lab.shared().input("load", "true").input("key-extra", "other").run().succeeds("built");
    assert_ne!(other.output("digest"), built.output("digest"));
    assert_eq!(again(), [format!("tag {private} app:latest")]);
}

#[test]
fn a_slow_answer_is_waited_for() {
    let lab = Lab::new();
    let _ = lab.shared().run().succeeds("built");
    lab.registry.fault("/manifests/sha-", 1, Response::new(503, ""));
    lab.registry.fault("/manifests/sha-", 1, Response::cut());
    lab.registry.fault("/manifests/sha-", 1, Response::new(429, "").header("retry-after", "1"));
    lab.registry.forget_requests();
    let _ = lab.shared().input("retries", "3").run().succeeds("reused-tag");
    let asked = lab.registry.asked();
    assert_eq!(asked.iter().filter(|asked| asked.contains("sha-rf9d832d9-app-")).count(), 4, "{asked:?}");
}

/// An argument that the Dockerfile does not declare changes nothing, as long as nothing else can read it.
#[test]
fn an_argument_that_nothing_reads_does_not_count() {
    let lab = Lab::new();
    let key = |args: &str, more: &[(&str, &str)]| {
        let program = lab.shared().input("build-args", args);
        let program = more.iter().fold(program, |program, (name, value)| program.input(name, value));
        program.run().output("key").to_owned()
    };
    let plain = key("", &[]);
    assert_eq!(key("SOURCE_COMMIT=0123\nOTHER=", &[]), plain);
    for name in ["TARGETARCH", "BUILDPLATFORM", "BUILDKIT_SANDBOX_HOSTNAME"] {
        assert_ne!(key(&format!("{name}=x"), &[]), plain, "{name}");
    }
    for more in [("key", "context"), ("provenance", "mode=max")] {
        assert_ne!(key("SOURCE_COMMIT=0123", &[more]), key("", &[more]), "{more:?}");
    }
}
