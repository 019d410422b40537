//! `mode: pull`: exactly the digest, or the key's image, and never a silent rebuild.

use std::time::Duration;

use crate::support::{Lab, Response};

#[test]
fn by_digest_without_a_checkout() {
    let lab = Lab::new();
    let digest = lab.shared().run().succeeds("built").output("digest").to_owned();
    lab.another_machine();
    std::fs::remove_dir_all(lab.path("work")).unwrap();
    std::fs::create_dir(lab.path("work")).unwrap();
    lab.registry.forget_requests();
    let run = lab.shared().input("mode", "pull").input("digest", &digest).input("context", "absent").run();
    let run = run.succeeds("reused-digest");
    let reference = format!("{}@{digest}", lab.registry.repository());
    // By its digest: whoever handed it over may be of another zone.
    let private = format!("build-once.invalid/o/r/app:trusted-digest-{}", &digest[7..39]);
    assert_eq!(
        run.lines(),
        [
            format!("image inspect {reference}"),
            format!("pull {reference}"),
            format!("tag {reference} {private}"),
            format!("tag {private} app:latest"),
        ]
    );
    assert_eq!(lab.registry.asked(), [format!("GET ci/manifests/{digest}")]);
    let local = (private.as_str(), digest.as_str(), "", reference.as_str());
    let told = (run.output("local-image"), run.output("digest"), run.output("key"), run.output("image"));
    assert_eq!(told, local);
    // Again: the engine has it.
    lab.forget_calls();
    let again = lab.shared().input("mode", "pull").input("digest", &digest).run().succeeds("reused-local");
    assert!(again.called("pull").is_empty(), "{:?}", again.lines());
}

#[test]
fn by_digest_that_is_not_there() {
    let lab = Lab::new();
    let digest = format!("sha256:{}", "a".repeat(64));
    let run = lab.shared().input("mode", "pull").input("digest", &digest).run().fails(20, "access");
    assert!(run.error().contains(&format!("has no image {digest}")), "{}", run.error());
    assert!(run.error().contains("\nhint: check that both jobs name the same repository"), "{}", run.error());
    assert!(run.called("buildx build").is_empty());
    assert!(lab.images().is_null());
}

#[test]
fn by_digest_without_a_repository() {
    let lab = Lab::new();
    let digest = format!("sha256:{}", "a".repeat(64));
    let run = lab.build_once().input("mode", "pull").input("digest", &digest).run().fails(20, "access");
    assert!(run.error().contains("set the input repository"), "{}", run.error());
}

#[test]
fn by_digest_other_content_is_refused() {
    let lab = Lab::new();
    let digest = format!("sha256:{}", "a".repeat(64));
    let _ = lab.shared().run().succeeds("built");
    lab.registry.fault(
        "/manifests/sha256:",
        1,
        Response::new(
            200,
            lab.registry
                .manifest("ci/sha-rf9d832d9-app-1111111111111111111111111111111111111111")
                .unwrap()
                .to_string(),
        ),
    );
    lab.forget_calls();
    let run = lab.shared().input("mode", "pull").input("digest", &digest).run().fails(40, "integrity");
    assert!(run.error().contains(&format!("expected {digest}, got sha256:")), "{}", run.error());
    assert!(run.called("pull").is_empty());
}

#[test]
fn by_key() {
    let lab = Lab::new();
    let built = lab.shared().run().succeeds("built");
    lab.another_machine();
    let other = "3333333333333333333333333333333333333333";
    let run = lab.shared().commit(other).input("mode", "pull").run().succeeds("reused-key");
    assert_eq!(run.output("digest"), built.output("digest"));
    assert_eq!(run.output("local-image"), run.private_name("trusted"));
    assert!(run.output("tag").starts_with("key-rf9d832d9-app-"), "{}", run.output("tag"));
    // Pulling is reading.
    assert!(run.called("buildx").is_empty(), "{:?}", run.lines());
    assert!(lab.registry.digest(&format!("ci/sha-rf9d832d9-app-{other}")).is_none());
    // Again: the engine has it.
    lab.forget_calls();
    let again = lab.shared().commit(other).input("mode", "pull").run().succeeds("reused-local");
    assert!(again.called("pull").is_empty(), "{:?}", again.lines());
}

#[test]
fn missing_is_built_and_said_loudly() {
    let lab = Lab::new();
    let run = lab.shared().input("mode", "pull").run().succeeds("built").degraded();
    assert_eq!(run.output("local-image"), run.private_name("trusted"));
    assert!(run.commands("warning")[0].message.contains("this job builds and publishes it"), "D85");
    assert!(run.build().has("--push"), "what one job had to build, the next need not");
    assert_eq!(run.output("digest"), lab.registry.digest(&format!("ci/{}", run.output("tag"))).unwrap());
}

#[test]
fn missing_may_fail() {
    let lab = Lab::new();
    let run = lab.shared().input("mode", "pull").input("on-missing", "fail").run().fails(20, "access");
    assert!(run.error().contains("hint: let the job that builds it run first (needs)"), "{}", run.error());
    assert!(run.called("buildx build").is_empty());
}

#[test]
fn missing_may_be_waited_for() {
    let lab = Lab::new();
    let key = lab.build_once().args(&["key", "--json"]).run();
    let key: serde_json::Value = serde_json::from_str(&key.stdout).unwrap();
    let key = key["key"].as_str().unwrap();
    let waiting =
        lab.shared().input("mode", "pull").input("on-missing", "wait").input("wait-timeout", "20s").start();
    while !lab.registry.asked().iter().any(|asked| asked.contains("/key-rf9d832d9-app-")) {
        std::thread::sleep(Duration::from_millis(20));
    }
    // A registry that is busy for a while is no answer.
    lab.registry.fault("/key-rf9d832d9-app-", 4, Response::new(503, ""));
    let digest = lab.registry.put(&format!("key-rf9d832d9-app-{}", &key[..32]), Some(key));
    let run = waiting.finish().succeeds("reused-key");
    assert_eq!((run.output("digest"), run.output("built")), (digest.as_str(), "false"));
}

#[test]
fn waiting_ends() {
    let lab = Lab::new();
    let program = lab.shared().input("mode", "pull").input("on-missing", "wait").input("wait-timeout", "1s");
    let run = program.run().fails(30, "unavailable");
    assert!(
        run.error().contains("no image with this key appeared") && run.error().contains("waited up to 1s"),
        "{}",
        run.error()
    );
    assert!(run.called("buildx build").is_empty());
}

#[test]
fn a_registry_that_does_not_say_is_not_missing() {
    for on_missing in ["fail", "wait"] {
        let lab = Lab::new();
        lab.registry.fault("/manifests/", 99, Response::new(500, ""));
        let run =
            lab.shared().input("mode", "pull").input("on-missing", on_missing).run().fails(30, "unavailable");
        assert!(run.error().contains("answered 500"), "{}", run.error());
        assert!(run.called("buildx build").is_empty());
    }
}

#[test]
fn a_pull_that_fails_is_classified() {
    let lab = Lab::new();
    let digest = lab.shared().run().succeeds("built").output("digest").to_owned();
    lab.another_machine();
    lab.rule(
        "pull",
        serde_json::json!({"stderr": "write /var/lib/docker/tmp/x: no space left on device\n", "exit": 1}),
    );
    let run = lab.shared().input("mode", "pull").input("digest", &digest).run().fails(50, "resource");
    assert!(run.error().contains("hint: free disk space"), "{}", run.error());
    assert_eq!(run.output("local-image"), "");
}
