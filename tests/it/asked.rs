//! `push: true` and `tags`: done, or said.

use serde_json::json;

use crate::support::{Aws, BuildOnce, HEAD, Lab, Response};

/// D39: the first full reference in `tags` names the repository when no earlier source does.
#[test]
fn d39_tags_name_the_repository() {
    let lab = Lab::new();
    let repository = lab.registry.repository();
    let tags = format!("app:latest\n{repository}:latest");
    let program = |push: &str| lab.build_once().input("push", push).input("tags", &tags);
    let plan = |program: BuildOnce<'_>| program.args(&["plan", "--json"]).run().stdout;
    assert!(plan(program("true")).contains("\"source\": \"input tags\""));
    // The input first, the variables afterwards.
    let both = || program("auto").env("BUILD_ONCE_REPOSITORY", "127.0.0.1:1/variable");
    assert!(!plan(both()).contains("127.0.0.1:1/variable"));
    assert!(plan(both().input("repository", "127.0.0.1:1/input")).contains("127.0.0.1:1/input"));
    // What publishes nothing needs no repository.
    let local = program("false").run().succeeds("built-local");
    assert!(local.notices().contains("the input push is false"), "{}", local.notices());

    let tags = format!("{repository}:latest");
    let run = lab.build_once().input("push", "true").input("tags", &tags).run().succeeds("built");
    assert_eq!(lab.registry.digest("ci/latest").as_deref(), Some(run.output("digest")));
    assert!(run.summary.contains("from input tags"), "{}", run.summary);
}

#[test]
fn d39_push_without_a_repository_is_an_error() {
    let lab = Lab::new();
    let run = lab.build_once().input("push", "true").run().fails(2, "input");
    assert!(run.error().contains("hint: set the input repository"), "{}", run.error());
    assert!(run.called("buildx build").is_empty());
    let short = lab.build_once().input("push", "true").input("tags", "app:latest").run();
    let _ = short.fails(2, "input");
    let aws = Aws::start("unused/x");
    aws.deny_parameter("AccessDeniedException");
    let run = aws.serves(lab.build_once()).input("push", "true").run().fails(20, "access");
    assert!(run.error().contains("allow ssm:GetParameter"), "{}", run.error());
    let run = lab.shared().input("push", "true").outside_github().env("INPUT_PUSH", "true").run();
    assert_eq!(run.code, 20, "{}", run.all());
}

/// A registry that is not there is no place to make do without, where the push was asked for.
#[test]
fn d39_push_to_a_registry_that_is_not_there_fails() {
    let lab = Lab::new();
    let tags = "127.0.0.1:9/app:latest";
    let run = lab.build_once().input("push", "true").input("tags", tags).run().fails(30, "unavailable");
    assert!(run.called("buildx build").is_empty(), "{:?}", run.lines());
    lab.registry.fault("/manifests/", 99, Response::error(403, "DENIED", "no"));
    let _ = lab.shared().input("push", "true").run().fails(20, "access");
    let _ = lab.shared().run().succeeds("built-local").degraded();
}

/// D67: a release that sets none of its names is not green without a word.
#[test]
fn d67_tags_that_are_not_set_are_less_than_asked() {
    let lab = Lab::new();
    let tags = format!("{}:v1", lab.registry.repository());
    let branch = || lab.shared().push_to("fix").input("push", "true").input("tags", &tags);
    for outcome in ["built", "reused-tag"] {
        let run = branch().run().succeeds(outcome).degraded();
        let said = &run.commands("warning")[0].message;
        let why = "only trusted runs set them, and this is push on a branch without protection";
        assert!(said.contains(&format!("tags not set: {tags}; {why}")), "{said}");
        let run = branch().input("registry-policy", "required").run().fails(20, "access");
        assert!(run.error().contains("tags not set"), "{}", run.error());
    }
    assert!(lab.registry.digest("ci/v1").is_none());
}

#[test]
fn a_fork_that_may_not_push_is_told_so() {
    let lab = Lab::new();
    let fork = || lab.shared().fork().input("push", "true");
    let run = fork().run().succeeds("built-local").degraded();
    assert!(run.commands("warning")[0].message.contains("not published: a pull request from a fork"));
    let _ = fork().input("registry-policy", "required").input("no-cache", "true").run();
}

#[test]
fn tags_in_the_repository_of_pull_requests_are_theirs_to_set() {
    let lab = Lab::new();
    let pr = format!("{}/pr", lab.registry.repository());
    let tags = |list: &[&str]| list.iter().map(|tag| format!("{pr}:{tag}")).collect::<Vec<_>>().join("\n");
    let program = |tags: &str| lab.shared().input("pr-repository", &pr).input("tags", tags);
    let run = program(&tags(&["preview-12", "pr-12-preview"])).pull_request(12).run().succeeds("built");
    assert_eq!(run.output("degraded"), "false");
    for tag in ["preview-12", "pr-12-preview"] {
        assert_eq!(lab.registry.digest(&format!("ci/pr/{tag}")).as_deref(), Some(run.output("digest")));
    }
    // Another pull request's names are not, and the other repository is not.
    let foreign = format!("{}\n{}:latest", tags(&["pr-13-key-rf9d832d9-app"]), lab.registry.repository());
    let run = program(&foreign).pull_request(12).run().succeeds("reused-tag").degraded();
    assert!(run.commands("warning")[0].message.contains("pr-13-key-rf9d832d9-app"));
    assert!(
        lab.registry.digest("ci/pr/pr-13-key-rf9d832d9-app").is_none()
            && lab.registry.digest("ci/latest").is_none()
    );
    let run = program(&tags(&["preview-14"])).fork().run();
    assert_eq!(run.output("degraded"), "true");
    assert!(lab.registry.digest("ci/pr/preview-14").is_none());
}

/// D82: one rule on hits and misses, and the reason that is true.
#[test]
fn d82_a_pull_sets_no_tags() {
    let lab = Lab::new();
    let tags = format!("{}:v1", lab.registry.repository());
    let pull = || lab.shared().input("mode", "pull").input("tags", &tags).run();
    for outcome in ["built", "reused-local"] {
        let run = pull().succeeds(outcome);
        assert!(run.notices().contains("mode pull sets none, the build job does"), "{}", run.notices());
        assert!(lab.registry.digest("ci/v1").is_none());
    }
    for outcome in ["reused-tag", "built-local"] {
        let run = lab.shared().input("push", "false").input("tags", &tags).run().succeeds(outcome);
        let said = run.notices();
        assert!(said.contains("the input push is false") && !said.contains("trusted"), "{said}");
        lab.write("work/hello", "changed");
        assert!(lab.registry.digest(&format!("ci/sha-rf9d832d9-app-{HEAD}")).is_some());
    }
}

/// D79: a source of the repository's name that failed is not one that is absent.
#[test]
fn d79_a_source_that_failed_is_not_absent() {
    for (code, exit, class) in
        [("AccessDeniedException", 20, "access"), ("ValidationException", 30, "unavailable")]
    {
        let lab = Lab::new();
        let aws = Aws::start("unused/x");
        aws.deny_parameter(code);
        let _ = aws.serves(lab.build_once()).run().succeeds("built-local").degraded();
        let required = aws.serves(lab.build_once()).input("registry-policy", "required");
        let run = required.run().fails(exit, class);
        assert!(run.error().contains("no repository"), "{}", run.error());
    }
    // Absent is no failure.
    let lab = Lab::new();
    let aws = Aws::start("unused/x");
    aws.deny_parameter("ParameterNotFound");
    let run = aws.serves(lab.build_once()).input("registry-policy", "required").run();
    assert_eq!(run.succeeds("built-local").output("degraded"), json!(false).to_string());
}
