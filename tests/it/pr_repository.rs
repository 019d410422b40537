//! A second repository, so that the registry's rights can keep pull requests from what trusted
//! runs use.

use crate::support::{BuildOnce, Lab, MERGE, Response};

fn split(lab: &Lab) -> BuildOnce<'_> {
    lab.shared().input("pr-repository", &format!("{}/pr", lab.registry.repository()))
}

const TOLD: &str = "this run may push to";

#[test]
fn a_pull_request_writes_there_and_nowhere_else() {
    let lab = Lab::new();
    let home = format!("{}/pr", lab.registry.repository());
    let run = split(&lab).pull_request(12).input("cache-write", "always").run().succeeds("built");
    assert_eq!(run.output("image"), format!("{home}@{}", run.output("digest")));
    assert!(lab.registry.tags().iter().all(|tag| tag.starts_with("pr/")), "{:?}", lab.registry.tags());
    assert!(
        run.build().values("--cache-to")[0]
            .starts_with(&format!("type=registry,ref={home}:pr-12-cache-rf9d832d9-app,"))
    );
    let again = split(&lab).pull_request(12).run().succeeds("reused-tag");
    assert_eq!(again.output("image"), run.output("image"));
    // A branch without protection too.
    lab.write("work/hello", "changed");
    let branch = split(&lab).push_to("fix").run().succeeds("built");
    assert!(branch.output("image").starts_with(&home));
}

#[test]
fn trusted_runs_and_the_queue_never_ask_there() {
    let lab = Lab::new();
    let _ = split(&lab).pull_request(12).run().succeeds("built");
    lab.registry.forget_requests();
    let run = split(&lab).run().succeeds("built");
    let git_ref = "refs/heads/gh-readonly-queue/main/pr-12-3333333333333333333333333333333333333333";
    let queue = || split(&lab).fixture("merge_group", git_ref, "merge-group", |_| {});
    let _ = queue().run().succeeds("reused-key");
    lab.write("work/hello", "changed");
    let built = queue().run().succeeds("built");
    for run in [run, built] {
        assert_eq!(run.output("image"), format!("{}@{}", lab.registry.repository(), run.output("digest")));
    }
    assert!(!lab.registry.asked().iter().any(|asked| asked.contains("ci/pr")), "{:?}", lab.registry.asked());
}

#[test]
fn what_is_trusted_is_used_where_it_is() {
    let lab = Lab::new();
    let trusted = split(&lab).commit(MERGE).run().succeeds("built");
    let tags = lab.registry.tags();
    let hit = split(&lab).pull_request(12).run().succeeds("reused-key");
    // No copy of the image for the sake of a name.
    assert_eq!((hit.output("image"), lab.registry.tags()), (trusted.output("image"), tags));
    assert_eq!(hit.output("tag"), format!("key-rf9d832d9-app-{}", &hit.output("key")[..32]));
}

#[test]
fn a_digest_is_found_in_either() {
    let lab = Lab::new();
    let trusted = split(&lab).commit(MERGE).run().succeeds("built");
    lab.write("work/hello", "changed");
    let own = split(&lab).pull_request(12).run().succeeds("built");
    for built in [&trusted, &own] {
        lab.another_machine();
        let pull = split(&lab).pull_request(12).input("mode", "pull").input("digest", built.output("digest"));
        let pull = pull.run().succeeds("reused-digest");
        assert_eq!(pull.output("image"), built.output("image"));
        assert_eq!(pull.called("pull")[0].line(), format!("pull {}", built.output("image")));
    }
    // A trusted run does not look where it must not.
    let pull = split(&lab).input("mode", "pull").input("digest", own.output("digest")).run();
    let _ = pull.fails(20, "access");
}

#[test]
fn one_that_is_missing_comes_with_its_first_push() {
    let lab = Lab::new();
    lab.registry.without("ci/pr");
    let _ = split(&lab).pull_request(12).run().succeeds("built");
    let lab = Lab::new();
    let same = lab.registry.repository();
    let run = lab.shared().input("pr-repository", &same).run().fails(2, "input");
    assert!(run.error().contains("is the same as repository"), "{}", run.error());
}

#[test]
fn a_run_that_could_push_where_it_only_reads_is_told_once() {
    let lab = Lab::new();
    lab.registry.let_push();
    let run = split(&lab).pull_request(12).run().succeeds("built");
    assert_eq!(run.notices().matches(TOLD).count(), 1, "{}", run.notices());
    assert!(run.notices().contains("only reads there and writes in pr-repository"), "{}", run.notices());
    let asked = lab.registry.asked();
    let opened: Vec<_> = asked.iter().filter(|asked| asked.contains("uploads")).collect();
    assert_eq!(opened, ["POST ci/blobs/uploads/", "DELETE ci/blobs/uploads/u1?_state=x"], "given up at once");
    // Not on a hit: it must cost nothing there.
    lab.registry.forget_requests();
    let hit = split(&lab).pull_request(12).run().succeeds("reused-tag");
    assert!(!hit.notices().contains(TOLD));
    assert!(lab.registry.asked().iter().all(|asked| asked.starts_with("GET ci/pr/manifests/pr-12-")));
    let fork = lab.shared().fork().input("key-extra", "1").run().succeeds("built-local");
    assert!(fork.notices().contains("give its job a role that only reads"), "{}", fork.notices());
}

#[test]
fn nobody_is_told_without_cause() {
    let lab = Lab::new();
    lab.registry.let_push();
    for (at, program) in
        [lab.shared(), lab.shared().pull_request(12), lab.shared().outside_github()].into_iter().enumerate()
    {
        let run = program.input("key-extra", &at.to_string()).run();
        assert!(run.code == 0 && !run.all().contains(TOLD), "{}", run.all());
    }
    assert!(!lab.registry.asked().iter().any(|asked| asked.contains("uploads")));
    // Neither where the registry refuses, nor where it does not say.
    for answer in [
        Response::error(403, "DENIED", "no"),
        Response::new(500, ""),
        Response::cut(),
        Response::new(405, ""),
    ] {
        let lab = Lab::new();
        lab.registry.fault("/uploads/", 99, answer);
        let run = split(&lab).pull_request(12).run().succeeds("built");
        assert!(!run.notices().contains(TOLD), "{}", run.notices());
    }
}
