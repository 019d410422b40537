//! Every kind of event, as GitHub writes it: the zone, the reason, and what the run may read and
//! write by name.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::{Lab, scrub};

/// File, event, ref, protected; zone and why.
const EVENTS: [(&str, &str, &str, bool, &str, &str); 26] = [
    ("push-default", "push", "refs/heads/main", false, "trusted", "push on the default branch"),
    ("push-protected", "push", "refs/heads/release/1", true, "trusted", "push on a protected branch"),
    ("push-branch", "push", "refs/heads/fix/it", false, "pr", "push on a branch without protection"),
    ("push-tag", "push", "refs/tags/v1", false, "trusted", "push of a tag"),
    ("push-deleted", "push", "refs/heads/main", true, "fork", "push that deleted refs/heads/main"),
    (
        "push-dependabot",
        "push",
        "refs/heads/dependabot/npm_and_yarn/left-pad-2",
        false,
        "fork",
        "push of Dependabot's",
    ),
    (
        "push-queue",
        "push",
        "refs/heads/gh-readonly-queue/main/pr-12-3333333333333333333333333333333333333333",
        true,
        "queue",
        "the merge queue",
    ),
    (
        "pull-request",
        "pull_request",
        "refs/pull/12/merge",
        false,
        "pr",
        "pull request 12 of the same repository",
    ),
    ("pull-request-fork", "pull_request", "refs/pull/12/merge", false, "fork", "a pull request from a fork"),
    (
        "pull-request-deleted-fork",
        "pull_request",
        "refs/pull/12/merge",
        false,
        "fork",
        "a pull request from a fork",
    ),
    (
        "pull-request-dependabot",
        "pull_request",
        "refs/pull/12/merge",
        false,
        "fork",
        "a pull request by Dependabot",
    ),
    (
        "pull-request-dependabot-by-maintainer",
        "pull_request",
        "refs/pull/12/merge",
        false,
        "fork",
        "a pull request by Dependabot",
    ),
    (
        "pull-request-fork-reopened-by-maintainer",
        "pull_request",
        "refs/pull/12/merge",
        false,
        "fork",
        "a pull request from a fork",
    ),
    (
        "pull-request-merged",
        "pull_request",
        "refs/heads/main",
        true,
        "pr",
        "pull request 12 of the same repository",
    ),
    (
        "merge-group",
        "merge_group",
        "refs/heads/gh-readonly-queue/main/pr-12-3333333333333333333333333333333333333333",
        true,
        "queue",
        "the merge queue",
    ),
    (
        "workflow-run-fork",
        "workflow_run",
        "refs/heads/main",
        true,
        "fork",
        "event workflow_run has the lowest trust",
    ),
    (
        "workflow-run-push",
        "workflow_run",
        "refs/heads/main",
        true,
        "fork",
        "event workflow_run has the lowest trust",
    ),
    (
        "issue-comment",
        "issue_comment",
        "refs/heads/main",
        true,
        "fork",
        "event issue_comment has the lowest trust",
    ),
    ("schedule", "schedule", "refs/heads/main", true, "trusted", "schedule on the default branch"),
    (
        "workflow-dispatch",
        "workflow_dispatch",
        "refs/heads/main",
        false,
        "trusted",
        "workflow_dispatch on the default branch",
    ),
    (
        "workflow-dispatch-branch",
        "workflow_dispatch",
        "refs/heads/fix/it",
        false,
        "pr",
        "workflow_dispatch on a branch without protection",
    ),
    (
        "repository-dispatch",
        "repository_dispatch",
        "refs/heads/main",
        false,
        "trusted",
        "repository_dispatch on the default branch",
    ),
    ("release", "release", "refs/tags/v1", false, "trusted", "release of a tag"),
    ("delete", "delete", "refs/heads/main", true, "fork", "event delete has the lowest trust"),
    ("check-run", "check_run", "refs/heads/main", true, "fork", "event check_run has the lowest trust"),
    ("push-default", "made_up", "refs/heads/main", true, "fork", "event made_up has the lowest trust"),
];

fn plan(lab: &Lab, (file, event, git_ref, protected, ..): (&str, &str, &str, bool, &str, &str)) -> Value {
    let program = lab.shared().fixture(event, git_ref, file, |_| {}).input("cache-write", "always");
    let program = program.env("GITHUB_REF_PROTECTED", if protected { "true" } else { "false" });
    let run = program.input("pr-repository", &format!("{}/pr", lab.registry.repository()));
    let run = run.args(&["plan", "--json"]).run();
    assert_eq!(run.code, 0, "{file}: {}", run.all());
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn every_event_has_its_zone_and_its_names() {
    let lab = Lab::new();
    let mut table = String::new();
    for row in EVENTS {
        let (file, event, _, _, zone, why) = row;
        let plan = plan(&lab, row);
        let run = &plan["run"];
        assert_eq!((run["zone"].as_str(), run["zone_reason"].as_str()), (Some(zone), Some(why)), "{file}");
        writeln!(table, "{file} ({event}): {zone}, {why}").unwrap();
        for (name, list) in plan["images"][0]["names"].as_object().unwrap() {
            let list = if list.is_array() { list.as_array().unwrap().clone() } else { vec![list.clone()] };
            for reference in list.iter().filter_map(Value::as_str) {
                writeln!(table, "  {} {reference}", name.replace('_', " ")).unwrap();
            }
        }
    }
    insta::assert_snapshot!(scrub(&lab, &table));
}

#[test]
fn no_event_reads_what_one_of_less_trust_writes() {
    let lab = Lab::new();
    let rank =
        |zone: &str| ["fork", "pr", "queue", "trusted"].iter().position(|known| *known == zone).unwrap();
    let plans: Vec<_> = EVENTS.iter().map(|row| (row, plan(&lab, *row))).collect();
    for (writer, wrote) in &plans {
        let written = wrote["images"][0]["names"]["writes_images"].as_array().unwrap().iter();
        let written: Vec<_> = written
            .chain([&wrote["images"][0]["names"]["writes_cache"]])
            .filter(|name| name.is_string())
            .collect();
        assert!(writer.4 != "fork" || written.is_empty(), "{}", writer.0);
        for (reader, read) in plans.iter().filter(|(reader, _)| rank(reader.4) > rank(writer.4)) {
            for list in ["reads_images", "reads_caches"] {
                for name in read["images"][0]["names"][list].as_array().unwrap() {
                    assert!(!written.contains(&name), "{} reads {name} of {}", reader.0, writer.0);
                }
            }
        }
    }
}

#[test]
fn pull_request_target_has_no_plan() {
    let lab = Lab::new();
    let program =
        lab.shared().fixture("pull_request_target", "refs/heads/main", "pull-request-target", |_| {});
    let run = program.args(&["plan"]).run();
    assert_eq!(run.code, 60, "{}", run.all());
    assert!(run.stderr.contains("refused to build in a pull_request_target run"), "{}", run.stderr);
}

#[test]
fn the_plan_says_what_may_be_read_and_written() {
    let lab = Lab::new();
    let program = lab.shared().fixture("pull_request", "refs/pull/12/merge", "pull-request", |_| {});
    let run =
        program.input("pr-repository", &format!("{}/pr", lab.registry.repository())).args(&["plan"]).run();
    assert_eq!(run.code, 0, "{}", run.all());
    insta::assert_snapshot!(scrub(&lab, &run.stdout));
}
