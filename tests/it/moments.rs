//! A signal at each moment of a run: it ends in time, says how, and leaves nothing behind.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::cancel::endless;
use crate::support::{BuildOnce, Lab, Run, Running};

/// The runner kills everything 10 s after its first signal.
const BOUND: Duration = Duration::from_secs(9);
/// Each with the exit code that says so.
const SIGNALS: [(Signal, i32); 3] = [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 143)];

/// Boots a builder of its own, logs in, builds, pushes and sets tags.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.set("containerd", false);
    lab
}

fn program(lab: &Lab) -> BuildOnce<'_> {
    let tag = format!("{}:latest", lab.registry.repository());
    lab.shared().input("tags", &tag).input("logins", "h.example u P").env("P", crate::support::CANARY)
}

/// Ends it, and holds what holds for every end.
#[track_caller]
fn stopped(lab: &Lab, mut running: Running<'_>, signal: Signal, what: &str) -> Run {
    let start = Instant::now();
    running.signal(signal);
    while running.is_running() {
        assert!(start.elapsed() < BOUND, "{what}: it goes on after {signal:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    let run = running.finish_unchecked();
    let left =
        lab.files("temp").into_iter().find(|path| path.to_string_lossy().contains("build-once-docker-"));
    assert!(left.is_none(), "{what}: {left:?} is left");
    run
}

/// Each command of docker hangs once, and the signal comes then.
#[test]
fn d18_a_signal_at_each_command_ends_the_run() {
    let seen = lab();
    let commands: BTreeSet<String> = {
        let run = program(&seen).run().succeeds("built");
        let first = |line: String| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        run.calls.iter().map(|call| first(call.line())).collect()
    };
    assert!(commands.len() >= 5, "{commands:?}");
    for (at, command) in commands.iter().enumerate() {
        let (signal, code) = SIGNALS[at % SIGNALS.len()];
        let lab = lab();
        lab.rule(command, json!({"hang": true, "times": 1}));
        let mut running = program(&lab).start();
        let _ = running.wait_for_call(command);
        let run = stopped(&lab, running, signal, command);
        run.check(&lab);
        assert_eq!((run.code, run.output("outcome")), (code, "failed"), "{command}: {}", run.all());
        // What was made for the run is taken away.
        for made in run.called("buildx create") {
            let name = made.values("--name")[0].to_owned();
            assert!(
                !run.called(&format!("buildx rm --force {name}")).is_empty(),
                "{command}: {:?}",
                run.lines()
            );
        }
    }
}

/// The signal comes so many milliseconds after the start.
#[test]
fn d18_a_signal_at_each_moment_ends_the_run() {
    let mut millis = 0;
    for step in 0..24_u64 {
        millis += 1 + step;
        let (signal, code) = SIGNALS[usize::try_from(step).unwrap() % SIGNALS.len()];
        let lab = lab();
        let running = program(&lab).start();
        std::thread::sleep(Duration::from_millis(millis));
        let run = stopped(&lab, running, signal, &format!("after {millis} ms"));
        let number = signal.as_raw();
        // Before the program listens, the system ends it; after the last step, it has ended by itself.
        if run.code == -number {
            assert!(run.calls.is_empty(), "after {millis} ms: {:?}", run.lines());
            continue;
        }
        run.check(&lab);
        assert!([code, 0].contains(&run.code), "after {millis} ms: {}", run.all());
        assert_eq!(
            run.output("outcome"),
            if run.code == 0 { "built" } else { "failed" },
            "after {millis} ms"
        );
    }
}

/// They only print, and leave the runner's files alone.
#[test]
fn while_a_plan_or_a_key_is_printed() {
    let lab = Lab::new();
    endless(&lab);
    for (command, signal, code, word) in
        [("plan", Signal::INT, 130, "cancelled"), ("key", Signal::TERM, 143, "terminated")]
    {
        let running = lab.shared().args(&[command]).start();
        std::thread::sleep(Duration::from_secs(1));
        let start = Instant::now();
        running.signal(signal);
        let run = running.finish();
        assert!(start.elapsed() < Duration::from_secs(3), "{command}: {:?}", start.elapsed());
        assert_eq!(run.code, code, "{command}: {}", run.all());
        assert!(run.stderr.contains(&format!("error: {word} (while looking)")), "{}", run.stderr);
        assert!(run.stdout.is_empty() && run.outputs.is_empty() && run.summary.is_empty());
    }
}
