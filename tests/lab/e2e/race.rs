//! Many runs of one key from one commit, at once.

use std::collections::BTreeSet;
use std::process::Command;

use crate::harness::{Finished, Repository, Workspace};

const RUNS: usize = 20;

/// All build before any has published, and no two builds give the same bytes: each checkout has a
/// file that is in the image and not in the key.
fn all_at_once(work: &Workspace, repository: &Repository) -> Vec<Finished> {
    work.write(
        "Dockerfile",
        "ARG BASE\nFROM ${BASE}\nCOPY content.txt racer.txt /\nRUN --network=none sleep 4; cat /racer.txt >/made.txt\n",
    );
    work.write(".gitignore", "racer.txt\n");
    work.commit("one key, many images");
    let programs = (0..RUNS).map(|number| {
        let folder = work.root().join(format!("checkout-{number}"));
        let copied = Command::new("cp").arg("-r").arg(work.folder()).arg(&folder).status().unwrap();
        assert!(copied.success());
        std::fs::write(folder.join("racer.txt"), format!("{number} {}\n", work.image)).unwrap();
        let program = work.program().push("main").folder(&folder).repository(repository);
        program.input("key", "files").input("key-files", "Dockerfile\ncontent.txt")
    });
    let programs: Vec<_> = programs.collect();
    let running: Vec<_> = programs.into_iter().map(crate::harness::Program::start).collect();
    running.into_iter().map(crate::harness::Running::finish).collect()
}

#[track_caller]
fn one_image(work: &Workspace, repository: &Repository, runs: &[Finished]) {
    let built = runs.iter().filter(|run| run.output("outcome") == "built").count();
    assert!(built > RUNS / 2, "a race of {built} is none");
    let met =
        |run: &&Finished| [" counts", " although the push failed"].iter().any(|said| run.log.contains(said));
    assert!(runs.iter().any(|run| met(&run)), "nobody met a rival");
    let digests: BTreeSet<&str> = runs.iter().map(|run| run.output("digest")).collect();
    assert_eq!(digests.len(), 1, "all report the same: {digests:?}");
    let digest = digests.into_iter().next().unwrap();
    for run in runs {
        assert_eq!((run.code, run.output("degraded")), (Some(0), "false"), "{}", run.log);
    }
    let key_tag = runs[0].key_tag("", &work.image);
    assert_eq!(repository.digest(&key_tag), digest);
    assert_eq!(repository.digest(&work.commit_tag()), digest, "the commit's tag names the same");
    assert_eq!(repository.image(digest).unwrap().annotated_key(), Some(runs[0].output("key")));
    let keys = repository.tags().into_iter().filter(|tag| tag.starts_with("key-")).count();
    assert_eq!(keys, 1, "{:?}", repository.tags());
}

#[test]
fn twenty_runs_report_one_image() {
    let (work, repository) = (Workspace::new("race"), Repository::open("race"));
    let runs = all_at_once(&work, &repository);
    one_image(&work, &repository, &runs);
}

#[test]
fn twenty_runs_on_ecr() {
    let (work, repository) = (Workspace::new("race-ecr"), Repository::ecr("race-ecr"));
    let runs = all_at_once(&work, &repository);
    one_image(&work, &repository, &runs);
}

#[test]
fn twenty_runs_where_tags_cannot_be_changed() {
    let (work, repository) = (Workspace::new("race-fixed"), Repository::ecr_immutable("race-fixed"));
    let runs = all_at_once(&work, &repository);
    one_image(&work, &repository, &runs);
}
