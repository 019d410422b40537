//! Builds that fail, and what decides that nothing is built.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::harness::{Repository, Workspace};

#[test]
fn a_failing_step_is_pointed_at() {
    let (work, repository) = (Workspace::new("failing"), Repository::ecr("failing"));
    work.write(
        "docker/Dockerfile.ci",
        "ARG BASE\nFROM ${BASE}\n\nRUN echo fine\nRUN echo 'the reason is here' >&2; \\\n    exit 3\n",
    );
    work.commit("broken");
    let failed = work
        .program()
        .repository(&repository)
        .input("file", "docker/Dockerfile.ci")
        .run()
        .failed(10, "build");
    let error = failed.annotations("error")[0];
    assert!(error.contains("file=docker/Dockerfile.ci,line=5") && error.contains("exit code: 3"), "{error}");
    assert!(failed.summary.contains("the reason is here"), "{}", failed.summary);
    assert_eq!(
        ["attempts", "built", "pushed", "digest", "tag"].map(|name| failed.output(name)),
        ["1", "false", "false", "", ""]
    );
    assert!(repository.tags().iter().all(|tag| !tag.starts_with("sha-") && !tag.starts_with("key-")));
}

#[test]
fn what_is_wrong_with_a_dockerfile() {
    let work = Workspace::new("wrong");
    let rows = [
        ("FROM ${BASE}\nCOPY absent.txt /\n", "absent.txt"),
        ("FROM ${BASE}\nRUNN true\n", "RUNN"),
        ("FROM ${BASE}\nCOPY --from=127.0.0.1:5011/no/such:1 /x /y\n", "no/such:1"),
    ];
    for (text, word) in rows {
        work.write("Dockerfile", &format!("ARG BASE\n{text}"));
        work.commit("broken");
        let failed = work.program().run().failed(10, "build");
        assert!(failed.annotations("error")[0].contains(word), "{text}: {}", failed.log);
    }
    work.write("Dockerfile", "ARG BASE\nFROM ${BASE} AS one\n");
    work.commit("good");
    let target = work.program().input("target", "none").run().failed(10, "build");
    assert!(target.annotations("error")[0].contains("none"), "{}", target.log);
    let file = work.program().input("file", "no/Dockerfile").run().failed(10, "build");
    assert!(file.annotations("error")[0].contains("no/Dockerfile"), "{}", file.log);
}

#[test]
fn a_bad_input_is_named_before_anything_runs() {
    let (work, repository) = (Workspace::new("input"), Repository::ecr("input"));
    let bad = work.program().repository(&repository).input("mode", "push").input("cache-mode", "most").run();
    let bad = bad.failed(2, "input");
    for word in ["mode", "push", "build", "pull", "cache-mode", "most", "max", "min"] {
        assert!(bad.log.contains(word), "{word}: {}", bad.log);
    }
    assert!(repository.journal().is_empty());
}

#[test]
fn what_a_step_prints_is_not_obeyed() {
    let work = Workspace::new("hostile");
    let hostile = "RUN printf '::error title=x::forged\\n::set-output name=digest::forged\\n##[error]forged\\n::add-mask::a\\r::warning::x\\n'\n";
    work.write("Dockerfile", &format!("ARG BASE\nFROM ${{BASE}}\nCOPY content.txt /\n{hostile}RUN printf '::endgroup::\\n::stop-commands::x\\n' && false\n"));
    work.commit("hostile");
    let failed = work.program().run().failed(10, "build");
    assert!(failed.annotations("warning").is_empty());
    let obeyed: Vec<_> = failed
        .stdout
        .lines()
        .filter(|line| line.contains("forged") && line.trim_start().starts_with("::"))
        .collect();
    assert!(obeyed.is_empty() && !failed.stdout.contains("##["), "{obeyed:?}");
}

#[test]
fn what_is_ignored_decides_nothing() {
    let (work, repository) = (Workspace::new("ignored"), Repository::ecr("ignored"));
    work.write(".dockerignore", ".git\ndocs\n**/*.md\n!docs/kept.txt\n");
    for (path, text) in
        [("docs/a.txt", "1"), ("docs/kept.txt", "1"), ("deep/er/b.md", "1"), ("src/c.txt", "1")]
    {
        work.write(path, text);
    }
    work.commit("files");
    let program = || work.program().repository(&repository).input("key", "context");
    let built = program().run().is("built");
    for path in ["docs/a.txt", "deep/er/b.md", "README.md"] {
        work.write(path, "2");
        work.commit(path);
        program().run().is("reused-key").has(built.output("digest"));
    }
    for path in ["docs/kept.txt", "src/c.txt"] {
        work.write(path, "2");
        work.commit(path);
        let other = program().run().is("built");
        assert_ne!(other.output("key"), built.output("key"), "{path}");
    }
}

#[test]
fn two_sets_of_inputs_under_one_name_are_not_confused() {
    let (work, repository) = (Workspace::new("confused"), Repository::ecr("confused"));
    work.write(
        "Dockerfile",
        "ARG BASE\nFROM ${BASE}\nARG FLAVOUR\nRUN --network=none echo $FLAVOUR >/flavour.txt\n",
    );
    work.commit("flavours");
    let args = |flavour: &str| {
        format!("BASE={}\nFLAVOUR={flavour}", crate::harness::lab().get("BUILD_ONCE_LAB_BASE_IMAGE"))
    };
    let program = |flavour: &str| work.program().repository(&repository).input("build-args", &args(flavour));
    let one = program("one").run().is("built");
    let two = program("two").run().is("built");
    assert_ne!(one.output("digest"), two.output("digest"));
    assert_eq!(repository.digest(&work.commit_tag()), two.output("digest"), "the tag names the newer");
    program("one").run().is("reused-key").has(one.output("digest"));
}

#[test]
fn two_jobs_that_build_the_same_at_once() {
    let (work, repository) = (Workspace::new("race"), Repository::ecr("race"));
    work.write(
        "Dockerfile",
        "ARG BASE\nFROM ${BASE}\nCOPY content.txt /\nRUN --network=none sleep 1; cat /proc/uptime >/random.txt\n",
    );
    work.commit("not reproducible");
    let program = || work.program().repository(&repository).input("no-cache", "true");
    let (one, two) = (program().start(), program().start());
    let (one, two) = (one.finish().is("built"), two.finish().is("built"));
    for built in [&one, &two] {
        assert!(repository.image(built.output("digest")).is_some(), "what is reported can be pulled");
    }
    let digest = repository.digest(&work.commit_tag());
    program().run().is("reused-tag").has(&digest);
}

#[test]
fn tags_that_cannot_be_set_twice() {
    let (work, repository) = (Workspace::new("immutable"), Repository::ecr_immutable("immutable"));
    let program = || work.program().repository(&repository);
    let built = program().run().is("built");
    program().run().is("reused-tag").has(built.output("digest"));
    work.commit("same content");
    program().run().is("reused-key").has(built.output("digest"));
    // The cache's tag is taken: that is no reason to fail.
    work.write("content.txt", "other");
    work.commit("other content");
    let again = program().run().is("built").degraded();
    assert!(again.annotations("warning")[0].contains("that its tag is mutable"), "{}", again.log);
    again.is_published(&repository, &[&work.commit_tag()]);
    // The commit's tag is taken by other content.
    let taken = program().input("key-extra", "other").run().failed(40, "integrity");
    let error = taken.annotations("error")[0];
    assert!(error.contains("mutab"), "{}", taken.log);
    // What stands there, and what this build made; the tag is as before.
    let there = again.output("digest");
    let named: BTreeSet<&str> =
        error.match_indices("sha256:").filter_map(|(at, _)| error.get(at..at + 71)).collect();
    assert!(named.contains(there) && named.len() == 2, "{error}");
    assert_eq!(repository.digest(&work.commit_tag()), there);
    assert_eq!(taken.output("digest"), "");
}

#[test]
fn longer_than_allowed() {
    let work = Workspace::new("timeout");
    work.write("Dockerfile", "ARG BASE\nFROM ${BASE}\nRUN --network=none sleep 3600\n");
    work.commit("slow");
    let late = work.program().input("timeout", "3s").run().failed(30, "unavailable");
    assert!(late.annotations("error")[0].contains("timeout"), "{}", late.log);
    assert!(late.took < Duration::from_secs(18), "{:?}", late.took);
}

/// D69. Each text as the real engine gives it: its class, and no blame on something else.
#[test]
fn d69_what_is_wrong_is_blamed_and_nothing_else() {
    let work = Workspace::new("blame");
    let error = |run: &crate::harness::Finished| run.annotations("error")[0].to_owned();
    for (input, value) in [("network", "bridge"), ("add-hosts", "nonsense")] {
        let run = work.program().input(input, value).run().failed(2, "input");
        assert!(error(&run).contains(&format!("input `{input}`")), "{}", run.log);
    }
    work.write("Dockerfile", "ARG BASE\nFROM ${BASE}\nRUN --network=host true\n");
    let run = work.program().run().failed(60, "unsupported");
    assert!(error(&run).contains("the input allow: network.host"), "{}", run.log);
    assert_eq!(run.output("attempts"), "1");
    work.program().input("allow", "network.host").run().is("built-local");

    work.write("Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY . /src\n");
    work.write(".dockerignore", ".git\na\u{1}b\n");
    let run = work.program().run().failed(10, "build");
    assert!(error(&run).contains("file=.dockerignore,line=2"), "{}", run.log);
    work.write(".dockerignore", ".git\n");

    work.write("elsewhere/Dockerfile.ci", "ARG BASE\nFROM ${BASE}\n");
    std::fs::create_dir_all(work.folder().join("sub")).unwrap();
    std::os::unix::fs::symlink("../elsewhere/Dockerfile.ci", work.folder().join("sub/Dockerfile")).unwrap();
    let run = work.program().input("file", "sub/Dockerfile").run().failed(10, "build");
    assert!(error(&run).contains("file: sub/../elsewhere/Dockerfile.ci"), "{}", run.log);
    assert!(!error(&run).contains("add the Dockerfile"), "{}", run.log);

    let letters = work.root().join("läger");
    let letters = letters.to_str().unwrap();
    let run = work.program().input("cache", "local").input("cache-dir", letters).run();
    let run = run.is("built-local").degraded();
    let warning = run.annotations("warning").join("\n");
    assert!(warning.contains("plain ASCII letters") && !warning.contains("login"), "{warning}");
}
