//! Repositories in ECR: made, compared, changed. The stub checks each request against AWS's service model.

mod lifecycle;
mod page;
mod rights;
mod settings;
mod zones;

pub(crate) use page::sections;
use serde_json::{Value, json};

use crate::support::{BuildOnce, ECR, Ecr};

const CREATE: &str = "CreateRepository";
const DESCRIBE: &str = "DescribeRepositories";
const GET_POLICY: &str = "GetLifecyclePolicy";
const PUT_POLICY: &str = "PutLifecyclePolicy";

/// ECR with the repository `ci`.
fn there() -> Ecr {
    Ecr::new().with("ci", json!({}))
}

fn making(ecr: &Ecr) -> BuildOnce<'_> {
    ecr.program().input("create-repository", "true")
}

#[test]
fn an_absent_repository_is_made_before_the_push() {
    let ecr = Ecr::new();
    let run = making(&ecr).run().succeeds("built");
    assert_eq!(ecr.asked(), [CREATE], "that it is absent is known from the look-up");
    let made = ecr.repository("ci").unwrap();
    assert_eq!(made["encryptionConfiguration"], json!({"encryptionType": "AES256"}));
    assert_eq!(made["imageTagMutability"], "MUTABLE");
    assert!(run.summary.contains("made by this run") && run.summary.contains("AES256"), "{}", run.summary);
    ecr.forget();
    // A hit asks ECR nothing.
    ecr.lab.another_machine();
    let _ = making(&ecr).commit(&"4".repeat(40)).run().succeeds("reused-key");
    assert_eq!(ecr.asked(), [""; 0]);
}

#[test]
fn without_these_inputs_ecr_is_asked_for_its_token_alone() {
    let ecr = there();
    let _ = ecr.program().run().succeeds("built");
    let _ = ecr.program().run().succeeds("reused-tag");
    assert_eq!(ecr.asked(), [""; 0]);
    let absent = Ecr::new();
    let error = absent.program().run().fails(20, "access").error().to_owned();
    assert!(error.contains("does not exist") && error.contains("create-repository: true"), "{error}");
    assert_eq!(absent.asked(), [""; 0]);
}

#[test]
fn of_two_first_jobs_both_succeed() {
    let ecr = Ecr::new();
    ecr.race(json!({"imageTagMutability": "MUTABLE"}));
    let run = making(&ecr).run().succeeds("built");
    assert_eq!(ecr.asked(), [CREATE, DESCRIBE]);
    assert!(run.summary.contains("as asked") && !run.summary.contains("made by this run"), "{}", run.summary);

    let ecr = Ecr::new();
    ecr.race(
        json!({"encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": "arn:aws:kms:x:1:key/k"}}),
    );
    let run = making(&ecr).run().succeeds("built");
    assert!(
        run.notices().contains("differs from the inputs and is left so (encryption: wanted AES256"),
        "{}",
        run.all()
    );
    assert!(run.summary.contains("| encryption | AES256 | KMS with"), "{}", run.summary);
}

#[test]
fn it_is_made_as_asked() {
    let ecr = Ecr::new();
    let program = making(&ecr)
        .input("scan-on-push", "true")
        .input("kms-key", "alias/ci")
        .input("immutable-tags", "true")
        .input("tags", &format!("{ECR}:latest\n{ECR}:1.2.3"));
    let run = program.run().succeeds("built");
    assert_eq!(sorted(ecr.asked()), [CREATE, DESCRIBE, "GetRegistryScanningConfiguration"]);
    let made = ecr.repository("ci").unwrap();
    assert_eq!(made["encryptionConfiguration"], json!({"encryptionType": "KMS", "kmsKey": "alias/ci"}));
    assert_eq!(made["imageScanningConfiguration"], json!({"scanOnPush": true}));
    assert_eq!(made["imageTagMutability"], "IMMUTABLE_WITH_EXCLUSION");
    let filters: Vec<&Value> = made["imageTagMutabilityExclusionFilters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["filter"])
        .collect();
    assert_eq!(filters, ["*cache-*", "*sha-*", "latest"], "a full version does not move");
    assert!(run.summary.contains("by the repository's own flag"), "{}", run.summary);
}

#[test]
fn the_plan_shows_it_and_writes_nothing() {
    let ecr = Ecr::new();
    let program = || making(&ecr).input("lifecycle", "recommended");
    let run = program().args(&["plan"]).run();
    assert_eq!(run.code, 0, "{}", run.all());
    for line in ["set-up       ", "make the repository", "write the lifecycle policy of"] {
        assert!(run.stdout.contains(line), "{line}\n{}", run.stdout);
    }
    let json = program().args(&["plan", "--json"]).run();
    let plan: Value = serde_json::from_str(&json.stdout).unwrap();
    let build = plan["steps"].as_array().unwrap().iter().find(|step| step["step"] == "build").unwrap();
    assert_eq!(plan["steps"][0]["step"], "create-repository");
    assert!(build["after"].as_array().unwrap().contains(&plan["steps"][0]["id"]), "{build}");
    assert_eq!(sorted(ecr.asked()), [GET_POLICY, GET_POLICY]);
    assert_eq!(ecr.repository("ci"), None);
}

#[test]
fn a_name_that_ecr_does_not_take_is_named_before_anything_is_asked() {
    let ecr = Ecr::new();
    let program = ecr.program_for("123456789012.dkr.ecr.eu-west-1.amazonaws.com/x");
    let error = program.input("create-repository", "true").run().fails(2, "input").error().to_owned();
    assert!(error.contains("it has 1 characters; ECR takes 2 to 256"), "{error}");
    assert_eq!((ecr.asked(), ecr.lab.registry.asked()), (Vec::new(), Vec::new()));
}

#[test]
fn the_host_names_the_region() {
    let ecr = Ecr::new();
    let program = ecr.program_for("123456789012.dkr.ecr.us-east-2.amazonaws.com/ci");
    let _ =
        program.input("create-repository", "true").input("aws-region", "eu-west-1").run().succeeds("built");
    assert_eq!(ecr.asked(), [CREATE]);
    assert_eq!(Vec::from_iter(ecr.regions()), ["us-east-2"]);
}

#[test]
fn throttling_is_waited_out() {
    let ecr = Ecr::new();
    ecr.throttle(CREATE, 3);
    let _ = making(&ecr).run().succeeds("built");
    assert_eq!(ecr.asked().len(), 4);
    let ecr = Ecr::new();
    ecr.throttle(CREATE, 1000);
    let error = making(&ecr).run().fails(30, "unavailable").error().to_owned();
    assert!(error.contains("failed to make") && error.contains("Rate exceeded"), "{error}");
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}
