//! By the event: a run that would pass for one of more trust.

use serde_json::json;

use super::{LATER, Played, fails, told};

const PULL: &str = "refs/pull/12/merge";
const MAIN: &str = "refs/heads/main";

#[test]
fn a_fork_passes_for_the_repository() {
    fails("head-repository", "a pull request from a fork", |world| {
        let fork = world.lab.shared().fixture("pull_request", PULL, "pull-request-fork", |_| {});
        world.poisons(fork, world.lab.shared().pull_request(12))
    });
}

#[test]
fn a_fork_takes_the_repositorys_name() {
    fails("head-repository", "a pull request from a fork", |world| {
        let fork = world.lab.shared().fixture("pull_request", PULL, "pull-request-fork", |event| {
            event["pull_request"]["head"]["repo"]["full_name"] = json!("o/r");
        });
        world.poisons(fork, world.lab.shared().pull_request(12))
    });
}

#[test]
fn a_fork_that_was_deleted() {
    fails("head-repository", "a pull request from a fork", |world| {
        let fork = world.lab.shared().fixture("pull_request", PULL, "pull-request-deleted-fork", |_| {});
        world.poisons(fork, world.lab.shared().pull_request(12))
    });
}

#[test]
fn a_fork_that_a_maintainer_opens_again() {
    fails("head-repository", "a pull request from a fork", |world| {
        let file = "pull-request-fork-reopened-by-maintainer";
        let fork = world.lab.shared().fixture("pull_request", PULL, file, |_| {});
        let fork = fork.env("GITHUB_ACTOR", "bob").env("GITHUB_TRIGGERING_ACTOR", "bob");
        world.poisons(fork, world.lab.shared().pull_request(12))
    });
}

#[test]
fn dependabots_run_started_again_by_a_maintainer() {
    fails("dependabot", "a pull request by Dependabot", |world| {
        let file = "pull-request-dependabot-by-maintainer";
        let bot = world.lab.shared().fixture("pull_request", PULL, file, |_| {});
        let bot = bot.env("GITHUB_ACTOR", "bob").env("GITHUB_TRIGGERING_ACTOR", "bob");
        world.poisons(bot, world.lab.shared().pull_request(12))
    });
}

#[test]
fn dependabots_push() {
    fails("dependabot", "push of Dependabot", |world| {
        let branch = "dependabot/npm_and_yarn/left-pad-2";
        let bot =
            || world.lab.shared().fixture("push", &format!("refs/heads/{branch}"), "push-dependabot", |_| {});
        world.poisons(bot(), bot().commit(LATER))
    });
}

#[test]
fn a_persons_push_passes_for_the_queues() {
    fails("queue-pusher", "not by the queue", |world| {
        let git_ref = "refs/heads/gh-readonly-queue/main/pr-12-3333333333333333333333333333333333333333";
        let person = world.lab.shared().fixture("push", git_ref, "push-queue", |event| {
            event["sender"]["login"] = json!("ann");
            event["pusher"]["name"] = json!("ann");
        });
        let queue = world.lab.shared().fixture("merge_group", git_ref, "merge-group", |_| {});
        world.poisons(person, queue.commit(LATER))
    });
}

#[test]
fn workflow_run_launders_a_fork() {
    fails("unknown-event", "event workflow_run has the lowest trust", |world| {
        let laundered = world.lab.shared().fixture("workflow_run", MAIN, "workflow-run-fork", |_| {});
        world.poisons(laundered, world.lab.shared().commit(LATER))
    });
}

#[test]
fn a_comment_launders_a_fork() {
    fails("unknown-event", "event issue_comment has the lowest trust", |world| {
        let comment = world.lab.shared().fixture("issue_comment", MAIN, "issue-comment", |_| {});
        world.poisons(comment, world.lab.shared().commit(LATER))
    });
}

#[test]
fn a_pull_requests_event_under_the_name_of_a_push() {
    fails("event-agrees", "it has a pull_request", |world| {
        let forged = world.lab.shared().fixture("push", MAIN, "pull-request-fork", |_| {});
        world.poisons(forged, world.lab.shared().commit(LATER))
    });
}

#[test]
fn an_event_file_of_another_branch() {
    fails("event-agrees", "refs/heads/fix/it is not refs/heads/main", |world| {
        let forged = world.lab.shared().fixture("push", MAIN, "push-branch", |_| {});
        world.poisons(forged, world.lab.shared().commit(LATER))
    });
}

#[test]
fn an_event_file_of_another_repository() {
    fails("event-agrees", "of another repository", |world| {
        // Whose default branch has the name of this one's unprotected one.
        let forged = world.lab.shared().fixture("push", "refs/heads/fix/it", "push-branch", |event| {
            event["repository"] = json!({"id": 2, "full_name": "stranger/r", "default_branch": "fix/it"});
        });
        world.poisons(forged, world.lab.shared().commit(LATER))
    });
}

#[test]
fn pull_request_1_with_the_number_12() {
    fails("event-agrees", "pull request 12 is not refs/pull/1/merge", |world| {
        let forged = world.lab.shared().fixture("pull_request", "refs/pull/1/merge", "pull-request", |_| {});
        world.poisons(forged, world.lab.shared().pull_request(12))
    });
}

#[test]
fn a_strangers_code_in_a_run_with_secrets() {
    fails("target-event", "refused to build in a pull_request_target run", |world| {
        let file = "pull-request-target";
        let run = world.run(world.lab.shared().fixture("pull_request_target", MAIN, file, |_| {}));
        Played { worked: !run.called("buildx build").is_empty(), told: told(&run) }
    });
}
