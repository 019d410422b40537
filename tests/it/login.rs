//! Credentials: from where they are to whom they are for, and nowhere else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::{Aws, CANARY, Lab, Login};

const PASSWORD: &str = "canary-5ec2e7-password";

fn encoded() -> String {
    STANDARD.encode(format!("ann:{PASSWORD}"))
}

#[test]
fn a_named_login_serves_program_and_docker() {
    for login in [Login::Basic("ann", PASSWORD), Login::Bearer("ann", PASSWORD)] {
        let lab = Lab::new();
        lab.registry.require(login);
        let host = lab.registry.address().to_owned();
        lab.docker_config(&json!({"auths": {"other.example": {"auth": "b3RoZXI6b3RoZXI="}}, "credsStore": "absent", "proxies": {"default": {}}}));
        let program =
            || lab.shared().input("logins", &format!("{host} ann PASSWORD")).env("PASSWORD", PASSWORD);
        let run = program().run().succeeds("built");
        let build = run.build();
        assert_eq!(build.config["auths"], json!({&host: {"auth": encoded()}}), "only what this run needs");
        assert_eq!(build.config["proxies"], json!({"default": {}}));
        assert!(build.config.get("credsStore").is_none());
        assert!(build.env.get("PASSWORD").is_none(), "docker gets its password from the configuration");
        assert_eq!(run.commands("add-mask")[0].message, PASSWORD);
        let _ = program().run().succeeds("reused-tag");
    }
}

#[test]
fn the_users_docker_login_serves_too() {
    let lab = Lab::new();
    lab.registry.require(Login::Bearer("ann", PASSWORD));
    lab.docker_config(&json!({"auths": {lab.registry.address(): {"auth": encoded()}}}));
    let run = lab.shared().run().succeeds("built");
    assert!(run.commands("add-mask").iter().any(|mask| mask.message == PASSWORD));
    assert_eq!(run.build().config["auths"], json!({lab.registry.address(): {"auth": encoded()}}));
}

#[test]
fn one_token_for_all_questions() {
    let lab = Lab::new();
    lab.registry.require(Login::Bearer("ann", PASSWORD));
    lab.docker_config(&json!({"auths": {lab.registry.address(): {"auth": encoded()}}}));
    let program = || lab.shared().input("push", "false");
    let _ = program().run().succeeds("built-local");
    let tokens = lab.registry.asked().iter().filter(|asked| asked.contains("/token")).count();
    assert_eq!(tokens, 1, "{:?}", lab.registry.asked());
}

#[test]
fn a_login_without_its_variable_is_skipped() {
    let lab = Lab::new();
    let run = lab.shared().input("logins", "other.example ann UNSET").run().succeeds("built");
    assert!(run.stdout.contains("login for other.example skipped: UNSET is not set"), "{}", run.stdout);
}

#[test]
fn docker_gets_no_more_of_the_environment_than_it_needs() {
    let lab = Lab::new();
    let secrets = [
        "GITHUB_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "ACTIONS_RUNTIME_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "MY_SECRET",
        "INPUT_SECRETS",
    ];
    let mut program = lab
        .shared()
        .env("DOCKER_HOST", "unix:///x")
        .env("BUILDX_BUILDER", "b")
        .env("BUILDKIT_PROGRESS", "tty");
    for name in secrets {
        program = program.env(name, &format!("{}={CANARY}-{name}", "id"));
    }
    let run = program.run().succeeds("built");
    for call in &run.calls {
        for name in secrets {
            assert!(call.env.get(name).is_none(), "{name} reached `docker {}`", call.line());
        }
        let only_builds = call.line().starts_with("buildx build ");
        assert!(
            only_builds || !call.env.to_string().contains(CANARY),
            "a secret reached `docker {}`",
            call.line()
        );
        assert_eq!(call.env["DOCKER_HOST"], "unix:///x");
    }
}

#[test]
fn builders_are_found_under_the_users_configuration() {
    let lab = Lab::new();
    let run = lab.shared().run().succeeds("built");
    let build = run.build();
    // A build's own folder leads to the user's builders, and is gone with it (`docs/coherence.md`).
    let own = build.env["BUILDX_CONFIG"].as_str().unwrap();
    assert!(own.contains("build-once-docker-") && !std::path::Path::new(own).exists(), "{own}");
    let private = build.env["DOCKER_CONFIG"].as_str().unwrap();
    assert!(private.contains("build-once-docker-"), "{private}");
    assert!(!std::path::Path::new(private).exists());
}

#[test]
fn a_credential_helper_is_asked() {
    use std::os::unix::fs::PermissionsExt as _;
    let lab = Lab::new();
    lab.registry.require(Login::Basic("ann", PASSWORD));
    let host = lab.registry.address();
    let helper = format!(
        "#!/bin/sh\nread -r host\n[ \"$1 $host\" = 'get {host}' ] && echo '{{\"Username\":\"ann\",\"Secret\":\"{PASSWORD}\"}}'\n"
    );
    lab.write("bin/docker-credential-stub", helper);
    let program = lab.path("bin/docker-credential-stub");
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
    lab.docker_config(&json!({"credHelpers": {host: "stub"}}));
    let run = lab.shared().run().succeeds("built");
    assert!(run.commands("add-mask").iter().any(|mask| mask.message == PASSWORD));
    assert_eq!(run.build().config["auths"], json!({host: {"auth": encoded()}}));
}

/// Nothing is asked about a base that has its digest, so its login is found for the build alone.
#[test]
fn a_base_with_its_digest_has_its_login() {
    let lab = Lab::new();
    let digest = format!("sha256:{}", "a".repeat(64));
    lab.write("work/Dockerfile", format!("FROM private.example/base@{digest}\nCOPY hello /\n"));
    lab.docker_config(
        &json!({"auths": {"private.example": {"auth": encoded()}, "other.example": {"auth": encoded()}}}),
    );
    let run = lab.shared().input("key", "context").run().succeeds("built");
    assert_eq!(run.build().config["auths"], json!({"private.example": {"auth": encoded()}}));
}

/// A login that stands in for the token which ECR does not give is a secret, too.
#[test]
fn a_login_in_place_of_ecrs_token_is_masked() {
    let lab = Lab::new();
    let aws = Aws::start("");
    aws.deny_token();
    let host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    lab.docker_config(&json!({"auths": {host: {"auth": encoded()}}}));
    let program = lab.build_once().input("repository", &format!("{host}/ci"));
    let run = aws.serves(program).env("HTTPS_PROXY", "http://127.0.0.1:9").run();
    assert!(run.commands("add-mask").iter().any(|mask| mask.message == PASSWORD), "{}", run.stdout);
}
