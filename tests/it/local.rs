//! Without a repository all stays on this machine, and the reason is told once.

use serde_json::{Value, json};

use crate::support::{Aws, BuildOnce, Lab, Response, Server};

#[test]
fn built_here_then_found_here() {
    let lab = Lab::new();
    let run = lab.build_once().run().succeeds("built-local");
    for (name, value) in [
        ("digest", ""),
        ("tag", ""),
        ("image", ""),
        ("local-image", &run.private_name("trusted")),
        ("built", "true"),
        ("pushed", "false"),
        ("degraded", "false"),
        ("attempts", "1"),
        ("cached-steps", "1"),
        ("total-steps", "3"),
    ] {
        assert_eq!(run.output(name), value, "{name}");
    }
    let build = run.build();
    assert!(build.has("--load") && !build.has("--push"), "{}", build.line());
    // By its private name first: what people call it another job can take over at any moment.
    assert_eq!(build.values("--tag"), [run.private_name("trusted")]);
    let named = format!("tag {} app:latest", run.private_name("trusted"));
    assert_eq!(run.called("tag")[0].line(), named);
    assert!(run.notices().contains("instance metadata does not answer"), "{}", run.notices());
    assert_eq!(
        run.summary.matches("instance metadata does not answer").count(),
        run.summary.matches("no repository: ").count()
    );

    lab.forget_calls();
    let again = lab.build_once().run().succeeds("reused-local");
    assert_eq!(again.output("local-image"), run.private_name("trusted"));
    assert!(again.called("buildx").is_empty(), "{:?}", again.lines());

    lab.write("work/hello", "changed");
    let _ = lab.build_once().run().succeeds("built-local");
}

#[test]
fn a_pull_finds_it_here() {
    let lab = Lab::new();
    let _ = lab.build_once().run().succeeds("built-local");
    let _ = lab.build_once().input("mode", "pull").input("on-missing", "fail").run().succeeds("reused-local");
    lab.another_machine();
    let run = lab.build_once().input("mode", "pull").input("on-missing", "fail").run().fails(20, "access");
    assert!(run.error().contains("there is no repository"), "{}", run.error());
}

#[test]
fn outside_github_nothing_shared_is_written() {
    let lab = Lab::new();
    let run = lab.shared().outside_github().run();
    assert_eq!(run.code, 0, "{}", run.all());
    assert!(run.build().has("--load") && !run.build().has("--push"));
    assert_eq!(lab.registry.tags(), [""; 0]);
    assert!(run.stdout.is_empty() && run.stderr.contains("built-local"), "{}", run.all());
    assert!(
        !lab.path("temp")
            .read_dir()
            .unwrap()
            .flatten()
            .any(|e| e.file_name().to_string_lossy().starts_with("build-once-run-"))
    );
}

#[test]
fn the_parameter_names_the_repository() {
    let lab = Lab::new();
    let aws = Aws::start(&lab.registry.repository());
    let run = aws.serves(lab.build_once()).run().succeeds("built");
    assert_eq!(run.output("pushed"), "true");
    assert!(
        aws.asked().iter().any(|asked| asked.contains("GetParameter")
            && asked.contains("/github-runner/i-0123456789abcdef0/ecr-cache-url")),
        "{:?}",
        aws.asked()
    );
    assert!(
        run.summary.contains("SSM parameter /github-runner/i-0123456789abcdef0/ecr-cache-url"),
        "{}",
        run.summary
    );
}

#[test]
fn each_source_in_its_order() {
    let lab = Lab::new();
    let aws = Aws::start("127.0.0.1:1/parameter");
    let program = || {
        aws.serves(lab.build_once())
            .env("ECR_CACHE_URL", "127.0.0.1:1/older")
            .env("BUILD_ONCE_REPOSITORY", "127.0.0.1:1/owner")
    };
    let plan = |program: crate::support::BuildOnce<'_>| program.args(&["plan", "--json"]).run().stdout;
    assert!(plan(program().input("repository", "127.0.0.1:1/input")).contains("127.0.0.1:1/input"));
    assert!(plan(program()).contains("127.0.0.1:1/owner"));
    assert!(plan(program().unset("BUILD_ONCE_REPOSITORY")).contains("127.0.0.1:1/older"));
    assert!(aws.asked().is_empty(), "a source that answers is enough");
    assert!(
        plan(program().unset("BUILD_ONCE_REPOSITORY").unset("ECR_CACHE_URL"))
            .contains("127.0.0.1:1/parameter")
    );
}

#[test]
fn nobody_is_asked_where_no_parameter_is_named() {
    let lab = Lab::new();
    let aws = Aws::start("unused/x");
    let program = aws.serves(lab.build_once()).args(&["run", "--ssm-parameter", ""]);
    let run = program.run().succeeds("built-local");
    assert!(run.notices().contains("the input ssm-parameter is empty"), "{}", run.notices());
    assert!(aws.asked().is_empty(), "{:?}", aws.asked());
}

#[test]
fn every_reason_for_none() {
    type Fault = fn(&Aws);
    let cases: [(&str, Fault); 3] = [
        ("does not exist", |aws| aws.deny_parameter("ParameterNotFound")),
        ("instance metadata does not help", |aws| aws.metadata_off()),
        ("does not exist", |aws| {
            aws.parameter(Response::new(200, json!({"Parameter": {"Value": ""}}).to_string()));
        }),
    ];
    for (told, break_it) in cases {
        let lab = Lab::new();
        let aws = Aws::start("unused/x");
        break_it(&aws);
        let run = aws.serves(lab.build_once()).run().succeeds("built-local");
        assert!(run.notices().contains(told), "{told}: {}", run.notices());
        assert_eq!(run.notices().matches("no repository").count(), 1, "{}", run.notices());
    }
    for (told, code) in [
        ("allow ssm:GetParameter", "AccessDeniedException"),
        ("failed to read the SSM parameter", "ValidationException"),
    ] {
        let lab = Lab::new();
        let aws = Aws::start("unused/x");
        aws.deny_parameter(code);
        let run = aws.serves(lab.build_once()).run().succeeds("built-local").degraded();
        assert!(run.commands("warning")[0].message.contains(told), "{told}: {}", run.all());
        assert!(!run.notices().contains("no repository"), "{}", run.notices());
    }
}

#[test]
fn what_aws_answers_has_a_limit() {
    let lab = Lab::new();
    let aws = Aws::start("unused/x");
    aws.parameter(Response::new(200, "x".repeat(17 << 20)));
    let run = aws.serves(lab.build_once()).run().succeeds("built-local").degraded();
    assert!(run.all().contains("the answer is too large"), "{}", run.all());
}

#[test]
fn aws_is_asked_through_the_proxy_and_instance_metadata_is_not() {
    let proxy = Server::start(|_| Response::new(503, ""));
    let proxied = |program: BuildOnce| program.env("HTTP_PROXY", &format!("http://{}", proxy.address)).run();
    let lab = Lab::new();
    let run = proxied(lab.build_once().env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.1.2:1"));
    let run = run.succeeds("built-local");
    assert!(run.notices().contains("instance metadata does not"), "{}", run.all());
    assert!(proxy.requests().is_empty(), "{:?}", proxy.requests().len());
    let aws = Aws::start("unused/x");
    let program = aws.serves(lab.build_once()).env("AWS_ENDPOINT_URL_SSM", "http://ssm.example");
    proxied(program).succeeds("reused-local").degraded();
    let asked = proxy.requests();
    assert!(!asked.is_empty() && asked.iter().all(|request| request.target == "http://ssm.example/"));
}

#[test]
fn a_junk_value_is_not_read_as_none() {
    let lab = Lab::new();
    let run = lab.build_once().env("BUILD_ONCE_REPOSITORY", "https://x/y z").run().fails(2, "input");
    assert!(run.error().contains("the BUILD_ONCE_REPOSITORY does not name a repository"), "{}", run.error());
    let aws = Aws::start("<html>canary-5ec2e7");
    let run = aws.serves(lab.build_once()).run().fails(2, "input");
    assert!(run.error().contains("does not name a repository"), "{}", run.error());
}

/// D02: an image that is built on ours inherits its labels, and takes its name.
#[test]
fn d02_a_child_is_not_taken_for_its_parent() {
    let lab = Lab::new();
    let built = lab.build_once().run().succeeds("built-local");
    let mut images = lab.images();
    let child =
        json!({"id": "sha256:c1", "names": ["app:latest"], "digests": [], "labels": images[0]["labels"]});
    images[0]["names"].as_array_mut().unwrap().retain(|name| name != "app:latest");
    let parent = images[0]["id"].as_str().unwrap().to_owned();
    images.as_array_mut().unwrap().insert(0, child);
    lab.write("bin/store.json", images.to_string());
    lab.forget_calls();
    let again = lab.build_once().run().succeeds("reused-local");
    assert_eq!(again.called("tag")[0].line(), format!("tag {parent} app:latest"));
    assert_eq!(again.output("local-image"), built.output("local-image"));
}

/// D89: V=1, V=2, V=1 is two builds.
#[test]
fn d89_every_key_that_was_built_here_is_found_again() {
    let lab = Lab::new();
    lab.write("work/Dockerfile", "FROM scratch\nARG V\nCOPY hello /\n");
    let run = |version: &str| lab.build_once().input("build-args", &format!("V={version}")).run();
    let first = run("1").succeeds("built-local");
    let second = run("2").succeeds("built-local");
    assert_ne!(first.output("key"), second.output("key"));
    let third = run("1").succeeds("reused-local");
    assert_eq!(third.output("local-image"), first.output("local-image"));
}

/// D89, D44: what is switched off stays off, and what is here is found all the same.
#[test]
fn d89_without_load_it_is_found_and_not_named() {
    let lab = Lab::new();
    let off = || lab.build_once().input("load", "false");
    let nowhere = off().run().succeeds("built-local");
    assert!(nowhere.build().has("--output=type=cacheonly") && nowhere.called("tag").is_empty());
    assert_eq!(nowhere.output("local-image"), "");
    assert!(nowhere.notices().contains("kept nowhere"), "{}", nowhere.notices());
    let built = lab.build_once().run().succeeds("built-local");
    lab.forget_calls();
    let found = off().run().succeeds("reused-local");
    assert_eq!(found.output("local-image"), built.output("local-image"));
    assert!(found.called("tag").is_empty() && found.called("buildx").is_empty(), "{:?}", found.lines());
}

/// D80: with a registry that answers and may not be written.
#[test]
fn d80_what_was_not_published_is_found_again() {
    let lab = Lab::new();
    let unpublished = || lab.shared().input("push", "false");
    let built = unpublished().run().succeeds("built-local");
    for program in [
        unpublished(),
        unpublished().input("load", "false"),
        lab.shared().input("mode", "pull"),
        lab.shared().input("mode", "pull").input("on-missing", "fail"),
        lab.shared().input("mode", "pull").input("on-missing", "wait").input("wait-timeout", "10m"),
    ] {
        lab.forget_calls();
        let again = program.run().succeeds("reused-local");
        assert!(again.called("buildx").is_empty(), "{:?}", again.lines());
        assert_eq!(
            (again.output("local-image"), again.output("degraded"), again.output("digest")),
            (built.output("local-image"), "false", "")
        );
        assert!(again.output("reason").starts_with("no image has this key"), "{}", again.output("reason"));
    }
    // Whoever may publish does.
    let _ = lab.shared().run().succeeds("built");
}

/// D92: whoever builds `app` last owns that name; `local-image` is the zone's own.
#[test]
fn d92_a_fork_cannot_replace_what_local_image_names() {
    let lab = Lab::new();
    let digest = lab.shared().run().succeeds("built").output("digest").to_owned();
    let pull = || lab.shared().input("mode", "pull").input("digest", &digest).run();
    let id = |name: &str| {
        let named = |image: &&Value| image["names"].as_array().unwrap().iter().any(|known| known == name);
        lab.images().as_array().unwrap().iter().find(named).unwrap()["id"].clone()
    };
    let main = pull().succeeds("reused-local");
    let ours = id("app:latest");
    assert_eq!(id(main.output("local-image")), ours);
    lab.write("work/hello", "evil");
    let fork = lab.build_once().fork().run().succeeds("built-local");
    assert_eq!(id("app:latest"), id(fork.output("local-image")));
    assert_ne!(id("app:latest"), ours);
    assert_eq!(id(main.output("local-image")), ours);
}

#[test]
fn while_the_registry_is_down_a_pull_takes_what_is_here() {
    let lab = Lab::new();
    let built = lab.shared().run().succeeds("built");
    lab.registry.fault("/manifests/", 99, Response::new(503, ""));
    for on_missing in ["build", "fail", "wait"] {
        let pull = || lab.shared().input("mode", "pull").input("on-missing", on_missing);
        let run = pull().run().succeeds("reused-local").degraded();
        assert_eq!(run.output("local-image"), built.private_name("trusted"));
        let _ = pull().input("registry-policy", "required").run().fails(30, "unavailable");
    }
    // A digest says what it is, whoever is asked.
    let run = lab.shared().input("mode", "pull").input("digest", built.output("digest")).run();
    let run = run.succeeds("reused-local");
    assert_eq!(run.output("digest"), built.output("digest"));
}

/// An image without the whole key in its label is not the one that the name means.
#[test]
fn a_private_name_alone_is_not_enough() {
    let lab = Lab::new();
    let built = lab.build_once().run().succeeds("built-local");
    let mut images = lab.images();
    images[0]["labels"]["io.github.build-once.key"] =
        format!("{}{}", &built.output("key")[..32], "0".repeat(32)).into();
    lab.write("bin/store.json", images.to_string());
    let _ = lab.build_once().run().succeeds("built-local");
}
