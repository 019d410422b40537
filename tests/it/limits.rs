//! The runner's limits (actions/runner, GitHub docs "Workflow commands"), and our own on memory.

use std::fmt::Write as _;
use std::time::Duration;

use build_once::testing::Env;
use build_once::testing::Error;
use build_once::testing::FailureClass;
use build_once::testing::{ImageReport, Report, annotations};
use build_once::testing::{Level, write_summary};
use serde_json::json;

use crate::support::Lab;

/// The most memory of a build whose log has so many bytes, in KiB. How much the program takes without a log depends on its
/// libraries: `tests/lab/bench overhead` measures that of a release.
fn peak_with_log_of(bytes: u64) -> u64 {
    let lab = Lab::new();
    lab.rule("buildx build", json!({"flood": bytes}));
    let mut running = lab.shared().discard_log().start();
    let mut peak = 0;
    while running.is_running() {
        peak = running.peak_memory().max(peak);
        std::thread::sleep(Duration::from_millis(10));
    }
    let run = running.finish();
    assert_eq!((run.code, run.output("outcome")), (0, "built"));
    assert!(peak > 0, "the system does not tell it");
    peak
}

/// `BUILD_ONCE_FLOOD_MB` makes it longer.
#[test]
fn a_log_of_any_size_takes_no_more_memory() {
    let megabytes: u64 = std::env::var("BUILD_ONCE_FLOOD_MB").map_or(20, |text| text.parse().unwrap());
    let start = std::time::Instant::now();
    let (short, long) = (peak_with_log_of(100_000), peak_with_log_of(megabytes * 1_000_000));
    println!(
        "flood: {megabytes} MB of log, {} MiB of memory, {} MiB with 100 KB of it, {:.1} s",
        long / 1024,
        short / 1024,
        start.elapsed().as_secs_f64()
    );
    assert!(long < short + 8 * 1024, "{short} KiB, then {long} KiB");
}

/// What a child says last, the warnings of a build and its metadata may be of any size.
#[test]
fn a_failure_of_three_megabytes() {
    let lab = Lab::new();
    let long = "word ".repeat(600_000);
    let mut stderr = String::new();
    for at in 0..40 {
        use base64::Engine as _;
        let short = base64::engine::general_purpose::STANDARD.encode(format!("warning {at}"));
        writeln!(stderr, "{}", json!({"warnings": [{"vertex": "x", "short": short}]})).unwrap();
    }
    writeln!(stderr, "ERROR: failed to solve: {long}").unwrap();
    lab.rule("buildx build", json!({"stderr": stderr, "exit": 1}));
    let run = lab.shared().run();
    assert_eq!((run.code, run.output("outcome")), (30, "failed"));
    assert!(run.summary.len() < 1024 * 1024, "{}", run.summary.len());
    assert!(run.summary.ends_with("*Cut here: a summary may hold 1 MiB.*\n"));
    let all: usize = run.outputs.values().map(|value| value.encode_utf16().count() * 2).sum();
    assert!(all < 64 * 1024, "a job has 1 MB for all outputs of all its steps: {all}");
    assert!(run.output("reason").ends_with('…'));
    assert_eq!(run.commands("error").len(), 1);
    assert!(run.error().chars().count() <= 4096, "{}", run.error().chars().count());
    assert!(run.commands("warning").len() + run.commands("notice").len() <= 10);
}

/// The same where all goes well: 40 warnings, and steps whose names would fill three summaries.
#[test]
fn a_success_of_three_megabytes() {
    use base64::Engine as _;
    let lab = Lab::new();
    let mut stream = String::new();
    for at in 0..40 {
        let short = base64::engine::general_purpose::STANDARD.encode(format!("warning {at}"));
        writeln!(stream, "{}", json!({"warnings": [{"vertex": "x", "short": short}]})).unwrap();
        let step = json!({
            "digest": format!("sha256:{at}"),
            "name": format!("[{at}/40] RUN {}", "word ".repeat(15_000)),
            "started": "2026-01-01T00:00:00Z",
            "completed": "2026-01-01T00:00:09Z",
        });
        writeln!(stream, "{}", json!({"vertexes": [step]})).unwrap();
    }
    assert!(stream.len() > 3_000_000);
    lab.set("progress", stream);
    let run = lab.shared().run().succeeds("built");
    // The slowest steps are quoted, and each is shortened.
    assert!((1024..64 * 1024).contains(&run.summary.len()), "{}", run.summary.len());
    assert!(run.summary.contains("RUN word word"), "{}", run.summary);
    assert!(run.commands("warning").len() <= 10 && run.commands("notice").len() <= 10);
    assert!(run.stdout.contains("WARNING: warning 39"), "the log has all of them");
    let all: usize = run.outputs.values().map(|value| value.encode_utf16().count() * 2).sum();
    assert!(all < 64 * 1024, "{all}");
    println!(
        "SUMMARY {} warnings {} notices {}",
        run.summary.len(),
        run.commands("warning").len(),
        run.commands("notice").len()
    );
}

#[test]
fn metadata_of_three_megabytes() {
    let lab = Lab::new();
    lab.set("metadata", json!({"buildx.build.warnings": "x".repeat(3_000_000)}));
    let run = lab.shared().run().succeeds("built");
    let file = std::fs::metadata(run.output("metadata-file")).unwrap();
    assert!(file.len() > 3_000_000 && run.outputs.values().all(|value| value.len() < 4096));
}

#[test]
fn a_summary_is_cut_at_a_character() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("summary");
    let env = Env::from([("GITHUB_STEP_SUMMARY", path.to_str().unwrap())]);
    write_summary(&env, &"ä☃".repeat(400_000)).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.len() < 1024 * 1024 && text.len() > 800 * 1024);
    assert!(text.ends_with("\n\n*Cut here: a summary may hold 1 MiB.*\n"));
}

#[test]
fn annotations_are_few_and_the_error_is_first() {
    let image = ImageReport { degraded: Some("less".into()), ..ImageReport::default() };
    let mut report = Report { images: vec![image], ..Report::default() };
    report.notices = (0..40).map(|at| format!("notice {at}")).collect();
    report.fail(Error::new(FailureClass::Access, "failed"));
    let levels: Vec<Level> = annotations(&report).iter().map(|annotation| annotation.level).collect();
    assert_eq!(levels[..2], [Level::Error, Level::Warning]);
    for level in [Level::Error, Level::Warning, Level::Notice] {
        assert!(levels.iter().filter(|known| **known == level).count() <= 10, "{level}");
    }
}

/// A variable of the environment over 131,071 bytes stops a step before it starts: such lists
/// come by file.
#[test]
fn lists_of_two_hundred_kibibytes() {
    let lab = Lab::new();
    let value = "v".repeat(105);
    let list =
        |prefix: &str| (0..2000).map(|at| format!("{prefix}{at}={value}\n")).collect::<Vec<_>>().concat();
    for (input, prefix) in [("build-args", "A"), ("labels", "l.")] {
        assert!(list(prefix).len() > 200 * 1024);
        lab.write(&format!("work/.ci/{input}"), list(prefix));
    }
    lab.write("work/.dockerignore", ".ci\n");
    let program = lab.shared().input("build-args-file", ".ci/build-args").input("labels-file", ".ci/labels");
    let run = program.run().succeeds("built");
    assert_eq!(run.build().values("--build-arg").len(), 2000);
    assert!(run.build().values("--label").len() >= 2000);
}

/// One argument over 131,071 bytes cannot be handed to any program.
#[test]
fn a_value_that_no_program_can_be_given() {
    let lab = Lab::new();
    lab.write("work/.ci/args", format!("A={}\n", "v".repeat(140_000)));
    let run = lab.shared().input("build-args-file", ".ci/args").run();
    let run = run.fails(2, "input");
    assert!(run.error().contains("rgument list too long") && run.error().len() < 500, "{}", run.error());
    assert!(run.error().contains("hint: a build argument"), "{}", run.error());
}
