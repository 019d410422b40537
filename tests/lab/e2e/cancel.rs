//! Cancellation: as GitHub's runner does it, by signal.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::engines::{classic, no_classic};
use crate::harness::{Program, Repository, Workspace, engine_at, eventually, lab};

/// A step that sleeps for a time that is nobody else's.
pub fn sleeper(test: &str) -> (Workspace, String) {
    let work = Workspace::new(test);
    let mark =
        work.image.bytes().fold(1_000_003_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let command = format!("sleep {}", 100_000_000 + mark % 800_000_000);
    work.write(
        "Dockerfile",
        &format!("ARG BASE\nFROM ${{BASE}}\nCOPY content.txt /content.txt\nRUN --network=none {command}\n"),
    );
    work.commit("sleeps");
    (work, command)
}

pub fn is_sleeping(command: &str) -> bool {
    let arguments = command.replace(' ', "\0");
    std::fs::read_dir("/proc").unwrap().flatten().any(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).trim_end_matches('\0') == arguments
    })
}

fn cancelled(program: Program<'_>, command: &str, signal: Signal, code: i32) {
    let running = program.start();
    eventually("the step runs", Duration::from_secs(60), || is_sleeping(command));
    let start = Instant::now();
    running.signal(signal);
    let ended = running.finish();
    // The runner kills everything 10 s after its first signal; a slow machine is given more.
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    let ended = ended.failed(code, "cancelled");
    let word = if code == 130 { "cancelled" } else { "terminated" };
    let said = format!("{word} (build and push, while running the steps)");
    assert!(ended.summary.contains(&said) && ended.log.contains(&said), "{}", ended.log);
    assert_eq!(
        ["built", "pushed", "digest", "tag"].map(|name| ended.output(name)),
        ["false", "false", "", ""]
    );
    eventually("the step is stopped", Duration::from_secs(15), || !is_sleeping(command));
}

#[test]
fn by_interrupt_with_a_builder_of_its_own() {
    if no_classic() {
        return;
    }
    let classic = classic();
    let ((work, command), repository) = (sleeper("interrupt"), Repository::ecr("interrupt"));
    let program = || {
        let program =
            work.program().repository(&repository).engine(classic).input("driver-opts", "network=host");
        program.input("buildkit-image", lab().get("BUILD_ONCE_LAB_BUILDKIT_IMAGE"))
    };
    cancelled(program(), &command, Signal::INT, 130);
    crate::engines::nothing_left(&work, classic);
    assert!(repository.tags().is_empty(), "{:?}", repository.tags());
    work.write("Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY content.txt /content.txt\n");
    work.commit("does not sleep");
    program().push("main").run().is("built").is_published(&repository, &[&work.commit_tag()]);
}

#[test]
fn by_terminate_on_the_engines_own_builder() {
    let ((work, command), repository) = (sleeper("terminate"), Repository::ecr("terminate"));
    cancelled(work.program().repository(&repository), &command, Signal::TERM, 143);
    let (_, containers) = engine_at(lab().get("DOCKER_HOST"), &["ps", "--format", "{{.Names}}"]);
    assert!(!containers.contains(&work.image));
    assert!(repository.tags().is_empty(), "{:?}", repository.tags());
}

#[test]
fn while_it_waits_for_an_image() {
    let (work, repository) = (Workspace::new("waiting"), Repository::ecr("waiting"));
    let waiting =
        work.program().repository(&repository).input("mode", "pull").input("on-missing", "wait").start();
    eventually("it asks", Duration::from_secs(30), || repository.journal().len() >= 2);
    let start = Instant::now();
    waiting.signal(Signal::INT);
    waiting.finish().failed(130, "cancelled");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
