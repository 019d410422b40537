//! Who may take the job's role, as IAM tells it.

use super::world::{ECR, Found, ROLE, World, checks, role_taken_by};
use crate::support::{BuildOnce, Lab, Response};

/// The check, of a run whose repository's registry is not there.
fn found(lab: &Lab, world: &World, change: impl FnOnce(BuildOnce<'_>) -> BuildOnce<'_>) -> Found {
    let program = lab.build_once().input("repository", ECR).env("HTTPS_PROXY", "http://127.0.0.1:9");
    checks(&change(world.serves(program)).run())["who may take the role"].clone()
}

#[test]
fn who_may_take_the_role() {
    let (lab, world) = (Lab::new(), World::start());
    for (subjects, verdict, says) in [
        (vec!["repo:o/r:ref:refs/heads/main", "repo:o/r:environment:release"], "ok", "certain jobs"),
        (vec![], "fail", "any repository on GitHub"),
        (vec!["repo:*"], "fail", "any repository on GitHub"),
        (vec!["repo:o/*"], "warn", "several repositories of o"),
        (
            vec!["repo:o/r:*"],
            "warn",
            "each branch or pull request of the repository, and the role may publish",
        ),
    ] {
        world.set("GetRole", role_taken_by(&subjects));
        let check = found(&lab, &world, |program| program);
        assert!(check.verdict == verdict && check.why.contains(says), "{subjects:?}: {check:?}");
    }
}

#[test]
fn a_role_that_only_pulls_may_be_taken_by_every_pull_request() {
    let (lab, world) = (Lab::new(), World::start());
    world.set("GetRole", role_taken_by(&["repo:o/r:*"]));
    world.allow(&["PutImage"]);
    let of = |world: &World| found(&lab, world, |program| program.pull_request(7));
    assert_eq!(of(&world).verdict, "ok");
    world.deny("SimulatePrincipalPolicy");
    let check = of(&world);
    assert!(
        check.verdict == "warn" && check.why.contains("not known whether the role may publish"),
        "{check:?}"
    );
}

#[test]
fn an_answer_that_is_none_is_not_ok() {
    let (lab, world) = (Lab::new(), World::start());
    for answer in [
        Response::new(200, "<GetRoleResponse/>"),
        Response::new(200, "<x><AssumeRolePolicyDocument>%7Bjunk</AssumeRolePolicyDocument></x>"),
        Response::new(500, ""),
        Response::new(404, "<ErrorResponse><Error><Code>NoSuchEntity</Code></Error></ErrorResponse>"),
    ] {
        world.set("GetRole", answer);
        let check = found(&lab, &world, |program| program.input("role-to-assume", ROLE));
        assert!(check.verdict == "warn" && check.why.contains("could not be checked"), "{check:?}");
    }
}

#[test]
fn a_role_that_is_too_wide_ends_the_run_with_20() {
    let (lab, world) = (Lab::new(), World::start());
    let run = |subject: &str| {
        world.set("GetRole", role_taken_by(&[subject]));
        let run = world.serves(lab.shared()).input("role-to-assume", ROLE).run();
        (checks(&run)["who may take the role"].verdict.clone(), run)
    };
    for (subject, wanted) in [("repo:o/r:ref:refs/heads/main", "ok"), ("repo:o/*", "warn")] {
        let (verdict, run) = run(subject);
        assert_eq!(verdict, wanted, "{}", run.all());
        assert_eq!(run.code, 0, "{}", run.all());
    }
    let (verdict, run) = run("repo:*");
    assert_eq!((verdict.as_str(), run.code), ("fail", 20), "{}", run.all());
}
