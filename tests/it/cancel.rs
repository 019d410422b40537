//! Cancellation: the child ends first, then the report is written, then the program ends.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::{BuildOnce, Call, Lab, Response, Run};

/// It has ended; whoever inherits it may take a moment to notice.
#[track_caller]
fn ended(call: &Call) {
    for _ in 0..100 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", call.pid)).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("docker {} is still running", call.line());
}

#[track_caller]
fn dead(call: &Call) {
    ended(call);
    let private = call.env["DOCKER_CONFIG"].as_str().unwrap();
    assert!(!Path::new(private).exists(), "{private} is still there");
}

#[track_caller]
fn cancelled(run: Run, code: i32, phase: &str) -> Run {
    let run = run.fails(code, "cancelled");
    let said = format!("{} ({phase})", if code == 130 { "cancelled" } else { "terminated" });
    assert!(run.error().starts_with(&said), "{said}: {}", run.error());
    assert!(run.summary.contains(&said), "{said}: {}", run.summary);
    assert_eq!((run.output("built"), run.output("pushed"), run.output("digest")), ("false", "false", ""));
    run
}

#[test]
fn during_the_build() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let lab = Lab::new();
        lab.rule("buildx build", json!({"hang": true, "stderr": "{\"vertexes\":[]}\n"}));
        let mut running = lab.shared().start();
        let call = running.wait_for_call("buildx build");
        running.signal(signal);
        let run = cancelled(running.finish(), code, "build and push");
        dead(&call);
        assert_eq!(run.output("attempts"), "1");
        assert!(!run.output("key").is_empty() && !run.output("plan").is_empty(), "what is known is told");
        assert_eq!(run.called("buildx build").len(), 1);
    }
}

/// A stream in which this was begun and has not ended.
fn at(vertex: &str, status: &str) -> String {
    let began = "2026-01-01T00:00:00Z";
    let stream = json!({
        "vertexes": [{"digest": "sha256:aa", "name": vertex, "started": began}],
        "statuses": [{"id": status, "vertex": "sha256:aa", "started": began}],
    });
    format!("{stream}\n")
}

#[test]
fn the_part_of_the_build_is_named() {
    for (vertex, status, doing) in [
        ("[2/2] RUN make", "x", "running the steps"),
        ("exporting to image", "exporting layers", "packing the layers"),
        ("exporting to image", "pushing layers", "pushing"),
        ("exporting cache to registry", "x", "writing the layer cache"),
    ] {
        let lab = Lab::new();
        lab.rule("buildx build", json!({"hang": true, "stderr": at(vertex, status)}));
        let mut running = lab.shared().start();
        let call = running.wait_for_call("buildx build");
        // It says so after its call is noted.
        std::thread::sleep(Duration::from_millis(700));
        running.signal(Signal::INT);
        let run = cancelled(running.finish(), 130, &format!("build and push, while {doing}"));
        dead(&call);
        assert_eq!(lab.registry.tags(), [""; 0], "no tag was set: {:?}", run.lines());
        assert_eq!(run.called("buildx build").len(), 1);
    }
}

#[test]
fn a_fresh_builder_is_removed() {
    let lab = Lab::new();
    lab.set("containerd", false);
    lab.rule("buildx build", json!({"hang": true}));
    let mut running = lab.shared().start();
    let call = running.wait_for_call("buildx build");
    running.signal(Signal::INT);
    let run = cancelled(running.finish(), 130, "build and push");
    dead(&call);
    let name = run.called("buildx create")[0].values("--name")[0].to_owned();
    assert_eq!(run.called(&format!("buildx rm --force {name}")).len(), 1, "{:?}", run.lines());
}

#[test]
fn while_a_builder_boots() {
    let lab = Lab::new();
    lab.set("containerd", false);
    lab.rule("buildx create", json!({"hang": true}));
    let mut running = lab.shared().start();
    let call = running.wait_for_call("buildx create");
    running.signal(Signal::INT);
    // It boots while the rest of the plan is made.
    let run = running.finish().fails(130, "cancelled");
    let phases = ["cancelled (boot a builder)", "cancelled (while looking)"];
    assert!(phases.iter().any(|phase| run.error().starts_with(phase)), "{}", run.error());
    ended(&call);
    assert_eq!(
        run.called(&format!("buildx rm --force {}", call.values("--name")[0])).len(),
        1,
        "{:?}",
        run.lines()
    );
    assert!(run.called("buildx build").is_empty(), "a cancelled boot is no reason to build without");
}

#[test]
fn while_looking() {
    let lab = Lab::new();
    lab.rule("image inspect", json!({"hang": true}));
    let mut running = lab.build_once().start();
    let call = running.wait_for_call("image inspect");
    running.signal(Signal::INT);
    let run = cancelled(running.finish(), 130, "while looking");
    ended(&call);
    assert_eq!(run.called("buildx").len(), 0);
}

/// A file that takes minutes to read and no room.
pub(crate) fn endless(lab: &Lab) {
    lab.write("work/Dockerfile", "FROM scratch\nCOPY hello endless /\n");
    std::fs::File::create(lab.path("work/endless")).unwrap().set_len(1 << 40).unwrap();
}

/// Threads cannot be cancelled: they are left behind.
#[test]
fn while_the_files_are_read() {
    let lab = Lab::new();
    endless(&lab);
    let running = lab.shared().start();
    std::thread::sleep(Duration::from_secs(1));
    let start = Instant::now();
    running.signal(Signal::INT);
    let _ = cancelled(running.finish(), 130, "while looking");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn while_waiting_for_another_jobs_image() {
    let lab = Lab::new();
    let program = lab.shared().input("on-missing", "wait").input("mode", "pull");
    let running = program.start();
    wait_for_questions(&lab, "key-rf9d832d9-app-", 2);
    let start = Instant::now();
    running.signal(Signal::TERM);
    let run = cancelled(running.finish(), 143, "while looking");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(run.output("reason").contains("(while looking)"), "{}", run.output("reason"));
}

/// Waits until the registry was asked for such a name that often.
#[track_caller]
fn wait_for_questions(lab: &Lab, name: &str, count: usize) {
    for _ in 0..1000 {
        if lab.registry.asked().iter().filter(|asked| asked.contains(name)).count() >= count {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{:?}", lab.registry.asked());
}

/// It was pushed, and that is told.
#[track_caller]
fn pushed(run: &Run) {
    let output = |name| run.output(name);
    assert_eq!((output("outcome"), output("failure-class")), ("failed", "cancelled"), "{}", run.all());
    assert_eq!((output("built"), output("pushed"), output("attempts")), ("true", "true", "1"));
    assert!(!output("metadata-file").is_empty() && !output("commit-tag").is_empty(), "{:?}", run.outputs);
}

/// Interrupted once the commit's tag was asked for so often; the first time is the look before the
/// build.
#[track_caller]
fn after_the_push(lab: &Lab, program: BuildOnce<'_>, questions: usize) -> Run {
    let mut running = program.start();
    let _ = running.wait_for_call("buildx build");
    wait_for_questions(lab, "sha-rf9d832d9-app-", questions);
    let start = Instant::now();
    running.signal(Signal::INT);
    let run = running.finish().fails(130, "cancelled");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    pushed(&run);
    run
}

#[test]
fn while_the_registry_does_not_show_what_was_pushed() {
    let lab = Lab::new();
    lab.registry.fault("/manifests/", 1000, Response::error(404, "MANIFEST_UNKNOWN", "manifest unknown"));
    let run = after_the_push(&lab, lab.shared(), 3);
    assert!(run.error().starts_with("cancelled (read back the digest)"), "{}", run.error());
    // What the registry did not confirm is not handed on.
    assert_eq!(run.output("digest"), "");
}

#[test]
fn while_the_registry_asks_for_patience() {
    let lab = Lab::new();
    let busy = Response::error(429, "TOOMANYREQUESTS", "slow down").header("retry-after", "30");
    // One look before the build, then those after it.
    lab.registry.fault(
        "/manifests/sha-rf9d832d9-app-",
        1,
        Response::error(404, "MANIFEST_UNKNOWN", "unknown"),
    );
    lab.registry.fault("/manifests/sha-rf9d832d9-app-", 1000, busy);
    let _ = after_the_push(&lab, lab.shared().input("retries", "3"), 2);
}

/// Nothing ends what hangs here before the grace is over.
#[test]
fn what_was_done_is_told_although_the_grace_is_over() {
    let lab = Lab::new();
    lab.set("containerd", false);
    lab.rule("buildx rm", json!({"hang": true}));
    let mut running = lab.shared().start();
    let _ = running.wait_for_call("buildx rm");
    let start = Instant::now();
    let run = running.cancel_as_the_runner().fails(130, "cancelled");
    // It waited for the builder as long as the runner lets it: a killed program would have told nothing.
    assert!(start.elapsed() >= Duration::from_secs(6));
    assert!(run.error().starts_with("cancelled (remove the builder build-once-"), "{}", run.error());
    pushed(&run);
    assert!(run.output("digest").starts_with("sha256:"), "{}", run.output("digest"));
    assert!(run.summary.contains("read back the digest"), "{}", run.summary);
}

#[test]
fn while_waiting_for_another_try() {
    let lab = Lab::new();
    lab.rule("buildx build", json!({"stderr": "ERROR: 503 Service Unavailable\n", "exit": 1}));
    let mut running = lab.shared().input("retries", "9").start();
    let _ = running.wait_for_call("buildx build");
    // The first wait is a second at least.
    std::thread::sleep(std::time::Duration::from_millis(300));
    running.signal(Signal::INT);
    let run = cancelled(running.finish(), 130, "build and push");
    assert_eq!(run.called("buildx build").len(), 1, "{:?}", run.lines());
}

#[test]
fn during_a_pull() {
    let lab = Lab::new();
    let _ = lab.shared().run().succeeds("built");
    lab.another_machine();
    lab.rule("pull", json!({"hang": true}));
    let mut running = lab.shared().input("mode", "pull").start();
    let call = running.wait_for_call("pull");
    running.signal(Signal::INT);
    let run = running.finish().fails(130, "cancelled");
    dead(&call);
    assert!(run.error().starts_with("cancelled (pull)"), "{}", run.error());
    assert_eq!(run.output("local-image"), "");
}

#[test]
fn secrets_of_a_cancelled_build_are_gone() {
    let lab = Lab::new();
    let secret = crate::support::CANARY;
    lab.rule("buildx build", json!({"hang": true}));
    let mut running = lab
        .shared()
        .input("secrets", &format!("a={secret}"))
        .input("logins", "h.example u P")
        .env("P", secret)
        .start();
    let call = running.wait_for_call("buildx build");
    assert_eq!(call.config["auths"].as_object().unwrap().len(), 1);
    running.signal(Signal::INT);
    cancelled(running.finish(), 130, "build and push");
    dead(&call);
}

/// Processes of this group that run.
fn group(id: i32) -> Vec<String> {
    let stat = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("stat")).ok();
    let all = std::fs::read_dir("/proc").unwrap().flatten().filter_map(stat);
    // "12 (sh) S 1 12 …": state, parent, group.
    let is = |stat: &String| {
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        fields[0] != "Z" && fields[2] == id.to_string()
    };
    all.filter(is).collect()
}

#[track_caller]
fn gone(call: &Call) {
    for _ in 0..100 {
        if group(call.pid).is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("left behind: {:?}", group(call.pid));
}

/// Ignores what it is told, and has a child that does.
const STUBBORN: &str = "trap '' INT TERM; /bin/sleep 60 & while :; do /bin/sleep 1; done";

#[test]
fn children_that_ignore_signals_are_dead_in_time() {
    let lab = Lab::new();
    lab.set("containerd", false);
    lab.rule("buildx build", json!({"shell": STUBBORN}));
    let mut running = lab.shared().start();
    let call = running.wait_for_call("buildx build");
    std::thread::sleep(Duration::from_millis(500));
    assert!(group(call.pid).len() >= 2, "the stand-in runs with a child of its own");
    let start = Instant::now();
    let run = cancelled(running.cancel_as_the_runner(), 130, "build and push");
    let took = start.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(7)).contains(&took), "{took:?}");
    gone(&call);
    assert!(start.elapsed() < Duration::from_secs(9));
    let name = run.called("buildx create")[0].values("--name")[0].to_owned();
    assert_eq!(run.called(&format!("buildx rm --force {name}")).len(), 1, "{:?}", run.lines());
}

#[test]
fn what_outlives_docker_does_not_outlive_the_run() {
    let lab = Lab::new();
    lab.rule("buildx build", json!({"shell": "(trap '' INT TERM; /bin/sleep 60) & wait"}));
    let mut running = lab.shared().start();
    let call = running.wait_for_call("buildx build");
    std::thread::sleep(Duration::from_millis(500));
    let start = Instant::now();
    running.signal(Signal::INT);
    cancelled(running.finish(), 130, "build and push");
    assert!(start.elapsed() < Duration::from_secs(3), "docker itself was polite");
    gone(&call);
}

/// The request is left to its end, so that it is known what came of it.
#[test]
fn while_a_tag_is_set() {
    let lab = Lab::new();
    let built = lab.shared().run().succeeds("built");
    lab.another_machine();
    lab.registry.forget_requests();
    lab.registry.slow(Duration::from_millis(500));
    let running = lab.shared().commit("3333333333333333333333333333333333333333").start();
    let tag = "ci/sha-rf9d832d9-app-3333333333333333333333333333333333333333";
    let put = format!("PUT {}", tag.replacen('/', "/manifests/", 1));
    while !lab.registry.asked().contains(&put) {
        std::thread::sleep(Duration::from_millis(10));
    }
    running.signal(Signal::INT);
    let run = running.finish().fails(130, "cancelled");
    assert!(run.error().starts_with("cancelled (set the tag sha-rf9d832d9-app-3333"), "{}", run.error());
    assert_eq!(lab.registry.digest(tag).as_deref(), Some(built.output("digest")));
}

/// The step of action.yml, as the runner starts it.
#[test]
fn through_the_actions_own_script() {
    let lab = Lab::new();
    let action: serde_yaml_ng::Value = serde_yaml_ng::from_str(include_str!("../../action.yml")).unwrap();
    let steps = action["runs"]["steps"].as_sequence().unwrap();
    let script = steps.iter().filter_map(|step| step["run"].as_str()).next_back().unwrap();
    lab.write("temp/step.sh", script);
    lab.write("action/dist/install.sh", format!("echo {}\n", env!("CARGO_BIN_EXE_build-once")));
    lab.rule("buildx build", json!({"shell": STUBBORN}));
    let step = lab.path("temp/step.sh");
    let bash = ["/bin/bash", "--noprofile", "--norc", "-e", "-o", "pipefail", step.to_str().unwrap()];
    let path = format!("{}:/usr/bin:/bin", lab.path("bin").display());
    let program = lab.shared().through(&bash).env("PATH", &path);
    let mut running = program.env("GITHUB_ACTION_PATH", lab.path("action").to_str().unwrap()).start();
    let call = running.wait_for_call("buildx build");
    std::thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    cancelled(running.cancel_as_the_runner(), 130, "build and push");
    assert!(start.elapsed() < Duration::from_millis(7500), "before SIGTERM: {:?}", start.elapsed());
    dead(&call);
    gone(&call);
}
