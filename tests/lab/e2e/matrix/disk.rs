//! A builder whose disk is too small for what is built.

use crate::engines::{classic, no_classic};
use crate::harness::{Repository, Workspace, engine_at, lab};

/// F36: BuildKit has no room for the files it is sent.
#[test]
fn a_builder_whose_disk_is_full() {
    if no_classic() {
        return;
    }
    let (work, repository) = (Workspace::new("disk"), Repository::ecr("disk"));
    let name = format!("full-{}", work.image);
    let on = |arguments: &[&str]| work.docker_on(classic(), arguments);
    // buildx takes the volume of this name for the builder's state if there is one.
    let volume = format!("buildx_buildkit_{name}0_state");
    let tiny = ["--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=48m"];
    on(&[&["volume", "create"], &tiny[..], &[&volume]].concat());
    let image = format!("image={}", lab().get("BUILD_ONCE_LAB_BUILDKIT_IMAGE"));
    let options = ["--driver-opt", "network=host", "--driver-opt", &image];
    on(&[&["buildx", "create", "--name", &name, "--driver", "docker-container"], &options[..]].concat());
    work.write("big.txt", &"more than the builder has room for\n".repeat(2_500_000));
    work.write("Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY content.txt big.txt /\n");
    work.commit("too large");
    let program = work.program().repository(&repository).engine(classic()).input("builder", &name);
    let failed = program.input("cache", "none").input("retries", "3").run();
    // Removed before anything can fail: nobody else knows of it.
    let left = engine_at(classic(), &["ps", "--format", "{{.Names}}"]).1;
    on(&["buildx", "rm", "--force", &name]);
    let _ = engine_at(classic(), &["volume", "rm", "--force", &volume]);
    let failed = failed.failed(50, "resource");
    assert!(left.contains(&name), "it is not ours to remove: {left}");
    assert_eq!((failed.output("failure-cause"), failed.output("attempts")), ("disk-full", "1"));
    let error = failed.annotations("error")[0];
    assert!(error.contains("no space left on device") && error.contains("free disk space"), "{error}");
    assert!(repository.tags().is_empty(), "{:?}", repository.tags());
}
