//! Jobs for one platform each, and the image of all: found by keys, with what is there already.

use crate::harness::{Finished, Program, Repository, Workspace};

const BOTH: &str = "linux/amd64,linux/arm64";
const HEAD: &str = "1234567890123456789012345678901234567890";

/// A build that runs nothing, so that each platform can be built here.
fn workspace(name: &str) -> Workspace {
    let work = Workspace::new(name);
    work.write("Dockerfile", "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH.txt /\n");
    for platform in ["amd64", "arm64", "s390x"] {
        work.write(&format!("{platform}.txt"), &format!("{} {platform}\n", work.image));
    }
    work.commit("two platforms");
    work
}

fn job<'a>(work: &'a Workspace, repository: &Repository, platforms: &str) -> Program<'a> {
    work.program().repository(repository).input("build-args", "").input("platforms", platforms)
}

fn merge<'a>(work: &'a Workspace, repository: &Repository) -> Program<'a> {
    job(work, repository, BOTH).input("mode", "merge")
}

/// The digest of each platform of an index, in order.
#[track_caller]
fn children(repository: &Repository, index: &str) -> Vec<String> {
    let index = repository.image(index).unwrap();
    let lines = index.manifest["manifests"].as_array().unwrap_or_else(|| panic!("{}", index.manifest));
    let image = |line: &&serde_json::Value| line["platform"]["os"] != "unknown";
    lines.iter().filter(image).map(|line| line["digest"].as_str().unwrap().to_owned()).collect()
}

fn digests(runs: &[&Finished]) -> Vec<String> {
    runs.iter().map(|run| run.output("digest").to_owned()).collect()
}

#[test]
fn platforms_that_were_built_apart_meet_by_their_keys() {
    let (work, repository) = (workspace("apart"), Repository::open("apart"));
    let amd64 = job(&work, &repository, "linux/amd64").run().is("built");
    let arm64 = job(&work, &repository, "linux/arm64").run().is("built");
    let merged = merge(&work, &repository).input("tags", "latest").run().is("merged");
    assert_eq!(children(&repository, "latest"), digests(&[&amd64, &arm64]));
    assert_eq!(repository.digest(&work.commit_tag()), merged.output("digest"));
    // A build of both, a pull of both and a pull of one find it.
    job(&work, &repository, BOTH).run().is("reused-tag").has(merged.output("digest"));
    work.forget();
    job(&work, &repository, "linux/arm64")
        .input("mode", "pull")
        .run()
        .is("reused-tag")
        .has(arm64.output("digest"));
    // The next commit changes one platform: only that one is built, and the merge has the other one's image.
    work.write("arm64.txt", "changed\n");
    work.commit("one platform");
    job(&work, &repository, "linux/amd64").run().is("reused-key").has(amd64.output("digest"));
    let changed = job(&work, &repository, "linux/arm64").run().is("built");
    merge(&work, &repository).run().is("merged");
    assert_eq!(children(&repository, &work.commit_tag()), digests(&[&amd64, &changed]));
}

#[test]
fn a_job_for_both_builds_the_missing_one() {
    let (work, repository) = (workspace("half"), Repository::open("half"));
    let arm64 = job(&work, &repository, "linux/arm64").run().is("built");
    let both = job(&work, &repository, BOTH).input("tags", "latest").run().is("built");
    let [amd64, other] = &children(&repository, "latest")[..] else { panic!("{}", both.log) };
    assert_eq!(other, arm64.output("digest"));
    assert!(!both.log.contains("COPY arm64.txt"), "it is there: {}", both.log);
    job(&work, &repository, "linux/amd64").run().is("reused-tag").has(amd64);
    merge(&work, &repository).run().is("reused-tag").has(both.output("digest"));
}

/// On one builder, from one context.
#[test]
fn two_missing_platforms_are_built_side_by_side() {
    let (work, repository) = (workspace("three"), Repository::open("three"));
    let all = "linux/amd64,linux/arm64,linux/s390x";
    let arm64 = job(&work, &repository, "linux/arm64").run().is("built");
    let whole = job(&work, &repository, all).input("tags", "latest").run().is("built");
    let images = children(&repository, "latest");
    assert!(images.len() == 3 && images[1] == arm64.output("digest"), "{images:?}");
    // Each is what a job for it alone finds.
    for (platform, digest) in all.split(',').zip(&images) {
        job(&work, &repository, platform).run().is("reused-tag").has(digest);
    }
    merge(&work, &repository).input("platforms", all).run().is("reused-tag").has(whole.output("digest"));
}

#[test]
fn platforms_that_are_built_again_are_merged_again() {
    let (work, repository) = (workspace("again"), Repository::open("again"));
    let build = |platform: &str, time: &str| {
        let program = job(&work, &repository, platform).input("annotations", &format!("time={time}"));
        program.input("rebuild", "true").run().is("built")
    };
    let parts = |time: &str| [build("linux/amd64", time), build("linux/arm64", time)];
    parts("first");
    let first = merge(&work, &repository).run().is("merged");
    let [amd64, arm64] = parts("second");
    merge(&work, &repository).run().is("reused-tag").has(first.output("digest"));
    let second = merge(&work, &repository).input("rebuild", "true").run().is("merged");
    assert_eq!(second.output("key"), first.output("key"));
    assert_eq!(children(&repository, &work.commit_tag()), digests(&[&amd64, &arm64]));
}

/// An index names images of its own repository, so the trusted platform is copied, without docker.
#[test]
fn a_pull_request_merges_into_its_own_repository() {
    let (work, trusted) = (workspace("pr-merge"), Repository::open("pr-merge"));
    let own = Repository::open("pr-merge-own");
    let amd64 = job(&work, &trusted, "linux/amd64").run().is("built");
    work.write("arm64.txt", "of the pull request\n");
    work.commit("one platform");
    let split = |program: Program<'_>| {
        let program = program.input("pr-repository", &own.name());
        program.pull_request(12, HEAD, false).run()
    };
    let before = trusted.tags();
    let arm64 = split(job(&work, &trusted, "linux/arm64")).is("built");
    let merged = split(merge(&work, &trusted)).is("merged");
    assert_eq!(children(&own, merged.output("digest")), digests(&[&amd64, &arm64]));
    assert!(own.image(amd64.output("digest")).is_some(), "{}", merged.log);
    assert_eq!(trusted.tags(), before);
    split(merge(&work, &trusted)).is("reused-tag").has(merged.output("digest"));
    // A fork may not publish, and takes what is there.
    let fork = merge(&work, &trusted).pull_request(13, HEAD, true).run().failed(20, "access");
    assert!(fork.log.contains("this run may not publish"), "{}", fork.log);
}
