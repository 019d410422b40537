//! What is read from the engine by its socket, and when the docker CLI is asked in its place.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{BuildOnce, EngineSocket, Lab, Manner};

/// A test job of a self-hosted runner.
fn test_job<'a>(lab: &'a Lab, engine: &EngineSocket) -> BuildOnce<'a> {
    let job = lab.shared().env("RUNNER_ENVIRONMENT", "self-hosted").env("DOCKER_HOST", &engine.host());
    job.input("mode", "pull").unset("INPUT_RETRIES")
}

/// A machine whose engine has the image.
fn with_image() -> Lab {
    let lab = Lab::new();
    let _ = lab.shared().run().succeeds("built");
    lab.another_machine();
    let _ = lab.shared().input("mode", "pull").run().succeeds("reused-tag");
    lab.forget_calls();
    lab
}

#[test]
fn a_hit_starts_no_process_and_asks_one_question() {
    let lab = with_image();
    let engine = EngineSocket::start(&lab, Manner::Right);
    let run = test_job(&lab, &engine).env("DOCKER_AUTH_CONFIG", "{}").run().succeeds("reused-local");
    assert!(run.lines().is_empty(), "{:?}", run.lines());
    let digest = run.output("digest");
    assert_eq!(engine.asked(), [format!("GET /images/{}@{digest}/json", lab.registry.repository())]);
    let request = &engine.requests()[0].to_ascii_lowercase();
    assert!(!request.contains("authorization") && !request.contains("x-registry"), "{request}");
}

#[test]
fn a_report_asks_the_socket_for_each_figure_once() {
    let lab = with_image();
    let engine = EngineSocket::start(&lab, Manner::Right);
    let job = || test_job(&lab, &engine).input("disk-report", "true");
    let run = job().run().succeeds("reused-local");
    assert!(run.lines().is_empty(), "{:?}", run.lines());
    let asked = engine.asked();
    assert_eq!(asked.len(), 5, "{asked:?}");
    for question in ["GET /info", "GET /system/df"] {
        assert_eq!(asked.iter().filter(|asked| *asked == question).count(), 1, "{asked:?}");
    }
    // docker's pattern of this GitHub repository's private names.
    let pattern = "%7B%22reference%22%3A%7B%22build-once.invalid%2Fo%2Fr%2F*%22%3Atrue%7D%7D";
    assert!(asked.contains(&format!("GET /images/json?filters={pattern}")), "{asked:?}");
    assert!(run.summary.contains("| Images | 1MB (1, reclaimable 1MB (100%)) | 1MB (1,"), "{}", run.summary);
    assert!(run.summary.contains("| free of ") && run.summary.contains("largest images"), "{}", run.summary);
    // The debug log has the requests.
    let run = job().env("RUNNER_DEBUG", "1").run().succeeds("reused-local");
    assert!(run.stdout.contains("GET unix:/system/df took 0."), "{}", run.stdout);
}

#[test]
fn an_image_that_the_engine_lacks_is_pulled() {
    let lab = Lab::new();
    let _ = lab.shared().run().succeeds("built");
    lab.another_machine();
    lab.forget_calls();
    let engine = EngineSocket::start(&lab, Manner::Right);
    let run = test_job(&lab, &engine).run().succeeds("reused-tag");
    assert!(run.called("image inspect").is_empty() && run.called("info").is_empty(), "{:?}", run.lines());
    assert_eq!(run.called("pull").len(), 1);
    // It may put an image there, so it looks at the store, after it has found that the image is not there.
    let asked: Vec<String> = engine.requests().iter().map(|text| text[..20].to_owned()).collect();
    assert!(asked[0].starts_with("GET /v1.44/images/") && asked.iter().any(|text| text.contains("/info")));
}

#[test]
fn a_build_asks_the_socket_for_the_engines_abilities() {
    let lab = Lab::new();
    let engine = EngineSocket::start(&lab, Manner::Right);
    let run = lab.shared().env("DOCKER_HOST", &engine.host()).run().succeeds("built");
    assert!(run.called("info").is_empty(), "{:?}", run.lines());
    assert_eq!(
        engine.asked().iter().filter(|asked| *asked == "GET /info").count(),
        1,
        "{:?}",
        engine.asked()
    );
    for once in ["buildx version", "buildx inspect", "buildx build"] {
        assert_eq!(run.called(once).len(), 1, "{once}: {:?}", run.lines());
    }
}

#[test]
fn a_miss_is_compared_with_the_engines_image_by_its_socket() {
    let lab = Lab::new();
    let engine = EngineSocket::start(&lab, Manner::Right);
    let job = || lab.build_once().env("DOCKER_HOST", &engine.host());
    let _ = job().run().succeeds("built-local");
    lab.write("work/hello", "other");
    let run = job().run().succeeds("built-local");
    assert!(run.output("reason").contains("`hello` changed"), "{}", run.output("reason"));
    assert!(run.called("image inspect").is_empty(), "{:?}", run.lines());
}

#[test]
fn the_socket_and_the_cli_tell_the_same_abilities() {
    for containerd in [true, false] {
        let lab = Lab::new();
        lab.set("containerd", containerd);
        let file = lab.path("facts.json");
        let facts = |program: BuildOnce<'_>| {
            let run = program.args(&["plan", "--save-facts", file.to_str().unwrap()]).run();
            assert_eq!(run.code, 0, "{}", run.all());
            serde_json::from_slice::<Value>(&std::fs::read(&file).unwrap()).unwrap()
        };
        let engine = EngineSocket::start(&lab, Manner::Right);
        let (socket, cli) = (facts(lab.shared().env("DOCKER_HOST", &engine.host())), facts(lab.shared()));
        assert!(engine.asked().contains(&"GET /info".to_owned()), "{:?}", engine.asked());
        let toolchain = |facts: &Value| facts["images"][0]["build"]["toolchain"].clone();
        assert_eq!(toolchain(&socket), toolchain(&cli));
        assert_eq!(toolchain(&socket)["engine"]["containerd_store"], containerd);
    }
}

#[test]
fn every_other_answer_leads_to_the_cli() {
    use Manner::{
        Closed, Elsewhere, Endless, Failing, NoJson, OtherJson, Podman, Redirecting, Silent, TooOld,
    };
    let lab = with_image();
    let by_cli = lab.shared().env("RUNNER_ENVIRONMENT", "self-hosted").input("mode", "pull");
    let by_cli = by_cli.run().succeeds("reused-local");
    for manner in
        [Closed, Elsewhere, Endless, Failing, NoJson, OtherJson, Podman, Redirecting, Silent, TooOld]
    {
        lab.forget_calls();
        let (engine, begin) = (EngineSocket::start(&lab, manner), Instant::now());
        let run = test_job(&lab, &engine).run().succeeds("reused-local");
        assert_eq!(run.lines(), by_cli.lines(), "{manner:?}");
        assert_eq!(engine.requests().len(), 1, "{manner:?}: {:?}", engine.asked());
        assert!(begin.elapsed() < Duration::from_secs(50), "{manner:?}");
    }
}

#[test]
fn after_one_unknown_answer_the_cli_is_asked_for_everything() {
    let lab = Lab::new();
    let _ = lab.shared().run().succeeds("built");
    lab.another_machine();
    lab.forget_calls();
    let engine = EngineSocket::start(&lab, Manner::Failing);
    let run = test_job(&lab, &engine).run().succeeds("reused-tag");
    assert_eq!(engine.requests().len(), 1, "{:?}", engine.asked());
    for command in ["image inspect", "image ls", "info"] {
        assert_eq!(run.called(command).len(), 1, "{command}: {:?}", run.lines());
    }
}

#[test]
fn an_engine_that_fails_is_reported_in_the_words_of_the_cli() {
    let lab = with_image();
    let refused = "permission denied while trying to connect to the docker API";
    lab.rule("image inspect", json!({"stderr": refused, "exit": 1}));
    let engine = EngineSocket::start(&lab, Manner::Failing);
    let by_socket = test_job(&lab, &engine).run();
    let by_cli = lab.shared().env("RUNNER_ENVIRONMENT", "self-hosted").input("mode", "pull").run();
    assert_eq!((by_socket.code, by_socket.error()), (by_cli.code, by_cli.error()));
    assert!(by_socket.code != 0 && by_socket.error().contains(refused), "{}", by_socket.error());
}

#[test]
fn a_cancelled_run_does_not_wait_for_the_socket() {
    let lab = with_image();
    let engine = EngineSocket::start(&lab, Manner::Silent);
    let mut running = test_job(&lab, &engine).start();
    while engine.requests().is_empty() {
        assert!(running.is_running());
        std::thread::sleep(Duration::from_millis(10));
    }
    running.signal(Signal::INT);
    let run = running.finish();
    assert_eq!(run.output("failure-class"), "cancelled", "{}", run.all());
    assert!(run.lines().is_empty(), "{:?}", run.lines());
}

#[test]
fn what_the_cli_is_told_of_another_engine_holds() {
    let lab = with_image();
    let engine = EngineSocket::start(&lab, Manner::Right);
    let config = |text: &str| lab.write("home/.docker/config.json", text);
    for change in 0..4 {
        config(if change == 0 { r#"{"HttpHeaders": {"X-Meta": "1"}}"# } else { "{}" });
        let job = test_job(&lab, &engine);
        let job = match change {
            1 => job.env("DOCKER_API_VERSION", "1.43"),
            2 => job.env("DOCKER_TLS_VERIFY", "1"),
            3 => job.env("DOCKER_CUSTOM_HEADERS", "A=b"),
            _ => job,
        };
        lab.forget_calls();
        let run = job.run().succeeds("reused-local");
        assert_eq!(run.called("image inspect").len(), 1, "{change}: {:?}", run.lines());
    }
    assert!(engine.requests().is_empty(), "{:?}", engine.asked());
}
