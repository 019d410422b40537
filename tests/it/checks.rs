//! The Dockerfile's checks: in place of a build, and beside one.

use crate::support::Lab;

const FOUND: &str = r#"{"warnings":[{"ruleName":"StageNameCasing","detail":"Stage name 'X' should be lowercase","location":{"ranges":[{"start":{"line":4}}]}}]}"#;

/// D45. A gate that finds something closes, and builds nothing.
#[test]
fn d45_call_check_fails_at_file_and_line() {
    let lab = Lab::new();
    lab.set("check", FOUND);
    let check = || lab.shared().input("call", "check");
    let run = check().run().fails(10, "build");
    let notice = "::notice title=Dockerfile check,file=Dockerfile,line=4::StageNameCasing: Stage name 'X' should be lowercase";
    assert!(run.stdout.contains(notice), "{}", run.stdout);
    assert!(run.error().contains("one check found something") && run.summary.contains("Dockerfile checks"));
    assert_eq!(run.called("buildx build").len(), 1);
    lab.set("check", "{}");
    let run = check().run().succeeds("checked");
    assert!(run.output("digest").is_empty() && run.output("key").is_empty());
    lab.set("check", r#"{"buildError":{"message":"unknown instruction: RUNN","location":{"ranges":[{"start":{"line":2}}]}}}"#);
    let run = check().run().fails(10, "build");
    assert!(run.error().contains("unknown instruction: RUNN"), "{}", run.error());
    lab.set("buildx", "v0.14.0");
    assert!(check().run().fails(60, "unsupported").error().contains("older than 0.15"));
}

/// D49. What BuildKit finds while it builds; docker's own switch turns the annotations off.
#[test]
fn d49_findings_of_a_build_are_notices_at_file_and_line() {
    let lab = Lab::new();
    let warning = |line: usize| {
        // "Rule: text" in base64.
        format!(r#"{{"warnings":[{{"short":"UnVsZTogdGV4dA==","range":[{{"start":{{"line":{line}}}}}]}}]}}"#)
    };
    let lines: Vec<String> = (1..=15).map(warning).collect();
    lab.set("progress", lines.join("\n"));
    let run = lab.shared().run().succeeds("built");
    let at = run.stdout.matches("::notice title=Dockerfile check,file=Dockerfile,line=").count();
    assert!((5..=10).contains(&at), "{}", run.stdout);
    assert!(
        run.summary.contains("Rule: text line 1<br>") && run.summary.contains("5 more"),
        "{}",
        run.summary
    );
    let lab = Lab::new();
    lab.set("progress", lines.join("\n"));
    let run = lab.shared().env("DOCKER_BUILD_CHECKS_ANNOTATIONS", "false").run().succeeds("built");
    assert!(!run.stdout.contains("Dockerfile check") && run.summary.contains("Rule: text"));
}

/// The user of a URL is no argument here either, and a secret that is named has its value.
#[test]
fn the_checks_get_the_login_of_a_context_as_a_secret() {
    let lab = Lab::new();
    lab.set("check", "{}");
    let password = crate::support::CANARY;
    let contexts = format!("lib=https://ann:{password}@git.example/lib.git");
    let check = lab.shared().input("call", "check").input("build-contexts", &contexts);
    let run = check.run().succeeds("checked");
    let call = run.called("buildx build")[0];
    assert_eq!(call.values("--build-context"), ["lib=https://git.example/lib.git"]);
    assert_eq!(call.values("--secret"), ["id=GIT_AUTH_HEADER.git.example,env=BUILD_ONCE_SECRET_0"]);
    assert!(call.env["BUILD_ONCE_SECRET_0"].as_str().unwrap().starts_with("Basic "), "{}", call.env);
}
