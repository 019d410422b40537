//! Builders that are made: remote ones, kept ones, those a killed run left behind.

use std::time::Duration;

use rustix::process::Signal;

use crate::cancel::{is_sleeping, sleeper};
use crate::engines::{classic, fresh, no_classic, nothing_left};
use crate::harness::{Program, Repository, Workspace, engine_at, eventually, lab};

fn remotes() -> (&'static str, &'static str) {
    lab().get("BUILD_ONCE_LAB_REMOTES").split_once(' ').unwrap()
}

#[test]
fn a_remote_one_that_is_made_for_the_run() {
    let (work, repository) = (Workspace::new("made-remote"), Repository::ecr("made-remote"));
    // Nothing of this machine's engine is in it.
    let program = || {
        let program = work.program().repository(&repository).engine("unix:///nowhere.sock");
        program.input("driver", "remote").input("endpoints", remotes().0)
    };
    let built = program().run().is("built");
    built.is_published(&repository, &[&work.commit_tag(), &built.key_tag("", &work.image)]);
    assert!(repository.image(&format!("cache-rf9d832d9-{}-main", work.image)).is_some());
    assert!(!work.docker(&["buildx", "ls"]).contains("build-once-"), "its definition goes with the run");
    program().run().is("reused-tag").has(built.output("digest"));
}

#[test]
fn two_remote_nodes_make_one_index() {
    let (work, repository) = (Workspace::new("nodes"), Repository::open("nodes"));
    let step = format!("echo {} >/name.txt", work.image);
    work.write("Dockerfile", &format!("ARG BASE\nFROM ${{BASE}}\nRUN {step}\n"));
    work.commit("says where it ran");
    let (first, second) = remotes();
    let program =
        work.program().repository(&repository).engine("unix:///nowhere.sock").input("cache", "none");
    let endpoints = format!("{first} platforms=linux/amd64\n{second} platforms=linux/arm64");
    let built = program
        .input("driver", "remote")
        .input("endpoints", &endpoints)
        .input("platforms", "linux/amd64,linux/arm64")
        .run()
        .is("built");
    assert_eq!(built.steps()[..2], ["create-builder", "build"]);
    let image = repository.image(built.output("digest")).unwrap();
    let mut platforms = image.platforms();
    platforms.sort();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    built.is_published(&repository, &[&work.commit_tag(), &built.key_tag("", &work.image)]);
    // What a node has run stands in its own store: each ran the step once, for its own platform.
    for (at, endpoint) in [first, second].into_iter().enumerate() {
        let name = format!("look-{at}-{}", work.image);
        work.docker(&["buildx", "create", "--name", &name, "--driver", "remote", endpoint]);
        let store = work.docker(&["buildx", "du", "--verbose", "--builder", &name]);
        assert_eq!(store.matches(&step).count(), 1, "{endpoint}: {store}");
    }
    let refused = work.program().repository(&repository).input("driver", "remote");
    let refused = refused.input("endpoints", &endpoints).input("platforms", "linux/s390x").run();
    let refused = refused.failed(2, "input");
    assert!(refused.log.contains("no endpoint builds linux/s390x"), "{}", refused.log);
}

#[test]
fn a_remote_one_that_is_not_there() {
    let (work, repository) = (Workspace::new("no-remote"), Repository::open("no-remote"));
    let program = work.program().repository(&repository).input("driver", "remote").input("retries", "0");
    let failed = program.input("endpoints", "tcp://127.0.0.1:9").run().failed(30, "unavailable");
    assert!(failed.log.contains("endpoints"), "{}", failed.log);
    assert!(!work.docker(&["buildx", "ls"]).contains("build-once-"));
}

#[test]
fn the_driver_that_is_asked_for_although_the_engine_would_do() {
    let (work, repository) = (Workspace::new("driver"), Repository::open("driver"));
    let program = fresh(work.program().repository(&repository)).input("driver", "docker-container");
    let built = program.input("load", "true").run().is("built");
    built.is_published(&repository, &[&work.commit_tag()]);
    assert_eq!(work.docker(&["run", "--rm", &work.image, "cat", "/made.txt"]), work.image);
    nothing_left(&work, lab().get("DOCKER_HOST"));
}

/// Containers of this test's builder with this name, on the engine with the classic store.
fn containers(name: &str) -> Vec<String> {
    let (_, names) = engine_at(classic(), &["ps", "--all", "--format", "{{.Names}}"]);
    names.lines().filter(|container| container.contains(name)).map(str::to_owned).collect()
}

#[test]
fn a_builder_that_is_kept_and_used_again() {
    if no_classic() {
        return;
    }
    let (work, repository) = (Workspace::new("kept"), Repository::open("kept"));
    // Of the test's own: another test's kept builder has other settings.
    let option = format!("env.LAB_TEST={}", work.image);
    let program = || {
        let program = fresh(work.program().repository(&repository).engine(classic()).input("cache", "none"))
            .input("key", "context");
        let options = format!("network=host\n{option}");
        // An index is what the engine itself cannot make.
        let program = program.input("driver-opts", &options).input("platforms", "linux/amd64,linux/arm64");
        program.input("keep-builder", "true")
    };
    let built = program().run().is("built");
    let list = || {
        let list = work.docker_on(classic(), &["buildx", "ls", "--format", "{{.Name}}"]);
        let names = list.lines().map(|name| name.trim_end_matches('*').to_owned());
        names.filter(|name| name.starts_with("build-once-kept-") && !name.ends_with('0')).collect::<Vec<_>>()
    };
    let name = built.plan()["steps"][0]["builder"]["name"].as_str().unwrap().to_owned();
    let first = containers(&name);
    let started = |container: &str| {
        engine_at(classic(), &["inspect", "--format", "{{.Id}} {{.State.StartedAt}}", container])
    };
    let before = started(&first[0]);

    work.write("more.txt", "not in the image, but in the context");
    work.commit("another key, the same steps");
    let again = program().run();
    let after = started(&first[0]);
    let names = list();
    let _ = engine_at(classic(), &["rm", "--force", "--volumes", &first[0]]);
    let _ = engine_at(classic(), &["volume", "rm", &format!("{}_state", first[0])]);
    let again = again.is("built");
    assert_eq!(again.steps()[0], "build", "{:?}", again.steps());
    assert_eq!(before, after, "the same container, never restarted");
    assert_eq!(
        again.number("cached-steps"),
        again.number("total-steps"),
        "its layers are warm: {}",
        again.log
    );
    assert!(names.is_empty() || names == [name], "{names:?}");
}

#[test]
fn what_a_killed_run_left_is_swept_by_the_next() {
    if no_classic() {
        return;
    }
    let ((work, command), repository) = (sleeper("swept"), Repository::open("swept"));
    let program = || fresh(work.program().repository(&repository).engine(classic()));
    let killed = program().start();
    eventually("the step runs", Duration::from_secs(60), || is_sleeping(&command));
    // A run that is alive keeps its builder, whoever comes by.
    let other = Workspace::new("passes-by");
    fresh(other.program().repository(&repository).engine(classic())).run().is("built");
    assert!(is_sleeping(&command));
    assert_eq!(containers(&work.image).len(), 1);

    killed.signal(Signal::KILL);
    drop(killed);
    assert_eq!(containers(&work.image).len(), 1, "a killed run cannot clean up");
    // On another home, as on a runner that starts afresh: only the engine knows.
    let next = Workspace::new("comes-next");
    let swept = fresh(next.program().repository(&repository).engine(classic())).run().is("built");
    assert_eq!(swept.steps()[0], "remove-builders", "{:?}", swept.steps());
    eventually("the step is stopped", Duration::from_secs(15), || !is_sleeping(&command));
    assert!(containers(&work.image).is_empty());

    // The home that knows it by name forgets it too.
    work.write("Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY content.txt /content.txt\n");
    work.commit("does not sleep");
    program().run().is("built");
    nothing_left(&work, classic());
}

fn cancelled_with_a_builder(signal: Signal, code: i32) {
    let ((work, command), repository) = (sleeper("own-builder"), Repository::open("own-builder"));
    let program: Program<'_> = fresh(work.program().repository(&repository).engine(classic()));
    let running = program.start();
    eventually("the step runs", Duration::from_secs(60), || is_sleeping(&command));
    running.signal(signal);
    running.finish().failed(code, "cancelled");
    nothing_left(&work, classic());
    eventually("the step is stopped", Duration::from_secs(15), || !is_sleeping(&command));
}

#[test]
fn removed_on_terminate() {
    if !no_classic() {
        cancelled_with_a_builder(Signal::TERM, 143);
    }
}
