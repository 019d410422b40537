//! What comes from outside and is more than it may be, or never ends (docs/limits.md).

use std::os::unix::fs::symlink;

use crate::support::{CANARY, Lab, Login, Response};

fn pipe(lab: &Lab, name: &str) {
    let made = std::process::Command::new("mkfifo").arg(lab.path(name)).status().unwrap();
    assert!(made.success());
}

/// D29: none of these is waited for, and none is read without end.
#[test]
fn d29_what_is_no_regular_file_is_refused() {
    let lab = Lab::new();
    pipe(&lab, "work/pipe");
    let inputs = [
        ("build-args-file", "pipe", 2, "input"),
        ("labels-file", "/dev/zero", 2, "input"),
        ("file", "pipe", 10, "build"),
        ("file", "/dev/zero", 10, "build"),
    ];
    for (input, path, code, class) in inputs {
        let path = if path.starts_with('/') { path.into() } else { lab.path(&format!("work/{path}")) };
        let run = lab.shared().input(input, path.to_str().unwrap()).run().fails(code, class);
        assert!(run.error().contains("is no regular file"), "{input}: {}", run.error());
        assert!(run.called("buildx build").is_empty());
    }
    std::fs::remove_file(lab.path("work/Dockerfile")).unwrap();
    symlink("/dev/zero", lab.path("work/Dockerfile")).unwrap();
    let run = lab.shared().run().fails(10, "build");
    assert!(run.error().contains("Dockerfile is no regular file"), "{}", run.error());
}

/// D29: an ignore file that is a pipe, or leads to one, is refused: buildx would wait for it.
#[test]
fn d29_an_ignore_file_that_is_a_pipe_is_not_waited_for() {
    let lab = Lab::new();
    pipe(&lab, "work/rules");
    symlink("rules", lab.path("work/.dockerignore")).unwrap();
    let run = lab.shared().run();
    assert!(run.code != 0 && run.error().contains("no regular file"), "{}", run.all());
}

/// D28: what takes too long to read is refused, with the line and the limit.
#[test]
fn d28_a_hostile_dockerfile_is_refused_with_its_line() {
    let lab = Lab::new();
    lab.write(
        "work/Dockerfile",
        format!("FROM scratch\nENV A={}x{}\n", "${A:-".repeat(12_000), "}".repeat(12_000)),
    );
    let run = lab.shared().run().fails(10, "build");
    assert!(run.error().contains("Dockerfile:2: more than 100 levels of `${…}`"), "{}", run.error());
    assert!(run.called("buildx build").is_empty());
}

/// D33.
#[test]
fn d33_too_many_ignore_patterns_are_refused() {
    let lab = Lab::new();
    lab.write("work/.dockerignore", "a*b\n".repeat(10_001));
    let run = lab.shared().run().fails(10, "build");
    assert!(run.error().contains(".dockerignore:10001: "), "{}", run.error());
    assert!(run.error().contains("more than 10,000 patterns"), "{}", run.error());
}

/// D33.
#[test]
fn d33_braces_that_come_to_too_much_are_refused() {
    let lab = Lab::new();
    let run =
        lab.shared().input("key", "files").input("key-files", &"{a,b}".repeat(20)).run().fails(2, "input");
    assert!(run.error().contains("more than 10,000 patterns, with what braces come to"), "{}", run.error());
}

/// D26.
#[test]
fn d26_a_token_has_a_size() {
    let lab = Lab::new();
    lab.registry.require(Login::Bearer("ann", CANARY));
    lab.registry.fault("/token", 99, Response::new(200, vec![b' '; 2 << 20]));
    let logins = format!("{} ann PASSWORD", lab.registry.address());
    let program = lab.shared().input("logins", &logins).env("PASSWORD", CANARY);
    let run = program.input("registry-policy", "required").run().fails(30, "unavailable");
    assert!(run.error().contains("its token service's answer is too large"), "{}", run.error());
}
