//! `mode: pull`: what a test job does.

use std::time::Duration;

use crate::harness::{Program, Repository, Workspace, eventually};

fn pull<'a>(work: &'a Workspace, repository: &Repository) -> Program<'a> {
    work.program().repository(repository).input("mode", "pull")
}

#[track_caller]
fn runs(work: &Workspace) {
    assert_eq!(work.docker(&["run", "--rm", &work.image, "cat", "/made.txt"]), work.image);
}

#[test]
fn by_digest_without_a_checkout() {
    let (work, repository) = (Workspace::new("by-digest"), Repository::ecr("by-digest"));
    let built = work.program().repository(&repository).run().is("built");
    work.forget();
    let empty = work.root().join("empty");
    std::fs::create_dir_all(&empty).unwrap();
    let before = repository.journal().last().unwrap().seq;
    let pulled = pull(&work, &repository).input("digest", built.output("digest")).folder(&empty).run();
    let pulled = pulled.is("reused-digest").has(built.output("digest"));
    work.holds(&pulled, "trusted-digest");
    assert_eq!(pulled.output("key"), "", "it needs none");
    runs(&work);
    pull(&work, &repository).input("digest", built.output("digest")).folder(&empty).run().is("reused-local");
    assert!(repository.journal().iter().all(|entry| entry.seq <= before || !entry.is_write()));

    let absent = format!("sha256:{}", "0".repeat(64));
    let missing = pull(&work, &repository).input("digest", &absent).folder(&empty).run().failed(20, "access");
    assert!(missing.log.contains(&absent), "{}", missing.log);
}

#[test]
fn by_key_with_the_same_inputs_and_checkout() {
    let (work, repository) = (Workspace::new("by-key"), Repository::ecr("by-key"));
    let built = work.program().repository(&repository).run().is("built");
    work.forget();
    pull(&work, &repository).run().is("reused-tag").has(built.output("digest"));
    runs(&work);
    work.forget();
    work.commit("same content");
    let by_key = pull(&work, &repository).run().is("reused-key").has(built.output("digest"));
    assert_eq!(by_key.output("key"), built.output("key"));
    runs(&work);
    assert!(repository.image(&work.commit_tag()).is_none(), "pulling sets no tag");
}

#[test]
fn missing_then_built_here_and_said_loudly() {
    let (work, repository) = (Workspace::new("missing-build"), Repository::ecr("missing-build"));
    let built = pull(&work, &repository).run().degraded();
    runs(&work);
    assert!(["built", "built-local"].contains(&built.output("outcome")), "{}", built.log);
    assert!(built.annotations("warning")[0].contains("no image with this key is published"), "{}", built.log);
}

#[test]
fn missing_then_failed() {
    let (work, repository) = (Workspace::new("missing-fail"), Repository::ecr("missing-fail"));
    let failed = pull(&work, &repository).input("on-missing", "fail").run().failed(20, "access");
    assert!(
        failed.log.contains("hint: let the job that builds it run first") || failed.log.contains("run first"),
        "{}",
        failed.log
    );
    assert_eq!(failed.output("attempts"), "0");
    let timeout = pull(&work, &repository).input("on-missing", "wait").input("wait-timeout", "2s").run();
    let timeout = timeout.failed(30, "unavailable");
    assert!(timeout.log.contains("waited up to 2s"), "{}", timeout.log);
    assert!(repository.journal().iter().all(|entry| !entry.is_write()));
}

#[test]
fn missing_then_waited_for() {
    let (work, repository) = (Workspace::new("missing-wait"), Repository::ecr("missing-wait"));
    let mut waiting =
        pull(&work, &repository).input("on-missing", "wait").input("wait-timeout", "2m").start();
    let asked = || repository.journal().iter().filter(|entry| entry.is_own()).count();
    eventually("it asks again and again", Duration::from_secs(30), || asked() >= 4);
    assert!(waiting.is_running());
    let built = work.program().repository(&repository).run().is("built");
    // Both are on one engine, which keeps what it pushed.
    waiting.finish().is("reused-local").has(built.output("digest"));
    runs(&work);
}

#[test]
fn no_repository_and_nothing_here() {
    let work = Workspace::new("pull-nowhere");
    let program = || work.program().input("mode", "pull");
    program().input("on-missing", "fail").run().failed(20, "access");
    let digest = format!("sha256:{}", "1".repeat(64));
    program().input("digest", &digest).run().failed(20, "access");
    program().run().is("built-local");
    program().input("on-missing", "fail").run().is("reused-local");
}

#[test]
fn a_fork_pulls_what_is_trusted() {
    let (work, repository) = (Workspace::new("fork-pull"), Repository::ecr("fork-pull"));
    let built = work.program().repository(&repository).run().is("built");
    work.forget();
    let pulled = pull(&work, &repository).pull_request(5, &"a".repeat(40), true).run();
    pulled.is("reused-key").has(built.output("digest"));
    runs(&work);
}
