//! The runner's own files, and runs that are killed.

use std::time::Duration;

use serde_json::json;

use crate::support::{CANARY, Lab, Moments};

/// F37: the disk is full where the outputs go.
#[test]
fn no_room_for_the_outputs() {
    let lab = Lab::new();
    let run = lab.shared().env("GITHUB_OUTPUT", "/dev/full").unset("GITHUB_STEP_SUMMARY").run();
    assert_eq!(run.code, 50, "{}", run.all());
    assert!(run.all().contains("/dev/full"), "{}", run.all());
}

/// F37, F49: the summary is for people; what uses the image goes by the outputs.
#[test]
fn a_summary_that_cannot_be_written_is_a_warning() {
    let lab = Lab::new();
    let folder = lab.path("work").display().to_string();
    for (path, outcome) in [("/dev/full", "built"), (folder.as_str(), "reused-tag")] {
        let run = lab.shared().env("GITHUB_STEP_SUMMARY", path).run().succeeds(outcome);
        let warnings = run.commands("warning");
        assert_eq!(warnings.len(), 1, "{}", run.all());
        assert!(warnings[0].message.contains("the job summary is not written"), "{}", warnings[0].message);
        assert!(warnings[0].message.contains(path), "{}", warnings[0].message);
        assert!(run.summary.is_empty());
    }
    // A failure keeps its own exit code.
    lab.write("work/hello", "changed");
    let said = "ERROR: failed to solve: process \"/bin/sh -c x\" did not complete successfully: exit code: 3";
    lab.rule("buildx build", json!({"stderr": said, "exit": 1}));
    let _ = lab.shared().commit(CHANGED).env("GITHUB_STEP_SUMMARY", "/dev/full").run().fails(10, "build");
}

const CHANGED: &str = "3333333333333333333333333333333333333333";

/// F49: the file that the runner named cannot be written.
#[test]
fn outputs_that_cannot_be_written() {
    let lab = Lab::new();
    let folder = lab.path("work").display().to_string();
    for path in [lab.path("no/such/folder/outputs").display().to_string(), folder] {
        let run = lab.shared().env("GITHUB_OUTPUT", &path).unset("GITHUB_STEP_SUMMARY").run();
        assert_eq!(run.code, 60, "{}", run.all());
        assert!(run.all().contains(&path), "{}", run.all());
    }
    // Outside a workflow nobody expects any.
    assert_eq!(lab.build_once().outside_github().run().code, 0);
}

/// F49: a pipe that nothing reads is not waited for, and is named.
#[test]
fn outputs_into_a_pipe_that_nothing_reads() {
    let lab = Lab::new();
    let pipe = lab.path("pipe").display().to_string();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut running = lab.shared().env("GITHUB_OUTPUT", &pipe).env("GITHUB_STEP_SUMMARY", &pipe).start();
    let mut left = 600;
    while running.is_running() && left > 0 {
        std::thread::sleep(Duration::from_millis(100));
        left -= 1;
    }
    if running.is_running() {
        running.kill_alone();
        panic!("it waits for a reader");
    }
    let run = running.finish();
    assert_eq!(run.code, 60, "{}", run.all());
    assert!(run.all().contains(&format!("{pipe} is a pipe that nothing reads")), "{}", run.all());
}

/// F53: killed at any moment, the next run is as if nothing had been; what was left is swept.
/// `BUILD_ONCE_KILLS` makes it longer.
#[test]
fn killed_at_any_moment() {
    let kills: u32 = std::env::var("BUILD_ONCE_KILLS").map_or(12, |text| text.parse().unwrap());
    let lab = Lab::new();
    lab.set("containerd", false);
    let program = |content: u32| {
        lab.write("work/hello", format!("{content}\n"));
        lab.shared().commit(&format!("{content:040x}")).input("secrets", &format!("a={CANARY}"))
    };
    // How long a whole run takes here.
    let start = std::time::Instant::now();
    let _ = program(0).run().succeeds("built");
    let whole = start.elapsed();
    let mut moments = Moments::new();
    for kill in 1..=kills {
        lab.forget_calls();
        let moment = moments.within(whole);
        println!("kill {kill} after {moment:?} of {whole:?}");
        let mut running = program(kill).start();
        std::thread::sleep(moment);
        if running.is_running() {
            running.kill_alone();
        } else {
            let _ = running.finish();
        }
        // Children that were left alone end by themselves or are killed with their parent's pipes.
        age_of_two_days(&lab);
        lab.forget_calls();
        let run = program(kill).run();
        assert_eq!(run.code, 0, "after kill {kill}: {}", run.all());
        assert!(["built", "reused-tag", "reused-key"].contains(&run.output("outcome")), "{}", run.all());
        let digest = lab.registry.digest(&format!("ci/{}", run.output("tag")));
        assert_eq!(digest.as_deref(), Some(run.output("digest")), "the tag names what is reported");
        let key_tag = format!("ci/key-rf9d832d9-app-{}", &run.output("key")[..32]);
        let by_key = || lab.registry.digest(&key_tag);
        if by_key().is_none() {
            // Killed between its push and its claim; a hit writes nothing, so the next commit does.
            assert_eq!(run.output("outcome"), "reused-tag", "{}", run.all());
            let next = program(kill).commit(&format!("{:040x}", 0x1000_0000 + kill)).run();
            assert_eq!((next.code, by_key().as_deref()), (0, Some(next.output("digest"))), "{}", next.all());
        } else {
            assert_eq!(by_key().as_deref(), Some(run.output("digest")), "{key_tag} too: {}", run.all());
        }
    }
}

/// What a killed run left is swept once it is old enough to be nobody's.
fn age_of_two_days(lab: &Lab) {
    let old = std::time::SystemTime::now() - Duration::from_hours(49);
    for entry in std::fs::read_dir(lab.path("temp")).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("build-once-") {
            std::fs::File::open(entry.path()).unwrap().set_modified(old).unwrap();
        }
    }
}

/// F53: a fresh folder may be another run's, an old one is nobody's.
#[test]
fn stale_folders_are_swept_and_others_left_alone() {
    let lab = Lab::new();
    let auth = json!({"auths": {"h": {"auth": "x"}}}).to_string();
    lab.write("temp/build-once-docker-old/config.json", &auth);
    // What it links to is not its own: contexts and plug-ins of the user's.
    lab.write("elsewhere/config.json", &auth);
    std::os::unix::fs::symlink(lab.path("elsewhere"), lab.path("temp/build-once-docker-old/contexts"))
        .unwrap();
    age_of_two_days(&lab);
    let _ = lab.shared().run().succeeds("built");
    assert!(!lab.path("temp/build-once-docker-old").exists());
    assert!(lab.path("elsewhere/config.json").exists());
    // A hit, which needs no docker, sweeps too.
    lab.write("temp/build-once-docker-old/config.json", &auth);
    age_of_two_days(&lab);
    lab.write("temp/build-once-git-old/HEAD", "x");
    lab.write("temp/build-once-run-old/plan.json", "{}");
    age_of_two_days(&lab);
    let _ = lab.shared().run().succeeds("reused-tag");
    assert!(
        !lab.path("temp/build-once-docker-old").exists() && !lab.path("temp/build-once-git-old").exists()
    );
    assert!(lab.path("temp/build-once-run-old").exists(), "later steps may read it");
}
