//! What breaks while `prune` looks or removes: nothing that is needed goes, and the reason is told.

use serde_json::json;

use super::{pr_tag, prune};
use crate::support::github::GitHub;
use crate::support::{BuildOnce, Deletes, Lab, Login, Response};

fn filled() -> (Lab, GitHub) {
    let (lab, github) = (Lab::new(), GitHub::start());
    github.close(7, 3);
    lab.registry.deletes(Deletes::Tags);
    lab.registry.put("latest", Some("latest"));
    lab.registry.put("v1", Some("v1"));
    lab.registry.put(&pr_tag(7), Some("seven"));
    (lab, github)
}

fn apply<'a>(lab: &'a Lab, github: &GitHub) -> BuildOnce<'a> {
    prune(lab, github).input("apply", "true")
}

#[track_caller]
fn removes_nothing(lab: &Lab, program: BuildOnce<'_>, code: i32, says: &str) {
    let before = lab.registry.tags();
    let run = program.run();
    assert_eq!((run.code, run.output("outcome")), (code, "failed"), "{}", run.all());
    assert!(run.error().contains(says), "{says}: {}", run.error());
    assert_eq!(lab.registry.tags(), before);
}

fn message(status: u16, text: &str) -> Response {
    Response::new(status, json!({"message": text}).to_string())
}

#[test]
fn github_that_does_not_say_stops_everything() {
    for (answer, code, says) in [
        (message(500, "oops"), 30, "500"),
        (message(403, "Resource not accessible by integration"), 20, "pull-requests: read"),
        (message(401, "Bad credentials"), 20, "github-token"),
        (Response::new(200, "<html>"), 30, "failed to read what"),
        (Response::new(200, r#"[{"id": "x"}]"#), 30, "failed to read what"),
        (
            message(403, "API rate limit exceeded")
                .header("x-ratelimit-remaining", "0")
                .header("x-ratelimit-reset", "1800000000"),
            30,
            "1800000000",
        ),
        (
            message(429, "You have exceeded a secondary rate limit").header("retry-after", "600"),
            30,
            "secondary rate limit",
        ),
        (Response::cut(), 30, "failed to read /repos/o/r/pulls"),
    ] {
        let (lab, github) = filled();
        github.fault("/pulls", 99, answer);
        removes_nothing(&lab, apply(&lab, &github), code, says);
    }
}

#[test]
fn a_short_secondary_limit_is_waited_for() {
    let (lab, github) = filled();
    github.fault(
        "/pulls",
        1,
        message(403, "You have exceeded a secondary rate limit").header("retry-after", "1"),
    );
    let run = apply(&lab, &github).input("retries", "1").run();
    assert_eq!((run.code, run.output("removed")), (0, "1"), "{}", run.all());
}

#[test]
fn a_pull_request_that_is_not_known_keeps_its_names() {
    let (lab, github) = filled();
    lab.registry.put(&pr_tag(99), Some("nobody's"));
    // An unknown state.
    github.fault(
        "/pulls/7",
        99,
        Response::new(200, r#"{"number": 7, "state": "archived", "closed_at": null}"#),
    );
    let run = apply(&lab, &github).run();
    assert_eq!((run.code, run.output("outcome")), (0, "nothing"), "{}", run.all());
}

#[test]
fn pages_that_are_missing_are_asked_for_one_by_one() {
    let (lab, github) = filled();
    for number in 10..50 {
        github.close(number, 3);
        lab.registry.put(&pr_tag(number), Some(&number.to_string()));
    }
    // The list has none of them: it ends at once.
    github.fault("/pulls?state=closed", 99, Response::new(200, "[]"));
    let run = apply(&lab, &github).input("force", "true").run();
    assert_eq!((run.code, run.output("removed")), (0, "41"), "{}", run.all());
    github.check();
}

#[test]
fn a_list_of_branches_without_the_default_one_is_not_believed() {
    let (lab, github) = filled();
    lab.registry.put("br-fix-cache-rf9d832d9-app", Some("fix"));
    github.fault("/matching-refs/", 99, Response::new(200, "[]"));
    removes_nothing(&lab, apply(&lab, &github), 30, "is not believed");
}

#[test]
fn a_wrong_clock_stops_everything() {
    let (lab, github) = filled();
    github.date("Thu, 01 Jan 2015 00:00:00 GMT");
    removes_nothing(&lab, apply(&lab, &github), 20, "the clock of this machine differs from GitHub's");
}

/// Only trusted names are there, so GitHub is not asked.
#[test]
fn a_wrong_clock_is_seen_by_the_registrys_too() {
    let (lab, github) = (Lab::new(), GitHub::start());
    lab.registry.deletes(Deletes::Tags);
    lab.registry.put("latest", Some("latest"));
    lab.registry.put(&format!("queue-key-rf9d832d9-app-{}", super::KEY), Some("queue"));
    lab.registry.date("Thu, 01 Jan 2015 00:00:00 GMT");
    removes_nothing(&lab, apply(&lab, &github), 20, "the clock of this machine differs from the registry's");
    assert!(github.asked().is_empty(), "{:?}", github.asked());
    lab.registry.date("no date");
    let run = apply(&lab, &github).run();
    assert_eq!((run.code, run.output("outcome")), (0, "nothing"), "{}", run.all());
}

/// GitHub answers 404 for everything in a private repository that the token does not see.
#[test]
fn a_repository_that_the_token_does_not_see_is_told_of() {
    let (lab, github) = filled();
    github.fault("/repos/o/r", 99, message(404, "Not Found"));
    removes_nothing(&lab, apply(&lab, &github), 20, "GitHub does not show o/r to this token");
}

#[test]
fn lists_that_never_end_are_given_up() {
    let (lab, github) = filled();
    lab.registry.endless();
    removes_nothing(&lab, apply(&lab, &github), 30, "more than 100 pages");
    let pages = lab.registry.asked().iter().filter(|asked| asked.contains("/tags/list")).count();
    assert_eq!(pages, 100);
    let (lab, github) = filled();
    let seven = lab.registry.digest(&format!("ci/{}", pr_tag(7))).unwrap();
    lab.registry.store(&super::referrers::about(&seven, "signature"));
    lab.registry.list_referrers(0);
    removes_nothing(&lab, apply(&lab, &github), 30, "more than 20 pages");
}

#[test]
fn a_manifest_that_cannot_be_read_stops_everything() {
    for answer in [Response::new(500, ""), Response::new(200, "<html>"), Response::cut()] {
        let (lab, github) = filled();
        let digest = lab.registry.digest("ci/v1").unwrap();
        lab.registry.fault(&format!("/manifests/{digest}"), 99, answer);
        let before = lab.registry.tags();
        let run = apply(&lab, &github).run();
        assert!(run.code >= 30 && run.output("outcome") == "failed", "{}", run.all());
        assert_eq!(lab.registry.tags(), before);
    }
}

#[test]
fn a_registry_that_deletes_nothing_is_told_of() {
    let (lab, github) = filled();
    lab.registry.deletes(Deletes::Nothing);
    removes_nothing(&lab, apply(&lab, &github), 60, "switch deletion on in the registry");
}

#[test]
fn a_registry_that_refuses_the_right_is_told_of() {
    let (lab, github) = filled();
    lab.registry.fault_on("DELETE", "/manifests/", Response::error(403, "DENIED", "no"));
    removes_nothing(&lab, apply(&lab, &github), 20, "may delete in");
    let (lab, github) = filled();
    lab.registry.require(Login::Basic("ann", "secret"));
    removes_nothing(&lab, apply(&lab, &github), 20, "log in");
}

#[test]
fn tags_that_cannot_be_listed_stop_everything() {
    for (answer, code) in [
        (Response::new(500, ""), 30),
        (Response::new(200, "<html>"), 30),
        (Response::error(403, "DENIED", "no"), 20),
    ] {
        let (lab, github) = filled();
        lab.registry.fault("/tags/list", 99, answer);
        removes_nothing(&lab, apply(&lab, &github), code, "");
    }
    let (lab, github) = filled();
    let circle =
        Response::new(200, r#"{"tags":["a"]}"#).header("link", "</v2/ci/tags/list?n=1000>; rel=\"next\"");
    lab.registry.fault("/tags/list", 99, circle);
    removes_nothing(&lab, apply(&lab, &github), 30, "circle");
}

#[test]
fn a_pull_request_that_is_opened_again_meanwhile_keeps_its_names() {
    let (lab, github) = filled();
    // Closed when the plan is made, open when it is carried out.
    github.fault(
        "/pulls/7",
        1,
        Response::new(200, r#"{"number": 7, "state": "closed", "closed_at": "2020-01-01T00:00:00Z"}"#),
    );
    github.open(7);
    let run = apply(&lab, &github).run();
    assert_eq!((run.code, run.output("planned"), run.output("removed")), (0, "1", "0"), "{}", run.all());
    assert!(lab.registry.tags().contains(&pr_tag(7)));
}

#[test]
fn wrong_inputs_are_all_named() {
    let (lab, github) = filled();
    let program =
        apply(&lab, &github).input("unused", "soon").input("max-delete", "many").input("cache", "s3");
    let run = program.run();
    assert_eq!((run.code, run.output("failure-class")), (2, "input"), "{}", run.all());
    for name in ["unused", "max-delete", "s3"] {
        assert!(run.error().contains(name), "{}", run.error());
    }
    let run = prune(&lab, &github).args(&["prune", "--nonsense"]).run();
    assert_eq!((run.code, run.output("outcome")), (2, "failed"), "{}", run.all());
    let run = prune(&lab, &github).args(&["prune", "--github-token", "x"]).run();
    assert!(run.code == 2 && run.error().contains("process list"), "{}", run.all());
}
