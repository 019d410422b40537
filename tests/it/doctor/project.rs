//! The settings of the GitHub repository.

use serde_json::json;

use super::world::{World, checks};
use crate::support::{Lab, Response};

fn verdict(lab: &Lab, world: &World, name: &str) -> (String, String, String) {
    let run = world.serves(lab.shared()).input("github-token", "canary-5ec2e7-github").run();
    let all = checks(&run);
    let check = all.get(name).unwrap_or_else(|| panic!("no check {name}: {all:?}"));
    (check.verdict.clone(), check.why.clone(), check.fix.clone())
}

#[test]
fn each_setting_in_turn() {
    let (lab, world) = (Lab::new(), World::start());
    let of = |name: &str, wanted: &str, says: &str| {
        let (verdict, why, fix) = verdict(&lab, &world, name);
        assert!(verdict == wanted && why.contains(says), "{name}: {verdict} {why} {fix}");
    };
    let json = |value: serde_json::Value| Response::new(200, value.to_string());
    of("protection of the default branch", "ok", "main is protected");
    of("branches in the trusted zone", "ok", "~DEFAULT_BRANCH");
    of("pull requests from forks", "ok", "waits for an approval");

    world.set("GET /repos/o/r/branches/main", json(json!({"name": "main", "protected": false})));
    of("protection of the default branch", "warn", "without a review");
    world.set(
        "GET /repos/o/r/rulesets/7",
        json(
            json!({"id": 7, "name": "all", "conditions": {"ref_name": {"include": ["~ALL"], "exclude": []}}}),
        ),
    );
    of("branches in the trusted zone", "warn", "covers every branch");

    world.set("GET /repos/o/r", json(json!({"default_branch": "main", "private": true})));
    let forks = |write: bool| {
        json(
            json!({"run_workflows_from_fork_pull_requests": true, "send_write_tokens_to_workflows": write, "send_secrets_and_variables": false}),
        )
    };
    let route = "GET /repos/o/r/actions/permissions/fork-pr-workflows-private-repos";
    world.set(route, forks(false));
    of("pull requests from forks", "ok", "without secrets");
    world.set(route, forks(true));
    of("pull requests from forks", "fail", "a token that may write");
}

#[test]
fn what_github_does_not_tell_is_not_known() {
    for (status, body) in [
        (403, "{\"message\":\"Resource not accessible\"}"),
        (404, "{}"),
        (500, ""),
        (200, "nonsense"),
        (0, ""),
    ] {
        let (lab, world) = (Lab::new(), World::start());
        world.set("GET /repos/o/r", Response::new(status, body));
        world.set("GET /repos/o/r/rulesets", Response::new(status, body));
        for name in
            ["protection of the default branch", "branches in the trusted zone", "pull requests from forks"]
        {
            let (verdict, why, fix) = verdict(&lab, &world, name);
            assert!(
                verdict == "warn" && why.contains("could not be checked") && !fix.is_empty(),
                "{status} {name}: {why}"
            );
        }
    }
    // A job's own token may not ask for this alone.
    let (lab, world) = (Lab::new(), World::start());
    let route = "GET /repos/o/r/actions/permissions/fork-pr-contributor-approval";
    world.set(route, Response::new(403, "{}"));
    let (verdict, why, fix) = verdict(&lab, &world, "pull requests from forks");
    assert!(
        verdict == "warn" && why.contains("could not be checked") && fix.contains("administration: read"),
        "{fix}"
    );
}
