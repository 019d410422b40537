//! The service that gives tokens is busy or broken, after the image was pushed: setting the key's
//! tag needs a token that no question before has needed.

use std::time::{Duration, Instant};

use crate::support::{BuildOnce, CANARY, Lab, Login, Response};

/// The token service answers so, this often, to whoever wants to write.
fn lab_where_writers_get(answer: Response, times: usize) -> Lab {
    let lab = Lab::new();
    lab.registry.require(Login::Bearer("ann", CANARY));
    lab.registry.fault("pull%2Cpush", times, answer);
    lab
}

fn program(lab: &Lab) -> BuildOnce<'_> {
    let logins = format!("{} ann PASSWORD", lab.registry.address());
    lab.shared().input("logins", &logins).env("PASSWORD", CANARY)
}

#[test]
fn what_passes_is_waited_for_and_the_good_push_is_kept() {
    for (answer, cause) in [
        (Response::new(503, "<html>busy</html>"), "registry-5xx"),
        (Response::new(429, ""), "throttled"),
        (Response::cut(), "transient-network"),
    ] {
        let lab = lab_where_writers_get(answer, 1);
        let run = program(&lab).input("retries", "2").run().succeeds("built");
        assert_eq!(run.called("buildx build").len(), 1, "{:?}", run.lines());
        assert!(run.summary.contains(&format!("| tried again | {cause}")), "{cause}: {}", run.summary);
        let digest = run.output("digest");
        assert_eq!(lab.registry.digest(&key_tag(&lab)).as_deref(), Some(digest), "{cause}");
    }
}

fn key_tag(lab: &Lab) -> String {
    let tags = lab.registry.tags();
    format!("ci/{}", tags.iter().find(|tag| tag.starts_with("key-")).unwrap())
}

#[test]
fn it_is_waited_for_as_long_as_it_says() {
    let lab = lab_where_writers_get(Response::new(429, "").header("retry-after", "6"), 1);
    let start = Instant::now();
    let _ = program(&lab).input("retries", "2").run().succeeds("built");
    assert!(start.elapsed() > Duration::from_secs(6), "{:?}", start.elapsed());
}

#[test]
fn what_stays_is_named() {
    for (answer, cause) in [(503, "registry-5xx"), (429, "throttled")] {
        let lab = lab_where_writers_get(Response::new(answer, ""), 99);
        let run = program(&lab).run().fails(30, "unavailable");
        assert_eq!(run.output("failure-cause"), cause);
        assert!(run.error().contains("token service") && run.error().contains(&answer.to_string()));
    }
}

/// A registry that wants more rest than a read waits is not asked too early, but not at all.
#[test]
fn who_wants_a_long_rest_gets_it() {
    for target in ["/token", "/manifests/"] {
        let lab = lab_where_writers_get(Response::new(404, ""), 0);
        lab.registry.fault(target, 99, Response::new(429, "").header("retry-after", "40"));
        let start = Instant::now();
        let run = program(&lab).input("retries", "3").input("registry-policy", "required").run();
        let run = run.fails(30, "unavailable");
        assert!(start.elapsed() < Duration::from_secs(8), "{target}: {:?}", start.elapsed());
        assert_eq!(run.output("failure-cause"), "throttled");
        assert!(run.error().contains("asks to retry after 40 s"), "{}", run.error());
        let asked = lab.registry.asked().iter().filter(|asked| asked.contains(target)).count();
        assert_eq!(asked, 1, "{:?}", lab.registry.asked());
    }
}
