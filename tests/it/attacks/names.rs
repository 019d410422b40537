//! By the names of images: tags that another zone reads.

use serde_json::json;

use super::{LATER, fails};
use crate::support::{HEAD, MERGE};

const NONE: &str = "no image has this key";

#[test]
fn a_key_tag_forged_by_a_pull_request() {
    fails("zone-prefix", NONE, |world| {
        world.poisons(world.lab.shared().pull_request(12), world.lab.shared().commit(LATER))
    });
}

#[test]
fn a_commit_tag_forged_before_its_commit_is_merged() {
    // Merged without a merge commit: main's commit is the pull request's head.
    fails("zone-prefix", NONE, |world| {
        world.poisons(world.lab.shared().pull_request(12), world.lab.shared().commit(HEAD))
    });
}

#[test]
fn an_image_of_the_queue_on_main() {
    fails("zone-prefix", NONE, |world| {
        let git_ref = "refs/heads/gh-readonly-queue/main/pr-12-3333333333333333333333333333333333333333";
        let queue = world.lab.shared().fixture("merge_group", git_ref, "merge-group", |_| {});
        world.poisons(queue, world.lab.shared().commit(LATER))
    });
}

#[test]
fn pull_request_1_against_pull_request_12() {
    fails("zone-prefix", NONE, |world| {
        world.poisons(world.lab.shared().pull_request(1), world.lab.shared().pull_request(12))
    });
}

#[test]
fn a_branch_named_like_a_pull_request() {
    fails("branch-mark", NONE, |world| {
        world.poisons(world.lab.shared().push_to("pr-12"), world.lab.shared().pull_request(12))
    });
}

#[test]
fn a_branch_named_like_the_queue() {
    fails("branch-mark", NONE, |world| {
        let git_ref = "refs/heads/gh-readonly-queue/main/x";
        let event = json!({"repository": {"default_branch": "main"}, "merge_group": {"head_ref": git_ref}});
        let queue = world.lab.shared().event("merge_group", git_ref, MERGE, &event);
        world.poisons(world.lab.shared().push_to("queue"), queue)
    });
}

#[test]
fn a_branch_named_like_a_key_tag() {
    fails("zone-prefix", NONE, |world| {
        let branch = format!("key-rf9d832d9-app-{}", &world.key()[..32]);
        world.poisons(world.lab.shared().push_to(&branch), world.lab.shared().commit(LATER))
    });
}

#[test]
fn a_branch_that_becomes_another_by_its_characters() {
    fails("names-apart", NONE, |world| {
        world.poisons(world.lab.shared().push_to("team/fix"), world.lab.shared().push_to("team-fix"))
    });
}

#[test]
fn a_branch_that_becomes_another_by_its_length() {
    fails("names-apart", NONE, |world| {
        let branch = |end: &str| format!("{}{end}", "x".repeat(120));
        world.poisons(world.lab.shared().push_to(&branch("a")), world.lab.shared().push_to(&branch("b")))
    });
}

#[test]
fn a_branch_that_takes_a_part_of_the_images_name() {
    fails("names-apart,repository-mark", NONE, |world| {
        let attacker = world.lab.shared().push_to("fix-key").input("image", "app");
        world.poisons(attacker, world.lab.shared().push_to("fix").input("image", "key-app"))
    });
}

#[test]
fn a_branch_whose_name_differs_from_mains_in_case() {
    fails("protected-ref", "push on a branch without protection", |world| {
        world.poisons(world.lab.shared().push_to("Main"), world.lab.shared().commit(LATER))
    });
}

/// D91: of two GitHub repositories that share a registry repository.
#[test]
fn an_image_of_another_github_repositorys_pull_request() {
    fails("zone-prefix,repository-mark", NONE, |world| {
        let attacker = world.lab.shared().env("GITHUB_REPOSITORY", "else/where");
        let attacker = attacker.env("GITHUB_REPOSITORY_ID", "2").pull_request(12);
        world.poisons(attacker, world.lab.shared().commit(LATER))
    });
}

#[test]
fn d91_pull_requests_12_of_two_github_repositories() {
    fails("repository-mark", NONE, |world| {
        let attacker = world.lab.shared().env("GITHUB_REPOSITORY", "else/where");
        let attacker = attacker.env("GITHUB_REPOSITORY_ID", "2").pull_request(12);
        world.poisons(attacker, world.lab.shared().pull_request(12))
    });
}

#[test]
fn d91_another_github_repositorys_main() {
    fails("repository-mark", NONE, |world| {
        let attacker = world.lab.shared().env("GITHUB_REPOSITORY", "else/where");
        world.poisons(attacker.env("GITHUB_REPOSITORY_ID", "2"), world.lab.shared().commit(LATER))
    });
}
