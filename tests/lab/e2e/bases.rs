//! Base images: what they stand for decides the key, and is what the build gets.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Program, Repository, Rules, Workspace, engine, eventually, lab, rule};

/// A base of the test's own, under a tag that can move.
fn moving(test: &str) -> (Workspace, Repository, String) {
    let base = Repository::open(&format!("{test}-base"));
    base.copy_base("1", "latest");
    let name = format!("{}:latest", base.name());
    (Workspace::new(test), base, name)
}

fn on<'a>(work: &'a Workspace, base: &str) -> Program<'a> {
    work.program().input("build-args", &format!("BASE={base}"))
}

fn base_version(image: &str) -> String {
    let version = engine(&["run", "--rm", image, "cat", "/etc/base-version"]);
    engine(&["image", "rm", "--force", image]);
    version
}

#[test]
fn a_base_that_moved_is_another_image() {
    let ((work, base, name), repository) = (moving("moved"), Repository::open("moved"));
    let first = on(&work, &name).repository(&repository).run().is("built");
    on(&work, &name).repository(&repository).run().is("reused-tag");
    assert_eq!(base_version(first.output("image")), "1");
    let digest = base.copy_base("2", "latest");
    let second = on(&work, &name).repository(&repository).run().is("built");
    assert_ne!(second.output("key"), first.output("key"));
    assert_eq!(base_version(second.output("image")), "2");
    assert!(second.plan.unwrap().contains(&format!("{}@{digest}", base.name())));
}

#[test]
fn a_base_that_moves_during_the_run_is_the_one_of_the_key() {
    let ((work, base, name), repository) = (moving("moving"), Repository::ecr("moving"));
    // The key is computed while the commit's tag is asked for; the answer is kept back.
    let path = format!("manifests/{}", work.commit_tag());
    let rules =
        Rules::set(&[rule("GET", &repository.path, &path, Some(1), &json!({"kind": "delay", "ms": 4000}))]);
    let running = on(&work, &name).repository(&repository).start();
    eventually("it asks", Duration::from_secs(20), || rules.applied() == [1]);
    std::thread::sleep(Duration::from_millis(1500));
    base.copy_base("2", "latest");
    let built = running.finish().is("built");
    drop(rules);
    let by_name = lab().get("BUILD_ONCE_LAB_BASE_IMAGE").replace("base:1", &format!("{}:latest", base.path));
    assert_eq!(base_version(&by_name), "2");
    work.docker(&["run", "--rm", built.output("image"), "grep", "1", "/etc/base-version"]);
}

#[test]
fn a_base_that_is_only_on_this_machine() {
    let (work, repository) = (Workspace::new("local-base"), Repository::open("local-base"));
    let name = format!("{}-base:v1", work.image);
    engine(&["pull", "--quiet", lab().get("BUILD_ONCE_LAB_BASE_IMAGE")]);
    engine(&["tag", lab().get("BUILD_ONCE_LAB_BASE_IMAGE"), &name]);
    let built = on(&work, &name).repository(&repository).run();
    engine(&["image", "rm", &name]);
    let built = built.is("built");
    assert_eq!(base_version(built.output("image")), "1");
}

#[test]
fn a_base_that_is_nowhere() {
    let (work, repository) = (Workspace::new("no-base"), Repository::open("no-base"));
    let name = format!("{}:none", repository.name());
    let failed = on(&work, &name).repository(&repository).run().failed(10, "build");
    let error = failed.annotations("error")[0];
    assert!(error.contains(&name) && error.contains("file=Dockerfile,line=2"), "{error}");
}

// D08
#[test]
fn d08_the_engines_own_image_comes_before_a_strangers() {
    for host in [lab().get("DOCKER_HOST"), crate::engines::classic()] {
        if host.is_empty() {
            continue;
        }
        let (work, base, name) = moving("strangers");
        let image = |built: &crate::harness::Finished| {
            work.docker_on(host, &["run", "--rm", built.output("local-image"), "cat", "/etc/base-version"])
        };
        let program = || on(&work, &name).engine(host).input("cache", "none");
        // One that was pulled and is older than the registry's is no other image.
        work.docker_on(host, &["pull", "--quiet", &name]);
        let older = base.copy_base("2", "latest");
        let moved = program().run().is("built-local");
        assert!(moved.log.contains("an older one; the registry's is used"), "{}", moved.log);
        assert_eq!(image(&moved), "2", "{older}");
        // One that a step of the job has built is what docker build takes.
        let folder = work.root().join("own");
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!(
            "FROM {}\nRUN --network=none echo own >/etc/base-version\n",
            lab().get("BUILD_ONCE_LAB_BASE_IMAGE")
        );
        std::fs::write(folder.join("Dockerfile"), text).unwrap();
        let folder = folder.to_str().unwrap();
        work.docker_on(
            host,
            &["buildx", "build", "--quiet", "--load", "--provenance=false", "--tag", &name, folder],
        );
        let own = program().run().is("built-local");
        assert!(own.log.contains("the engine's is used, as docker build does"), "{}", own.log);
        assert_eq!(image(&own), "own");
        let shared = program().env("RUNNER_ENVIRONMENT", "self-hosted").run();
        assert!(shared.log.contains("other runs use this engine too"), "{}", shared.log);
        work.docker_on(host, &["image", "rm", "--force", &name]);
    }
}
