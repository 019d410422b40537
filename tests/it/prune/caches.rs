//! Layer caches outside of registries.

use std::os::unix::fs::PermissionsExt as _;

use super::prune;
use crate::support::Lab;
use crate::support::github::GitHub;

#[test]
fn entries_of_closed_pull_requests_go() {
    let (lab, github) = (Lab::new(), GitHub::start());
    github.close(7, 0);
    github.open(8);
    for (id, git_ref) in
        [(1, "refs/pull/7/merge"), (2, "refs/pull/8/merge"), (3, "refs/heads/main"), (4, "refs/pull/7/merge")]
    {
        github.cache(id, git_ref, 1000);
    }
    let run = |apply: &str| prune(&lab, &github).input("cache", "gha").input("apply", apply).run();
    let plan = run("false");
    assert_eq!((plan.code, plan.output("planned")), (0, "2"), "{}", plan.all());
    assert!(github.deleted().is_empty());
    let done = run("true");
    assert_eq!((done.code, done.output("removed"), done.output("freed")), (0, "2", "2000"), "{}", done.all());
    assert_eq!(github.deleted().len(), 2);
    assert!(done.summary.contains("pull request 7 is closed"), "{}", done.summary);
    assert!(lab.registry.asked().is_empty(), "the registry is not this run's to clean");
    // A pull request's own run asks for its own alone.
    github.cache(5, "refs/pull/7/merge", 1000);
    github.forget_requests();
    let own = prune(&lab, &github).pull_request(7).input("cache", "gha").input("apply", "true").run();
    assert_eq!((own.code, own.output("removed")), (0, "1"), "{}", own.all());
    assert!(
        github.asked().iter().any(|asked| asked.contains("ref=refs%2Fpull%2F7%2Fmerge")),
        "{:?}",
        github.asked()
    );
    github.check();
}

#[test]
fn folders_of_zones_that_are_over_go() {
    let (lab, github) = (Lab::new(), GitHub::start());
    github.close(7, 0);
    github.open(8);
    github.branch("fix");
    let home = lab.path("disk").join("o").join("r");
    for zone in ["trusted", "pr-7", "pr-8", "br-fix", "br-gone", "other"] {
        let generation = home.join(zone).join("app").join("gen-01");
        std::fs::create_dir_all(&generation).unwrap();
        std::fs::write(generation.join("blob"), [0; 100]).unwrap();
        for folder in [home.join(zone), home.join(zone).join("app")] {
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
    }
    for folder in ["disk", "disk/o", "disk/o/r"] {
        std::fs::set_permissions(lab.path(folder), std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    let program = prune(&lab, &github).input("cache", "local").input("apply", "true");
    let run = program.input("cache-dir", &lab.path("disk").display().to_string()).run();
    assert_eq!((run.code, run.output("removed"), run.output("freed")), (0, "2", "200"), "{}", run.all());
    let mut left: Vec<String> = std::fs::read_dir(home)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["br-fix", "other", "pr-8", "trusted"]);
    github.check();
}
