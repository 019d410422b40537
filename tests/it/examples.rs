//! The example workflows, and the README's first one, as their jobs would run here.

use serde_json::json;
use serde_yaml_ng::Value;

use crate::support::{Lab, Login};

/// The inputs of the workflow's one step of this action, `${{ … || 'x' }}` as x.
fn inputs(workflow: &str) -> Vec<(String, String)> {
    let workflow: Value = serde_yaml_ng::from_str(workflow).unwrap();
    let steps = workflow["jobs"]["test"]["steps"].as_sequence().unwrap();
    let ours = steps
        .iter()
        .find(|step| step["uses"].as_str().is_some_and(|uses| uses.starts_with("build-once/build-once@")));
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Bool(on) => on.to_string(),
        other => panic!("{other:?}"),
    };
    let plain = |text: String| match text.split_once("${{") {
        Some((before, expression)) => {
            let default = expression.split('\'').nth(1).unwrap_or_default();
            format!("{before}{default}")
        }
        None => text,
    };
    let with = ours.unwrap()["with"].as_mapping().unwrap();
    with.iter().map(|(name, value)| (name.as_str().unwrap().to_owned(), plain(text(value)))).collect()
}

/// D99: it needs nothing else, whatever registry a fleet's settings name: `docker run ci-native` finds the image.
#[test]
fn d99_the_ephemeral_runner_loads_what_it_runs() {
    let workflow = include_str!("../../examples/ephemeral-runner/.github/workflows/ci.yml");
    assert!(workflow.contains("docker run --rm ci-native "));
    for fleet in [None, Some("ECR_CACHE_URL"), Some("BUILD_ONCE_REPOSITORY")] {
        let lab = Lab::new();
        lab.write("work/Dockerfile", "FROM scratch\nCOPY packages.txt /\n");
        lab.write("work/packages.txt", "x\n");
        let mut program = lab.build_once();
        for (name, value) in inputs(workflow) {
            let value = if name == "cache-dir" { lab.path("disk").display().to_string() } else { value };
            program = program.input(&name, &value);
        }
        if let Some(variable) = fleet {
            program = program.env(variable, &lab.registry.repository());
        }
        let run = program.run().succeeds(if fleet.is_some() { "built" } else { "built-local" });
        let images = lab.images().to_string();
        assert!(images.contains("\"ci-native:latest\""), "{fleet:?}: {images}\n{}", run.all());
    }
}

/// Each step of this action in a workflow: its job, and its inputs as [`inputs`] has them.
fn steps(workflow: &str) -> Vec<(String, Vec<(String, String)>)> {
    let workflow: Value = serde_yaml_ng::from_str(workflow).unwrap();
    let mut found = Vec::new();
    for (job, body) in workflow["jobs"].as_mapping().unwrap() {
        for step in body["steps"].as_sequence().unwrap() {
            if !step["uses"].as_str().is_some_and(|uses| uses.starts_with("build-once/build-once@")) {
                continue;
            }
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let with = step["with"].as_mapping().unwrap().iter();
            found.push((text(job), with.map(|(name, value)| (text(name), text(value))).collect()));
        }
    }
    found
}

/// Each job finds its image by the inputs of its own, whatever else the definition holds.
#[test]
fn each_job_of_the_monorepo_pulls_its_own_image() {
    let lab = Lab::new();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/monorepo");
    for image in ["base", "runtime", "api", "web", "docs"] {
        for file in std::fs::read_dir(folder.join(image)).unwrap() {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            lab.write(&format!("work/{image}/{name}"), std::fs::read_to_string(file.path()).unwrap());
        }
    }
    lab.write("work/docker-bake.hcl", "");
    let base = json!({"BASE": format!("{}/base/os:1", lab.registry.address())});
    let on = |image: &str| json!({image: format!("target:{image}")});
    let definition = |asked: &[&str]| {
        json!({"group": {"default": {"targets": asked}}, "target": {
            "base": {"context": "base", "dockerfile": "Dockerfile", "args": base},
            "runtime": {"context": "runtime", "dockerfile": "Dockerfile", "contexts": on("base")},
            "api": {"context": "api", "dockerfile": "Dockerfile", "contexts": on("runtime")},
            "web": {"context": "web", "dockerfile": "Dockerfile", "contexts": on("base")},
            "docs": {"context": "docs", "dockerfile": "Dockerfile", "args": base},
        }})
    };
    lab.registry.publish("base/os/1", &json!({}), &json!({}));
    let mut digests = json!(null);
    for (job, inputs) in steps(include_str!("../../examples/monorepo/.github/workflows/ci.yml")) {
        let asked: &[&str] = match job.as_str() {
            "images" => &["base", "runtime", "api", "web", "docs"],
            own => &[own],
        };
        lab.set("bake", definition(asked).to_string());
        let run = inputs.iter().fold(lab.shared().input("image", ""), |program, (name, value)| {
            let value = if name == "digest" { digests[&job].as_str().unwrap() } else { value };
            program.input(name, value)
        });
        lab.another_machine();
        let run = run.run();
        if job == "images" {
            let run = run.succeeds("built");
            digests = serde_json::from_str(run.output("digests")).unwrap();
            continue;
        }
        let run = run.succeeds(if job == "docs" { "reused-digest" } else { "reused-tag" });
        assert_eq!(run.output("digest"), digests[&job].as_str().unwrap(), "{job}");
        assert!(lab.images().to_string().contains(&format!("\"{job}:latest\"")), "{job}: {}", lab.images());
    }
}

fn first_workflow() -> &'static str {
    let readme = include_str!("../../README.md");
    readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap()
}

/// With the login that docker/login-action leaves, a registry that asks for a password, and no AWS.
#[test]
fn the_first_workflow_of_the_readme_builds_once() {
    let workflow = first_workflow();
    assert!(workflow.lines().count() <= 12 && !workflow.to_lowercase().contains("aws"), "{workflow}");
    let lab = Lab::new();
    lab.registry.require(Login::Bearer("ann", "password-of-ann"));
    // ann:password-of-ann
    lab.docker_config(&json!({"auths": {lab.registry.address(): {"auth": "YW5uOnBhc3N3b3JkLW9mLWFubg=="}}}));
    lab.write("work/Dockerfile", "FROM scratch\nCOPY Makefile /\n");
    lab.write("work/Makefile", "test:\n");
    let run = |commit: &str| {
        let given = inputs(workflow).into_iter().fold(lab.build_once(), |program, (name, value)| {
            let full = format!("{}/o/r/ci", lab.registry.address());
            program.input(&name, if name == "repository" { &full } else { &value })
        });
        given.commit(commit).run()
    };
    let first = run("1111111111111111111111111111111111111111").succeeds("built");
    let images = lab.images().to_string();
    assert!(images.contains("\"app-ci:latest\""), "{images}\n{}", first.all());
    lab.another_machine();
    let next = run("2222222222222222222222222222222222222222").succeeds("reused-key");
    assert_eq!(next.output("digest"), first.output("digest"));
}

#[test]
fn capitals_in_the_repository_are_refused() {
    let lab = Lab::new();
    let run = lab.build_once().input("repository", "ghcr.io/Owner/r/ci").run();
    assert_eq!(run.code, 2);
    assert!(run.error().contains("the name must be lower-case"), "{}", run.error());
}
