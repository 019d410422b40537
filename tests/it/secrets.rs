//! What must not reach people, other hosts or other runs, from outside.

use serde_json::json;

use crate::support::{CANARY, Lab, Response, Run, Server};

fn said(run: &Run) -> String {
    let lines = run.stdout.lines().chain(run.stderr.lines());
    let lines: Vec<&str> = lines.filter(|line| !line.starts_with("::add-mask::")).collect();
    let outputs: Vec<&str> = run.outputs.values().map(String::as_str).collect();
    format!("{}\n{}\n{}", lines.join("\n"), outputs.join("\n"), run.summary)
}

/// D12
#[test]
fn d12_the_user_of_a_url_is_told_nowhere() {
    for status in [200, 500] {
        let lab = Lab::new();
        let files = Server::start(move |_| Response::new(status, "file"));
        let file = format!("FROM scratch\nADD http://bob:d12-password@{}/f /f\n", files.address);
        lab.write("work/Dockerfile", file);
        lab.write("work/.dockerignore", "Dockerfile\n");
        let run = lab.shared().run();
        let run = if status == 200 { run.succeeds("built") } else { run.fails(30, "unavailable") };
        assert!(run.commands("add-mask").iter().any(|mask| mask.message == "d12-password"));
        assert!(!said(&run).contains("d12-password") && !said(&run).contains("bob:"), "{}", said(&run));
        assert!(files.requests()[0].header("authorization").starts_with("Basic "), "it is used");
        for path in lab.files("temp") {
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned();
            assert!(!text.contains("d12-password"), "{}: {text}", path.display());
        }
        for call in &run.calls {
            assert!(!call.line().contains("d12-password"), "{}", call.line());
        }
        if status == 200 {
            for command in ["key", "plan"] {
                let printed = lab.shared().args(&[command, "--json"]).run();
                assert!(!said(&printed).contains("d12-password"), "{}", printed.all());
            }
        }
    }
}

/// D13: what the program masked is not in the summary in another form.
#[test]
fn d13_a_masked_password_is_not_in_the_summary() {
    let lab = Lab::new();
    let secret = "d13_pass*word@x!";
    lab.rule(
        "buildx build",
        json!({"stderr": format!("ERROR: failed to solve: {secret} is wrong\n"), "exit": 1}),
    );
    let run = lab.shared().input("secrets", &format!("one={secret}")).run();
    assert_ne!(run.code, 0);
    let page =
        run.summary.replace("&#95;", "_").replace("&#42;", "*").replace("&#64;", "@").replace("&#33;", "!");
    assert!(!page.contains(secret) && !said(&run).contains(secret), "{page}");
    assert!(run.summary.contains("&#42;&#42;&#42;"), "{}", run.summary);
}

/// D15
#[test]
fn d15_a_token_request_follows_no_redirect() {
    let other = Server::start(|_| Response::new(200, r#"{"token":"t"}"#));
    let there = format!("http://{}/token", other.address);
    let registry = Server::start(move |request| {
        if request.target.starts_with("/token") {
            return Response::new(307, "").header("location", there.clone());
        }
        let realm = format!(r#"Bearer realm="http://{}/token",service="s""#, request.header("host"));
        Response::new(401, "").header("www-authenticate", realm)
    });
    let lab = Lab::new();
    lab.docker_config(&json!({"auths": {&registry.address: {"identitytoken": CANARY}}}));
    let program = lab.build_once().input("repository", &format!("{}/ci", registry.address));
    let run = program.input("registry-policy", "required").run();
    assert_ne!(run.code, 0, "{}", run.all());
    assert!(registry.requests().iter().any(|request| request.target.starts_with("/token")));
    assert!(other.requests().is_empty(), "the refresh token went to another origin");
}

/// D65
#[test]
fn d65_this_machines_registry_is_not_asked_through_a_proxy() {
    let lab = Lab::new();
    let proxy = Server::start(|_| Response::new(502, ""));
    let program = lab.shared().env("HTTP_PROXY", &format!("http://{}", proxy.address));
    program.run().succeeds("built");
    assert!(proxy.requests().is_empty(), "{:?}", proxy.requests().len());
}

/// D21
#[test]
fn d21_every_image_that_decides_the_build_is_judged() {
    let lab = Lab::new();
    let theirs = format!("{}:pr-12-key-rf9d832d9-app-0", lab.registry.repository());
    for (input, value) in [("sbom", format!("generator={theirs}")), ("buildkit-image", theirs.clone())] {
        let program = lab.shared().input(input, &value).input("driver", "docker-container");
        let run = program.run().fails(2, "input");
        assert!(run.error().contains("another zone's") && run.error().contains(input), "{}", run.error());
    }
}

/// D22: the registry by another of its names.
#[test]
fn d22_another_spelling_of_the_host_is_the_same_registry() {
    let lab = Lab::new();
    let port = lab.registry.address().rsplit(':').next().unwrap().to_owned();
    let path = lab.registry.repository();
    let path = path.split_once('/').unwrap().1;
    for host in ["localhost", "127.0.0.1"] {
        let to = format!("type=registry,ref={host}:{port}/{path}:cache-rf9d832d9-app-main");
        let run = lab.shared().pull_request(12).input("cache-to", &to).run();
        assert!(!run.build().line().contains(&to), "{}", run.build().line());
        assert!(run.notices().contains("is not this zone's"), "{}", run.notices());
        lab.forget_calls();
        lab.write("work/hello", host);
    }
}

/// D25
#[test]
fn d25_what_is_printed_is_obeyed_by_no_runner() {
    let lab = Lab::new();
    lab.write("work/##[set-output name=digest]evil", "x");
    lab.write("work/#\u{200b}#[set-output name=digest]evil", "x");
    for args in [&["key"][..], &["key", "--json"], &["plan"], &["plan", "--json"], &["key", "--##[x]"]] {
        let run = lab.shared().push_to("##[set-output name=x]y").args(args).run();
        let all = format!("{}{}", run.stdout, run.stderr).replace('\u{200b}', "");
        assert!(!all.contains("##["), "{args:?}: {all}");
    }
}

/// D75
#[test]
fn d75_the_line_break_of_a_secret_is_not_sent() {
    let lab = Lab::new();
    lab.registry.require(crate::support::Login::Basic("ann", CANARY));
    let program = lab.shared().input("logins", &format!("{} ann P", lab.registry.address()));
    program.env("P", &format!("{CANARY}\n")).run().succeeds("built");
}

/// D95
#[test]
fn d95_a_kept_builder_is_for_trusted_runs() {
    for by_variable in [false, true] {
        let lab = Lab::new();
        let name = "build-once-kept-0123456789abcdef";
        lab.set("builder", name);
        let program = lab.shared().fork();
        let program =
            if by_variable { program.env("BUILDX_BUILDER", name) } else { program.input("builder", name) };
        let run = program.run();
        assert!(run.called("buildx build").is_empty(), "{}", run.all());
        assert_eq!(run.code, 2, "{}", run.all());
    }
}
