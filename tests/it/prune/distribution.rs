//! Registries of the distribution specification.

use super::{KEY, index, pr_tag, prune};
use crate::support::github::GitHub;
use crate::support::{Deletes, Lab};

/// `main`'s image, a closed pull request's one, an open one's, and names that look like ours.
fn filled() -> (Lab, GitHub) {
    let (lab, github) = (Lab::new(), GitHub::start());
    github.close(7, 3);
    github.open(8);
    lab.registry.deletes(Deletes::Tags);
    lab.registry.put(&format!("key-rf9d832d9-app-{KEY}"), Some("main"));
    lab.registry.put(&pr_tag(7), Some("seven"));
    lab.registry.put("pr-7-cache-rf9d832d9-app", Some("seven's cache"));
    lab.registry.put(&pr_tag(8), Some("eight"));
    lab.registry.put("latest", Some("latest"));
    lab.registry.put("pr-7", Some("by hand"));
    // Of another GitHub repository.
    lab.registry.put(&format!("pr-7-key-rd4b3670a-app-{KEY}"), Some("other"));
    (lab, github)
}

#[test]
fn the_plan_is_shown_and_nothing_goes() {
    let (lab, github) = filled();
    let before = lab.registry.tags();
    let run = prune(&lab, &github).run();
    assert_eq!(run.code, 0, "{}", run.all());
    assert_eq!((run.output("outcome"), run.output("planned")), ("planned", "2"), "{}", run.all());
    assert_eq!(lab.registry.tags(), before);
    assert!(lab.registry.asked().iter().all(|asked| asked.starts_with("GET ") || asked.starts_with("HEAD ")));
    for text in [&run.stdout, &run.summary] {
        assert!(text.contains("pull request 7 is closed") && text.contains("planned"), "{text}");
    }
    let plan: serde_json::Value =
        serde_json::from_slice(&std::fs::read(run.output("plan")).unwrap()).unwrap();
    assert_eq!(plan["repositories"][0]["steps"].as_array().unwrap().len(), 2, "{plan:#}");
    assert_eq!(plan["repositories"][0]["stays"]["not a tag of this GitHub repository's runs"], 3);
    github.check();
}

#[test]
fn what_the_plan_says_goes_and_the_rest_stays() {
    let (lab, github) = filled();
    let run = prune(&lab, &github).input("apply", "true").run();
    assert_eq!(run.code, 0, "{}", run.all());
    assert_eq!((run.output("outcome"), run.output("removed")), ("removed", "2"), "{}", run.all());
    let expected = [
        format!("key-rf9d832d9-app-{KEY}"),
        "latest".to_owned(),
        "pr-7".to_owned(),
        format!("pr-7-key-rd4b3670a-app-{KEY}"),
        pr_tag(8),
    ];
    assert_eq!(lab.registry.tags(), expected);
    let again = prune(&lab, &github).input("apply", "true").run();
    assert_eq!((again.code, again.output("outcome")), (0, "nothing"), "{}", again.all());
    github.check();
}

#[test]
fn a_tag_of_an_image_that_stays_goes_alone() {
    let (lab, github) = filled();
    lab.registry.tag("v1", &pr_tag(7));
    let run = prune(&lab, &github).input("apply", "true").run();
    assert_eq!((run.code, run.output("removed")), (0, "2"), "{}", run.all());
    let tags = lab.registry.tags();
    assert!(tags.contains(&"v1".to_owned()) && !tags.contains(&pr_tag(7)), "{tags:?}");
    assert!(lab.registry.digest("ci/v1").is_some());
}

#[test]
fn a_registry_that_removes_no_tag_alone_is_told_of() {
    let (lab, github) = filled();
    lab.registry.deletes(Deletes::Manifests);
    lab.registry.tag("v1", &pr_tag(7));
    let run = prune(&lab, &github).input("apply", "true").run();
    assert_eq!((run.code, run.output("removed")), (0, "1"), "{}", run.all());
    assert!(run.stdout.contains("it removes no tag without the image"), "{}", run.stdout);
    assert!(lab.registry.tags().contains(&pr_tag(7)));
}

#[test]
fn a_registry_that_removes_the_image_with_its_tag_gets_no_second_one() {
    let (lab, github) = filled();
    github.close(9, 3);
    lab.registry.put(&pr_tag(9), Some("nine"));
    lab.registry.tag("v1", &pr_tag(7));
    lab.registry.tag("v2", &pr_tag(9));
    lab.registry.deletes(Deletes::ImagesByTag);
    let run = prune(&lab, &github).input("apply", "true").run();
    assert_eq!(run.code, 60, "{}", run.all());
    assert!(run.error().contains("removed an image with one of its tags"), "{}", run.error());
    let left = lab.registry.tags().iter().filter(|tag| ["v1", "v2"].contains(&tag.as_str())).count();
    assert_eq!(left, 1, "one is lost by the first removal, and there is no second one");
}

#[test]
fn the_list_of_tags_is_read_to_its_end() {
    let (lab, github) = filled();
    lab.registry.page(2);
    let run = prune(&lab, &github).input("apply", "true").run();
    assert_eq!((run.code, run.output("removed")), (0, "2"), "{}", run.all());
}

#[test]
fn an_image_that_an_index_of_main_has_stays() {
    let (lab, github) = filled();
    let child = lab.registry.digest(&format!("ci/{}", pr_tag(7))).unwrap();
    let digest = lab.registry.store(&index(&[&child]));
    lab.registry.tag("both-platforms", &digest);
    let run = prune(&lab, &github).input("apply", "true").run();
    assert_eq!((run.code, run.output("removed")), (0, "1"), "{}", run.all());
    assert!(lab.registry.tags().contains(&pr_tag(7)), "the index needs it");
    assert!(run.stdout.contains("part of an image that stays"), "{}", run.stdout);
}

#[test]
fn an_index_goes_before_its_images() {
    let (lab, github) = filled();
    let child = lab.registry.store(&super::image("a child", true));
    let digest = lab.registry.store(&index(&[&child]));
    lab.registry.tag("pr-7-cache-rf9d832d9-app", &digest);
    let run = prune(&lab, &github).input("apply", "true").run();
    assert_eq!((run.code, run.output("removed")), (0, "3"), "{}", run.all());
    let asked = lab.registry.asked();
    let place =
        |digest: &str| asked.iter().position(|asked| *asked == format!("DELETE ci/manifests/{digest}"));
    assert!(place(&digest).unwrap() < place(&child).unwrap(), "{asked:?}");
}

#[test]
fn what_is_young_by_the_folder_of_manifests_stays() {
    let (lab, github) = (Lab::new(), GitHub::start());
    lab.registry.deletes(Deletes::Tags);
    let old = format!("queue-key-rf9d832d9-app-{KEY}");
    lab.registry.put(&old, Some("queue"));
    lab.registry.put("latest", Some("latest"));
    let folder = lab.path("manifests").display().to_string();
    let run = |queue: &str| {
        let program =
            prune(&lab, &github).input("apply", "true").input("min-age", "0s").input("queue", queue);
        program.input("manifest-cache", &folder).run()
    };
    assert_eq!(run("1s").output("outcome"), "nothing", "its age is not known before this run");
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(run("1d").output("outcome"), "nothing");
    lab.registry.forget_requests();
    let done = run("1s");
    assert_eq!((done.code, done.output("removed")), (0, "1"), "{}", done.all());
    assert_eq!(lab.registry.tags(), ["latest"]);
    let reads = lab.registry.asked().iter().filter(|asked| asked.starts_with("GET ci/manifests/")).count();
    assert_eq!(reads, 0, "each manifest is read once");
}

#[test]
fn branches_that_are_gone_lose_their_names() {
    let (lab, github) = (Lab::new(), GitHub::start());
    lab.registry.deletes(Deletes::Tags);
    for branch in ["fix", "team/fix"] {
        github.branch(branch);
    }
    for tag in [
        "br-fix-cache-rf9d832d9-app",
        "br-fix-it-cache-rf9d832d9-app",
        "br-09db03b3-team-fix-cache-rf9d832d9-app",
    ] {
        lab.registry.put(tag, Some(tag));
    }
    lab.registry.put("latest", Some("latest"));
    let run = || prune(&lab, &github).input("apply", "true").run();
    assert_eq!(run().output("removed"), "1", "fix-it alone is gone");
    github.remove_branch("team/fix");
    assert_eq!(run().output("removed"), "1");
    assert_eq!(lab.registry.tags(), ["br-fix-cache-rf9d832d9-app", "latest"]);
    github.check();
}

#[test]
fn a_closed_pull_requests_own_run_removes_its_own() {
    let (lab, github) = filled();
    github.close(9, 3);
    lab.registry.put(&pr_tag(9), Some("nine"));
    let run = prune(&lab, &github).pull_request(7).input("apply", "true").run();
    assert_eq!((run.code, run.output("removed")), (0, "2"), "{}", run.all());
    assert!(lab.registry.tags().contains(&pr_tag(9)), "another one's stay");
    github.check();
}

#[test]
fn a_run_without_trust_removes_nothing() {
    let (lab, github) = filled();
    let before = lab.registry.tags();
    let git_ref = "refs/heads/gh-readonly-queue/main/pr-12-3333333333333333333333333333333333333333";
    let program = || prune(&lab, &github).input("apply", "true");
    let runs = [
        program().fork(),
        program().fixture("merge_group", git_ref, "merge-group", |_| {}),
        program().push_to("fix"),
        program().outside_github().env("GITHUB_REPOSITORY_ID", "1"),
    ];
    for program in runs {
        let run = program.run();
        assert_eq!(run.code, 20, "{}", run.all());
        assert!(run.all().contains("removes nothing"), "{}", run.all());
    }
    assert_eq!(lab.registry.tags(), before);
    // To look at the plan takes no trust.
    let plan = github.serves(prune(&lab, &github).outside_github());
    let plan = plan.env("GITHUB_REPOSITORY_ID", "1").env("GITHUB_REPOSITORY", "o/r");
    let plan = plan.args(&["prune", "--json"]).run();
    assert_eq!(plan.code, 0, "{}", plan.all());
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(plan["outcome"], "planned");
}

#[test]
fn more_than_half_takes_force_and_a_limit_leaves_the_rest() {
    let (lab, github) = (Lab::new(), GitHub::start());
    lab.registry.deletes(Deletes::Tags);
    for number in 1..=3 {
        github.close(number, 3);
        lab.registry.put(&pr_tag(number), Some(&number.to_string()));
    }
    lab.registry.put("latest", Some("latest"));
    let before = lab.registry.tags();
    let run = prune(&lab, &github).input("apply", "true").run();
    assert_eq!((run.code, run.output("failure-class")), (2, "input"), "{}", run.all());
    assert!(run.error().contains("3 of the 4 images") && run.error().contains("force"), "{}", run.error());
    assert_eq!(lab.registry.tags(), before);
    let run = prune(&lab, &github).input("apply", "true").input("max-delete", "2").run();
    assert_eq!((run.code, run.output("removed")), (0, "2"), "{}", run.all());
    assert!(run.summary.contains("left to the next run"), "{}", run.summary);
    let run = prune(&lab, &github).input("apply", "true").input("force", "true").run();
    assert_eq!((run.code, run.output("removed")), (0, "1"), "{}", run.all());
}

#[test]
fn an_image_larger_than_the_limit_is_named_and_stops_no_other() {
    let (lab, github) = filled();
    let children: Vec<String> =
        (0..3).map(|n| lab.registry.store(&super::image(&format!("child {n}"), true))).collect();
    let children: Vec<&str> = children.iter().map(String::as_str).collect();
    let digest = lab.registry.store(&index(&children));
    lab.registry.tag("pr-7-cache-rf9d832d9-app", &digest);
    let run = |most: &str| prune(&lab, &github).input("apply", "true").input("max-delete", most).run();
    let first = run("2");
    assert_eq!((first.code, first.output("removed")), (0, "1"), "{}", first.all());
    assert!(!lab.registry.tags().contains(&pr_tag(7)), "the small one goes");
    assert!(first.summary.contains("until `max-delete` is 4 or more"), "{}", first.summary);
    let second = run("2");
    assert_eq!((second.code, second.output("outcome")), (0, "nothing"), "{}", second.all());
    assert!(second.output("reason").contains("`max-delete` is 4"), "{}", second.output("reason"));
    let third = run("4");
    assert_eq!((third.code, third.output("removed")), (0, "4"), "{}", third.all());
    github.check();
}
