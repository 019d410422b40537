//! What `plan --save-facts` and a run save, and that the same plan follows from it.

use std::fs;

use serde_json::{Value, json};

use crate::support::{CANARY, Lab, Run};

fn replayed(lab: &Lab, file: &str) -> Run {
    lab.forget_calls();
    // Nothing of the run's own is there: no inputs, no event, no docker.
    let run = lab
        .build_once()
        .outside_github()
        .unset("INPUT_IMAGE")
        .unset("INPUT_RETRIES")
        .args(&["plan", "--facts", file])
        .run();
    assert_eq!(run.lines(), [""; 0], "it asks nothing");
    run
}

#[test]
fn the_same_plan_follows_from_what_was_saved() {
    let lab = Lab::new();
    let file = lab.root().join("facts.json").display().to_string();
    let save = ["plan", "--save-facts", &file];
    let _ = lab.shared().run().succeeds("built");
    let both = "registry.example/x:1\nregistry.example/x:2";
    for (what, program) in [
        ("a hit", lab.shared()),
        ("a miss", lab.shared().input("build-args", "A=1")),
        ("a pull request", lab.shared().pull_request(12).input("labels", "a=b \"c\"").input("tags", both)),
        ("a pull", lab.shared().input("mode", "pull").input("build-args", "A=1")),
        ("outside GitHub", lab.shared().outside_github().input("load", "true")),
    ] {
        let saved = program.args(&save).run();
        assert_eq!(saved.code, 0, "{what}: {}", saved.all());
        let again = replayed(&lab, &file);
        assert_eq!((again.code, again.stdout), (0, saved.stdout), "{what}: {}", again.stderr);
    }
}

#[test]
fn the_plan_of_a_run_can_be_made_again() {
    let lab = Lab::new();
    let planned = lab.shared().args(&["plan"]).run();
    let run = lab.shared().run().succeeds("built");
    let again = replayed(&lab, run.output("plan"));
    assert_eq!((again.code, again.stdout), (0, planned.stdout), "{}", again.stderr);
}

/// The plan of a hit does not hold what it was made from.
#[test]
fn a_hit_that_fails_says_how_to_save_its_facts() {
    let lab = Lab::new();
    let _ = lab.shared().run().succeeds("built");
    lab.another_machine();
    lab.rule("pull", json!({"stderr": "Error response from daemon: 503 Service Unavailable\n", "exit": 1}));
    let run = lab.shared().input("load", "true").run().fails(30, "unavailable");
    assert!(run.stdout.contains("build-once plan --save-facts FILE"), "{}", run.stdout);
    assert!(!run.stdout.contains("holds the plan and what it was made from"), "{}", run.stdout);
}

#[test]
fn what_fails_is_saved_too() {
    let lab = Lab::new();
    let file = lab.root().join("facts.json").display().to_string();
    let pull = || lab.shared().input("mode", "pull").input("on-missing", "fail");
    let failed = pull().args(&["plan", "--save-facts", &file]).run();
    assert_eq!(failed.code, 20, "{}", failed.all());
    let again = replayed(&lab, &file);
    assert_eq!((again.code, again.stderr), (20, failed.stderr));
    let run = pull().run().fails(20, "access");
    assert!(run.all().contains("build-once plan --save-facts FILE"), "{}", run.all());
    lab.write("work/Dockerfile", "FRM base\n");
    let broken = lab.shared().run().fails(10, "build");
    assert!(
        !broken.all().contains("--save-facts"),
        "a Dockerfile that is wrong is no defect: {}",
        broken.all()
    );
}

#[test]
fn no_secret_is_saved() {
    let lab = Lab::new();
    let file = lab.root().join("facts.json").display().to_string();
    let secret_file = lab.root().join("secret").display().to_string();
    fs::write(&secret_file, CANARY).unwrap();
    let program = lab
        .shared()
        .input("secrets", &format!("one={CANARY}"))
        .input("secret-envs", "two=TWO")
        .input("secret-files", &format!("three={secret_file}"))
        .input("github-token", CANARY)
        .input("build-args", &format!("TOKEN={CANARY}"))
        .input(
            "build-contexts",
            &format!("more=https://user:{CANARY}@git.example/o/r.git#{}", "1".repeat(40)),
        )
        .input("extra-args", &format!("--memory {CANARY}"))
        .input("key-extra", CANARY)
        .env("TWO", CANARY)
        .env("ACTIONS_RUNTIME_TOKEN", CANARY)
        .env("ACTIONS_RESULTS_URL", &format!("https://results.example/{CANARY}"))
        .env("HTTPS_PROXY", &format!("http://user:{CANARY}@127.0.0.1:1"))
        .env("BUILD_ONCE_EXTRA_ARGS", &format!("--build-arg MORE={CANARY}"))
        .env("AWS_SECRET_ACCESS_KEY", CANARY);
    let run = program.args(&["plan", "--save-facts", &file]).run();
    let saved = fs::read_to_string(&file).unwrap_or_else(|_| panic!("{}", run.all()));
    assert!(!saved.contains(CANARY), "{saved}");
    let saved: Value = serde_json::from_str(&saved).unwrap();
    let image = &saved["images"][0];
    assert_eq!(image["inputs"]["secrets"], "one=***\ntwo=***\nthree=***");
    assert_eq!(image["inputs"]["build-args"].as_str().unwrap().lines().next(), Some("TOKEN=***"));
    assert_eq!(image["left_out"], serde_json::json!(["extra-args", "key-extra"]));
}
