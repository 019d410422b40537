//! The engine with the old image store, builders of other drivers.

use std::time::Duration;

use crate::harness::{KEY, Program, Repository, Workspace, engine_at, lab};

pub fn classic() -> &'static str {
    lab().get("BUILD_ONCE_LAB_CLASSIC_HOST")
}

/// A machine whose own engine is in use has no second one. On a developer's that is said; where the
/// whole is checked, a test that did nothing must not count as passed.
pub fn no_classic() -> bool {
    let none = classic().is_empty();
    if none {
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "this lab has no engine with the classic store, because the machine's own is in use: stop that one first (systemctl stop docker.socket docker.service), then tests/lab/up"
        );
        eprintln!("skipped: this lab has no engine with the classic store");
    }
    none
}

/// The settings with which a builder can be made here.
pub fn fresh(program: Program<'_>) -> Program<'_> {
    program
        .input("buildkit-image", lab().get("BUILD_ONCE_LAB_BUILDKIT_IMAGE"))
        .input("driver-opts", "network=host")
}

/// No builder, container or volume is left of this test's.
#[track_caller]
pub fn nothing_left(work: &Workspace, host: &str) {
    assert!(!work.docker_on(host, &["buildx", "ls"]).contains("build-once-"));
    for list in [&["ps", "--all", "--format", "{{.Names}}"][..], &["volume", "ls", "--format", "{{.Name}}"]] {
        let (_, names) = engine_at(host, list);
        assert!(!names.contains(&work.image), "left behind: {names}");
    }
}

#[test]
fn the_classic_store_gets_a_builder_that_can_write_the_cache() {
    if no_classic() {
        return;
    }
    let (work, repository) = (Workspace::new("classic"), Repository::ecr("classic"));
    let program = || fresh(work.program().repository(&repository).engine(classic())).input("key", "context");
    let built = program().run().is("built");
    assert_eq!(built.steps(), ["create-builder", "build", "read-back", "set-key-tag"]);
    built.is_published(&repository, &[&work.commit_tag(), &built.key_tag("", &work.image)]);
    nothing_left(&work, classic());
    assert!(
        repository.image(&format!("cache-rf9d832d9-{}-main", work.image)).is_some(),
        "{:?}",
        repository.tags()
    );

    work.write("more.txt", "not in the image, but in the context");
    work.commit("another key, the same steps");
    let warm = program().run().is("built");
    assert_eq!((warm.number("cached-steps"), warm.number("total-steps")), (2, 2), "{}", warm.log);
    nothing_left(&work, classic());

    work.commit("same content");
    program().run().is("reused-key").has(warm.output("digest"));
    assert_eq!(repository.digest(&work.commit_tag()), warm.output("digest"));
}

#[test]
fn the_classic_store_without_a_cache_pushes_by_itself() {
    if no_classic() {
        return;
    }
    let (work, repository) = (Workspace::new("classic-own"), Repository::ecr("classic-own"));
    let program = || work.program().repository(&repository).engine(classic()).input("cache", "none");
    let built = program().run().is("built");
    assert_eq!(built.steps(), ["build", "read-back", "set-key-tag", "tag"]);
    let image = repository.image(&work.commit_tag()).unwrap();
    assert_eq!(image.digest, built.output("digest"), "the manifest's digest, not the image's id");
    assert_eq!(image.annotated_key(), None, "this store writes none");
    assert_eq!(repository.labels(&image)[KEY], built.output("key"));

    program().run().is("reused-tag").has(&image.digest);
    work.commit("same content");
    program().run().is("reused-key").has(&image.digest);
    assert_eq!(repository.digest(&work.commit_tag()), image.digest);

    work.forget();
    let pulled = program().input("mode", "pull").run().is("reused-tag").has(&image.digest);
    assert_eq!(
        work.docker_on(classic(), &["image", "inspect", "--format", "{{.Id}}", pulled.output("local-image")]),
        image.manifest["config"]["digest"].as_str().unwrap()
    );
    program().input("mode", "pull").run().is("reused-local").has(&image.digest);
}

#[test]
fn the_classic_store_pushes_and_loads() {
    if no_classic() {
        return;
    }
    let (work, repository) = (Workspace::new("classic-load"), Repository::open("classic-load"));
    for (cache, content) in [("none", "one"), ("registry", "two")] {
        work.write("content.txt", &format!("{} {content}", work.image));
        work.commit("other content");
        let program = work.program().repository(&repository).engine(classic()).input("cache", cache);
        let built = fresh(program.input("load", "true")).run().is("built");
        assert_eq!(repository.digest(&work.commit_tag()), built.output("digest"));
        let made = work.docker_on(classic(), &["run", "--rm", &work.image, "cat", "/made.txt"]);
        assert_eq!(made, format!("{} {content}", work.image), "{cache}");
    }
    nothing_left(&work, classic());
}

#[test]
fn the_classic_store_without_a_repository() {
    if no_classic() {
        return;
    }
    let work = Workspace::new("classic-local");
    let built = work.program().engine(classic()).run().is("built-local");
    assert_eq!(built.steps(), ["build", "tag"]);
    work.program().engine(classic()).run().is("reused-local");
}

#[test]
fn a_builder_by_name() {
    // BuildKit that runs elsewhere: the engine here is not asked for anything.
    let remote = lab().get("BUILD_ONCE_LAB_REMOTES").split(' ').next().unwrap();
    let (work, repository) = (Workspace::new("remote"), Repository::open("remote"));
    let name = format!("remote-{}", work.image);
    work.docker(&["buildx", "create", "--name", &name, "--driver", "remote", remote]);
    let program =
        || work.program().repository(&repository).input("builder", &name).engine("unix:///nowhere.sock");
    let built = program().run().is("built");
    assert_eq!(built.steps(), ["build", "read-back", "set-key-tag"]);
    built.is_published(&repository, &[&work.commit_tag(), &built.key_tag("", &work.image)]);
    assert!(repository.image(&format!("cache-rf9d832d9-{}-main", work.image)).is_some());
    assert!(work.docker(&["buildx", "ls"]).contains(&name), "it is not ours to remove");

    let unknown = work.program().repository(&repository).input("builder", "no-such-builder");
    work.write("content.txt", "other");
    work.commit("other content");
    unknown.push("main").run().failed(60, "unsupported");
}

#[test]
fn the_current_builder_is_used() {
    let (work, repository) = (Workspace::new("current"), Repository::open("current"));
    let image = format!("image={}", lab().get("BUILD_ONCE_LAB_BUILDKIT_IMAGE"));
    let name = format!("current-{}", work.image);
    // As docker/setup-buildx-action leaves it.
    work.docker(&[
        "buildx",
        "create",
        "--use",
        "--name",
        &name,
        "--driver",
        "docker-container",
        "--driver-opt",
        "network=host",
        "--driver-opt",
        &image,
    ]);
    let built = work.program().repository(&repository).input("load", "true").run();
    let running = work.docker(&["ps", "--format", "{{.Names}}"]).contains(&name);
    work.docker(&["buildx", "rm", "--force", &name]);
    let built = built.is("built");
    assert!(running, "it was booted for the build");
    built.is_published(&repository, &[&work.commit_tag()]);
    assert_eq!(work.docker(&["run", "--rm", &work.image, "cat", "/made.txt"]), work.image);
}

#[test]
fn a_builder_that_does_not_boot() {
    if no_classic() {
        return;
    }
    let (work, repository) = (Workspace::new("no-boot"), Repository::open("no-boot"));
    let program = work
        .program()
        .repository(&repository)
        .engine(classic())
        .input("platforms", "linux/amd64,linux/arm64");
    let failed =
        program.input("buildkit-image", "127.0.0.1:5011/no/such:image").run().failed(30, "unavailable");
    assert!(failed.log.contains("buildkit-image"), "{}", failed.log);
    nothing_left(&work, classic());
}

#[test]
fn no_engine_and_no_docker() {
    let (work, repository) = (Workspace::new("no-engine"), Repository::open("no-engine"));
    let engine =
        work.program().repository(&repository).engine("unix:///nowhere.sock").run().failed(60, "unsupported");
    assert!(engine.log.contains("DOCKER_HOST"), "{}", engine.log);
    assert!(engine.took < Duration::from_secs(5), "{:?}", engine.took);
    let docker =
        work.program().repository(&repository).env("PATH", "/nowhere").run().failed(60, "unsupported");
    assert!(docker.log.contains("docker on the PATH"), "{}", docker.log);
}
