//! What breaks while doctor looks: it says so, within its time, and never says ok of what it did not see.

use std::time::{Duration, Instant};

use super::world::{ECR, Found, ROLE, World, checks, refused};
use crate::support::{BuildOnce, Lab, Response, Run, Server, refusal, tls_front};

/// Longer than doctor ever takes by itself, and far shorter than what hangs.
const SOON: Duration = Duration::from_mins(1);

fn run(program: BuildOnce<'_>) -> Run {
    let start = Instant::now();
    let run = program.run();
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    run
}

/// None of these checks is ok, and the exit code is that of the failures among all.
fn none_is_ok(run: &Run, names: &[&str]) -> Vec<Found> {
    let all = checks(run);
    let failed = all.values().any(|check| check.verdict == "fail");
    assert_eq!(failed, run.code != 0, "{}", run.all());
    let found = names.iter().map(|name| all.get(*name).unwrap_or_else(|| panic!("no check {name}: {all:?}")));
    let found: Vec<Found> = found.cloned().collect();
    for (name, check) in names.iter().zip(&found) {
        assert_ne!(check.verdict, "ok", "{name}: {check:?}");
    }
    found
}

fn cloud<'a>(lab: &'a Lab, world: &World) -> BuildOnce<'a> {
    let program = lab.build_once().input("repository", ECR).env("HTTPS_PROXY", "http://127.0.0.1:9");
    world.serves(program).input("role-to-assume", ROLE)
}

const OF_AWS: [&str; 6] = [
    "AWS credentials",
    "OIDC trust policy",
    "who may take the role",
    "mutability of ci",
    "lifecycle of ci",
    "encryption of ci",
];

#[test]
fn a_registry_that_hangs() {
    let (lab, world) = (Lab::new(), World::start());
    lab.registry.fault("/", usize::MAX, Response::hang());
    let tag = format!("{}:v1", lab.registry.repository());
    let run = run(world.serves(lab.shared()).input("tags", &tag));
    let found = none_is_ok(&run, &["registry of ci", &format!("tag {tag}"), "cache registry"]);
    assert!(found[0].why.contains("no answer within 4 s"), "{found:?}");
    assert_eq!(run.code, 0, "what is not known is no failure: {}", run.all());
}

#[test]
fn a_registry_whose_certificate_nothing_trusts() {
    let (lab, world) = (Lab::new(), World::start());
    let front = tls_front::start(lab.registry.address(), "ecr.crt", "ecr.key");
    let program = lab.build_once().input("repository", "registry.test/ci");
    let run = run(world
        .serves(program)
        .env("HTTPS_PROXY", &format!("http://{front}"))
        .env("NO_PROXY", "127.0.0.1"));
    let found = none_is_ok(&run, &["registry of ci"]);
    assert!(found[0].verdict == "fail" && found[0].fix.contains("certificate"), "{found:?}");
    assert_eq!(run.code, 20, "{}", run.all());
}

#[test]
fn aws_denies_everything() {
    let (lab, world) = (Lab::new(), World::start());
    for call in ["GetCallerIdentity", "SimulatePrincipalPolicy", "AssumeRoleWithWebIdentity", "GetRole"] {
        world.set(call, refused("AccessDenied"));
    }
    for call in [
        "GetAuthorizationToken",
        "DescribeRepositories",
        "GetLifecyclePolicy",
        "GetRegistryScanningConfiguration",
        "GetAccountSetting",
    ] {
        world.set(call, refusal("AccessDeniedException"));
    }
    let run = run(cloud(&lab, &world));
    none_is_ok(&run, &OF_AWS);
    none_is_ok(&run, &["rights", "registry of ci", "scanning of ci"]);
    assert_eq!(run.code, 20, "{}", run.all());
}

#[test]
fn aws_that_hangs() {
    let (lab, world) = (Lab::new(), World::start());
    let silent = Server::start(|_| Response::hang());
    let url = format!("http://{}", silent.address);
    let run = run(cloud(&lab, &world).env("AWS_ENDPOINT_URL", &url));
    let found = none_is_ok(&run, &OF_AWS);
    assert!(found.iter().all(|check| check.why.contains("could not be checked")), "{found:?}");
    none_is_ok(&run, &["rights", "scanning of ci"]);
}

const OF_GITHUB: [&str; 3] =
    ["protection of the default branch", "branches in the trusted zone", "pull requests from forks"];

#[test]
fn github_that_limits_or_hangs() {
    let limited = |status| {
        Response::new(status, r#"{"message":"You have exceeded a secondary rate limit"}"#)
            .header("retry-after", "3600")
            .header("x-ratelimit-remaining", "0")
    };
    for answer in [limited(403), limited(429), Response::hang()] {
        let (lab, world) = (Lab::new(), World::start());
        let github = Server::start(move |_| answer.clone());
        let url = format!("http://{}", github.address);
        let program = world.serves(lab.shared()).input("github-token", "canary-5ec2e7-github");
        let run = run(program.env("GITHUB_API_URL", &url));
        let found = none_is_ok(&run, &OF_GITHUB);
        assert!(found.iter().all(|check| check.why.contains("could not be checked")), "{found:?}");
        assert_eq!(run.code, 0, "{}", run.all());
    }
}

/// Docker is absent, and its plugin, and nothing else answers.
#[test]
fn nothing_answers_at_all() {
    let (lab, world) = (Lab::new(), World::start());
    lab.without_docker();
    let nowhere = "http://127.0.0.1:9";
    let program = lab.build_once().input("repository", "127.0.0.1:9/ci");
    let program =
        world.serves(program).env("GITHUB_API_URL", nowhere).env("BUILD_ONCE_DOWNLOAD_URL", nowhere);
    let run = run(program.input("retries", "0"));
    none_is_ok(&run, &["docker", "buildx", "builder", "registry of ci", "download of the program", "clock"]);
    assert_eq!(run.code, 60, "{}", run.all());
}
