//! Who writes what, and who reads it: by the event, at a real registry.

use crate::harness::{Entry, Program, Repository, Workspace};

const HEAD: &str = "1234567890123456789012345678901234567890";

#[test]
fn a_pull_request_writes_its_own_names_by_its_head_commit() {
    let (work, repository) = (Workspace::new("pr"), Repository::ecr("pr"));
    let built = work.program().repository(&repository).pull_request(12, HEAD, false).run().is("built");
    assert_eq!(built.output("zone"), "pr");
    let commit = format!("pr-12-sha-rf9d832d9-{}-{HEAD}", work.image);
    let key = built.key_tag("pr-12-", &work.image);
    built.is_published(&repository, &[&commit, &key]);
    let mut expected = vec![commit.clone(), key];
    expected.sort();
    assert_eq!(repository.tags(), expected, "no cache, nothing trusted");
    let annotations = &repository.image(&commit).unwrap().manifest["annotations"];
    assert_eq!(annotations["org.opencontainers.image.revision"], HEAD);
    assert_eq!(annotations["io.github.build-once.merge-revision"], work.head());
    work.program()
        .repository(&repository)
        .pull_request(12, HEAD, false)
        .run()
        .is("reused-tag")
        .has(built.output("digest"));
}

#[test]
fn a_trusted_run_uses_nothing_that_a_pull_request_wrote() {
    let (work, repository) = (Workspace::new("poison"), Repository::ecr("poison"));
    let pull_request = || {
        work.program().repository(&repository).input("cache-write", "always").pull_request(13, HEAD, false)
    };
    let theirs = pull_request().run().is("built");
    assert!(
        repository.image(&format!("pr-13-cache-rf9d832d9-{}", work.image)).is_some(),
        "{:?}",
        repository.tags()
    );
    let before = repository.journal().last().unwrap().seq;
    let ours = work.program().repository(&repository).run().is("built");
    assert_eq!(ours.output("key"), theirs.output("key"), "the same content");
    let touched: Vec<_> = repository.journal().into_iter().filter(|entry| entry.seq > before).collect();
    assert!(touched.iter().all(|entry| !entry.path.contains("/pr-13-")), "{touched:?}");
    // The other pull requests neither.
    let other = work.program().repository(&repository).pull_request(14, &HEAD.replace('1', "a"), false);
    let other = other.run().is("reused-key").has(ours.output("digest"));
    assert!(other.output("reason").contains(&ours.key_tag(":", &work.image)), "{}", other.output("reason"));
}

#[test]
fn a_pull_request_reads_what_is_trusted_and_sets_its_own_name() {
    let (work, repository) = (Workspace::new("pr-reads"), Repository::ecr("pr-reads"));
    let trusted = work.program().repository(&repository).run().is("built");
    let hit = work.program().repository(&repository).pull_request(15, HEAD, false).run();
    let hit = hit.is("reused-key").has(trusted.output("digest"));
    let commit = format!("pr-15-sha-rf9d832d9-{}-{HEAD}", work.image);
    assert_eq!(
        (hit.output("commit-tag"), repository.digest(&commit)),
        (&*commit, trusted.output("digest").to_owned())
    );
    // What it asks to be called is not its to set.
    let asked = work.program().repository(&repository).pull_request(15, HEAD, false);
    let asked = asked.input("tags", &format!("{}:v1", repository.name())).run().is("reused-tag");
    asked.degraded();
    assert!(repository.image("v1").is_none());
}

#[test]
fn a_fork_writes_nothing() {
    let (work, repository) = (Workspace::new("fork"), Repository::ecr("fork"));
    let miss = work.program().repository(&repository).input("cache-write", "always").input("push", "true");
    let miss = miss.pull_request(16, HEAD, true).run().is("built-local");
    assert_eq!((miss.output("zone"), miss.output("pushed"), miss.output("digest")), ("fork", "false", ""));
    work.holds(&miss, "fork-16");
    // Whether it could have written is asked by an upload that is given up at once.
    let wrote =
        |entry: &Entry| entry.is_write() && !(entry.is_own() && entry.path.contains("/blobs/uploads/"));
    assert!(!repository.journal().iter().any(wrote), "{:?}", repository.journal());
    assert!(repository.tags().is_empty());

    let trusted = work.program().repository(&repository).run().is("built");
    let before = repository.journal().last().unwrap().seq;
    let hit = work.program().repository(&repository).pull_request(16, HEAD, true).run();
    hit.is("reused-key").has(trusted.output("digest"));
    assert!(repository.journal().iter().filter(|entry| entry.seq > before).all(|entry| !entry.is_write()));
}

#[test]
fn the_queue_has_names_of_its_own() {
    let (work, repository) = (Workspace::new("queue"), Repository::ecr("queue"));
    let built = work.program().repository(&repository).merge_group().run().is("built");
    assert_eq!(built.output("zone"), "queue");
    let commit = format!("queue-{}", work.commit_tag());
    let key = built.key_tag("queue-", &work.image);
    built.is_published(&repository, &[&commit, &key]);
    let mut expected = vec![commit, key];
    expected.sort();
    assert_eq!(repository.tags(), expected);
    // Merged: the same commit on main is built anew, because the queue is trusted less.
    work.program().repository(&repository).run().is("built");
}

#[test]
fn an_unprotected_branch_is_no_pull_request() {
    let (work, repository) = (Workspace::new("branch"), Repository::ecr("branch"));
    let built = work.program().repository(&repository).push("pr-12").run().is("built");
    assert_eq!(built.output("zone"), "pr");
    let commit = format!("br-pr-12-{}", work.commit_tag());
    built.is_published(&repository, &[&commit, &built.key_tag("br-pr-12-", &work.image)]);
    let protected =
        work.program().repository(&repository).push("release").env("GITHUB_REF_PROTECTED", "true").run();
    protected.is("built").is_published(&repository, &[&work.commit_tag()]);
}

#[test]
fn a_pull_request_target_run_builds_nothing() {
    let (work, repository) = (Workspace::new("target-event"), Repository::ecr("target-event"));
    let program = work.program().repository(&repository).pull_request(17, HEAD, true);
    program.env("GITHUB_EVENT_NAME", "pull_request_target").run().failed(60, "unsupported");
    assert!(repository.tags().is_empty());
}

/// D91: two GitHub repositories share a registry repository and an image's name, with pull requests of one number.
#[test]
fn d91_two_github_repositories_do_not_mix() {
    let (work, repository) = (Workspace::new("two"), Repository::ecr("two"));
    let own =
        || work.program().repository(&repository).input("cache-write", "always").input("key", "context");
    let other = || own().env("GITHUB_REPOSITORY", "else/where").env("GITHUB_REPOSITORY_ID", "2");
    let pull_request = |program: Program<'_>| program.pull_request(12, HEAD, false).run().is("built");
    let mut keys = Vec::new();
    // The pull requests come first: there is no trusted image that they could reuse.
    for (ours, theirs) in
        [(pull_request(own()), pull_request(other())), (own().run().is("built"), other().run().is("built"))]
    {
        assert_eq!(ours.output("key"), theirs.output("key"), "the same content");
        assert!(!theirs.log.contains("cache from type=registry"), "{}", theirs.log);
        keys.push(ours.output("tag").replace("-rf9d832d9-", "-rd4b3670a-"));
        assert_eq!(keys.last().map(String::as_str), Some(theirs.output("tag")));
        let (a, b) = (repository.digest(ours.output("tag")), repository.digest(theirs.output("tag")));
        assert_eq!((&*a, &*b), (ours.output("digest"), theirs.output("digest")));
    }
    for tag in repository.tags() {
        assert!(tag.contains("-rf9d832d9-") != tag.contains("-rd4b3670a-"), "{tag}");
    }
    // A new name changes nothing.
    let _ = own().env("GITHUB_REPOSITORY", "o/new-name").run().is("reused-tag");
    let _ = other().run().is("reused-tag");
}
