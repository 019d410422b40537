//! Who may read and write what, seen from what reaches docker and the registry.

use serde_json::json;

use crate::support::{HEAD, Lab, MERGE};

#[test]
fn a_pull_request_writes_its_own_names() {
    let lab = Lab::new();
    let run = lab.shared().pull_request(12).run().succeeds("built");
    let tag = format!("pr-12-sha-rf9d832d9-app-{HEAD}");
    assert_eq!((run.output("zone"), run.output("commit-tag")), ("pr", tag.as_str()));
    let tags = lab.registry.tags();
    assert_eq!(tags, [format!("pr-12-key-rf9d832d9-app-{}", &run.output("key")[..32]), tag.clone()]);
    let annotations = lab.registry.manifest(&format!("ci/{tag}")).unwrap()["annotations"].clone();
    assert_eq!(annotations["org.opencontainers.image.revision"], HEAD);
    assert_eq!(annotations["io.github.build-once.merge-revision"], MERGE);
    assert_eq!(annotations["io.github.build-once.zone"], "pr");
    assert!(run.summary.contains(HEAD) && run.summary.contains(MERGE), "{}", run.summary);
    assert!(run.build().values("--cache-to").is_empty());
    // The merge commit changes with the base branch; the head commit names the image.
    let _ = lab.shared().pull_request(12).commit(&"4".repeat(40)).run().succeeds("reused-tag");
}

#[test]
fn a_pull_request_uses_what_is_trusted_under_its_own_name() {
    let lab = Lab::new();
    let built = lab.shared().commit(MERGE).run().succeeds("built");
    let run = lab.shared().pull_request(12).run().succeeds("reused-key");
    assert_eq!(
        (run.output("digest"), run.output("commit-tag")),
        (built.output("digest"), format!("pr-12-sha-rf9d832d9-app-{HEAD}").as_str())
    );
}

#[test]
fn nothing_flows_back() {
    let lab = Lab::new();
    let _ = lab.shared().pull_request(12).run().succeeds("built");
    let _ = lab.shared().pull_request(13).run().succeeds("built");
    lab.registry.forget_requests();
    let run = lab.shared().run().succeeds("built");
    assert!(!lab.registry.asked().iter().any(|asked| asked.contains("/pr-")), "{:?}", lab.registry.asked());
    assert_eq!(run.output("zone"), "trusted");
}

#[test]
fn a_pull_requests_cache_is_its_own_and_asked_for() {
    let lab = Lab::new();
    let repository = lab.registry.repository();
    let run = lab.shared().run().succeeds("built");
    let main = format!("type=registry,ref={repository}:cache-rf9d832d9-app-main");
    assert_eq!(
        run.build().values("--cache-to"),
        [format!("{main},mode=max,image-manifest=true,oci-mediatypes=true,ignore-error=true")]
    );
    assert!(run.build().values("--cache-from").is_empty(), "a cache that is not there is not named");
    lab.write("work/hello", "changed");
    lab.forget_calls();
    let run = lab.shared().pull_request(12).input("cache-write", "always").run().succeeds("built");
    assert_eq!(run.build().values("--cache-from"), [main.as_str()]);
    assert!(
        run.build().values("--cache-to")[0]
            .starts_with(&format!("type=registry,ref={repository}:pr-12-cache-rf9d832d9-app,"))
    );
}

#[test]
fn the_trusted_never_read_a_pull_requests_cache() {
    let lab = Lab::new();
    let _ = lab.shared().pull_request(12).input("cache-write", "always").run().succeeds("built");
    assert!(lab.registry.tags().contains(&"pr-12-cache-rf9d832d9-app".to_owned()));
    lab.forget_calls();
    let run = lab.shared().run().succeeds("built");
    assert!(run.build().values("--cache-from").is_empty(), "{}", run.build().line());
}

#[test]
fn a_fork_writes_nothing() {
    let lab = Lab::new();
    let tags = format!("{}:latest", lab.registry.repository());
    let program =
        || lab.shared().fork().input("cache-write", "always").input("push", "true").input("tags", &tags);
    let run = program().run().succeeds("built-local");
    assert_eq!(
        (run.output("zone"), run.output("pushed"), run.output("local-image")),
        ("fork", "false", run.private_name("fork-12").as_str())
    );
    assert!(run.build().has("--load") && !run.line_has_push(), "{}", run.build().line());
    assert!(run.build().values("--cache-to").is_empty());
    let said = &run.degraded().commands("warning")[0].message.clone();
    assert!(
        said.contains("not published: a pull request from a fork") && said.contains("tags not set"),
        "{said}"
    );
    assert_eq!(lab.registry.tags(), [""; 0]);
    // It may use what is trusted, and leaves no name on it.
    let built = lab.shared().commit(MERGE).run().succeeds("built");
    let before = lab.registry.tags();
    lab.another_machine();
    let run = program().run().succeeds("reused-key");
    assert_eq!(run.output("digest"), built.output("digest"));
    assert_eq!(lab.registry.tags(), before);
}

#[test]
fn pull_request_target_builds_nothing() {
    let lab = Lab::new();
    let program = || lab.shared().pull_request_from("pull_request_target", 12, 2);
    let run = program().run().fails(60, "unsupported");
    assert!(run.error().contains("refused to build in a pull_request_target run"), "{}", run.error());
    assert!(run.lines().iter().all(|line| line.starts_with("image inspect ")), "{:?}", run.lines());
    let built = lab.shared().run().succeeds("built");
    lab.another_machine();
    let run = program().input("mode", "pull").input("digest", built.output("digest")).run();
    let _ = run.succeeds("reused-digest");
}

#[test]
fn pull_request_target_does_not_build_by_way_of_pull_either() {
    let lab = Lab::new();
    let run = lab.shared().pull_request_from("pull_request_target", 12, 2).input("mode", "pull").run();
    assert!(run.called("buildx build").is_empty(), "{:?}", run.lines());
    assert_ne!(run.code, 0);
}

#[test]
fn the_queue_has_names_of_its_own_and_no_cache() {
    let lab = Lab::new();
    let git_ref = "refs/heads/gh-readonly-queue/main/pr-12-abc";
    let event = json!({"repository": {"default_branch": "main"}, "merge_group": {"head_ref": git_ref}});
    let run = lab.shared().event("merge_group", git_ref, HEAD, &event).run().succeeds("built");
    assert_eq!(
        (run.output("zone"), run.output("commit-tag")),
        ("queue", format!("queue-sha-rf9d832d9-app-{HEAD}").as_str())
    );
    assert!(run.build().values("--cache-to").is_empty());
}

#[test]
fn a_tag_publishes_and_writes_no_cache() {
    let lab = Lab::new();
    let _ = lab.shared().commit(MERGE).run().succeeds("built");
    lab.write("work/hello", "changed");
    lab.forget_calls();
    let event = json!({"repository": {"default_branch": "main"}});
    let run = lab.shared().event("push", "refs/tags/v1", HEAD, &event).run().succeeds("built");
    assert_eq!(run.output("zone"), "trusted");
    assert!(run.build().values("--cache-to").is_empty(), "{}", run.build().line());
    // It reads what the default branch wrote.
    let from = run.build().values("--cache-from");
    assert_eq!(from, [format!("type=registry,ref={}:cache-rf9d832d9-app-main", lab.registry.repository())]);
}

#[test]
fn an_unprotected_branch_is_no_trusted_one() {
    let lab = Lab::new();
    let run = lab.shared().push_to("feature/x").run().succeeds("built");
    assert_eq!(run.output("commit-tag"), format!("br-217d2bf5-feature-x-sha-rf9d832d9-app-{HEAD}"));
    lab.forget_calls();
    let run = lab.shared().push_to("release/1").env("GITHUB_REF_PROTECTED", "true").run().succeeds("built");
    assert_eq!(run.output("commit-tag"), format!("sha-rf9d832d9-app-{HEAD}"));
}

#[test]
fn tags_belong_to_trusted_runs() {
    let lab = Lab::new();
    let tags = format!("{0}:latest\n{0}:v1", lab.registry.repository());
    let run = lab.shared().pull_request(12).input("tags", &tags).run().succeeds("built");
    let run = run.degraded();
    assert!(run.commands("warning")[0].message.contains("tags not set"), "{}", run.all());
    assert!(!lab.registry.tags().contains(&"latest".to_owned()));
    let _ = lab.shared().input("tags", &tags).run().succeeds("built");
    assert!(lab.registry.tags().contains(&"latest".to_owned()));
}

#[test]
fn an_event_that_cannot_be_read_is_not_guessed() {
    let lab = Lab::new();
    lab.write("broken.json", "{");
    let broken = lab.path("broken.json").display().to_string();
    let run = lab.shared().env("GITHUB_EVENT_PATH", &broken).run().fails(2, "input");
    assert!(run.error().contains("failed to read the event file"), "{}", run.error());
    let run = lab.shared().env("GITHUB_EVENT_PATH", "/absent").run().fails(2, "input");
    assert!(run.calls.is_empty());
}
