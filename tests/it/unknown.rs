//! A registry that does not say: never read as absent, never as present.

use crate::support::{Aws, CANARY, HEAD, Lab, Login, Response, Run};

/// Built for this machine, published nowhere, one warning that says why.
#[track_caller]
fn built_here(lab: &Lab, run: Run, why: &str) -> Run {
    let run = run.succeeds("built-local").degraded();
    let warning = &run.commands("warning")[0].message;
    assert!(warning.contains("the registry cannot be used") && warning.contains(why), "{warning}");
    assert!(!run.line_has_push() && run.build().has("--load"), "{}", run.build().line());
    assert!(run.build().values("--cache-from").is_empty() && run.build().values("--cache-to").is_empty());
    assert_eq!((run.output("digest"), run.output("tag"), run.output("image")), ("", "", ""));
    assert_eq!(lab.registry.tags(), [""; 0]);
    run
}

#[test]
fn its_own_faults_mean_this_machine_alone() {
    for (answer, why) in [
        (Response::new(500, ""), "answered 500"),
        (Response::new(503, "<html>busy</html>"), "answered 503"),
        (Response::new(429, "").header("retry-after", "0"), "answered 429"),
        (Response::cut(), "failed to ask"),
        (Response::new(200, "<html>log in to the hotel's network</html>"), "failed to read the manifest"),
        (Response::error(403, "DENIED", "no"), "answered 403"),
        (Response::new(301, ""), "answered 301"),
    ] {
        let lab = Lab::new();
        lab.registry.fault("/manifests/", 99, answer.clone());
        built_here(&lab, lab.shared().run(), why);
        // The same machine finds it again, and says the same.
        lab.forget_calls();
        let again = lab.shared().run().succeeds("reused-local").degraded();
        assert!(again.called("buildx build").is_empty());
        // Whoever asked for more gets a failure.
        let code = if why.contains("403") { (20, "access") } else { (30, "unavailable") };
        let run = lab.shared().input("registry-policy", "required").run().fails(code.0, code.1);
        assert!(run.error().contains(why), "{}", run.error());
    }
}

#[test]
fn nobody_answers() {
    let lab = Lab::new();
    let program = || lab.build_once().input("repository", "127.0.0.1:9/ci");
    built_here(&lab, program().run(), "failed to ask 127.0.0.1:9");
    let run = program().input("registry-policy", "required").run().fails(30, "unavailable");
    assert!(run.error().contains("check that the registry is up"), "{}", run.error());
}

#[test]
fn a_key_tag_that_is_unknown_is_not_absent() {
    let lab = Lab::new();
    lab.registry.fault("/manifests/key-", 99, Response::new(500, ""));
    built_here(&lab, lab.shared().run(), "answered 500");
}

#[test]
fn retries_end() {
    let lab = Lab::new();
    lab.registry.fault("/manifests/", 99, Response::new(502, ""));
    built_here(&lab, lab.shared().input("retries", "2").run(), "answered 502");
    assert_eq!(lab.registry.asked().len(), 3, "one question, two more tries: {:?}", lab.registry.asked());
}

#[test]
fn no_login_is_not_absence() {
    let lab = Lab::new();
    lab.registry.require(Login::Basic("ann", "secret"));
    built_here(&lab, lab.shared().run(), "asks for a login and there is none");
    let run = lab.shared().input("registry-policy", "required").run().fails(20, "access");
    assert!(run.error().contains("docker/login-action"), "{}", run.error());
}

#[test]
fn a_wrong_login_is_not_absence() {
    let lab = Lab::new();
    let password = format!("{CANARY}-wrong");
    let logins = format!("{} ann PASSWORD", lab.registry.address());
    for login in [Login::Basic("ann", "right"), Login::Bearer("ann", "right")] {
        lab.registry.require(login);
        lab.another_machine();
        let run = lab.shared().input("logins", &logins).env("PASSWORD", &password).run();
        built_here(&lab, run, "answered 401");
    }
}

#[test]
fn other_bytes_than_the_digest_says() {
    let lab = Lab::new();
    let lie = format!("sha256:{}", "a".repeat(64));
    let manifest = || {
        lab.registry.put("x", None);
        lab.registry.manifest("ci/x").unwrap().to_string()
    };
    let answer = Response::new(200, manifest()).header("docker-content-digest", &lie);
    lab.registry.fault("/manifests/sha-", 1, answer);
    let run = lab.shared().run().fails(40, "integrity");
    assert!(run.error().contains("the registry sent wrong content"), "{}", run.error());
    assert!(run.called("buildx build").is_empty(), "integrity is no reason to make do");
}

#[test]
fn a_configuration_that_is_not_its_digest() {
    let lab = Lab::new();
    lab.registry.put(&format!("sha-rf9d832d9-app-{HEAD}"), None);
    lab.registry.fault(
        "/blobs/",
        1,
        Response::new(200, r#"{"config":{"Labels":{"io.github.build-once.key":"x"}}}"#),
    );
    let run = lab.shared().run().fails(40, "integrity");
    assert!(run.error().contains("the registry sent wrong content"), "{}", run.error());
}

#[test]
fn a_repository_that_comes_with_its_first_push() {
    let lab = Lab::new();
    lab.registry.without_repository();
    // A fork's run does not write.
    let _ = lab.shared().fork().run().succeeds("built-local");
    lab.another_machine();
    let _ = lab.shared().run().succeeds("built");
    let _ = lab.shared().run().succeeds("reused-tag");
}

#[test]
fn ecr_denies_the_token() {
    let lab = Lab::new();
    let aws = Aws::start("");
    aws.deny_token();
    let program = || {
        let program = lab.build_once().input("repository", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ci");
        // Nothing may leave this machine.
        aws.serves(program).env("HTTPS_PROXY", "http://127.0.0.1:9")
    };
    let run = program().run().succeeds("built-local").degraded();
    assert!(run.commands("warning")[0].message.contains("failed to get a registry token from ECR"));
    let run = program().input("registry-policy", "required").run().fails(20, "access");
    assert!(run.error().contains("allow ecr:GetAuthorizationToken on * for this role"), "{}", run.error());
    assert!(run.error().contains("AccessDeniedException said by the stub"), "{}", run.error());
}

#[test]
fn ecr_without_credentials() {
    let lab = Lab::new();
    let program = lab.build_once().input("repository", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ci");
    let program = program.env("HTTPS_PROXY", "http://127.0.0.1:9").input("registry-policy", "required");
    let run = program.run().fails(20, "access");
    assert!(run.error().contains("give the job AWS credentials"), "{}", run.error());
}

#[test]
fn ecrs_token_is_masked_before_it_is_used() {
    let lab = Lab::new();
    let aws = Aws::start("");
    let proxy = crate::support::Server::start(|_| Response::new(502, ""));
    let program = lab.build_once().input("repository", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ci");
    let run = aws.serves(program).env("HTTPS_PROXY", &format!("http://{}", proxy.address)).run();
    let run = run.succeeds("built-local").degraded();
    assert_eq!(run.commands("add-mask")[0].message, format!("{CANARY}-ecr"));
    assert_eq!(proxy.requests()[0].target, "123456789012.dkr.ecr.eu-west-1.amazonaws.com:443");
    assert!(aws.asked().iter().any(|asked| asked.starts_with("GetAuthorizationToken")), "{:?}", aws.asked());
}
