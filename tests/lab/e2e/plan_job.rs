//! `mode: plan` without an engine, and the images of one definition handed over to a job that pulls them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::{Finished, Program, Repository, Workspace, lab};

fn json(run: &Finished, output: &str) -> Value {
    serde_json::from_str(run.output(output)).unwrap_or_else(|_| panic!("{output}: {run:#?}"))
}

/// A plan on a machine without docker, whose variable names an engine that is not there.
fn plan<'a>(work: &'a Workspace, repository: &Repository) -> Program<'a> {
    let without = work.root().join("without-docker");
    std::fs::create_dir_all(&without).unwrap();
    let git = without.join("git");
    if !git.exists() {
        std::os::unix::fs::symlink("/usr/bin/git", git).unwrap();
    }
    let program = work.program().repository(repository).input("mode", "plan");
    program.env("PATH", without.to_str().unwrap()).env("DOCKER_HOST", "tcp://127.0.0.1:9")
}

#[test]
fn without_docker_and_without_a_write() {
    let (work, repository) = (Workspace::new("plan-job"), Repository::ecr("plan-job"));
    let first = plan(&work, &repository).run().is("missing");
    assert_eq!(json(&first, "missing"), serde_json::json!([work.image]));
    assert_eq!(json(&first, "matrix")[0]["runs-on"], "ubuntu-latest");
    assert!(repository.journal().iter().all(|entry| !entry.is_write()), "{:?}", repository.journal());
    let built = work.program().repository(&repository).run().is("built");
    // The plan and the build agree on the key.
    assert_eq!(first.output("key"), built.output("key"));
    let again = plan(&work, &repository).run().is("reused-tag").has(built.output("digest"));
    assert_eq!((again.output("missing"), again.output("matrix")), ("[]", "[]"));
    work.commit("same content");
    plan(&work, &repository).run().is("reused-key").has(built.output("digest"));
    assert!(repository.image(&work.commit_tag()).is_none(), "a plan sets no tag");
    work.write("content.txt", "changed\n");
    work.commit("changed");
    let changed = plan(&work, &repository).run().is("missing");
    assert!(changed.output("reason").contains("content.txt"), "{}", changed.output("reason"));
}

/// A base that is only linked, two images on it, one alone.
const DEFINITION: &str = r#"
variable "BASE" {}
group "default" { targets = ["api", "web", "lint"] }
target "base" {
  dockerfile-inline = "FROM ${BASE}\nCOPY content.txt /base.txt\n"
}
target "api" {
  contexts = { base = "target:base" }
  dockerfile-inline = "FROM base\nRUN --network=none echo api > /made.txt\n"
}
target "web" {
  contexts = { base = "target:base" }
  dockerfile-inline = "FROM base\nRUN --network=none echo web > /made.txt\n"
}
target "lint" {
  dockerfile-inline = "FROM ${BASE}\nRUN --network=none echo lint > /made.txt\n"
}
"#;

fn bake<'a>(work: &'a Workspace, repository: &Repository) -> Program<'a> {
    let program = work.program().repository(repository).without("INPUT_BUILD_ARGS");
    program.input("bake", "docker-bake.hcl").env("BASE", lab().get("BUILD_ONCE_LAB_BASE_IMAGE"))
}

#[test]
fn a_definition_is_planned_built_and_handed_over() {
    let (work, repository) = (Workspace::new("plan-bake"), Repository::ecr("plan-bake"));
    work.write("docker-bake.hcl", DEFINITION);
    work.commit("definition");
    let planned =
        || bake(&work, &repository).input("mode", "plan").env("DOCKER_HOST", "tcp://127.0.0.1:9").run();
    let name = |target: &str| format!("{}-{target}", work.image);
    let first = planned().is("missing");
    let jobs = json(&first, "matrix");
    let targets: Vec<&Value> = jobs.as_array().unwrap().iter().map(|job| &job["target"]).collect();
    assert_eq!(targets, ["api", "lint", "web"]);
    let built = bake(&work, &repository).run().is("built");
    let images = json(&built, "images");
    let keys = |images: &Value| -> BTreeMap<String, Value> {
        let images = images.as_object().unwrap().iter();
        images.map(|(name, image)| (name.clone(), image["key"].clone())).collect()
    };
    assert_eq!(keys(&images), keys(&json(&first, "images")));
    for target in ["api", "web", "lint"] {
        let image = &images[name(target)];
        assert_eq!(repository.digest(image["tag"].as_str().unwrap()), image["digest"].as_str().unwrap());
    }
    assert!(built.summary.contains("```mermaid"), "{}", built.summary);
    let again = planned().is("reused-tag");
    assert_eq!((again.output("missing"), again.output("digests")), ("[]", built.output("digests")));

    let empty = work.root().join("empty");
    std::fs::create_dir_all(&empty).unwrap();
    let pull = || {
        let program = work.program().repository(&repository).input("mode", "pull");
        program.input("digests", built.output("digests")).folder(&empty)
    };
    work.forget();
    let pulled = pull().input("targets", "api").run().is("reused-digest");
    assert_eq!(json(&pulled, "images").as_object().unwrap().len(), 1);
    work.forget();
    let pulled = pull().run().is("reused-digest");
    assert_eq!(pulled.output("digests"), built.output("digests"));
    for target in ["api", "web", "lint"] {
        assert_eq!(work.docker(&["run", "--rm", &name(target), "cat", "/made.txt"]), target);
    }
}
