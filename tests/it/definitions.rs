//! Definitions of the shapes that other projects have (`tests/fixtures/bake`): each target becomes an image, or is refused by
//! its name for a reason. A JSON file there is what `docker buildx bake --print` gives for the `.hcl` file and the target
//! in its name.

use serde_json::{Value, json};

use crate::support::{BuildOnce, Lab, Run};

const STAGES: [&str; 9] =
    ["lint", "vendored", "format", "binary", "release", "integration", "archive", "index", "image"];

fn lab() -> Lab {
    let lab = Lab::new();
    let stage = |name: &&str| format!("FROM scratch AS {name}\nARG LEVEL\nCOPY file /{name}\n");
    lab.write("work/Dockerfile", STAGES.iter().map(stage).collect::<String>());
    for file in ["file", "fixtures/file", "assets/file", "docker-bake.hcl", "meta.json"] {
        lab.write(&format!("work/{file}"), file);
    }
    lab
}

fn bake<'a>(lab: &'a Lab, printed: &str) -> BuildOnce<'a> {
    lab.set("bake", printed.to_owned());
    lab.shared().input("image", "").input("bake", "docker-bake.hcl\nmeta.json").env("GITHUB_TOKEN", "t")
}

fn names(run: &Run) -> Vec<String> {
    let images: Value = serde_json::from_str(run.output("images")).unwrap();
    images.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn targets_that_are_images_are_built() {
    for (printed, images, outcome) in [
        // Its output is `type=docker`, which is for the engine alone.
        (include_str!("../fixtures/bake/tool-integration.json"), ["integration"], "built-local"),
        (include_str!("../fixtures/bake/site-image.json"), ["image"], "built"),
    ] {
        let lab = lab();
        let run = bake(&lab, printed).run().succeeds(outcome);
        assert_eq!(names(&run), images);
        // The tags of an image that is only linked to are not set.
        assert!(lab.registry.tags().iter().all(|tag| tag.contains(images[0])), "{:?}", lab.registry.tags());
    }
}

#[test]
fn tags_caches_and_attestations_are_taken() {
    for printed in [
        include_str!("../fixtures/bake/tool-image.json"),
        include_str!("../fixtures/bake/tool-image-cross.json"),
        include_str!("../fixtures/bake/meta-app.json"),
    ] {
        let run = bake(&lab(), printed).args(&["key"]).run();
        assert_eq!(run.code, 0, "{}", run.all());
    }
}

#[test]
fn a_target_that_writes_files_is_refused_by_its_name() {
    for (printed, told) in [
        (include_str!("../fixtures/bake/tool-default.json"), "`type=local,dest=./bin/build` writes files"),
        (include_str!("../fixtures/bake/tool-validate.json"), "format: input `outputs`: `type=local"),
        (include_str!("../fixtures/bake/site-default.json"), "`type=local,dest=./public` writes files"),
        (include_str!("../fixtures/bake/site-archive.json"), "`type=tar,dest=site.tar` writes files"),
    ] {
        let run = bake(&lab(), printed).run().fails(2, "input");
        assert!(run.error().contains(told), "{}", run.error());
        assert!(!run.error().contains("`platforms`"), "`local` is a platform: {}", run.error());
    }
}

#[test]
fn a_check_is_no_image() {
    let run = bake(&lab(), include_str!("../fixtures/bake/tool-checked.json")).run().fails(2, "input");
    assert_eq!(run.error().matches("its call is not build").count(), 2, "{}", run.error());
}

/// Services of a Compose file that run one image have its name and its build in common.
#[test]
fn services_share_an_image_and_its_name() {
    let lab = lab();
    for service in ["app", "store", "cron"] {
        lab.write(&format!("work/{service}/Dockerfile"), "FROM scratch\nCOPY file /\n");
        lab.write(&format!("work/{service}/file"), service);
    }
    let text = include_str!("../fixtures/bake/stack-default.json");
    let run = bake(&lab, text).unset("INPUT_REPOSITORY").run().succeeds("built-local");
    assert_eq!(names(&run), ["cleanup", "scheduler", "store", "web", "worker"]);
    // The names are there where compose looks for them: in the engine.
    for name in ["stack-app-local:latest", "stack-cleanup-local:latest", "stack-store-local:latest"] {
        let named = run.lines().iter().filter(|line| line.ends_with(&format!(" {name}"))).count();
        assert_eq!(named, 1, "{name}: {:?}", run.lines());
    }
    // In a repository they are no tags.
    let _ = bake(&lab, text).run().succeeds("built");
    assert!(!lab.registry.tags().iter().any(|tag| tag.contains("local")), "{:?}", lab.registry.tags());
    // Another image of that name would take it away.
    let mut other: Value = serde_json::from_str(text).unwrap();
    other["target"]["worker"]["args"]["APP_IMAGE"] = json!("scratch");
    let run = bake(&lab, &other.to_string()).run().fails(2, "input");
    assert!(run.error().contains("have one tag: stack-app-local:latest"), "{}", run.error());
}

/// What docker/metadata-action writes names the commit and the time in labels and arguments; the key has neither.
#[test]
fn labels_of_the_metadata_action_do_not_make_a_miss() {
    let lab = lab();
    let printed = |version: &str, number: u32| {
        let text = include_str!("../fixtures/bake/meta-app.json");
        let mut printed: Value = serde_json::from_str(text).unwrap();
        let app = &mut printed["target"]["app"];
        app["tags"] = json!([format!("{}:{version}", lab.registry.repository())]);
        app["platforms"] = json!(["linux/amd64"]);
        app["annotations"] = json!(["manifest:org.opencontainers.image.title=app"]);
        app["args"]["DOCKER_META_VERSION"] = json!(version);
        app["labels"]["org.opencontainers.image.version"] = json!(version);
        app["labels"]["org.opencontainers.image.revision"] = json!(number.to_string().repeat(40));
        app["labels"]["org.opencontainers.image.created"] = json!(format!("2026-11-2{number}T00:00:00.000Z"));
        printed.to_string()
    };
    let first = bake(&lab, &printed("main-1", 4)).commit(&"4".repeat(40)).run().succeeds("built");
    let second = bake(&lab, &printed("main-2", 5)).commit(&"5".repeat(40)).run().succeeds("reused-key");
    assert_eq!(second.output("digest"), first.output("digest"));
    let tag = |version: &str| lab.registry.digest(&format!("ci/{version}"));
    assert!(tag("main-1").is_some() && tag("main-1") == tag("main-2"), "both names are set");
}
