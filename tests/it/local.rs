//! Without a repository all stays on this machine, and the reason is told once.

use serde_json::json;

use crate::support::{Aws, Lab, Response};

#[test]
fn built_here_then_found_here() {
    let lab = Lab::new();
    let run = lab.build_once().run().succeeds("built-local");
    for (name, value) in [
        ("digest", ""),
        ("tag", ""),
        ("image", ""),
        ("local-image", "app:latest"),
        ("built", "true"),
        ("pushed", "false"),
        ("degraded", "false"),
        ("attempts", "1"),
        ("cached-steps", "1"),
        ("total-steps", "3"),
    ] {
        assert_eq!(run.output(name), value, "{name}");
    }
    let build = run.build();
    assert!(build.has("--load") && !build.has("--push"), "{}", build.line());
    assert_eq!(build.values("--tag"), ["app:latest"]);
    assert!(run.notices().contains("instance metadata does not answer"), "{}", run.notices());
    assert_eq!(
        run.summary.matches("instance metadata does not answer").count(),
        run.summary.matches("no repository: ").count()
    );

    lab.forget_calls();
    let again = lab.build_once().run().succeeds("reused-local");
    assert_eq!(again.output("local-image"), "app:latest");
    assert!(again.called("buildx").is_empty(), "{:?}", again.lines());

    lab.write("work/hello", "changed");
    let _ = lab.build_once().run().succeeds("built-local");
}

#[test]
fn a_pull_finds_it_here() {
    let lab = Lab::new();
    let _ = lab.build_once().run().succeeds("built-local");
    let _ = lab.build_once().input("mode", "pull").input("on-missing", "fail").run().succeeds("reused-local");
    lab.another_machine();
    let run = lab.build_once().input("mode", "pull").input("on-missing", "fail").run().fails(20, "access");
    assert!(run.error().contains("there is no repository"), "{}", run.error());
}

#[test]
fn outside_github_nothing_shared_is_written() {
    let lab = Lab::new();
    let run = lab.shared().outside_github().run();
    assert_eq!(run.code, 0, "{}", run.all());
    assert!(run.build().has("--load") && !run.build().has("--push"));
    assert_eq!(lab.registry.tags(), [""; 0]);
    assert!(run.stdout.is_empty() && run.stderr.contains("built-local"), "{}", run.all());
    assert!(
        !lab.path("temp")
            .read_dir()
            .unwrap()
            .flatten()
            .any(|e| e.file_name().to_string_lossy().starts_with("build-once-run-"))
    );
}

#[test]
fn the_parameter_names_the_repository() {
    let lab = Lab::new();
    let aws = Aws::start(&lab.registry.repository());
    let run = aws.serves(lab.build_once()).run().succeeds("built");
    assert_eq!(run.output("pushed"), "true");
    assert!(
        aws.asked().iter().any(|asked| asked.contains("GetParameter")
            && asked.contains("/github-runner/i-0123456789abcdef0/ecr-cache-url")),
        "{:?}",
        aws.asked()
    );
    assert!(
        run.summary.contains("SSM parameter /github-runner/i-0123456789abcdef0/ecr-cache-url"),
        "{}",
        run.summary
    );
}

#[test]
fn each_source_in_its_order() {
    let lab = Lab::new();
    let aws = Aws::start("127.0.0.1:1/parameter");
    let program = || {
        aws.serves(lab.build_once())
            .env("ECR_CACHE_URL", "127.0.0.1:1/older")
            .env("BUILD_ONCE_REPOSITORY", "127.0.0.1:1/owner")
    };
    let plan = |program: crate::support::BuildOnce<'_>| program.args(&["plan", "--json"]).run().stdout;
    assert!(plan(program().input("repository", "127.0.0.1:1/input")).contains("127.0.0.1:1/input"));
    assert!(plan(program()).contains("127.0.0.1:1/owner"));
    assert!(plan(program().unset("BUILD_ONCE_REPOSITORY")).contains("127.0.0.1:1/older"));
    assert!(aws.asked().is_empty(), "a source that answers is enough");
    assert!(
        plan(program().unset("BUILD_ONCE_REPOSITORY").unset("ECR_CACHE_URL"))
            .contains("127.0.0.1:1/parameter")
    );
}

#[test]
fn nobody_is_asked_where_no_parameter_is_named() {
    let lab = Lab::new();
    let aws = Aws::start("unused/x");
    let program = aws.serves(lab.build_once()).args(&["run", "--ssm-parameter", ""]);
    let run = program.run().succeeds("built-local");
    assert!(run.notices().contains("the input ssm-parameter is empty"), "{}", run.notices());
    assert!(aws.asked().is_empty(), "{:?}", aws.asked());
}

#[test]
fn every_reason_for_none() {
    type Fault = fn(&Aws);
    let cases: [(&str, Fault); 5] = [
        ("does not exist", |aws| aws.deny_parameter("ParameterNotFound")),
        ("allow ssm:GetParameter", |aws| aws.deny_parameter("AccessDeniedException")),
        ("instance metadata does not help", |aws| aws.metadata_off()),
        ("does not exist", |aws| {
            aws.parameter(Response::new(200, json!({"Parameter": {"Value": ""}}).to_string()));
        }),
        ("failed to read the SSM parameter", |aws| aws.deny_parameter("ValidationException")),
    ];
    for (told, break_it) in cases {
        let lab = Lab::new();
        let aws = Aws::start("unused/x");
        break_it(&aws);
        let run = aws.serves(lab.build_once()).run().succeeds("built-local");
        assert!(run.notices().contains(told), "{told}: {}", run.notices());
        assert_eq!(run.notices().matches("no repository").count(), 1, "{}", run.notices());
    }
}

#[test]
fn a_junk_value_is_not_read_as_none() {
    let lab = Lab::new();
    let run = lab.build_once().env("BUILD_ONCE_REPOSITORY", "https://x/y z").run().fails(2, "input");
    assert!(run.error().contains("the BUILD_ONCE_REPOSITORY does not name a repository"), "{}", run.error());
    let aws = Aws::start("<html>canary-5ec2e7");
    let run = aws.serves(lab.build_once()).run().fails(2, "input");
    assert!(run.error().contains("does not name a repository"), "{}", run.error());
}
