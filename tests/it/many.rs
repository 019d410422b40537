//! Several images in one request.

use serde_json::{Value, json};

use crate::support::{BuildOnce, HEAD, Lab, Response, Run};

const APP: &[&str] = &["--image", "app"];
const WEB: &[&str] = &["--image", "web", "--file", "Dockerfile.web"];

pub(super) fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("work/Dockerfile.web", "FROM scratch\nCOPY hello /web\n");
    lab
}

pub(super) fn both(lab: &Lab) -> BuildOnce<'_> {
    lab.shared().images(&[APP, WEB])
}

fn plan(run: &Run) -> Value {
    serde_json::from_slice(&std::fs::read(run.output("plan")).unwrap()).unwrap()
}

/// The digest under the commit's tag.
fn digest(lab: &Lab, image: &str) -> Option<String> {
    lab.registry.digest(&format!("ci/sha-rf9d832d9-{image}-{HEAD}"))
}

#[test]
fn two_are_built_and_published_in_one_run() {
    let lab = lab();
    let run = both(&lab).run().succeeds("built");
    let (app, web) = (digest(&lab, "app").unwrap(), digest(&lab, "web").unwrap());
    assert_ne!(app, web);
    let plan = plan(&run);
    let names: Vec<&str> =
        plan["images"].as_array().unwrap().iter().map(|image| image["image"].as_str().unwrap()).collect();
    assert_eq!(names, ["app", "web"]);
    for (at, (image, digest)) in [("app", &app), ("web", &web)].iter().enumerate() {
        let key = plan["images"][at]["key"].as_str().unwrap();
        assert_eq!(
            lab.registry.digest(&format!("ci/key-rf9d832d9-{image}-{}", &key[..32])).as_ref(),
            Some(*digest)
        );
        assert!(
            run.summary.contains(&format!("<code>{image}</code>: built and published")),
            "{}",
            run.summary
        );
        assert!(run.summary.contains(*digest), "{}", run.summary);
    }
    assert_eq!((run.called("buildx build").len(), run.called("buildx bake").len()), (0, 1), "in one go");
    // The log and the table of times say which is which.
    for told in ["::group::docker buildx bake app web", "→ app: build and push"] {
        assert!(run.stdout.contains(told), "{told}: {}", run.stdout);
    }
    assert!(run.summary.contains("| web: build and push |"), "{}", run.summary);
    // What is one image's alone has no output of its own here.
    for (name, value) in [("digest", ""), ("tag", ""), ("key", ""), ("built", "true"), ("attempts", "2")] {
        assert_eq!(run.output(name), value, "{name}");
    }
    // Each finds its own again.
    let again = both(&lab).run().succeeds("reused-tag");
    assert_eq!(again.called("buildx bake").len(), 1, "that of before");
}

/// A run of several images has no output `metadata`, so it does not ask for the provenance in it.
#[test]
fn the_provenance_is_read_for_an_only_image() {
    let lab = lab();
    both(&lab).run().succeeds("built");
    lab.shared().images(&[&["--image", "alone"]]).run().succeeds("built");
    let asked = |command: &str| {
        let calls = lab.calls();
        let call =
            calls.iter().find(|call| call.args.starts_with(&["buildx".to_owned(), command.to_owned()]));
        call.unwrap().env["BUILDX_METADATA_PROVENANCE"].clone()
    };
    assert_eq!((asked("bake"), asked("build")), (json!("disabled"), Value::Null));
}

#[test]
fn one_that_is_there_is_not_built() {
    let lab = lab();
    lab.shared().images(&[WEB]).run().succeeds("built");
    let run = both(&lab).commit(&"4".repeat(40)).run().succeeds("built");
    assert_eq!(run.called("buildx build").len(), 2, "one before, one now");
    let outcomes: Vec<Value> =
        plan(&run)["images"].as_array().unwrap().iter().map(|image| image["outcome"].clone()).collect();
    assert_eq!(outcomes, ["built", "reused-key"]);
    assert!(run.summary.contains("<code>web</code>: already built, ready"), "{}", run.summary);
    assert!(lab.registry.digest(&format!("ci/sha-rf9d832d9-web-{}", "4".repeat(40))).is_some());
}

fn fails_to_build(lab: &Lab, file: &str, stderr: &str) {
    lab.rule("buildx build", json!({"has": file, "stderr": stderr, "exit": 1}));
}

const STEP: &str =
    "ERROR: failed to solve: process \"/bin/sh -c make\" did not complete successfully: exit code: 2\n";

#[test]
fn one_failure_does_not_stop_the_other() {
    let lab = lab();
    fails_to_build(&lab, "Dockerfile.web", STEP);
    let run = both(&lab).run().fails(10, "build");
    assert!(digest(&lab, "app").is_some() && digest(&lab, "web").is_none());
    assert_eq!((run.output("built"), run.output("pushed")), ("true", "true"));
    assert!(run.error().contains("web: "), "{}", run.error());
    assert!(run.summary.contains("<code>app</code>: built and published"), "{}", run.summary);
    assert!(run.summary.contains("<code>web</code>: failed"), "{}", run.summary);
    // What comes after the build that failed is not begun.
    let begun = |image: &str| run.stdout.matches(&format!("→ {image}: ")).count();
    assert_eq!((begun("app") > 3, begun("web")), (true, 1), "{}", run.stdout);
}

#[test]
fn the_exit_code_is_that_of_the_worst() {
    let lab = lab();
    fails_to_build(&lab, "Dockerfile.web", STEP);
    fails_to_build(&lab, "Dockerfile", "ERROR: failed to push: unexpected status: 403 Forbidden: denied\n");
    let run = both(&lab).run();
    assert_eq!((run.code, run.output("outcome"), run.output("failure-class")), (20, "failed", "access"));
    assert_eq!(run.commands("error").len(), 2, "{}", run.stdout);
}

#[test]
fn a_key_that_cannot_be_computed_is_one_images_failure() {
    let lab = Lab::new();
    let run = both(&lab).run().fails(10, "build");
    assert!(digest(&lab, "app").is_some(), "{}", run.all());
    assert!(run.error().contains("Dockerfile.web"), "{}", run.error());
    assert!(run.summary.contains("<code>web</code>: failed"), "{}", run.summary);
}

#[test]
fn all_builds_share_one_builder() {
    let lab = lab();
    lab.set("containerd", false);
    let run = both(&lab).run().succeeds("built");
    assert_eq!(run.called("buildx create").len(), 1, "{:?}", run.lines());
    assert_eq!(run.called("buildx rm").len(), 1, "{:?}", run.lines());
    let builders: Vec<_> =
        run.called("buildx bake").iter().map(|build| build.values("--builder").join("")).collect();
    assert!(builders.len() == 1 && !builders[0].is_empty(), "{builders:?}");
}

#[test]
fn without_that_builder_both_make_do() {
    let lab = lab();
    lab.set("containerd", false);
    lab.rule("buildx create", json!({"stderr": "ERROR: no space left on device\n", "exit": 1}));
    let run = both(&lab).run().succeeds("built");
    assert_eq!(run.output("degraded"), "true");
    // It is said once.
    assert_eq!(run.commands("warning").len(), 1, "{}", run.stdout);
    assert_eq!(run.called("buildx bake").len(), 1);
}

#[test]
fn a_name_is_one_images() {
    let lab = lab();
    let run =
        lab.shared().images(&[APP, &["--image", "app", "--file", "Dockerfile.web"]]).run().fails(2, "input");
    assert!(run.error().contains("two images are called app"), "{}", run.error());
}

#[test]
fn a_plan_of_two_names_the_image_of_each_step() {
    let lab = lab();
    let run = both(&lab).run().succeeds("built");
    let steps = plan(&run)["steps"].as_array().unwrap().clone();
    let of = |image: usize| steps.iter().filter(|step| step["image"] == image).count();
    assert_eq!((of(0), of(1)), (steps.len() / 2, steps.len() / 2));
    for step in &steps {
        let earlier = step["after"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert!(earlier.iter().all(|id| id.as_u64() < step["id"].as_u64()), "{step}");
    }
}

#[test]
fn an_image_that_is_gone_is_looked_for_again_by_itself() {
    let lab = lab();
    let _ = both(&lab).run().succeeds("built");
    let gone = digest(&lab, "web").unwrap();
    lab.another_machine();
    lab.registry.fault(&format!("/manifests/{gone}"), 1, Response::error(404, "MANIFEST_UNKNOWN", "unknown"));
    let run = both(&lab).commit(&"4".repeat(40)).run().succeeds("built");
    assert!(run.summary.contains("<code>app</code>: already built, ready"), "{}", run.summary);
    assert!(run.summary.contains("<code>web</code>: built and published"), "{}", run.summary);
    // Both looks and both plans are told.
    assert!(run.summary.contains(&format!("the image {gone} was deleted")), "{}", run.summary);
    assert_eq!(run.called("buildx build").len(), 1, "{:?}", run.lines());
}

#[test]
fn each_failure_is_told_where_nothing_can_be_done() {
    let lab = Lab::new();
    let other: &[&str] = &["--image", "other", "--file", "Dockerfile.other"];
    let run = lab.shared().images(&[WEB, other]).run();
    assert_eq!((run.code, run.output("outcome"), run.called("buildx build").len()), (10, "failed", 0));
    for (image, file) in [("web", "Dockerfile.web"), ("other", "Dockerfile.other")] {
        let errors = run.commands("error");
        let told = errors
            .iter()
            .filter(|error| error.message.starts_with(&format!("{image}: ")) && error.message.contains(file));
        assert_eq!(told.count(), 1, "{}", run.stdout);
    }
}

#[test]
fn ten_failures_are_annotations_and_one_line_names_the_others() {
    let lab = Lab::new();
    let files: Vec<String> = (0..13).map(|at| format!("Dockerfile.{at}")).collect();
    let names: Vec<String> = (0..13).map(|at| format!("i{at}")).collect();
    let flags: Vec<[&str; 4]> = names
        .iter()
        .zip(&files)
        .map(|(name, file)| ["--image", name.as_str(), "--file", file.as_str()])
        .collect();
    let flags: Vec<&[&str]> = flags.iter().map(<[&str; 4]>::as_slice).collect();
    let run = lab.shared().images(&flags).run();
    assert_eq!((run.code, run.commands("error").len()), (10, 10), "{}", run.all());
    assert!(run.stdout.contains("3 more failed: i10, i11, i12"), "{}", run.stdout);
    assert!(run.summary.contains("\n3 more images failed"), "{}", run.summary);
    assert!(run.summary.contains("### ❌ 13 images: 13 failed in "), "{}", run.summary);
}

#[test]
fn one_failure_of_several_images_is_told_once() {
    let lab = lab();
    let program = || both(&lab).input("registry-policy", "required").input("repository", "127.0.0.1:9/ci");
    let run = program().run().fails(30, "unavailable");
    assert!(run.error().starts_with("app, web: "), "{}", run.error());
}

/// Each image's build is this script; none of them succeeds.
fn builds_are(lab: &Lab, images: usize, script: impl Fn(usize) -> String) -> Run {
    let names: Vec<String> = (0..images).map(|at| format!("i{at}")).collect();
    let files: Vec<String> = (0..images).map(|at| format!("Dockerfile.{at}")).collect();
    for (at, file) in files.iter().enumerate() {
        lab.write(&format!("work/{file}"), format!("FROM scratch\nCOPY hello /{at}\n"));
        lab.rule("buildx build", json!({"has": file, "shell": script(at)}));
    }
    // bake has no field for the control group, so each is built by itself.
    let flags: Vec<[&str; 6]> = names
        .iter()
        .zip(&files)
        .map(|(name, file)| ["--image", name.as_str(), "--file", file.as_str(), "--cgroup-parent", "ci"])
        .collect();
    let flags: Vec<&[&str]> = flags.iter().map(<[&str; 6]>::as_slice).collect();
    lab.shared().env("PATH", &format!("{}:/usr/bin:/bin", lab.path("bin").display())).images(&flags).run()
}

#[test]
fn builds_run_side_by_side() {
    let lab = Lab::new();
    let seen = lab.root().join("seen").display().to_string();
    // Each waits for the other, and says so if it is alone.
    let run = builds_are(&lab, 2, |at| {
        let other = 1 - at;
        format!(
            "touch {seen}{at}; for i in $(seq 600); do [ -e {seen}{other} ] && echo ERROR: met >&2 && exit 1; sleep 0.05; done; echo ERROR: alone >&2; exit 1"
        )
    });
    let errors = run.commands("error");
    assert!(errors.len() == 1 && errors[0].message.starts_with("i0, i1: "), "{}", run.stdout);
    assert!(errors[0].message.contains("met"), "{}", run.stdout);
}

#[test]
fn four_run_at_once_and_no_more() {
    let lab = Lab::new();
    let folder = lab.root().join("running");
    std::fs::create_dir(&folder).unwrap();
    let (folder, counts) = (folder.display().to_string(), lab.root().join("counts").display().to_string());
    let run = builds_are(&lab, 7, |at| {
        format!(
            "touch {folder}/{at}; ls {folder} | wc -l >>{counts}; sleep 0.3; rm {folder}/{at}; echo ERROR: x >&2; exit 1"
        )
    });
    let counts = std::fs::read_to_string(counts).unwrap();
    let counts: Vec<usize> = counts.lines().map(|line| line.trim().parse().unwrap()).collect();
    assert!(counts.len() == 7 && counts.iter().all(|count| *count <= 4), "{counts:?}: {}", run.stdout);
}

/// More than four, because registries alone have work with them.
#[test]
fn tags_are_set_side_by_side() {
    const IMAGES: usize = 6;
    let lab = Lab::new();
    let names: Vec<String> = (0..IMAGES).map(|at| format!("i{at}")).collect();
    let images: Vec<[&str; 2]> = names.iter().map(|name| ["--image", name]).collect();
    let images: Vec<&[&str]> = images.iter().map(<[&str; 2]>::as_slice).collect();
    // None is answered before all have come.
    lab.registry.expect_together("manifests/key-", IMAGES);
    let run = lab.shared().images(&images).run().succeeds("built");
    assert_eq!(
        lab.registry.tags().iter().filter(|tag| tag.contains("key-")).count(),
        IMAGES,
        "{}",
        run.stdout
    );
}

#[test]
fn a_tag_that_one_image_names_twice_is_set_once() {
    let lab = lab();
    let app: &[&str] = &["--image", "app", "--tags", "latest\nlatest"];
    let _ = lab.shared().images(&[app, WEB]).run().succeeds("built");
    assert_eq!(lab.registry.digest("ci/latest"), digest(&lab, "app"));
}

#[test]
fn several_are_pulled_by_what_the_build_job_hands_over() {
    let lab = lab();
    let built = both(&lab).run().succeeds("built");
    let pull = || lab.shared().unset("INPUT_IMAGE").input("mode", "pull");
    for handed_over in ["digests", "images"] {
        lab.another_machine();
        lab.registry.forget_requests();
        let run = pull().input("digests", built.output(handed_over)).run().succeeds("reused-digest");
        let pulled: Vec<String> = run.called("pull").iter().map(|call| call.line()).collect();
        for (image, name) in [("app", "app:latest"), ("web", "web:latest")] {
            let digest = digest(&lab, image).unwrap();
            assert!(pulled.iter().any(|line| line.ends_with(&digest)), "{pulled:?}");
            assert!(run.lines().iter().any(|line| line.ends_with(name)), "{:?}", run.lines());
        }
        assert_eq!(run.output("digests"), built.output("digests"));
        assert_eq!(run.output("missing"), "[]");
        // One question for each image.
        assert_eq!(lab.registry.asked().len(), 2, "{:?}", lab.registry.asked());
    }
    // With the input `image`, a target's name stands behind it.
    lab.another_machine();
    let run = pull().input("image", "shop").input("digests", built.output("digests")).run();
    let names: Vec<String> = serde_json::from_str::<Value>(run.succeeds("reused-digest").output("images"))
        .unwrap()
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(names, ["shop-app", "shop-web"]);
}

#[test]
fn one_that_is_gone_does_not_stop_the_pull_of_the_other() {
    let lab = lab();
    let built = both(&lab).run().succeeds("built");
    let mut digests: Value = serde_json::from_str(built.output("digests")).unwrap();
    digests["web"] = format!("sha256:{}", "a".repeat(64)).into();
    lab.another_machine();
    let pull = lab.shared().unset("INPUT_IMAGE").input("mode", "pull");
    let run = pull.input("digests", &digests.to_string()).run().fails(20, "access");
    assert!(run.error().starts_with("web: "), "{}", run.error());
    assert_eq!((run.called("pull").len(), run.output("missing")), (1, r#"["web"]"#));
}

#[test]
fn images_without_a_digest_are_refused_by_name() {
    let lab = Lab::new();
    for (digests, said) in [
        (r#"{"app": {"outcome": "built-local"}}"#, "`app` has no digest: its build published nothing"),
        (r#"{"app": "latest"}"#, "`app`: `latest` is not a digest"),
        ("{}", "names no image"),
        ("app", "is no JSON"),
    ] {
        let run = lab.shared().unset("INPUT_IMAGE").input("mode", "pull").input("digests", digests).run();
        let run = run.fails(2, "input");
        assert!(run.error().contains(said), "{}", run.error());
        assert!(run.calls.is_empty());
    }
}
