//! The stream as buildx writes it, line by line.

use super::*;

fn run(lines: &[&str]) -> (Progress, Vec<String>) {
    let mut progress = Progress::new(true);
    let mut seen = Vec::new();
    for line in lines {
        progress.line(line.as_bytes(), &mut |text: &[u8]| {
            seen.push(String::from_utf8_lossy(text).into_owned());
        });
    }
    (progress, seen)
}

const T: &str = "2026-01-01T00:00:0";

fn vertex(digest: &str, name: &str, extra: &str) -> String {
    format!(
        r#"{{"vertexes":[{{"digest":"{digest}","name":"{name}","started":"{T}0Z","completed":"{T}2.5Z"{extra}}}]}}"#
    )
}

#[test]
fn counts_steps_and_time() {
    let lines = [
        vertex("a", "[internal] load build definition from Dockerfile", ""),
        vertex("b", "[1/3] FROM docker.io/library/x", r#","cached":true"#),
        vertex("c", "[2/3] RUN make", r#","cached":true"#),
        vertex("d", "[build 3/3] COPY . /", ""),
        format!(
            r#"{{"statuses":[{{"id":"pushing layers","vertex":"e","started":"{T}0Z","completed":"{T}1Z"}}]}}"#
        ),
    ];
    let (progress, seen) = run(&lines.each_ref().map(String::as_str));
    assert!(seen.contains(&"#3 CACHED".to_owned()) && seen.contains(&"#4 DONE 2.5s".to_owned()), "{seen:?}");
    let summary = progress.into_summary();
    assert_eq!((summary.total_steps, summary.cached_steps), (2, 1));
    assert_eq!(summary.slowest, [StepTime { name: "[build 3/3] COPY . /".into(), seconds: 2.5 }]);
    assert_eq!(summary.phases, [(Phase::Base, 2.5), (Phase::Steps, 2.5), (Phase::Push, 1.0)]);
}

#[test]
fn a_failure_keeps_its_step_its_log_and_its_line() {
    let data = STANDARD.encode("one\ntwo without end");
    let lines = [
        format!(r#"{{"vertexes":[{{"digest":"a","name":"[2/2] RUN false","started":"{T}0Z"}}]}}"#),
        format!(r#"{{"logs":[{{"vertex":"a","stream":1,"data":"{data}","timestamp":"{T}0Z"}}]}}"#),
        vertex(
            "a",
            "[2/2] RUN false",
            r#","error":"process \"/bin/sh -c false\" did not complete successfully: exit code: 1""#,
        ),
        "Dockerfile:7".to_owned(),
        "ERROR: failed to solve: process did not complete successfully: exit code: 1".to_owned(),
    ];
    let (progress, seen) = run(&lines.each_ref().map(String::as_str));
    assert!(seen.contains(&"#1 two without end".to_owned()), "{seen:?}");
    assert_eq!(progress.failed_at(), Some(("Dockerfile".into(), 7)));
    assert!(progress.error().unwrap().starts_with("failed to solve"));
    let summary = progress.into_summary();
    assert_eq!((summary.total_steps, summary.cached_steps), (1, 0));
    assert_eq!(summary.failed.unwrap().log, ["one", "two without end"]);
}

#[test]
fn messages_spread_over_lines() {
    let message = format!(
        "{{\n  \"vertexes\": [\n    {{\n      \"digest\": \"a\",\n      \"name\": \"[2/2] RUN x\",\n      \"started\": \"{T}0Z\",\n      \"completed\": \"{T}1Z\",\n      \"cached\": true\n    }}\n  ]\n}}"
    );
    let lines: Vec<&str> = message.split('\n').chain(["ERROR: broken"]).collect();
    let (progress, seen) = run(&lines);
    assert_eq!(progress.error().as_deref(), Some("broken"));
    assert!(!seen.iter().any(|line| line.contains('{')), "{seen:?}");
    assert_eq!(progress.into_summary().cached_steps, 1);
}

#[test]
fn where_it_failed_and_what_runs() {
    let running = format!(r#"{{"vertexes":[{{"digest":"a","name":"[2/3] RUN sleep","started":"{T}0Z"}}]}}"#);
    let (progress, _) = run(&[&running]);
    assert!(!progress.waits());
    assert_eq!((progress.failed_phase(), progress.doing()), (None, "running the steps"));
    let export = format!(
        r#"{{"vertexes":[{{"digest":"p","name":"exporting to image","started":"{T}3Z"}}],"statuses":[{{"id":"pushing layers","vertex":"p","started":"{T}3Z"}}]}}"#
    );
    let done = vertex("a", "[2/3] RUN sleep", "");
    let (progress, _) = run(&[&running, &done, &export]);
    assert!(progress.waits());
    assert_eq!((progress.failed_phase(), progress.doing()), (None, "pushing"));
    let broken = vertex("p", "exporting to image", r#","error":"failed to push: 503""#);
    let stopped = vertex("a", "[2/3] RUN sleep", r#","error":"context canceled: failed to push""#);
    let (progress, _) =
        run(&[&running, &export, &broken, &stopped, "ERROR: failed to solve: failed to push: 503"]);
    assert_eq!(progress.failed_phase(), Some(Phase::Push));
    assert_eq!(progress.into_summary().failed.unwrap().name, "exporting to image");
}

#[test]
fn what_is_said_last_where_nothing_is_called_an_error() {
    let message = vertex("a", "[2/3] RUN x", "");
    let (progress, _) = run(&["early", &message, "WARN: x", "killed by another process", "see --help"]);
    assert_eq!(progress.error().as_deref(), Some("killed by another process"));
}

#[test]
fn a_step_cannot_forge_the_end() {
    let data = STANDARD.encode("ERROR: 503 Service Unavailable\nOther:9\n");
    let lines = [
        format!(r#"{{"vertexes":[{{"digest":"a","name":"[2/2] RUN x","started":"{T}0Z"}}]}}"#),
        format!(r#"{{"logs":[{{"vertex":"a","stream":1,"data":"{data}","timestamp":"{T}0Z"}}]}}"#),
    ];
    let (progress, _) = run(&lines.each_ref().map(String::as_str));
    assert_eq!((progress.error(), progress.failed_at()), (None, None));
}

#[test]
fn a_cache_that_is_not_written_is_no_failed_step() {
    let lines = [
        vertex("a", "[2/3] RUN make", r#","cached":true"#),
        r#"{"vertexes":[{"digest":"b","name":"[3/3] RUN unused"}]}"#.to_owned(),
        vertex("c", "exporting cache to registry", r#","error":"unexpected status: 403 Forbidden""#),
    ];
    let (progress, _) = run(&lines.each_ref().map(String::as_str));
    let summary = progress.into_summary();
    assert_eq!(summary.unwritten_cache.as_deref(), Some("unexpected status: 403 Forbidden"));
    assert_eq!((summary.total_steps, summary.cached_steps), (1, 1));
}

#[test]
fn a_build_that_was_stopped_tells_what_it_was_at() {
    let stopped = |number: &str, name: &str| vertex(number, name, r#","error":"context canceled""#);
    let lines = [
        vertex("a", "[2/2] RUN make", ""),
        format!(
            r#"{{"vertexes":[{{"digest":"b","name":"exporting to image","started":"{T}0Z"}}],"statuses":[{{"id":"pushing layers","vertex":"b","started":"{T}0Z"}}]}}"#
        ),
    ];
    let lines = lines.each_ref().map(String::as_str);
    assert_eq!(run(&lines).0.into_summary().phase, Some(Phase::Push));
    let ended = stopped("b", "exporting to image");
    assert_eq!(run(&[lines[0], lines[1], &ended]).0.into_summary().phase, Some(Phase::Push));
    let step = stopped("a", "[2/2] RUN make");
    assert_eq!(run(&[&step]).0.into_summary().phase, Some(Phase::Steps));
}

/// D87: BuildKit shows what an ADD fetches as a vertex of its own, under the instruction's name.
#[test]
fn d87_a_fetch_is_no_step_of_its_own() {
    let mut progress = Progress::new(true);
    let vertex = |digest: &str, name: &str, cached: bool| {
        format!(
            r#"{{"vertexes":[{{"digest":"sha256:{digest}","name":"{name}","started":"2026-01-01T00:00:00Z","completed":"2026-01-01T00:00:01Z","cached":{cached}}}]}}"#
        )
    };
    for line in [
        vertex("a", "[2/3] ADD http://x/y /y", true),
        vertex("b", "[2/3] ADD http://x/y /y", false),
        vertex("c", "[3/3] RUN make", true),
    ] {
        progress.line(line.as_bytes(), &mut |_| {});
    }
    let summary = progress.into_summary();
    assert_eq!((summary.total_steps, summary.cached_steps), (2, 1));
}

/// D30.
#[test]
fn d30_a_lone_brace_hides_no_error() {
    for before in ["{\n", "{\n\"half\": 1,\n", "{\n  \"a\": 1\n}\n", "{\n{\n"] {
        let mut progress = Progress::new(true);
        let mut log = Vec::new();
        let text = format!("{before}ERROR: failed to solve: exit code: 1\n");
        for line in text.lines() {
            progress.line(line.as_bytes(), &mut |line| log.push(String::from_utf8_lossy(line).into_owned()));
        }
        progress.finish(&mut |_| {});
        assert_eq!(progress.error().as_deref(), Some("failed to solve: exit code: 1"), "{before:?}");
        assert!(log.iter().any(|line| line.starts_with("ERROR: ")), "{log:?}");
    }
}

/// D69. What BuildKit says of a submodule that cannot be had; the reason stands three lines below.
#[test]
fn d69_the_reason_of_a_submodule_is_kept() {
    let mut progress = Progress::new(true);
    for line in [
        "ERROR: failed to build: failed to solve: failed to read dockerfile: failed to update submodules for http://h.example/r.git: git stderr:",
        "Submodule 's' (http://127.0.0.1:1/none.git) registered for path 's'",
        "Cloning into '/var/lib/x/s'...",
        "fatal: unable to access 'http://127.0.0.1:1/none.git/': Failed to connect to 127.0.0.1 port 1 after 0 ms: Couldn't connect to server",
        "fatal: clone of 'http://127.0.0.1:1/none.git' into submodule path '/var/lib/x/s' failed",
        ": exit status 1",
    ] {
        progress.line(line.as_bytes(), &mut |_| {});
    }
    let error = progress.error().unwrap();
    assert!(error.ends_with("git stderr: fatal: unable to access 'http://127.0.0.1:1/none.git/': Failed to connect to 127.0.0.1 port 1 after 0 ms: Couldn't connect to server"), "{error}");
    let error = crate::buildkit::failure::classify("the build failed", &error);
    assert!(error.is(crate::failure::FailureKind::GitSource), "{error:?}");
}
