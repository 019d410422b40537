//! Repositories that a run makes, in the ECR emulator: what the emulator lacks is in `tests/lab/README.md`.

use serde_json::{Value, json};

use crate::harness::{Program, Repository, Running, Workspace, aws};

fn ecr(operation: &str, body: &Value) -> Value {
    aws("ecr", &format!("AmazonEC2ContainerRegistry_V20150921.{operation}"), body)
}

fn described(repository: &Repository) -> Value {
    ecr("DescribeRepositories", &json!({"repositoryNames": [repository.path]}))["repositories"][0].clone()
}

#[test]
fn an_absent_repository_is_made_and_pushed_to() {
    let (work, repository) = (Workspace::new("set-up"), Repository::ecr_absent("set-up"));
    let program = || {
        work.program()
            .push("main")
            .repository(&repository)
            .input("create-repository", "true")
            .input("immutable-tags", "true")
            .input("lifecycle", "recommended")
    };
    let built = program().run().is("built");
    built.is_published(&repository, &[&work.commit_tag()]);
    let made = described(&repository);
    assert_eq!(made["imageTagMutability"], "IMMUTABLE_WITH_EXCLUSION");
    assert_eq!(made["encryptionConfiguration"]["encryptionType"], "AES256");
    let policy = ecr("GetLifecyclePolicy", &json!({"repositoryName": repository.path}));
    assert!(policy["lifecyclePolicyText"].as_str().unwrap().contains("build-once 1: "), "{policy}");
    assert!(built.summary.contains("made by this run"), "{}", built.summary);
    let hit = program().run().is("reused-tag");
    assert_eq!(hit.output("digest"), built.output("digest"));
}

#[test]
fn two_first_jobs_at_once() {
    let repository = Repository::ecr_absent("set-up-race");
    let works = [Workspace::new("set-up-race-a"), Workspace::new("set-up-race-b")];
    let start = |work: &Workspace| {
        let program = work.program().push("main").repository(&repository);
        Program::start(program.input("create-repository", "true"))
    };
    let running: Vec<Running> = works.iter().map(start).collect();
    for (run, work) in running.into_iter().map(Running::finish).zip(&works) {
        let built = run.is("built");
        built.is_published(&repository, &[&work.commit_tag()]);
    }
}

#[test]
fn without_a_preview_no_policy_is_written() {
    let (work, repository) = (Workspace::new("set-up-preview"), Repository::ecr("set-up-preview"));
    let run = work.program().push("main").repository(&repository).input("lifecycle", "recommended").run();
    let run = run.is("built");
    assert_eq!(run.output("degraded"), "true", "the emulator has no previews");
    assert!(run.annotations("warning")[0].contains("failed to preview the lifecycle policy"), "{}", run.log);
}
