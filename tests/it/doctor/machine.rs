//! The machine, the registry and the caches.

use serde_json::json;

use super::world::{World, checks};
use crate::support::{BuildOnce, EngineSocket, Lab, Login, Manner, Response, Run};

fn doctor<'a>(lab: &'a Lab, world: &World) -> BuildOnce<'a> {
    world.serves(lab.shared())
}

/// The verdict of one check.
fn verdict(run: &Run, name: &str) -> String {
    let checks = checks(run);
    checks.get(name).unwrap_or_else(|| panic!("no check {name}: {checks:?}")).verdict.clone()
}

/// Breaks something of the machine.
type Break = fn(&Lab);

/// A machine, a registry and a job that are as they should be; every question is a read.
#[test]
fn nothing_is_wrong_and_nothing_is_written() {
    let (lab, world) = (Lab::new(), World::start());
    let run = doctor(&lab, &world).run();
    let all = checks(&run);
    let failed: Vec<_> = all.iter().filter(|(_, check)| check.verdict == "fail").collect();
    assert!(run.code == 0 && failed.is_empty(), "{failed:?}\n{}", run.all());
    for name in
        ["docker", "buildx", "BuildKit", "builder", "image store", "repository", "registry of ci", "proxies"]
    {
        assert_eq!(all[name].verdict, "ok", "{name}: {:?}", all[name]);
    }
    for request in lab.registry.program_requests() {
        assert!(["GET", "HEAD"].contains(&request.method.as_str()), "{} {}", request.method, request.target);
    }
    for call in &run.calls {
        let reads = ["info", "buildx version", "buildx inspect", "system df"];
        assert!(reads.iter().any(|read| call.line().starts_with(read)), "docker {}", call.line());
    }
    for asked in world.asked() {
        assert!(asked.starts_with("GET ") || asked.starts_with("HEAD "), "{asked}");
    }
    // The table on the console, in the summary and as JSON say the same.
    assert!(run.stdout.contains("docker 28.5.1") && run.summary.contains("docker 28.5.1"), "{}", run.all());
    assert_eq!(run.output("verdict"), "warn");
    let json = doctor(&lab, &world).args(&["doctor", "--json"]).run();
    let printed: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(printed["checks"].as_array().unwrap().len(), all.len());
}

#[test]
fn each_tool_that_is_wrong() {
    let rows: [(&str, Break, &str, i32); 8] = [
        ("docker", Lab::without_docker, "fail", 60),
        (
            "docker",
            |lab| {
                lab.rule("info", json!({"stdout": r#"{"ServerErrors":["Cannot connect to the Docker daemon"]}"#, "exit": 1}));
            },
            "fail",
            60,
        ),
        ("buildx", |lab| lab.set("buildx", "v0.9.1"), "fail", 60),
        ("buildx", |lab| lab.set("buildx", "v0.12.1"), "warn", 0),
        ("BuildKit", |lab| lab.set("buildkit", "v0.11.6"), "warn", 0),
        ("image store", |lab| lab.set("containerd", false), "warn", 0),
        (
            "builder",
            |lab| lab.rule("buildx inspect", json!({"stderr": "ERROR: no builder \"x\" found\n", "exit": 1})),
            "fail",
            60,
        ),
        (
            "engine's images and caches",
            |lab| lab.rule("system df", json!({"stderr": "no\n", "exit": 1})),
            "warn",
            0,
        ),
    ];
    for (name, change, wanted, code) in rows {
        let (lab, world) = (Lab::new(), World::start());
        change(&lab);
        let run = doctor(&lab, &world).run();
        assert_eq!((verdict(&run, name).as_str(), run.code), (wanted, code), "{name}\n{}", run.all());
    }
}

/// Docker's commands fail, and the engine's socket answers: a CLI that is too old for the engine.
#[test]
fn a_cli_that_does_not_reach_the_engine_is_found() {
    let (lab, world) = (Lab::new(), World::start());
    let engine = EngineSocket::start(&lab, Manner::Right);
    let old = "client version 1.38 is too old. Minimum supported API version is 1.44";
    lab.rule("info", json!({"stdout": json!({"ServerErrors": [old]}).to_string(), "exit": 1}));
    let run = doctor(&lab, &world).env("DOCKER_HOST", &engine.host()).run();
    let check = &checks(&run)["docker"];
    assert!(check.verdict == "fail" && check.why.contains(old), "{check:?}");
    assert!(run.code == 60 && engine.asked().is_empty(), "{:?}", engine.asked());
}

#[test]
fn a_tool_that_hangs_is_not_known() {
    let (lab, world) = (Lab::new(), World::start());
    lab.rule("info", json!({"hang": true}));
    let run = doctor(&lab, &world).run();
    let check = &checks(&run)["docker"];
    assert!(check.verdict == "warn" && check.why.contains("could not be checked"), "{check:?}");
    assert_eq!(run.code, 0, "{}", run.all());
}

#[test]
fn each_answer_of_the_registry() {
    let rows: [(Break, &str, &str); 5] = [
        (|lab| lab.registry.without_repository(), "fail", "the repository does not exist"),
        (|lab| lab.registry.require(Login::Basic("ann", "canary-5ec2e7-basic")), "fail", "asks for a login"),
        (|lab| lab.registry.fault("/manifests/", 9, Response::error(403, "DENIED", "no")), "fail", "403"),
        (
            |lab| lab.registry.fault("/manifests/", 9, Response::error(503, "UNAVAILABLE", "down")),
            "fail",
            "503",
        ),
        (|lab| lab.registry.fault("/manifests/", 9, Response::cut()), "fail", "failed"),
    ];
    for (change, wanted, says) in rows {
        let (lab, world) = (Lab::new(), World::start());
        change(&lab);
        let run = doctor(&lab, &world).run();
        let check = &checks(&run)["registry of ci"];
        assert!(check.verdict == wanted && check.why.contains(says), "{check:?}");
        assert_eq!(run.code, 20, "{}", run.all());
        // The same of a fork's run, which has no secrets.
        let run = doctor(&lab, &world).fork().run();
        assert!(["warn", "fail"].contains(&verdict(&run, "registry of ci").as_str()));
    }
}

#[test]
fn an_upload_is_begun_only_where_it_is_asked_for() {
    let (lab, world) = (Lab::new(), World::start());
    lab.registry.let_push();
    let probe = |program: BuildOnce<'_>| program.input("upload-probe", "true").run();
    assert_eq!(verdict(&probe(doctor(&lab, &world)), "upload to ci"), "ok");
    let written: Vec<_> = lab
        .registry
        .program_requests()
        .into_iter()
        .filter(|request| !["GET", "HEAD"].contains(&request.method.as_str()))
        .collect();
    let written: Vec<_> = written.iter().map(|request| request.method.as_str()).collect();
    assert_eq!(written, ["POST", "DELETE"], "begun, and given up");
    // A fork's run whose login may push.
    let run = probe(doctor(&lab, &world).fork());
    assert_eq!((verdict(&run, "upload to ci").as_str(), run.code), ("fail", 20), "{}", run.all());
}

#[test]
fn where_the_repository_is_named() {
    let lab = Lab::new();
    let world = World::start();
    let here = lab.registry.repository();
    let named = |variable: &str| world.serves(lab.build_once().env(variable, &here)).run();
    for variable in ["BUILD_ONCE_REPOSITORY", "ECR_CACHE_URL"] {
        let check = &checks(&named(variable))["repository"];
        assert!(check.verdict == "ok" && check.why.contains(&format!("from the {variable}")), "{check:?}");
    }
    let run = world.serves(lab.build_once()).run();
    let check = &checks(&run)["repository"];
    assert!(check.verdict == "warn" && check.why.contains("stay on this machine"), "{check:?}");
    let run = world.serves(lab.build_once().env("ECR_CACHE_URL", "https://not a repository")).run();
    assert_eq!((verdict(&run, "repository").as_str(), run.code), ("fail", 20), "{}", run.all());
}

#[test]
fn layer_caches_and_tags() {
    let (lab, world) = (Lab::new(), World::start());
    let tag = format!("{}:v1", lab.registry.repository());
    let run = doctor(&lab, &world).input("tags", &tag).run();
    let all = checks(&run);
    assert_eq!(all["cache registry"].verdict, "warn", "{:?}", all["cache registry"]);
    assert!(all[&format!("tag {tag}")].why.contains("not there"));
    let _ = lab.shared().input("tags", &tag).run().succeeds("built");
    lab.registry.put("cache-rf9d832d9-app-main", None);
    let run = doctor(&lab, &world).input("tags", &tag).run();
    let all = checks(&run);
    assert_eq!(
        (all["cache registry"].verdict.as_str(), all[&format!("tag {tag}")].verdict.as_str()),
        ("ok", "ok")
    );

    let gha = |program: BuildOnce<'_>| program.input("cache", "gha").run();
    let run = gha(doctor(&lab, &world));
    assert_eq!((verdict(&run, "cache gha").as_str(), run.code), ("fail", 20));
    let address = format!("{}/cache", world.address());
    let with = || {
        doctor(&lab, &world)
            .env("ACTIONS_RESULTS_URL", &address)
            .env("ACTIONS_RUNTIME_TOKEN", "canary-5ec2e7-gha")
    };
    assert_eq!(verdict(&gha(with()), "cache gha"), "ok");
    assert_eq!(verdict(&gha(with().env("ACTIONS_CACHE_MODE", "read")), "cache gha"), "warn");
    let gone = with().env("ACTIONS_RESULTS_URL", "http://127.0.0.1:9/");
    assert_eq!(verdict(&gha(gone), "cache gha"), "fail");

    let local = |folder: &str| doctor(&lab, &world).input("cache", "local").input("cache-dir", folder).run();
    assert_eq!(verdict(&local(&lab.path("temp").display().to_string()), "cache local"), "ok");
    assert_eq!(verdict(&local(&lab.path("work/hello").display().to_string()), "cache local"), "fail");
    let s3 = |endpoint: &str| {
        let cache = format!("s3,bucket=b,region=us-east-1,endpoint_url={endpoint}");
        doctor(&lab, &world).input("cache", &cache).run()
    };
    world.set("HEAD /b", Response::new(403, ""));
    assert_eq!(verdict(&s3(&world.address()), "cache s3"), "ok");
    world.set("HEAD /b", Response::new(404, ""));
    assert_eq!(verdict(&s3(&world.address()), "cache s3"), "fail");
    assert_eq!(verdict(&s3("http://127.0.0.1:9"), "cache s3"), "fail");
}

#[test]
fn the_network() {
    let (lab, world) = (Lab::new(), World::start());
    let skewed = |date: &str| {
        world.set("HEAD /release", Response::new(200, "").header("date", date));
        verdict(&doctor(&lab, &world).run(), "clock")
    };
    assert_eq!(skewed("Thu, 01 Jan 2026 00:00:00 GMT"), "fail");
    assert_eq!(skewed("nonsense"), "warn");
    world.set("HEAD /release", Response::new(404, ""));
    assert_eq!(verdict(&doctor(&lab, &world).run(), "download of the program"), "warn");
    let own = doctor(&lab, &world).env("BUILD_ONCE_BIN", "/usr/bin/build-once").run();
    assert_eq!(verdict(&own, "download of the program"), "ok");
    let twice = doctor(&lab, &world).env("NO_PROXY", "a").env("no_proxy", "b").run();
    assert_eq!(verdict(&twice, "proxies"), "warn");
}

#[test]
fn a_hostile_answer_forges_nothing() {
    let (lab, world) = (Lab::new(), World::start());
    let evil = "::error::forged\n##[group]x\n| forged | <img src=x> @ann \u{1b}[31m";
    lab.set("driver", evil);
    lab.registry.fault("/manifests/", 9, Response::error(403, "DENIED", evil));
    let run = doctor(&lab, &world).run();
    assert_eq!(run.code, 20, "{}", run.all());
    assert!(!run.summary.contains("<img") && !run.summary.contains("@ann"), "{}", run.summary);
    let rows =
        run.summary.lines().filter(|line| line.starts_with('|')).all(|row| row.matches('|').count() == 5);
    assert!(rows, "{}", run.summary);
    let forged = run.commands("error").iter().any(|command| command.message == "forged");
    assert!(!forged && !run.stdout.contains('\u{1b}'), "{}", run.stdout);
}

#[test]
fn bad_inputs_are_named() {
    let (lab, world) = (Lab::new(), World::start());
    let run = doctor(&lab, &world).input("upload-probe", "maybe").run();
    assert_eq!((run.code, run.output("verdict")), (2, "fail"), "{}", run.all());
    assert!(run.commands("error")[0].message.contains("upload-probe"), "{}", run.stdout);
    let run = doctor(&lab, &world).args(&["doctor", "--nonsense"]).run();
    assert_eq!(run.code, 2, "{}", run.all());
}
