//! Logins that stand where they do not belong: refused without being shown, or shown nowhere.

use serde_json::json;

use crate::support::{Call, Lab, Response, Run, Server};

const SECRET: &str = "logins-hunter2";

/// Everything that the run shows, writes or hands to others, but for the masks themselves.
fn told(lab: &Lab, run: &Run) -> String {
    let lines = run.stdout.lines().chain(run.stderr.lines()).filter(|line| !line.starts_with("::add-mask::"));
    let mut all: Vec<String> = lines.map(str::to_owned).collect();
    all.extend(run.outputs.values().cloned());
    all.push(run.summary.clone());
    all.extend(run.calls.iter().map(Call::line));
    let files = lab.files("temp");
    all.extend(
        files
            .iter()
            .map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()),
    );
    all.join("\n")
}

#[test]
fn what_would_stand_in_arguments_is_refused() {
    let s3 = format!("bucket=b,region=r,endpoint_url=http://bob:{SECRET}@127.0.0.1:1");
    let azure = format!("account_url=https://x.example/?sv=1&sig={SECRET}");
    let proxy = format!("env.HTTP_PROXY=http://bob:{SECRET}@127.0.0.1:1");
    for (driver, input, value) in [
        ("", "cache", format!("s3,{s3}")),
        ("", "cache", format!("azblob,{azure}")),
        ("", "cache-from", format!("type=s3,{s3}")),
        ("", "cache-from", format!("type=azblob,{azure}")),
        ("", "cache-to", format!("type=azblob,{azure}")),
        ("docker-container", "driver-opts", proxy.clone()),
        ("docker-container", "driver-opts", format!("{proxy},network=host")),
        ("remote", "endpoints", format!("tcp://bob:{SECRET}@127.0.0.1:1")),
    ] {
        let lab = Lab::new();
        let run = lab.shared().input("driver", driver).input(input, &value).run().fails(2, "input");
        assert!(run.error().contains(input), "{}", run.error());
        assert!(!told(&lab, &run).contains(SECRET), "{input}: {}", told(&lab, &run));
        assert!(run.calls.is_empty(), "{:?}", run.lines());
    }
}

#[test]
fn a_login_without_a_protocol_is_not_shown() {
    for (input, value) in [
        ("repository", format!("bob:{SECRET}@h.example/x")),
        ("cache-from", format!("type=registry,ref=bob:{SECRET}@h.example/x")),
        ("buildkit-image", format!("bob:{SECRET}@h.example/x")),
    ] {
        let lab = Lab::new();
        let driver = if input == "buildkit-image" { "docker-container" } else { "" };
        let run = lab.shared().input("driver", driver).input(input, &value).run();
        assert_eq!(run.code, if input == "cache-from" { 0 } else { 2 }, "{}", run.all());
        assert!(!told(&lab, &run).contains(SECRET), "{input}: {}", told(&lab, &run));
    }
}

#[test]
fn a_signed_url_keeps_its_signature_to_itself() {
    let lab = Lab::new();
    let digest = "0".repeat(64);
    lab.write(
        "work/Dockerfile",
        format!("FROM scratch\nADD --checksum=sha256:{digest} https://b.example/o?X-Amz-Date=1&X-Amz-Signature={SECRET} /o\n"),
    );
    lab.write("work/.dockerignore", "Dockerfile\n");
    let run = lab.shared().run().succeeds("built");
    assert!(!told(&lab, &run).contains(SECRET), "{}", told(&lab, &run));
    for command in ["key", "plan"] {
        let printed = lab.shared().args(&[command, "--json"]).run();
        assert!(printed.stdout.contains("X-Amz-Signature=***") || command == "plan", "{}", printed.stdout);
        assert!(!printed.all().contains(SECRET), "{}", printed.all());
    }
}

#[test]
fn a_secret_that_colours_split_is_not_put_together() {
    let lab = Lab::new();
    let split = SECRET.replacen('-', "-\u{1b}[0m", 1);
    lab.rule("buildx build", json!({"stderr": format!("#1 0.1 \u{1b}[31m{split}\n"), "exit": 1}));
    let run = lab.shared().input("secrets", &format!("one={SECRET}")).run();
    assert_ne!(run.code, 0);
    assert!(!told(&lab, &run).contains(SECRET), "{}", told(&lab, &run));
}

#[test]
fn a_proxy_that_asks_for_a_login_is_told_as_one() {
    let proxy = Server::start(|_| Response::new(407, ""));
    let lab = Lab::new();
    let program =
        lab.build_once().input("repository", "registry.example/ci").input("registry-policy", "required");
    let run = program.env("HTTPS_PROXY", &format!("http://{}", proxy.address)).run().fails(20, "access");
    assert_eq!(run.output("failure-cause"), "proxy", "{}", run.error());
    assert!(!run.error().contains("tries were made"), "{}", run.error());
}

#[test]
fn the_passwords_of_dockers_own_proxies_are_masked() {
    let lab = Lab::new();
    let proxy = format!("http://bob:{SECRET}@127.0.0.1:1");
    lab.docker_config(&json!({"proxies": {"default": {"httpProxy": proxy}}}));
    lab.rule("buildx build", json!({"stderr": format!("#1 0.1 {SECRET}\n"), "exit": 1}));
    let run = lab.shared().run();
    assert_ne!(run.code, 0);
    assert!(run.commands("add-mask").iter().any(|mask| mask.message == SECRET));
    let shown = format!("{}{}", run.summary, run.stdout.replace(&format!("::add-mask::{SECRET}"), ""));
    assert!(!shown.contains(SECRET), "{shown}");
}

#[test]
fn an_address_that_is_asked_too_often_is_no_fault_of_the_dockerfile() {
    let lab = Lab::new();
    let files = Server::start(|_| Response::new(429, ""));
    lab.write("work/Dockerfile", format!("FROM scratch\nADD http://{}/f /f\n", files.address));
    let run = lab.shared().run().fails(30, "unavailable");
    assert_eq!(run.output("failure-cause"), "throttled", "{}", run.error());
}
