//! A log that its reader does not read holds up the run, and not its end.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::Lab;

/// More than a pipe and what waits to be written hold.
const FLOOD: u64 = 8_000_000;

/// D18: the child is ended, the private docker configuration removed and the report written, though the pipe is full.
#[test]
fn d18_a_log_that_is_not_read_holds_no_signal_back() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 143)] {
        let lab = Lab::new();
        lab.rule("buildx build", json!({"flood": FLOOD, "hang": true}));
        let mut running = lab.shared().start();
        let call = running.wait_for_call("buildx build");
        let private = call.env["DOCKER_CONFIG"].as_str().unwrap().to_owned();
        std::thread::sleep(Duration::from_millis(500));
        assert!(Path::new(&private).exists());
        let start = Instant::now();
        running.signal(signal);
        while running.is_running() {
            assert!(start.elapsed() < Duration::from_secs(9), "the runner would kill it now");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!Path::new(&private).exists(), "{private} is still there");
        // Its log breaks off.
        let run = running.finish_unchecked();
        assert_eq!(
            (run.code, run.output("outcome"), run.output("failure-class")),
            (code, "failed", "cancelled")
        );
        let state = std::fs::read_to_string(format!("/proc/{}/stat", call.pid)).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "docker is still running");
    }
}

/// D18: the same for a key, whose reader takes nothing, and for the input `timeout`.
#[test]
fn d18_neither_is_a_key_nor_a_timeout_held_back() {
    let lab = Lab::new();
    lab.write("work/Dockerfile", "FROM scratch\nCOPY . /\n");
    let name = "x".repeat(200);
    (0..4000).for_each(|at| lab.write(&format!("work/{name}{at}"), ""));
    let mut running = lab.shared().args(&["key", "--json"]).start();
    std::thread::sleep(Duration::from_secs(2));
    assert!(running.is_running(), "the key is more than a pipe holds");
    let start = Instant::now();
    running.signal(Signal::TERM);
    while running.is_running() {
        assert!(start.elapsed() < Duration::from_secs(9));
        std::thread::sleep(Duration::from_millis(10));
    }

    let lab = Lab::new();
    lab.rule("buildx build", json!({"flood": FLOOD, "hang": true}));
    let mut running = lab.shared().input("timeout", "2s").start();
    let start = Instant::now();
    while running.is_running() {
        assert!(start.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(10));
    }
    let run = running.finish_unchecked();
    assert_eq!((run.code, run.output("failure-class")), (30, "unavailable"), "{:?}", run.outputs);
}
