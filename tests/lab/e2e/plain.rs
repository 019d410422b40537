//! The image is the one that `docker buildx build` makes of the same inputs.

use serde_json::{Value, json};

use crate::harness::{Program, Repository, Workspace, lab};

/// What of an image's configuration plain buildx decides: ours adds labels of its own.
fn content(work: &Workspace, host: &str, image: &str) -> Value {
    let text = work.docker_on(host, &["image", "inspect", image]);
    let image: Value = serde_json::from_str::<Value>(&text).unwrap()[0].take();
    let mut config = image["Config"].clone();
    for private in ["Labels", "Image"] {
        config.as_object_mut().unwrap().remove(private);
    }
    json!({
        "layers": image["RootFS"]["Layers"],
        "os": image["Os"],
        "architecture": image["Architecture"],
        "variant": image["Variant"],
        "config": config,
    })
}

/// Builds both ways on one engine, whose layer cache makes equal steps equal layers.
fn same_as_plain(work: &Workspace, host: &str, arguments: &[&str], program: Program<'_>) -> Value {
    let plain = format!("{}-plain", work.image);
    let build = ["buildx", "build", "--quiet", "--load", "--provenance=false", "--tag", &plain];
    let folder = work.folder();
    work.docker_on(host, &[&build, arguments, &[folder.to_str().unwrap()]].concat());
    program.engine(host).input("cache", "none").run().is("built-local");
    let (plain, ours) = (content(work, host, &plain), content(work, host, &work.image));
    assert_eq!(plain, ours);
    ours
}

/// Both engines, where there are two.
fn engines() -> Vec<&'static str> {
    let both = [lab().get("DOCKER_HOST"), lab().get("BUILD_ONCE_LAB_CLASSIC_HOST")];
    both.into_iter().filter(|host| !host.is_empty()).collect()
}

/// A base that leaves a step to those who build on it.
fn with_trigger(test: &str, work: &Workspace) -> Repository {
    let base = Repository::open(&format!("{test}-base"));
    let folder = work.root().join("trigger");
    std::fs::create_dir_all(&folder).unwrap();
    let text = format!(
        "FROM {}\nONBUILD RUN --network=none echo triggered >/trigger\n",
        lab().get("BUILD_ONCE_LAB_BASE_IMAGE")
    );
    std::fs::write(folder.join("Dockerfile"), text).unwrap();
    let name = format!("{}:latest", base.name());
    work.docker(&[
        "buildx",
        "build",
        "--quiet",
        "--push",
        "--provenance=false",
        "--tag",
        &name,
        folder.to_str().unwrap(),
    ]);
    base
}

// D01, D107
#[test]
fn d01_bases_copies_mounts_and_triggers_are_held_without_a_context() {
    for host in engines() {
        let work = Workspace::new("held");
        let base = with_trigger("held", &work);
        let name = base.name();
        work.write(
            "Dockerfile",
            &format!(
                "ARG N={name}\nFROM ${{N}}:latest AS Base\nRUN --network=none echo ran >/ran\nFROM {name} AS other\n\
                 COPY --from=base /ran /trigger /got/\nCOPY --from={name} /etc/base-version /copied\n\
                 RUN --network=none --mount=from={name}:latest,target=/m cat /m/etc/base-version >/mounted\n"
            ),
        );
        work.commit("stages");
        same_as_plain(&work, host, &[], work.program());
        let files = ["/got/ran", "/got/trigger", "/trigger", "/copied", "/mounted"];
        let run = [&["run", "--rm", &work.image, "cat"], &files[..]].concat();
        let said = work.docker_on(host, &run);
        assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["ran", "triggered", "triggered", "1", "1"]);
    }
}

/// A base for these platforms.
fn for_platforms(work: &Workspace, test: &str, platforms: &str) -> String {
    let base = Repository::open(test).name();
    let folder = work.root().join(test);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("Dockerfile"), format!("FROM {}\n", lab().get("BUILD_ONCE_LAB_BASE_IMAGE")))
        .unwrap();
    let platforms = format!("--platform={platforms}");
    let build = ["buildx", "build", "--quiet", "--push", "--provenance=false", &platforms, "--tag", &base];
    work.docker(&[&build[..], &[folder.to_str().unwrap()]].concat());
    base
}

// D106
#[test]
fn d106_the_platform_in_the_image_is_plain_buildxs() {
    for host in engines() {
        let work = Workspace::new("own-platform");
        let foreign = for_platforms(&work, "foreign", "linux/arm64");
        let base = for_platforms(&work, "both", "linux/amd64,linux/arm64");
        let steps =
            "ARG TARGETPLATFORM\nCOPY content.txt /\nRUN --network=none echo $TARGETPLATFORM >/target\n";
        for (from, arguments, architecture) in [
            (format!("FROM --platform=linux/arm64 {base}"), &[][..], "arm64"),
            (format!("FROM --platform=linux/arm64 {base} AS a\nFROM a"), &[], "arm64"),
            (format!("FROM {foreign}"), &[], "arm64"),
            (format!("FROM {base}"), &[], "amd64"),
            (format!("FROM --platform=linux/arm64 {base}"), &["--platform=linux/amd64"], "amd64"),
        ] {
            work.write("Dockerfile", &format!("{from}\n{steps}"));
            work.commit("another base");
            let program = work.program();
            let program = match arguments.first() {
                Some(_) => program.input("platforms", "linux/amd64"),
                None => program,
            };
            let image = same_as_plain(&work, host, arguments, program);
            assert_eq!(image["architecture"], architecture, "{from} {arguments:?}");
        }
    }
}

// D106
#[test]
fn d106_a_folder_in_place_of_the_target_stage_is_no_image() {
    let work = Workspace::new("folder-stage");
    work.write("Dockerfile", "FROM scratch AS extra\nCOPY content.txt /\n");
    work.write("more/file", "x");
    work.commit("a stage that a folder replaces");
    let repository = Repository::open("folder-stage");
    let failed = work.program().repository(&repository).input("build-contexts", "extra=more").run();
    assert_ne!(failed.output("outcome"), "built", "{}", failed.log);
    assert!(repository.tags().is_empty(), "{:?}", repository.tags());
}
