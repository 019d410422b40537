//! Many images from one definition (`bake`).

use serde_json::{Value, json};

use crate::support::{BuildOnce, HEAD, Lab, Response, Run};

/// A base, two images on it and one alone; the base is not asked for.
fn printed() -> Value {
    json!({
        "group": {"default": {"targets": ["api", "tools"]}, "tools": {"targets": ["web", "lint"]}},
        "target": {
            "base": {"context": "base", "dockerfile": "Dockerfile", "output": [{"type": "cacheonly"}]},
            "api": {"context": "api", "dockerfile": "Dockerfile", "contexts": {"base": "target:base"}},
            "web": {"context": "web", "dockerfile": "Dockerfile", "contexts": {"base": "target:base"}},
            "lint": {"context": "lint", "dockerfile-inline": "FROM scratch\nCOPY file /\n"},
        },
    })
}

fn lab() -> Lab {
    let lab = Lab::new();
    for image in ["base", "api", "web", "lint"] {
        lab.write(&format!("work/{image}/file"), image);
        let from = if matches!(image, "api" | "web") { "base" } else { "scratch" };
        lab.write(&format!("work/{image}/Dockerfile"), format!("FROM {from}\nCOPY file /{image}\n"));
    }
    lab.write("work/docker-bake.hcl", "");
    lab.set("bake", printed().to_string());
    lab
}

fn bake(lab: &Lab) -> BuildOnce<'_> {
    lab.shared().input("image", "").input("bake", "docker-bake.hcl")
}

fn images(run: &Run) -> Vec<(String, String)> {
    let plan: Value = serde_json::from_slice(&std::fs::read(run.output("plan")).unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let images = plan["images"].as_array().unwrap().iter().filter(|image| image["asked"] != false);
    images.map(|image| (text(&image["image"]), text(&image["outcome"]))).collect()
}

fn digest(lab: &Lab, image: &str) -> Option<String> {
    lab.registry.digest(&format!("ci/sha-rf9d832d9-{image}-{HEAD}"))
}

fn outcomes(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(image, outcome)| ((*image).to_owned(), (*outcome).to_owned())).collect()
}

/// The definition that the program wrote for the last bake.
fn written(run: &Run) -> Value {
    let calls = run.called("buildx bake");
    let last = calls.iter().rfind(|call| !call.has("--print")).unwrap();
    last.definition.clone()
}

#[test]
fn all_are_built_in_one_go_and_found_again() {
    let lab = lab();
    let run = bake(&lab).run().succeeds("built");
    assert_eq!(images(&run), outcomes(&[("api", "built"), ("web", "built"), ("lint", "built")]));
    assert!(digest(&lab, "base").is_none(), "it was not asked for");
    let definition = written(&run);
    assert_eq!(definition["target"]["api"]["contexts"]["base"], "target:base");
    assert_eq!(definition["target"]["base"]["output"], json!(["type=cacheonly"]));
    assert!(definition["target"]["base"].get("tags").is_none());
    assert!(!run.summary.contains("<code>base</code>"), "{}", run.summary);
    lab.forget_calls();
    let again = bake(&lab).run().succeeds("reused-tag");
    let calls = again.lines();
    assert!(calls.len() == 1 && calls[0].contains("bake --print"), "a hit starts nothing else: {calls:?}");
}

#[test]
fn each_image_of_a_bake_has_its_own_metadata() {
    let lab = lab();
    let run = bake(&lab).run().succeeds("built");
    let folder = std::path::Path::new(run.output("plan")).parent().unwrap();
    for (file, image) in [("metadata.json", "api"), ("metadata-2.json", "web"), ("metadata-3.json", "lint")] {
        let written: Value = serde_json::from_slice(&std::fs::read(folder.join(file)).unwrap()).unwrap();
        let told = written["containerimage.digest"].as_str().map(str::to_owned);
        assert_eq!(told, digest(&lab, image), "{image}");
    }
    // The base that it is built with is not asked for, so there is one image to report.
    lab.write("work/api/file", "changed");
    lab.write("work/base/file", "changed");
    let mut definition = printed();
    definition["group"]["default"]["targets"] = json!(["api"]);
    lab.set("bake", definition.to_string());
    let one = bake(&lab).input("targets", "api").commit(&"4".repeat(40)).run().succeeds("built");
    let told: Value = serde_json::from_str(one.output("metadata")).unwrap();
    assert_eq!(told["containerimage.digest"], one.output("digest"));
}

#[test]
fn a_base_that_no_build_needs_is_not_told() {
    let lab = lab();
    let _ = bake(&lab).run().succeeds("built");
    let again = bake(&lab).commit(&"4".repeat(40)).run().succeeds("reused-key");
    assert!(!again.stdout.contains("base: "), "{}", again.stdout);
    let plan = bake(&lab).args(&["plan"]).run();
    assert!(!plan.stdout.contains("no image that is built needs it"), "{}", plan.stdout);
}

#[test]
fn what_several_images_have_to_say_is_said_once() {
    let lab = lab();
    let plan = bake(&lab).outside_github().args(&["plan"]).run();
    let notices: Vec<&str> = plan.stdout.lines().filter(|line| line.starts_with("notice ")).collect();
    let known = "it is not known which GitHub repository's they would be";
    assert_eq!(notices.iter().filter(|line| line.contains(known)).count(), 1, "{}", plan.all());
    assert!(notices[0].starts_with("notice       api, web, lint"), "{}", notices[0]);
}

#[test]
fn only_the_changed_chain_is_built() {
    let lab = lab();
    let _ = bake(&lab).run().succeeds("built");
    lab.write("work/web/file", "changed");
    let web = bake(&lab).commit(&"4".repeat(40)).run().succeeds("built");
    assert_eq!(images(&web), outcomes(&[("api", "reused-key"), ("web", "built"), ("lint", "reused-key")]));
    lab.write("work/base/file", "changed");
    let base = bake(&lab).commit(&"5".repeat(40)).run().succeeds("built");
    assert_eq!(images(&base), outcomes(&[("api", "built"), ("web", "built"), ("lint", "reused-key")]));
}

#[test]
fn a_base_that_is_there_enters_by_its_digest() {
    let lab = lab();
    let mut definition = printed();
    definition["group"]["default"]["targets"] = json!(["base", "api"]);
    definition["target"]["base"].as_object_mut().unwrap().remove("output");
    lab.set("bake", definition.to_string());
    let _ = bake(&lab).input("targets", "base,api").run().succeeds("built");
    let base = digest(&lab, "base").unwrap();
    lab.write("work/api/file", "changed");
    lab.forget_calls();
    // One job builds the base, another one names its own target alone.
    definition["group"]["default"]["targets"] = json!(["api"]);
    lab.set("bake", definition.to_string());
    let run = bake(&lab).input("targets", "api").commit(&"4".repeat(40)).run().succeeds("built");
    let build = run.build();
    assert!(
        build.values("--build-context").iter().any(|context| context.ends_with(&base)),
        "{}",
        build.line()
    );
    assert_eq!(images(&run), outcomes(&[("api", "built")]));
}

#[test]
fn an_image_of_another_step_is_a_base_by_its_key() {
    let lab = lab();
    let base = lab.shared().input("image", "base").input("context", "base").run().succeeds("built");
    let child = |commit: &str| {
        let step = lab.shared().input("image", "api").input("context", "api").commit(commit);
        // The base's job names no platform.
        let step = step.input("platforms", "linux/amd64");
        step.input("build-contexts", "base=build-once://base").run()
    };
    lab.forget_calls();
    let run = child(HEAD).succeeds("built");
    let context = format!("base=docker-image://{}@{}", lab.registry.repository(), base.output("digest"));
    assert!(run.build().values("--build-context").contains(&context.as_str()), "{}", run.build().line());
    // Its key counts, not its digest: another build of the same content changes nothing.
    let rebuilt = lab.shared().input("image", "base").input("context", "base").input("rebuild", "true");
    let _ = rebuilt.run().succeeds("built");
    assert_eq!(child(HEAD).succeeds("reused-tag").output("key"), run.output("key"));
    lab.write("work/base/file", "changed");
    let other = "4".repeat(40);
    let missing = child(&other).fails(20, "access");
    assert!(missing.error().contains("let its job run first"), "{}", missing.error());
    let _ =
        lab.shared().input("image", "base").input("context", "base").commit(&other).run().succeeds("built");
    assert_ne!(child(&other).succeeds("built").output("key"), run.output("key"));
}

#[test]
fn with_an_image_its_name_begins_theirs() {
    let lab = lab();
    let _ = bake(&lab).input("image", "shop").run().succeeds("built");
    assert!(digest(&lab, "shop-api").is_some() && digest(&lab, "api").is_none());
}

#[test]
fn one_failure_stops_what_is_built_on_it_and_nothing_else() {
    let lab = lab();
    let step =
        "ERROR: failed to solve: process \"/bin/sh -c make\" did not complete successfully: exit code: 2\n";
    lab.rule("buildx build", json!({"has": "api/Dockerfile", "stderr": step, "exit": 1}));
    let run = bake(&lab).run().fails(10, "build");
    assert!(digest(&lab, "web").is_some() && digest(&lab, "lint").is_some() && digest(&lab, "api").is_none());
    assert!(run.error().contains("api: "), "{}", run.error());
    assert_eq!(run.commands("error").len(), 1, "{}", run.stdout);
}

#[test]
fn texts_of_a_definition_mean_themselves() {
    let lab = lab();
    let mut definition = printed();
    definition["target"]["lint"]["args"] =
        json!({"A": "$${HOME} %%{if} \"q\"\ntwo", "B": null, "ABSENT": null});
    definition["target"]["lint"]["labels"] = json!({"l": "#,x=\"y\""});
    lab.set("bake", definition.to_string());
    let run = bake(&lab).env("B", "of the environment").run().succeeds("built");
    let lint = &written(&run)["target"]["lint"];
    assert_eq!(lint["args"], json!({"A": "$${HOME} %%{if} \"q\"\ntwo", "B": "of the environment"}));
    assert_eq!(lint["labels"]["l"], "#,x=\"y\"");
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    for (path, value, told) in [
        ("/target/api/output", json!([{"type": "local", "dest": "out"}]), "writes files"),
        ("/target/api/policy", json!([{}]), "does not know its field `policy`"),
        ("/target/api/context", json!("../elsewhere"), "outside the working folder"),
        ("/target/api/entitlements", json!(["network.host"]), "grant that with the input allow"),
        ("/target/api/tags", json!(["h.io/a:1"]), "have one tag"),
        ("/target/base/contexts", json!({"x": "target:api"}), "is built on images that are built on it"),
        ("/target/api/contexts", json!({"base": "target:absent"}), "no such image"),
        ("/target/api/args", json!({"A": 1}), "no text"),
        (
            "/target/api/contexts",
            json!({"docker.io/library/node:latest": "docker-image://h.io/n"}),
            "is not used by bake: call it `node`",
        ),
    ] {
        let lab = lab();
        let mut definition = printed();
        definition["target"]["web"]["tags"] = json!(["h.io/a:1"]);
        let (parent, field) = path.rsplit_once('/').unwrap();
        definition.pointer_mut(parent).unwrap()[field] = value;
        lab.set("bake", definition.to_string());
        lab.write("elsewhere/file", "");
        let run = bake(&lab).run().fails(2, "input");
        assert!(run.error().contains(told), "{path}: {}", run.error());
        assert!(run.called("buildx bake").iter().all(|call| call.has("--print")), "{:?}", run.lines());
    }
}

#[test]
fn bakes_own_message_is_shown_with_its_place() {
    let lab = Lab::new();
    lab.write("work/docker-bake.hcl", "");
    let run = bake(&lab).run().fails(2, "input");
    assert!(run.error().contains("Invalid block definition"), "{}", run.error());
    let place = &run.commands("error")[0];
    assert!(run.stdout.contains("file=docker-bake.hcl,line=4"), "{place:?} {}", run.stdout);
}

#[test]
fn a_target_that_is_not_there_is_bakes_own_message() {
    let lab = lab();
    let said = "ERROR: failed to find target nosuch\n";
    lab.rule("buildx bake", json!({"has": "nosuch", "stderr": said, "exit": 1}));
    let run = bake(&lab).input("targets", "nosuch").run().fails(2, "input");
    assert!(run.error().contains("failed to find target nosuch"), "{}", run.error());
}

#[test]
fn the_only_target_is_named_where_it_is_refused() {
    let lab = lab();
    let output = json!([{"type": "local", "dest": "out"}]);
    let one = json!({"group": {"default": {"targets": ["lint"]}}, "target": {"lint": {"context": "lint", "output": output}}});
    lab.set("bake", one.to_string());
    let run = bake(&lab).run().fails(2, "input");
    assert!(run.error().contains("image lint: input `outputs`"), "{}", run.error());
}

#[test]
fn a_registry_that_answers_for_some_images_costs_the_others_alone() {
    let lab = lab();
    let _ = bake(&lab).run().succeeds("built");
    lab.another_machine();
    lab.registry.fault("/manifests/sha-rf9d832d9-web", 99, Response::new(500, ""));
    lab.registry.fault("/manifests/key-rf9d832d9-web", 99, Response::new(500, ""));
    let run = bake(&lab).run().succeeds("built-local").degraded();
    let wanted = [("api", "reused-tag"), ("web", "built-local"), ("lint", "reused-tag")];
    assert_eq!(images(&run), outcomes(&wanted));
}

#[test]
fn an_image_under_the_name_of_another_is_not_taken_for_it() {
    let lab = lab();
    let _ = bake(&lab).run().succeeds("built");
    let (api, web) = (digest(&lab, "api").unwrap(), digest(&lab, "web").unwrap());
    let by_key = |image: &str| {
        let start = format!("key-rf9d832d9-{image}-");
        lab.registry.tags().into_iter().find(|tag| tag.starts_with(&start)).unwrap()
    };
    // As a person with a push by hand would.
    for tag in [format!("sha-rf9d832d9-web-{HEAD}"), by_key("web")] {
        lab.registry.tag(&tag, &api);
    }
    lab.another_machine();
    let run = bake(&lab).run().succeeds("built");
    let digests: Value = serde_json::from_str(run.output("digests")).unwrap();
    assert_eq!((&digests["api"], &digests["web"]), (&json!(api), &json!(web)), "{}", run.all());
    assert_eq!(images(&run)[1], ("web".to_owned(), "built".to_owned()));
}

#[test]
fn a_definition_is_printed_once_a_run() {
    let lab = lab();
    let mut definition = printed();
    // As `timestamp()` would: each time another one.
    for at in ["2026-01-01T00:00:00Z", "2026-01-01T00:00:09Z"] {
        definition["target"]["lint"]["args"] = json!({"AT": at});
        definition["target"]["lint"]["dockerfile-inline"] = json!("FROM scratch\nARG AT\nLABEL at=$AT\n");
        lab.set("bake", definition.to_string());
        lab.forget_calls();
        let run = bake(&lab).run().succeeds("built");
        let printed = run.called("buildx bake").into_iter().filter(|call| call.has("--print")).count();
        assert_eq!(printed, 1, "{:?}", run.lines());
        assert_eq!(images(&run)[2], ("lint".to_owned(), "built".to_owned()));
    }
}

#[test]
fn a_pull_of_several_waits_for_none_that_the_registry_does_not_answer_for() {
    let lab = lab();
    let _ = bake(&lab).run().succeeds("built");
    lab.another_machine();
    lab.registry.fault("/manifests/sha-rf9d832d9-web", 99, Response::new(500, ""));
    lab.registry.fault("/manifests/key-rf9d832d9-web", 99, Response::new(500, ""));
    let pull = bake(&lab).input("mode", "pull").input("on-missing", "fail");
    let run = pull.run().fails(30, "unavailable");
    let wanted = [("api", "reused-tag"), ("web", "failed"), ("lint", "reused-tag")];
    assert_eq!(images(&run), outcomes(&wanted), "{}", run.all());
    assert!(run.output("missing").contains("web"), "{}", run.output("missing"));
    assert_eq!(run.called("pull").len(), 2, "{:?}", run.lines());
}

#[test]
fn inputs_of_one_image_do_not_go_with_it() {
    let lab = lab();
    for (input, value) in
        [("context", "api"), ("build-args", "A=1"), ("tags", "latest"), ("extra-args", "--x")]
    {
        let run = bake(&lab).input(input, value).run().fails(2, "input");
        assert!(run.error().contains(&format!("input `{input}`: does not go with bake")), "{}", run.error());
    }
    for file in ["https://example.com/a.git", "absent.hcl"] {
        let run = bake(&lab).input("bake", file).run().fails(2, "input");
        assert!(run.error().contains("input `bake`"), "{}", run.error());
    }
}

#[test]
fn a_definition_gets_no_password() {
    let lab = lab();
    let run = bake(&lab)
        .env("PLAIN", "yes")
        .env("NPM_TOKEN", "t")
        .env("AWS_SECRET_ACCESS_KEY", "k")
        .env("MY_PW", "p")
        .input("logins", "h.io user MY_PW")
        .run()
        .succeeds("built");
    let calls = run.called("buildx bake");
    let print = calls.iter().find(|call| call.has("--print")).unwrap();
    assert_eq!(print.env["PLAIN"], "yes");
    for name in ["AWS_SECRET_ACCESS_KEY", "INPUT_BAKE"] {
        assert!(print.env.get(name).is_none(), "{name}");
    }
    // bake looks whether a secret of this name is a variable: else it takes it for a file, which is not there.
    for name in ["NPM_TOKEN", "MY_PW"] {
        assert_eq!(print.env[name], "", "{name}");
    }
}
