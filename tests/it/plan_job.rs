//! `mode: plan`: what is missing, without an engine, and without a write.

use serde_json::{Value, json};

use crate::support::{BuildOnce, HEAD, Lab, Response, Run};

const APP: &[&str] = &["--image", "app"];
const WEB: &[&str] = &["--image", "web", "--file", "Dockerfile.web"];

fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("work/Dockerfile.web", "FROM scratch\nCOPY hello /web\n");
    lab
}

/// A plan on a machine without docker: nothing is on its `PATH`.
fn plan<'a>(lab: &'a Lab, images: &[&[&str]]) -> BuildOnce<'a> {
    let empty = lab.path("empty").display().to_string();
    let run = lab.shared().images(images).input("mode", "plan");
    run.env("PATH", &empty).env("DOCKER_HOST", "tcp://127.0.0.1:9")
}

fn json_of(run: &Run, output: &str) -> Value {
    serde_json::from_str(run.output(output)).unwrap_or_else(|_| panic!("{output}\n{}", run.all()))
}

#[test]
fn what_is_missing_is_said_and_nothing_is_written() {
    let lab = lab();
    let built = lab.shared().images(&[WEB]).run().succeeds("built");
    let digest = json_of(&built, "digests")["web"].clone();
    assert!(digest.as_str().unwrap().starts_with("sha256:"), "{digest}");
    let tags = lab.registry.tags();
    lab.forget_calls();
    lab.registry.forget_requests();
    let run = plan(&lab, &[APP, WEB]).run().succeeds("missing");
    assert_eq!(run.output("missing"), r#"["app"]"#);
    let job = json!({"image": "app", "platform": "linux/amd64", "runs-on": "ubuntu-latest"});
    assert_eq!(json_of(&run, "matrix"), json!([job]));
    let images = json_of(&run, "images");
    assert_eq!(
        (&images["app"]["outcome"], &images["web"]["outcome"]),
        (&json!("missing"), &json!("reused-tag"))
    );
    assert_eq!((&images["web"]["digest"], &images["app"]["digest"]), (&digest, &Value::Null));
    assert!(images["app"]["reason"].as_str().unwrap().contains("no image has this key"), "{images}");
    assert_eq!(images["app"]["key"].as_str().unwrap().len(), 64);
    assert_eq!(
        (run.output("built"), run.output("pushed"), run.output("degraded")),
        ("false", "false", "false")
    );
    assert!(run.calls.is_empty(), "{:?}", run.lines());
    assert_eq!(lab.registry.tags(), tags);
    assert!(lab.registry.asked().iter().all(|asked| asked.starts_with("GET ")), "{:?}", lab.registry.asked());
    // Once the job has built it, nothing is.
    let _ = lab.shared().images(&[APP]).run().succeeds("built");
    let run = plan(&lab, &[APP, WEB]).run().succeeds("reused-tag");
    assert_eq!((run.output("missing"), run.output("matrix")), ("[]", "[]"));
}

#[test]
fn a_hit_asks_no_more_than_that_of_a_build() {
    let lab = lab();
    let _ = lab.shared().run().succeeds("built");
    lab.registry.forget_requests();
    let _ = lab.shared().commit(&"4".repeat(40)).input("mode", "plan").run().succeeds("reused-key");
    let asked = lab.registry.asked();
    let tag = |tag: &String| tag.contains("/manifests/");
    assert!(asked.len() == 2 && asked.iter().all(tag), "{asked:?}");
}

#[test]
fn each_platform_has_its_job_on_its_runner() {
    let lab = lab();
    let two: &[&str] = &["--image", "app", "--platforms", "linux/amd64,linux/arm64"];
    let run = plan(&lab, &[two, WEB]).input("runners", "linux/arm64=[self-hosted, arm64]\n").run();
    let run = run.succeeds("missing");
    let job = |image: &str, platform: &str, runner: Value| json!({"image": image, "platform": platform, "runs-on": runner});
    let wanted = json!([
        job("app", "linux/amd64", json!("ubuntu-latest")),
        job("app", "linux/arm64", json!(["self-hosted", "arm64"])),
        job("web", "linux/amd64", json!("ubuntu-latest")),
    ]);
    assert_eq!(json_of(&run, "matrix"), wanted);
    assert_eq!(run.output("missing"), r#"["app","web"]"#);
}

#[test]
fn a_platform_that_is_there_apart_has_no_job() {
    let lab = lab();
    let of = |platforms: &str, mode: &str| {
        lab.shared().input("mode", mode).input("platforms", platforms).commit(&"4".repeat(40))
    };
    let both = || of("linux/amd64,linux/arm64", "plan");
    let platforms = |run: &Run| -> Vec<Value> {
        let jobs = json_of(run, "matrix");
        jobs.as_array().unwrap().iter().map(|job| job["platform"].clone()).collect()
    };
    let arm = of("linux/arm64", "build").run().succeeds("built").output("key")[..32].to_owned();
    let run = both().run().succeeds("missing");
    assert_eq!(platforms(&run), ["linux/amd64"]);
    assert!(run.output("reason").contains("there apart: linux/arm64"), "{}", run.output("reason"));
    // What is not known is not there.
    lab.registry.fault(&format!("/manifests/key-rf9d832d9-app-{arm}"), 1, Response::new(500, ""));
    let run = both().run().succeeds("missing").degraded();
    assert_eq!(platforms(&run), ["linux/amd64", "linux/arm64"]);
    assert!(run.commands("warning")[0].message.contains("not known if linux/arm64 is there"));
    // Where only the image of both is missing, a job makes it.
    let _ = of("linux/amd64", "build").run().succeeds("built");
    let run = both().run().succeeds("missing");
    assert_eq!((platforms(&run), run.output("missing")), (vec![json!("linux/amd64")], r#"["app"]"#));
}

#[test]
fn a_runner_of_no_platform_of_the_run_is_refused() {
    let lab = lab();
    for (line, said) in [
        ("linux/amr64=x", "no image of this run is built for linux/amr64, but for linux/amd64"),
        ("arm64=x", "`arm64` is not a platform"),
        ("linux/amd64", "has no `=`"),
    ] {
        let run = plan(&lab, &[APP]).input("runners", line).run().fails(2, "input");
        assert!(run.error().contains(said), "{}", run.error());
        // Nothing is known, so nothing may be read as "all are there".
        assert_eq!((run.output("missing"), run.output("matrix")), ("", ""));
    }
}

#[test]
fn a_registry_that_does_not_say_is_never_read_as_there() {
    let lab = lab();
    let _ = lab.shared().images(&[APP, WEB]).run().succeeds("built");
    lab.registry.fault("/manifests/sha-rf9d832d9-web", 99, Response::new(500, ""));
    lab.forget_calls();
    let run = plan(&lab, &[APP, WEB]).run().succeeds("missing");
    assert_eq!((run.output("missing"), run.output("degraded")), (r#"["web"]"#, "true"));
    let warning = &run.commands("warning")[0].message;
    assert!(warning.contains("answered 500") && warning.contains("counts as missing"), "{warning}");
    assert!(run.summary.contains("answered 500"), "{}", run.summary);
    let run = plan(&lab, &[APP, WEB]).input("registry-policy", "required").run().fails(30, "unavailable");
    // What cannot be asked is not there, and has no job.
    assert_eq!((run.output("missing"), run.output("matrix")), (r#"["web"]"#, "[]"));
}

#[test]
fn without_a_repository_everything_is_missing() {
    let lab = lab();
    let run = lab.build_once().input("mode", "plan").env("PATH", "/nowhere").run().succeeds("missing");
    assert_eq!(run.output("missing"), r#"["app"]"#);
    assert!(run.output("reason").contains("no repository"), "{}", run.output("reason"));
    assert!(run.calls.is_empty());
}

#[test]
fn a_key_that_cannot_be_computed_fails_the_plan() {
    let lab = Lab::new();
    let run = plan(&lab, &[APP, WEB]).run().fails(10, "build");
    assert!(run.error().contains("Dockerfile.web"), "{}", run.error());
    assert_eq!(run.output("missing"), r#"["app","web"]"#);
}

#[test]
fn github_starts_256_jobs_of_a_matrix() {
    let lab = Lab::new();
    let names: Vec<String> = (0..257).map(|at| format!("i{at}")).collect();
    let flags: Vec<[&str; 2]> = names.iter().map(|name| ["--image", name.as_str()]).collect();
    let flags: Vec<&[&str]> = flags.iter().map(<[&str; 2]>::as_slice).collect();
    let run = plan(&lab, &flags).run();
    assert_eq!(
        (run.code, run.output("failure-class"), run.output("matrix")),
        (2, "input", ""),
        "{}",
        run.all()
    );
    assert!(run.error().contains("257 jobs") && run.error().contains("at most 256"), "{}", run.error());
    let run = plan(&lab, &flags[..256]).run().succeeds("missing");
    assert_eq!(json_of(&run, "matrix").as_array().unwrap().len(), 256);
}

#[test]
fn tags_are_left_to_a_build() {
    let lab = lab();
    let _ = lab.shared().run().succeeds("built");
    let tag = format!("{}:v1", lab.registry.repository());
    let run = lab.shared().input("mode", "plan").input("tags", &tag).run().succeeds("reused-tag");
    assert!(run.notices().contains("tags are not set by mode plan"), "{}", run.notices());
    assert!(lab.registry.digest("ci/v1").is_none());
    assert_eq!(
        lab.registry.digest(&format!("ci/sha-rf9d832d9-app-{HEAD}")).as_deref(),
        Some(run.output("digest"))
    );
}

#[test]
fn the_command_plan_prints_a_table_of_several_images() {
    let lab = lab();
    lab.write("work/docker-bake.hcl", "");
    let target = |file: &str| json!({"context": ".", "dockerfile": file});
    let definition = json!({
        "group": {"default": {"targets": ["app", "web"]}},
        "target": {"app": target("Dockerfile"), "web": target("Dockerfile.web")},
    });
    lab.set("bake", definition.to_string());
    let run = lab.shared().input("image", "").input("bake", "docker-bake.hcl").args(&["plan"]).run();
    let lines: Vec<&str> = run.stdout.lines().take(3).collect();
    assert_eq!(lines[0], "image  outcome  platforms    why");
    for (line, image) in lines[1..].iter().zip(["app", "web"]) {
        let wanted = format!("{image}    built    linux/amd64  no image has this key");
        assert!(line.starts_with(&wanted), "{line}");
    }
}

#[test]
fn a_definition_has_a_job_for_each_image_that_is_asked_for() {
    let lab = lab();
    lab.write("work/docker-bake.hcl", "");
    let target = |file: &str, base: Value| json!({"context": ".", "dockerfile": file, "contexts": base});
    lab.write("work/Dockerfile.api", "FROM base\nCOPY hello /api\n");
    let definition = json!({
        "group": {"default": {"targets": ["Api", "web"]}},
        "target": {
            "base": {"context": ".", "dockerfile": "Dockerfile", "output": [{"type": "cacheonly"}]},
            "Api": target("Dockerfile.api", json!({"base": "target:base"})),
            "web": target("Dockerfile.web", json!({})),
        },
    });
    lab.set("bake", definition.to_string());
    let bake = || lab.shared().input("image", "shop").input("bake", "docker-bake.hcl");
    let plan = || bake().input("mode", "plan").env("DOCKER_HOST", "tcp://127.0.0.1:9").run();
    let run = plan().succeeds("missing");
    let job = |image: &str, target: &str| json!({"image": image, "target": target, "platform": "linux/amd64", "runs-on": "ubuntu-latest"});
    assert_eq!(json_of(&run, "matrix"), json!([job("shop-api", "Api"), job("shop-web", "web")]));
    assert_eq!(run.output("missing"), r#"["shop-api","shop-web"]"#);
    // Docker's CLI reads the definition; the engine is not asked.
    assert!(run.lines().iter().all(|line| line.contains("bake --print")), "{:?}", run.lines());
    assert!(run.summary.contains("```mermaid") && run.summary.contains("shop-base"), "{}", run.summary);
    let _ = bake().run().succeeds("built");
    let run = plan().succeeds("reused-tag");
    assert_eq!((run.output("matrix"), run.output("missing")), ("[]", "[]"));
}

#[test]
fn the_command_plan_prints_what_a_build_would_do() {
    let lab = lab();
    let run = lab.shared().input("mode", "plan").args(&["plan"]).run();
    assert!(run.code == 0 && run.stdout.contains("outcome      built"), "{}", run.all());
}
