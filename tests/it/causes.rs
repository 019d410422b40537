//! What fails before anything is built has its cause and its hint, too.

use serde_json::json;

use crate::support::{Aws, BuildOnce, Lab, Login, Response, Run, Server};

const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ci";

fn told(run: &Run, cause: &str) {
    assert_eq!(run.output("failure-cause"), cause, "{}", run.all());
    assert!(run.error().contains("hint: "), "{cause}: {}", run.error());
}

// D98, D100
#[test]
fn what_fails_before_the_build_has_a_cause_and_a_hint() {
    let lab = Lab::new();
    let bare = || lab.build_once();
    let required =
        |program: BuildOnce<'_>| program.input("registry-policy", "required").input("retries", "0").run();
    told(&lab.shared().pull_request_from("pull_request_target", 12, 2).run(), "unsafe-event");
    told(&lab.shared().input("mode", "pull").input("on-missing", "fail").run(), "no-image");
    told(&bare().input("mode", "pull").input("on-missing", "fail").run(), "no-repository");
    told(&required(bare().input("repository", "127.0.0.1:9/ci")), "refused");
    told(
        &required(bare().input("repository", ECR).env("HTTPS_PROXY", "http://127.0.0.1:9")),
        "aws-credentials",
    );
    let page = Server::start(|_| Response::new(200, "<html>").header("content-type", "text/html"));
    told(&required(bare().input("repository", &format!("{}/ci", page.address))), "not-a-registry");
    let lab = Lab::new();
    lab.without_docker();
    told(&lab.build_once().run(), "tool-missing");
    let lab = Lab::new();
    lab.rule("buildx", json!({"stderr": "docker: unknown command: docker buildx\n", "exit": 1}));
    told(&lab.shared().run(), "tool-missing");
}

// D98
#[test]
fn a_wrong_password_is_no_missing_right() {
    let lab = Lab::new();
    for login in [Login::Basic("ann", "right"), Login::Bearer("ann", "right")] {
        lab.registry.require(login);
        let program = lab.shared().input("logins", &format!("{} ann PASSWORD", lab.registry.address()));
        let run =
            program.env("PASSWORD", "wrong").input("registry-policy", "required").run().fails(20, "access");
        told(&run, "auth-missing");
    }
}

// D98, D100
#[test]
fn aws_refusals_are_told_apart() {
    for (code, cause) in [
        ("AccessDeniedException", "auth-denied"),
        ("ExpiredTokenException", "aws-credentials"),
        ("UnrecognizedClientException", "aws-credentials"),
        ("InvalidSignatureException", "clock-skew"),
        ("RequestExpired", "clock-skew"),
        ("RequestTimeTooSkewed", "clock-skew"),
    ] {
        let lab = Lab::new();
        let aws = Aws::start("");
        aws.refuse_token(code);
        let program = lab.build_once().input("repository", ECR).env("HTTPS_PROXY", "http://127.0.0.1:9");
        told(&aws.serves(program).input("registry-policy", "required").run(), cause);
    }
}

#[test]
fn the_host_that_refused_is_named() {
    let lab = Lab::new();
    let other = Server::start(|_| Response::new(401, "").header("www-authenticate", "Basic realm=\"r\""));
    let there = format!("http://localhost:{}", other.address.rsplit_once(':').unwrap().1);
    let moved = format!("{there}/elsewhere");
    let registry = Server::start(move |_| Response::new(307, "").header("location", moved.clone()));
    let program = lab.build_once().input("repository", &format!("{}/ci", registry.address));
    let run = program.input("registry-policy", "required").run();
    assert_ne!(run.code, 0, "{}", run.all());
    let host = there.trim_start_matches("http://");
    let told = format!("{host} answered 401");
    assert!(run.error().contains(&told), "{}", run.error());
    assert!(run.error().contains(&format!("{} redirects to {host}", registry.address)), "{}", run.error());
    assert!(!run.error().contains("the login for"), "{}", run.error());
}

// D101
#[test]
fn an_address_where_nothing_answers_is_tried_once_more() {
    let lab = Lab::new();
    let program = lab.build_once().input("repository", "127.0.0.1:9/ci").input("retries", "5");
    let run = program.input("registry-policy", "required").run().fails(30, "unavailable");
    assert!(run.error().contains("2 tries were made"), "{}", run.error());
}

// D101
#[test]
fn instance_metadata_can_be_switched_off() {
    let lab = Lab::new();
    let aws = Aws::start(&lab.registry.repository());
    let run =
        aws.serves(lab.build_once()).env("AWS_EC2_METADATA_DISABLED", "true").run().succeeds("built-local");
    assert!(run.notices().contains("AWS_EC2_METADATA_DISABLED"), "{}", run.notices());
    assert_eq!(aws.asked(), [""; 0], "neither metadata nor SSM is asked");
}

/// D100: what the hint says is about what failed.
fn hints(run: &Run, cause: &str, hint: &str) {
    told(run, cause);
    let error = run.error();
    assert!(error.split("hint: ").nth(1).is_some_and(|said| said.contains(hint)), "{cause}: {error}");
}

#[test]
fn d100_a_temporary_folder_that_cannot_be_written() {
    let lab = Lab::new();
    let built = lab.shared().run().succeeds("built");
    let no_room = || lab.shared().env("RUNNER_TEMP", "/proc/no-room").input("load", "false");
    let hit = no_room().run().succeeds("reused-tag");
    assert_eq!(hit.output("digest"), built.output("digest"));
    assert!(hit.notices().contains("the plan is not kept for later steps"), "{}", hit.notices());
    let run = no_room().input("key-extra", "1").run();
    hints(&run, "read-only", "make the folder writable");
    assert!(run.error().contains("/proc/no-room"), "{}", run.error());
}

#[test]
fn d100_hosts_that_are_no_registry() {
    let lab = Lab::new();
    // As git with curl 7 and 8 says it, of a port where nothing listens.
    for said in ["Couldn't", "Could not"] {
        lab.git_says(&format!("Failed to connect to 127.0.0.1 port 9 after 0 ms: {said} connect to server"));
        let git = lab.build_once().input("context", "https://127.0.0.1:9/o/r.git#main").run();
        hints(&git, "refused", "check that the host is up");
    }
    lab.git_says("repository 'https://h.example/o/r.git/' not found");
    let git = lab.build_once().input("context", "https://h.example/o/r.git#main").run();
    hints(&git, "git-source", "check the git repository's URL");
    lab.write("work/Dockerfile", "FROM scratch\nADD http://127.0.0.1:9/file /file\n");
    hints(&lab.build_once().run(), "refused", "check that the host is up");
    let server = Server::start(|_| Response::new(403, ""));
    lab.write("work/Dockerfile", format!("FROM scratch\nADD http://{}/file /file\n", server.address));
    hints(&lab.build_once().run(), "dockerfile-error", "check the URL");
}

#[test]
fn d100_what_a_user_got_wrong() {
    let lab = Lab::new();
    let _ = lab.build_once().env("HOME", "").run().succeeds("built-local");
    lab.rule("buildx build", json!({"stderr": "unknown flag: --prgress\n", "exit": 125}));
    let run = lab.shared().input("extra-args", "--prgress=plain").run();
    hints(&run, "tool-too-old", "correct extra-args");
    let lab = Lab::new();
    let said = "ERROR: open /ro/buildx/.lock: read-only file system\n";
    lab.rule("buildx build", json!({"stderr": said, "exit": 1}));
    hints(&lab.shared().run(), "read-only", "make the folder writable");
}

#[test]
fn d100_a_degraded_run_keeps_the_hint() {
    let page = Server::start(|_| Response::new(200, "<html>").header("content-type", "text/html"));
    let lab = Lab::new();
    let run = lab.build_once().input("repository", &format!("{}/ci", page.address)).run();
    let run = run.succeeds("built-local").degraded();
    let said = &run.commands("warning")[0].message;
    assert!(said.contains("correct the registry's address"), "{said}");
    // F64, F67
    for (code, hint) in [("ExpiredTokenException", "AWS credentials"), ("InvalidSignatureException", "clock")]
    {
        let lab = Lab::new();
        let aws = Aws::start("");
        aws.refuse_token(code);
        let program = lab.build_once().input("repository", ECR).env("HTTPS_PROXY", "http://127.0.0.1:9");
        let run = aws.serves(program).run().succeeds("built-local").degraded();
        let said = &run.commands("warning")[0].message;
        assert!(said.contains(code) && said.contains(hint), "{said}");
    }
}
