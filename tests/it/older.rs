//! `on-older`: a tag of `tags` is not set back to an older commit or version.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::github::GitHub;
use crate::support::{BuildOnce, Lab, Response, Run};

/// A checkout with three commits on `main`, which `origin` has too, and one beside the first two.
struct History {
    lab: Lab,
    commits: [String; 3],
    beside: String,
}

impl History {
    fn new() -> Self {
        let lab = Lab::new();
        std::os::unix::fs::symlink("/usr/bin/git", lab.path("bin/git")).unwrap();
        let made = Self { lab, commits: Default::default(), beside: String::new() };
        made.git(&["init", "--quiet", "--initial-branch=main"]);
        let commit = |what: &str| {
            made.git(&["commit", "--quiet", "--allow-empty", "--message", what]);
            made.git(&["rev-parse", "HEAD"])
        };
        let commits = ["one", "two", "three"].map(commit);
        made.git(&["update-ref", "refs/remotes/origin/main", &commits[2]]);
        made.git(&["checkout", "--quiet", "--detach", &commits[0]]);
        let beside = commit("beside");
        Self { commits, beside, ..made }
    }

    fn git(&self, arguments: &[&str]) -> String {
        let names =
            ["GIT_AUTHOR", "GIT_COMMITTER"].map(|who| [format!("{who}_NAME"), format!("{who}_EMAIL")]);
        let done = Command::new("git")
            .args(arguments)
            .current_dir(self.lab.path("work"))
            .envs(names.iter().flatten().map(|name| (name, "ann@x.example")))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// A run of this commit, whose image holds this text.
    fn at(&self, commit: &str, content: &str) -> BuildOnce<'_> {
        self.lab.write("work/hello", content);
        self.lab.shared().commit(commit).input("tags", "latest")
    }

    fn latest(&self) -> String {
        self.lab.registry.digest("ci/latest").unwrap()
    }
}

/// `[tag without its repository, result, why]` of each tag.
fn told(run: &Run) -> Vec<[String; 3]> {
    let tags: Value = serde_json::from_str(run.output("tags")).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tags = tags.as_array().unwrap().iter();
    tags.map(|tag| {
        let name = text(&tag["tag"]);
        [name.rsplit(':').next().unwrap().to_owned(), text(&tag["result"]), text(&tag["why"])]
    })
    .collect()
}

#[track_caller]
fn says(run: &Run, result: &str, why: &str) {
    assert_eq!(told(run), [["latest", result, why]], "{}", run.all());
}

#[test]
fn a_run_of_an_older_commit_leaves_the_tag() {
    let history = History::new();
    let [one, two, three] = &history.commits;
    says(&history.at(one, "1").run().succeeds("built"), "set", "");
    let built = history.at(two, "2").run().succeeds("built");
    says(&built, "set", "");
    says(&history.at(two, "2").run().succeeds("reused-tag"), "there", "");
    assert_eq!(history.latest(), built.output("digest"));
    // On a hit, and before and after a build.
    let why = format!("it names the newer commit {two}");
    for (content, outcome) in [("1", "reused-tag"), ("new", "built"), ("1", "reused-key")] {
        let run = history.at(one, content).run().succeeds(outcome);
        says(&run, "skipped", &why);
        assert!(run.notices().contains(&format!("latest is not set: {why}")), "{}", run.notices());
        assert!(run.summary.contains("| skipped: it names the newer commit"), "{}", run.summary);
        assert_eq!((history.latest(), run.output("degraded")), (built.output("digest").to_owned(), "false"));
    }
    // It can be told to fail, then before anything is built, or to set it in any case.
    history.lab.forget_calls();
    let run = history.at(one, "newer").input("on-older", "fail").run().fails(40, "integrity");
    assert_eq!((run.output("failure-cause"), run.called("buildx build").len()), ("older-commit", 0));
    assert!(run.error().contains(&why), "{}", run.error());
    let run = history.at(one, "1").input("on-older", "set").run().succeeds("reused-tag");
    assert_eq!(history.latest(), run.output("digest"));
    says(&history.at(three, "3").run().succeeds("built"), "set", "");
}

/// The image of an older commit that a newer one found again stands for the newer one.
#[test]
fn an_image_found_again_stands_for_the_newest_commit() {
    let history = History::new();
    let [one, two, three] = &history.commits;
    let first = history.at(one, "1").run().succeeds("built");
    let _ = history.at(two, "2").run().succeeds("built");
    // A revert.
    says(&history.at(three, "1").run().succeeds("reused-key"), "set", "");
    assert_eq!(history.latest(), first.output("digest"));
    let run = history.at(two, "2").run().succeeds("reused-tag");
    says(&run, "skipped", &format!("it names the newer commit {three}"));
    assert_eq!(history.latest(), first.output("digest"));
}

#[test]
fn what_nothing_tells_is_set_and_said() {
    let history = History::new();
    let [one, two, _] = &history.commits;
    history.lab.registry.put("latest", None);
    let run = history.at(one, "1").run().succeeds("built");
    says(&run, "set", "the image that has the tag does not name its commit");
    // Another branch: neither is before the other.
    let _ = history.at(two, "2").run().succeeds("built");
    let run =
        history.at(&history.beside, "3").push_to("main").commit(&history.beside).run().succeeds("built");
    assert_eq!(told(&run)[0][1], "skipped", "origin/main does not have it: {:?}", told(&run));
    history.git(&["update-ref", "refs/remotes/origin/main", &history.beside]);
    let run = history.at(&history.beside, "4").run().succeeds("built");
    says(&run, "set", &format!("it named the commit {two}, which is neither before nor after this run's"));
    // After that push by force, a run from before it does not set the tag back.
    let run = history.at(two, "2").run().succeeds("reused-tag");
    let why =
        format!("it names the commit {}, and this run's commit is not on main any more", history.beside);
    says(&run, "skipped", &why);
}

/// A push that says when its commit was made.
fn push<'a>(lab: &'a Lab, commit: &str, time: &str) -> BuildOnce<'a> {
    let head = json!({"id": commit, "timestamp": time});
    let event = json!({"repository": {"default_branch": "main"}, "head_commit": head});
    lab.shared().event("push", "refs/heads/main", commit, &event).input("tags", "latest")
}

#[test]
fn without_history_the_times_of_the_commits_count() {
    let lab = Lab::new();
    let (early, late) = ("2026-01-01T10:00:00+02:00", "2026-01-01T09:00:00Z");
    let old = push(&lab, &"1".repeat(40), early).run().succeeds("built");
    lab.write("work/hello", "2");
    let new = push(&lab, &"2".repeat(40), late).run().succeeds("built");
    lab.write("work/hello", "hello\n");
    let run = push(&lab, &"1".repeat(40), early).run().succeeds("reused-tag");
    assert_eq!(run.output("digest"), old.output("digest"));
    let why = format!("it names the commit {}, which was made later", "2".repeat(40));
    says(&run, "skipped", &why);
    assert_eq!(lab.registry.digest("ci/latest").as_deref(), Some(new.output("digest")));
    // A time that this machine has not reached is not believed.
    let _ =
        push(&lab, &"3".repeat(40), "2999-01-01T00:00:00Z").input("key-extra", "x").run().succeeds("built");
    let run = push(&lab, &"1".repeat(40), early).run().succeeds("reused-tag");
    assert_eq!(told(&run)[0][1], "set", "{:?}", told(&run));
    assert!(told(&run)[0][2].contains("history does not reach it"), "{:?}", told(&run));
}

/// The other run is faster than this one's build.
#[test]
fn a_tag_that_moved_meanwhile_is_judged_again() {
    let history = History::new();
    let [one, two, three] = &history.commits;
    let _ = history.at(one, "1").run().succeeds("built");
    history.lab.rule("buildx build", json!({"pause": 1000}));
    let held_by = |commit: &str, by: &str| {
        let annotations = json!({"org.opencontainers.image.revision": commit, "by": by});
        history.lab.registry.publish("ci/latest", &json!({}), &annotations)
    };
    for (theirs, result) in [(three, "skipped"), (one, "set")] {
        held_by(one, "before");
        let mut running = history.at(two, theirs).start();
        running.wait_for_call("buildx build");
        let digest = held_by(theirs, result);
        let run = running.finish().succeeds("built");
        let expected = if result == "set" { run.output("digest").to_owned() } else { digest };
        assert_eq!((told(&run)[0][1].as_str(), history.latest()), (result, expected), "{}", run.all());
        history.lab.forget_calls();
    }
}

#[test]
fn of_two_runs_at_once_the_newer_commit_counts() {
    let history = History::new();
    let [one, two, three] = &history.commits;
    // Each from files of its own, because both run in one folder.
    let of = |commit: &str, name: &str| {
        history.lab.write(&format!("work/{name}"), name);
        history.lab.write(&format!("work/Dockerfile.{name}"), format!("FROM scratch\nCOPY {name} /\n"));
        history.lab.shared().commit(commit).input("file", &format!("Dockerfile.{name}"))
    };
    for (commit, name) in [(one, "one"), (two, "two"), (three, "three")] {
        let _ = of(commit, name).run().succeeds("built");
    }
    let newest = of(three, "three").run().output("digest").to_owned();
    let middle = of(two, "two").run().output("digest").to_owned();
    // Both have looked at the tag when the first of them sets it.
    for first in [&newest, &middle] {
        let back = of(one, "one").input("tags", "latest").input("on-older", "set");
        let _ = back.run().succeeds("reused-tag");
        history.lab.registry.set_together("ci/manifests/latest", first);
        let newer = of(three, "three").input("tags", "latest").start();
        let older = of(two, "two").input("tags", "latest").beside_another().start();
        assert_eq!((newer.finish_unchecked().code, older.finish_unchecked().code), (0, 0));
        assert_eq!(history.latest(), newest, "{first} first");
    }
}

fn release<'a>(history: &'a History, commit: &str, version: &str, content: &str) -> BuildOnce<'a> {
    history.lab.write("work/hello", content);
    let (major, rest) = version.split_once('.').unwrap();
    let minor = format!("{major}.{}", rest.split('.').next().unwrap());
    let tags = format!("{version}\n{minor}\nv{major}\nlatest");
    let event = json!({"repository": {"default_branch": "main"}});
    let git_ref = format!("refs/tags/v{version}");
    history.lab.shared().event("push", &git_ref, commit, &event).input("tags", &tags)
}

fn results(run: &Run) -> Vec<String> {
    let mut results: Vec<_> =
        told(run).into_iter().map(|[tag, result, _]| format!("{tag} {result}")).collect();
    results.sort();
    results
}

#[test]
fn a_back_port_moves_no_series_of_versions() {
    let history = History::new();
    let [one, two, three] = &history.commits;
    let set = |tags: &[&str]| tags.iter().map(|tag| format!("{tag} set")).collect::<Vec<_>>();
    let first = release(&history, one, "1.2.4", "a").run().succeeds("built");
    assert_eq!(results(&first), set(&["1.2", "1.2.4", "latest", "v1"]));
    // Later, on a newer commit, and an earlier version.
    let run = release(&history, two, "1.2.3", "b").run().succeeds("built");
    assert_eq!(results(&run), ["1.2 skipped", "1.2.3 set", "latest skipped", "v1 skipped"]);
    assert!(told(&run).iter().any(|[_, _, why]| why == "version 1.2.4 is there"), "{:?}", told(&run));
    let digest = |tag: &str| history.lab.registry.digest(&format!("ci/{tag}")).unwrap();
    for tag in ["1.2", "v1", "latest"] {
        assert_eq!(digest(tag), first.output("digest"), "{tag}");
    }
    // A later version counts, whatever its commit; other series go on by themselves.
    let run = release(&history, one, "1.2.5", "c").run().succeeds("built");
    assert_eq!(results(&run), set(&["1.2", "1.2.5", "latest", "v1"]));
    let run = release(&history, three, "2.0.0", "d").run().succeeds("built");
    assert_eq!(results(&run), set(&["2.0", "2.0.0", "latest", "v2"]));
    let run = release(&history, two, "1.2.6", "e").run().succeeds("built");
    assert_eq!(results(&run), ["1.2 set", "1.2.6 set", "latest skipped", "v1 set"]);
}

/// The label of docker/metadata-action, where the tags may not be listed.
#[test]
fn without_a_list_of_tags_the_images_version_counts() {
    let history = History::new();
    let labels = json!({"org.opencontainers.image.version": "1.2.4"});
    history.lab.registry.publish("ci/1.2", &labels, &json!({}));
    let denied = Response::error(403, "DENIED", "not authorized to perform: ecr:ListImages");
    history.lab.registry.fault("/tags/list", 99, denied);
    let run = release(&history, &history.commits[2], "1.2.3", "a").run().succeeds("built");
    assert_eq!(results(&run), ["1.2 skipped", "1.2.3 set", "latest set", "v1 set"]);
}

/// A checkout without history, as actions/checkout makes it.
#[test]
fn where_the_history_does_not_tell_github_does() {
    let (lab, github) = (Lab::new(), GitHub::start());
    let [one, two, three, other] = ["a", "b", "c", "d"].map(|digit| digit.repeat(40));
    github.history(&[&one, &two, &three]);
    let at = |commit: &str, content: &str| {
        lab.write("work/hello", content);
        github.serves(lab.shared().commit(commit)).input("tags", "latest")
    };
    says(&at(&one, "1").run().succeeds("built"), "set", "");
    says(&at(&two, "2").run().succeeds("built"), "set", "");
    says(&at(&one, "1").run().succeeds("reused-tag"), "skipped", &format!("it names the newer commit {two}"));
    // A revert: the commits after this run's are known, and that one of them has the image.
    says(&at(&three, "1").run().succeeds("reused-key"), "set", "");
    says(
        &at(&two, "2").run().succeeds("reused-tag"),
        "skipped",
        &format!("it names the newer commit {three}"),
    );
    // A push by force.
    github.history(&[&one, &other]);
    let why = format!("it named the commit {one}, which");
    let run = at(&other, "4").run().succeeds("built");
    assert_eq!(told(&run)[0][1], "set", "{:?} {why}", told(&run));
    let run = at(&two, "2").run().succeeds("reused-tag");
    let why = format!("it names the commit {other}, and this run's commit is not on main any more");
    says(&run, "skipped", &why);
    github.check();
}

#[test]
fn github_that_does_not_tell_moves_and_holds_no_tag() {
    for (fault, said) in [
        (Response::new(404, r#"{"message": "Not Found"}"#), "404 Not Found"),
        (
            Response::new(403, r#"{"message": "Resource not accessible by integration"}"#),
            "allow contents: read",
        ),
        (
            Response::new(403, r#"{"message": "API rate limit exceeded"}"#)
                .header("x-ratelimit-remaining", "0"),
            "rate limit",
        ),
        (Response::new(500, ""), "500"),
        (Response::new(200, r#"{"status": "sideways"}"#), "sideways"),
    ] {
        let (lab, github) = (Lab::new(), GitHub::start());
        let [one, two] = ["a", "b"].map(|digit| digit.repeat(40));
        github.history(&[&one, &two]);
        let _ = lab.shared().commit(&two).input("tags", "latest").run().succeeds("built");
        github.fault("/repos/", 99, fault);
        lab.write("work/hello", "other");
        let run = github.serves(lab.shared().commit(&one)).input("tags", "latest").run().succeeds("built");
        let [_, result, why] = &told(&run)[0];
        assert_eq!(result, "set");
        let named =
            why.contains(said) || said == "allow contents: read" && why.contains("Resource not accessible");
        assert!(named && why.contains(&two), "{said}: {why}");
        assert!(
            !run.all().contains(crate::support::CANARY) || run.all().contains("add-mask"),
            "{}",
            run.all()
        );
    }
}
