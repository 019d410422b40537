//! What a miss advises, with the machine's own git.

use serde_json::json;

use crate::support::{HEAD, Lab};

const COMMIT: &str = "3333333333333333333333333333333333333333";

#[test]
fn a_miss_for_a_file_that_git_does_not_know_names_it() {
    let lab = Lab::new();
    lab.write("work/Dockerfile", "FROM scratch\nCOPY . /\n");
    lab.write("work/.dockerignore", ".git");
    lab.write("work/a\\b", "1");
    std::os::unix::fs::symlink("/usr/bin/git", lab.path("bin/git")).unwrap();
    for arguments in ["init --quiet", "add --all", "commit --quiet --message x"] {
        let mut git = std::process::Command::new("git");
        git.args(["-c", "user.name=x", "-c", "user.email=x@x.example"]).args(arguments.split(' '));
        // A hook of git's, under which tests may run, names the developer's repository.
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            git.env_remove(name);
        }
        git.env("GIT_CONFIG_NOSYSTEM", "1");
        let done = git.current_dir(lab.path("work")).env("GIT_CONFIG_GLOBAL", "/dev/null").status().unwrap();
        assert!(done.success(), "{arguments}");
    }
    let run = |before: &str, commit: &str| {
        lab.another_machine();
        let event = json!({"repository": {"default_branch": "main"}, "before": before});
        lab.shared().event("push", "refs/heads/main", commit, &event).run().succeeds("built")
    };
    run(COMMIT, HEAD);
    lab.write("work/made.json", "1");
    let second = run(HEAD, COMMIT);
    let reason = second.output("reason");
    assert!(
        reason.contains("`made.json` added") && reason.contains("`exclude: made.json` (not in git)"),
        "{reason}"
    );
    // One that git knows, by a name that is written with an escape here.
    lab.write("work/a\\b", "2");
    let third = run(COMMIT, &"4".repeat(40));
    let reason = third.output("reason");
    assert!(reason.contains(r"a\x5cb` changed") && !reason.contains("would have been"), "{reason}");
}
