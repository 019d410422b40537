//! A defect of ours ends a run as a failure does.

use crate::support::{CANARY, Lab};

#[test]
fn a_panic_in_the_build_closes_the_bracket_and_writes_the_outputs() {
    let lab = Lab::new();
    lab.set("containerd", false);
    let program = lab.shared().env("BUILD_ONCE_TEST_PANIC", "build").input("logins", "h.example u P");
    let run = program.env("P", CANARY).run().fails(70, "bug");
    assert!(run.error().starts_with("build-once has a defect: version "), "{}", run.error());
    assert!(run.error().contains("stopped at src/crash.rs:"), "{}", run.error());
    assert!(run.error().contains("hint: report this line at https://github.com/"), "{}", run.error());
    // What the panic says may hold anything.
    assert!(!format!("{}{}{}", run.stdout, run.stderr, run.summary).contains("asked for"), "{}", run.stderr);
    assert!(!run.output("key").is_empty() && !run.output("plan").is_empty(), "what is known is told");
    assert_eq!((run.output("outcome"), run.output("failure-cause")), ("failed", "bug"));
    let created = run.called("buildx create");
    let left: Vec<_> =
        std::fs::read_dir(lab.path("temp")).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("build-once-docker-")), "{left:?}");
    let name = created[0].values("--name")[0];
    for _ in 0..100 {
        if lab.calls().iter().any(|call| call.line() == format!("buildx rm --force {name}")) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("the builder {name} is left behind");
}

#[test]
fn a_panic_on_another_thread_is_told_as_any() {
    for place in ["walk", "tls", "boot"] {
        let lab = Lab::new();
        lab.set("containerd", false);
        // Without its builder such an image cannot be made.
        let program = lab.shared().input("platforms", "linux/amd64,linux/arm64");
        let run = program.env("BUILD_ONCE_TEST_PANIC", place).run().fails(70, "bug");
        assert!(run.error().starts_with("build-once has a defect: version "), "{place}: {}", run.error());
        assert!(run.error().contains("stopped at src/crash.rs:"), "{place}: {}", run.error());
        assert!(!format!("{}{}{}", run.stdout, run.stderr, run.summary).contains("asked for"), "{place}");
        assert_eq!((run.output("outcome"), run.output("failure-cause")), ("failed", "bug"), "{place}");
        assert!(run.called("buildx build").is_empty(), "{place}: {:?}", run.lines());
    }
}

#[test]
fn a_panic_before_anything_is_known_writes_the_outputs_too() {
    let lab = Lab::new();
    let run = lab.shared().env("BUILD_ONCE_TEST_PANIC", "start").run().fails(70, "bug");
    assert!(run.error().contains("build-once has a defect"), "{}", run.error());
    assert!(run.calls.is_empty());
}
