//! What the key covers, and what is asked for it.

use serde_json::json;

use crate::support::{HEAD, Lab, Response};

const COMMIT: &str = "3333333333333333333333333333333333333333";
const TOKEN: &str = "Z2hzX2NhbmFyeQ";

/// A clone as actions/checkout leaves it; `number` makes it another one of the same commit.
fn clone(lab: &Lab, commit: &str, number: u32) {
    lab.write("work/.git/HEAD", "ref: refs/heads/main\n");
    lab.write("work/.git/refs/heads/main", format!("{commit}\n"));
    lab.write("work/.git/shallow", format!("{commit}\n"));
    lab.write("work/.git/index", number.to_string());
    lab.write("work/.git/logs/HEAD", format!("clone {number}"));
    lab.write(&format!("work/.git/objects/pack/{number}.pack"), "x");
    lab.write("work/.git/config", format!("[core]\n\tclone = {number}\n"));
}

fn key(lab: &Lab) -> String {
    lab.build_once().run().output("key").to_owned()
}

#[test]
fn d53_d41_two_clones_of_one_commit_have_one_key() {
    let lab = Lab::new();
    lab.write("work/Dockerfile", "FROM scratch\nCOPY . /\n");
    clone(&lab, COMMIT, 1);
    let first = lab.shared().run().succeeds("built");
    lab.another_machine();
    clone(&lab, COMMIT, 2);
    let second = lab.shared().commit(COMMIT).run().succeeds("reused-key");
    assert_eq!(first.output("key"), second.output("key"));
    // It is said where people look, with the line and the cure.
    for run in [&first, &second] {
        let warnings = run.commands("warning");
        assert_eq!(warnings.len(), 1, "{}", run.stdout);
        let text = &warnings[0].message;
        for part in ["`.git` is in what the build gets", "line 2 of Dockerfile takes it", "exclude: .git"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(run.stdout.contains("file=Dockerfile,line=2"), "{}", run.stdout);
        assert!(run.summary.contains("[!WARNING]") && run.summary.contains("exclude"), "{}", run.summary);
    }
    // What git would answer counts.
    clone(&lab, HEAD, 2);
    let moved = key(&lab);
    lab.write("work/.git/refs/tags/v1", format!("{HEAD}\n"));
    let tagged = key(&lab);
    assert!(first.output("key") != moved && moved != tagged);
    let left_out = lab.build_once().input("exclude", ".git").run();
    clone(&lab, COMMIT, 3);
    let other = lab.build_once().input("exclude", ".git").run();
    assert_eq!(left_out.output("key"), other.output("key"));
    assert!(other.commands("warning").is_empty(), "{}", other.stdout);
}

#[test]
fn d41_a_credential_that_would_get_into_the_image_is_said_louder_and_not_shown() {
    let lab = Lab::new();
    lab.write("work/Dockerfile", "FROM scratch\nCOPY . /\n");
    clone(&lab, COMMIT, 1);
    let header = format!("[http \"https://github.com/\"]\n\textraheader = AUTHORIZATION: basic {TOKEN}\n");
    lab.write("work/.git/config", header);
    let run = lab.shared().run().succeeds("built");
    let text = &run.commands("warning")[0].message;
    assert!(
        text.contains("`.git/config` holds a credential") && text.contains("persist-credentials"),
        "{text}"
    );
    assert!(!run.all().contains(TOKEN));
    // Also where the key reads other files.
    let files = lab.shared().input("key", "files").input("key-files", "hello").run().succeeds("built");
    let text = &files.commands("warning")[0].message;
    assert!(text.contains("`.git/config` holds a credential") && !text.contains("every commit"), "{text}");
    // Left out of the build, it is nobody's concern.
    for ignored in [".git", ".git/config"] {
        lab.write("work/.dockerignore", ignored);
        for program in [lab.shared(), lab.shared().input("key", "files").input("key-files", "hello")] {
            let run = program.run();
            assert!(!run.all().contains("holds a credential"), "{}", run.stdout);
        }
    }
}

#[test]
fn d53_what_no_instruction_takes_does_not_count() {
    let lab = Lab::new();
    clone(&lab, COMMIT, 1);
    let first = lab.shared().run().succeeds("built");
    assert!(first.commands("warning").is_empty(), "{}", first.stdout);
    lab.write("work/README.md", "new");
    clone(&lab, HEAD, 2);
    let second = lab.shared().commit(COMMIT).run().succeeds("reused-key");
    assert_eq!(first.output("key"), second.output("key"));
    let whole = lab.build_once().input("key", "context").run();
    let text = &whole.commands("warning")[0].message;
    assert!(text.contains("`key: context` counts it") && text.contains("leave `key` at auto"), "{text}");
}

#[test]
fn d53_a_frontend_that_is_not_known_widens_the_key_and_says_so() {
    let lab = Lab::new();
    let host = lab.registry.address().to_owned();
    lab.registry.publish("front/end/1", &json!({}), &json!({}));
    lab.write("work/Dockerfile", format!("# syntax={host}/front/end:1\nFROM scratch\nCOPY hello /\n"));
    let first = lab.build_once().run().succeeds("built-local");
    assert_eq!(first.stdout.matches("note: the key covers the whole context: frontend").count(), 1);
    lab.write("work/README.md", "new");
    assert_ne!(key(&lab), first.output("key"));
}

#[test]
fn d53_what_is_excluded_is_left_out_of_the_build_too() {
    let lab = Lab::new();
    lab.write("work/Dockerfile", "FROM scratch\nCOPY . /\n");
    lab.write("work/.dockerignore", "secret\n");
    lab.write("work/made/now", "1");
    let run = lab.shared().input("exclude", "made\n*.log").run().succeeds("built");
    let file = run.build().values("--file")[0].to_owned();
    assert!(
        file.ends_with(".dockerfile-1/Dockerfile")
            && !file.starts_with(&lab.path("work").display().to_string())
    );
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    assert_eq!(read(&file), "FROM scratch\nCOPY . /\n");
    assert_eq!(read(&format!("{file}.dockerignore")), "secret\n\nmade\n*.log\n");
    lab.write("work/made/now", "2");
    lab.shared().input("exclude", "made\n*.log").commit(COMMIT).run().succeeds("reused-key");
    lab.forget_calls();
    // The Dockerfile's own ignore file is the one that is added to.
    lab.write("work/Dockerfile.dockerignore", "own\n");
    let run = lab.shared().input("exclude", "made").run().succeeds("built");
    assert_eq!(read(&format!("{}.dockerignore", run.build().values("--file")[0])), "own\n\nmade\n");
    let refused =
        lab.shared().input("exclude", "made").input("context", "https://h.example/r.git#main").run();
    assert!(refused.error().contains("input `exclude`") && refused.error().contains(".dockerignore"));
    assert!(lab.build_once().input("exclude", "[").run().error().contains("input `exclude`"));
}

/// D54, D55
#[test]
fn d54_d55_a_hit_asks_one_question_a_base_and_none_for_a_digest() {
    let lab = Lab::new();
    let host = lab.registry.address().to_owned();
    lab.registry.publish("base/os/12", &json!({}), &json!({}));
    lab.registry.publish("base/tool/latest", &json!({}), &json!({}));
    let fixed = lab.registry.publish("base/fixed/1", &json!({}), &json!({}));
    let file = format!(
        "FROM {host}/base/os:12 AS a\nFROM {host}/base/os:12 AS b\nFROM {host}/base/fixed@{fixed}\nCOPY --from=a / /\nCOPY --from=b / /\nCOPY --from={host}/base/tool /x /\nCOPY hello /\n"
    );
    lab.write("work/Dockerfile", file);
    let bases =
        |asked: Vec<String>| asked.into_iter().filter(|line| line.contains("base/")).collect::<Vec<_>>();
    let built = lab.shared().run().succeeds("built");
    // Two bases with a manifest and a configuration each; what is only copied from is not asked for.
    let asked = bases(lab.registry.asked());
    let of = |part: &str| asked.iter().filter(|line| line.contains(part)).count();
    assert_eq!((of("GET base/os/manifests"), of("base/fixed/manifests")), (1, 1), "{asked:?}");
    assert_eq!((of("blobs"), of("base/tool")), (2, 1), "{asked:?}");
    lab.registry.forget_requests();
    let hit = lab.shared().commit(COMMIT).run().succeeds("reused-key");
    assert_eq!(hit.output("key"), built.output("key"));
    let mut asked = bases(lab.registry.asked());
    asked.sort();
    assert_eq!(asked, ["HEAD base/os/manifests/12", "HEAD base/tool/manifests/latest"]);
}

/// D54
#[test]
fn d54_a_registry_that_does_not_answer_makes_no_other_key() {
    let lab = Lab::new();
    let host = lab.registry.address().to_owned();
    let fixed = lab.registry.publish("base/fixed/1", &json!({}), &json!({}));
    lab.write("work/Dockerfile", format!("FROM {host}/base/fixed@{fixed}\nCOPY hello /\n"));
    let built = lab.shared().run().succeeds("built");
    lab.another_machine();
    for (answer, code, class) in [(503, 30, "unavailable"), (401, 20, "access"), (404, 10, "build")] {
        lab.registry.fault("base/fixed", 1, Response::error(answer, "DENIED", "no"));
        // A hit does not ask.
        let hit = lab.shared().run().succeeds("reused-tag");
        assert_eq!(hit.output("key"), built.output("key"));
        let miss = lab.shared().input("labels", "a=1").run().fails(code, class);
        let said = format!("whether the base image {host}/base/fixed@{fixed} has ONBUILD instructions");
        assert!(miss.error().contains(&said) && miss.error().contains("key: context"), "{}", miss.error());
        // The command `key` tells the final key, or an error.
        lab.registry.fault("base/fixed", 1, Response::error(answer, "DENIED", "no"));
        let told = lab.build_once().args(&["key"]).run();
        assert_eq!((told.code, told.stdout.as_str()), (code, ""));
    }
}

/// E05
#[test]
fn e05_what_the_triggers_of_a_base_copy_counts_and_no_more() {
    let lab = Lab::new();
    let host = lab.registry.address().to_owned();
    let other = lab.registry.publish("base/other/1", &json!({}), &json!({}));
    let triggers = ["ARG A", "COPY package.json /", &format!("COPY --from={host}/base/other:1 / /")];
    lab.registry.publish_triggers("base/os/12", &triggers);
    lab.write("work/Dockerfile", format!("FROM {host}/base/os:12\nCOPY hello /\n"));
    lab.write("work/package.json", "1");
    let built = lab.shared().run().succeeds("built");
    assert!(!built.stdout.contains("note: the key covers"), "{}", built.stdout);
    assert!(
        built.build().policy.to_string().contains(&other),
        "the image that a trigger copies from is held"
    );
    lab.another_machine();
    lab.write("work/README.md", "not copied");
    lab.shared().input("build-args", "B=1").commit(COMMIT).run().succeeds("reused-key");
    let told = lab.build_once().args(&["key"]).run();
    assert!(told.stdout.starts_with(built.output("key")), "{}", told.stdout);
    let key = |args: &str| {
        let told = lab.build_once().args(&["key"]).input("build-args", args).run().stdout;
        told.lines().next().unwrap().to_owned()
    };
    let mut keys = vec![key(""), key("A=1")];
    lab.write("work/package.json", "2");
    keys.push(key(""));
    lab.registry.publish("base/other/1", &json!({"moved": "yes"}), &json!({}));
    keys.push(key(""));
    lab.registry.publish_triggers("base/os/12", &triggers[..2]);
    keys.push(key(""));
    assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), keys.len(), "{keys:#?}");
}

/// D54
#[test]
fn d54_a_base_with_triggers_that_cannot_be_read_widens_the_key() {
    let lab = Lab::new();
    let host = lab.registry.address().to_owned();
    lab.registry.publish_triggers("base/os/12", &["COPY <<A b /\nx\nA"]);
    lab.write("work/Dockerfile", format!("FROM {host}/base/os:12\nCOPY hello /\n"));
    let first = lab.shared().run().succeeds("built");
    let note = format!(
        "note: the key covers the whole context: base `{host}/base/os:12` has ONBUILD instructions, and"
    );
    assert_eq!(first.stdout.matches(&note).count(), 1, "{}", first.stdout);
    lab.another_machine();
    let second = lab.shared().commit(COMMIT).run().succeeds("reused-key");
    assert_eq!(first.output("key"), second.output("key"));
    // Another reason is said once too.
    let file = std::fs::read_to_string(lab.path("work/Dockerfile")).unwrap();
    lab.write("work/Dockerfile", format!("{file}COPY $OF_BASE /x/\n"));
    let unknown = lab.shared().run().succeeds("built");
    assert_eq!(unknown.stdout.matches("note: the key covers").count(), 1, "{}", unknown.stdout);
    lab.write("work/Dockerfile", file);
    let told = lab.build_once().args(&["key"]).run();
    assert!(told.stdout.starts_with(first.output("key")), "{}", told.stdout);
    lab.write("work/README.md", "new");
    lab.shared().commit(COMMIT).run().succeeds("built");
    // What is copied from runs no trigger.
    lab.write("work/Dockerfile", format!("FROM scratch\nCOPY --from={host}/base/os:12 x /\nCOPY hello /\n"));
    let copied = lab.shared().run().succeeds("built");
    lab.write("work/README.md", "newer");
    assert_eq!(key(&lab), copied.output("key"));
}

/// D55
#[test]
fn d55_only_the_platforms_that_are_asked_for_are_looked_at() {
    let lab = Lab::new();
    let host = lab.registry.address().to_owned();
    let amd = lab.registry.publish("ci/amd", &json!({"a": "1"}), &json!({}));
    let arm = lab.registry.publish_triggers("ci/arm", &["COPY . /src"]);
    lab.registry.put_index("both", &[&amd, &arm]);
    lab.write("work/Dockerfile", format!("FROM {host}/ci:both\nCOPY hello /\n"));
    let scope = |platforms: &str| {
        let run = lab.build_once().args(&["key"]).input("platforms", platforms).run();
        run.stdout
            .lines()
            .find(|line| line.starts_with("scope"))
            .unwrap()
            .split_whitespace()
            .last()
            .unwrap()
            .to_owned()
    };
    lab.registry.forget_requests();
    assert_eq!(scope("linux/amd64"), "copied");
    assert!(!lab.registry.asked().iter().any(|line| line.contains(&arm)), "{:?}", lab.registry.asked());
    assert_eq!(scope("linux/arm64"), "copied");
    // Their instructions differ, and each platform has a key of its own.
    assert_eq!(scope("linux/amd64,linux/arm64"), "copied");
}

/// D57
#[test]
fn d57_arguments_that_name_the_run_do_not_count() {
    let lab = Lab::new();
    lab.write("work/Dockerfile", "FROM scratch\nARG VERSION\nLABEL version=$VERSION\nCOPY hello /\n");
    let with = |version: &str| lab.shared().input("build-args", &format!("A=1\nVERSION={version}"));
    let ignored = |version: &str| with(version).input("key-ignore-args", "VERSION, OTHER");
    let built = ignored("1").run().succeeds("built");
    assert!(built.build().values("--build-arg").contains(&"VERSION=1"), "it is handed over");
    lab.another_machine();
    let hit = ignored("2").commit(COMMIT).run().succeeds("reused-key");
    assert_eq!(hit.output("key"), built.output("key"));
    // The text that uses it counts.
    lab.write("work/Dockerfile", "FROM scratch\nARG VERSION\nLABEL other=$VERSION\nCOPY hello /\n");
    assert_ne!(ignored("2").args(&["key"]).run().stdout.lines().next(), Some(built.output("key")));
    // What it chooses counts.
    let host = lab.registry.address().to_owned();
    lab.registry.publish("base/os/1", &json!({"v": "1"}), &json!({}));
    lab.registry.publish("base/os/2", &json!({"v": "2"}), &json!({}));
    lab.write("work/Dockerfile", format!("ARG VERSION\nFROM {host}/base/os:$VERSION\n"));
    let key = |version: &str| ignored(version).args(&["key"]).run().stdout;
    assert_ne!(key("1").lines().next(), key("2").lines().next());
    for bad in ["A=1", "BUILDKIT_SYNTAX"] {
        assert!(with("1").input("key-ignore-args", bad).run().error().contains("key-ignore-args"), "{bad}");
    }
}

/// D57
#[test]
fn d57_a_miss_says_what_would_have_made_it_a_hit() {
    let lab = Lab::new();
    lab.write("work/Dockerfile", "FROM scratch\nARG SOURCE_COMMIT\nCOPY . /\n");
    clone(&lab, HEAD, 1);
    lab.write("work/.dockerignore", ".git");
    let run = |commit: &str| {
        lab.another_machine();
        let event = json!({"repository": {"default_branch": "main"}, "before": HEAD});
        let program = lab.shared().event("push", "refs/heads/main", commit, &event);
        program.input("build-args", &format!("SOURCE_COMMIT={commit}")).run().succeeds("built")
    };
    run(HEAD);
    let second = run(COMMIT);
    let reason = second.output("reason");
    assert!(
        reason.starts_with(
            "miss: build-arg `SOURCE_COMMIT` changed; compared with the image of commit 111111111111"
        ) && reason.ends_with("; it would have been a hit with SOURCE_COMMIT in key-ignore-args"),
        "{reason}"
    );
    assert!(second.summary.contains("key-ignore-args"), "{}", second.summary);
    // Content that changed too: nothing would have helped.
    lab.write("work/hello", "other");
    let third = run(&"4".repeat(40));
    assert!(!third.output("reason").contains("would have been"), "{}", third.output("reason"));
}

/// D57
#[test]
fn d57_a_miss_for_files_that_no_instruction_takes_names_the_scope() {
    let lab = Lab::new();
    clone(&lab, HEAD, 1);
    let whole = || lab.shared().input("key", "context");
    whole().run().succeeds("built");
    lab.another_machine();
    clone(&lab, COMMIT, 2);
    lab.write("work/docs/README.md", "new");
    let event = json!({"repository": {"default_branch": "main"}, "before": HEAD});
    let second = whole().event("push", "refs/heads/main", COMMIT, &event).run().succeeds("built");
    let reason = second.output("reason");
    assert!(reason.contains("`docs/README.md` added"), "{reason}");
    assert!(reason.ends_with("; it would have been a hit with `key: auto`"), "{reason}");
}

#[test]
fn d41_a_miss_for_git_alone_names_the_cure() {
    let lab = Lab::new();
    lab.write("work/Dockerfile", "FROM scratch\nCOPY . /\n");
    clone(&lab, HEAD, 1);
    lab.shared().run().succeeds("built");
    lab.another_machine();
    clone(&lab, COMMIT, 2);
    let event = json!({"repository": {"default_branch": "main"}, "before": HEAD});
    let second = lab.shared().event("push", "refs/heads/main", COMMIT, &event).run().succeeds("built");
    let reason = second.output("reason");
    assert!(reason.contains("the commit of `.git` changed"), "{reason}");
    assert!(reason.ends_with("; it would have been a hit with `exclude: .git`"), "{reason}");
}
