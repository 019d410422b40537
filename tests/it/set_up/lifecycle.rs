//! Lifecycle policies: previewed before they are written, and never in place of another author's.

use build_once::testing::Digest;
use serde_json::{Value, json};

use super::{CREATE, GET_POLICY, PUT_POLICY, making, there};
use crate::support::Ecr;

const START: &str = "StartLifecyclePolicyPreview";
const PREVIEW: &str = "GetLifecyclePolicyPreview";

fn expires(tag: &str, rule: u32) -> Value {
    json!({
        "imageTags": if tag.is_empty() { json!([]) } else { json!([tag]) },
        "imageDigest": Digest::of(tag.as_bytes()).as_str(),
        "imagePushedAt": 1.7e9,
        "action": {"type": "EXPIRE"},
        "appliedRulePriority": rule,
    })
}

fn recommended(ecr: &Ecr) -> crate::support::BuildOnce<'_> {
    ecr.program().input("lifecycle", "recommended")
}

/// A policy of another author.
fn foreign() -> String {
    json!({"rules": [{"rulePriority": 1, "description": "by hand", "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1000}, "action": {"type": "expire"}}]}).to_string()
}

#[test]
fn the_preview_stands_in_the_summary_before_the_policy_is_written() {
    let ecr = there();
    ecr.previews(vec![expires("pr-1-sha-x", 4), expires("pr-2-sha-x", 4), expires("", 7)], 2);
    let run = recommended(&ecr).run().succeeds("built");
    let asked: Vec<String> = ecr.asked();
    assert_eq!(asked, [GET_POLICY, GET_POLICY, START, PREVIEW, PREVIEW, PREVIEW, PUT_POLICY]);
    assert!(run.summary.contains("3 images would expire (rule 4: 2, rule 7: 1)"), "{}", run.summary);
    assert!(
        run.summary.contains("| 4 | build-once 4: pull requests, 14 days after the push | 2 |"),
        "{}",
        run.summary
    );
    assert!(run.stdout.contains("3 images would expire"), "{}", run.stdout);
    let written: Value = serde_json::from_str(&ecr.policy_of("ci").unwrap()).unwrap();
    let rules = written["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 7);
    assert!(rules.iter().all(|rule| rule["description"].as_str().unwrap().starts_with("build-once ")));
    // Once it is there, a run only reads it.
    ecr.forget();
    let _ = recommended(&ecr).run().succeeds("reused-tag");
    assert_eq!(ecr.asked(), [GET_POLICY]);
}

#[test]
fn a_long_preview_is_read_to_a_limit() {
    let ecr = there();
    ecr.previews((0..1500).map(|number| expires(&format!("pr-{number}-sha-x"), 4)).collect(), 0);
    let run = recommended(&ecr).run().succeeds("built");
    assert_eq!(ecr.asked().iter().filter(|operation| *operation == PREVIEW).count(), 10);
    assert!(
        run.summary.contains("1500 images would expire") && run.summary.contains("| 1000 or more |"),
        "{}",
        run.summary
    );
}

/// E12
#[test]
fn a_preview_that_never_comes_is_given_up() {
    let ecr = there();
    ecr.previews(Vec::new(), usize::MAX);
    let run = recommended(&ecr).env("BUILD_ONCE_TEST_PREVIEW", "1").run().succeeds("built").degraded();
    assert!(!ecr.asked().contains(&PUT_POLICY.to_owned()), "{:?}", ecr.asked());
    let warning = &run.commands("warning")[0].message;
    assert!(warning.contains("waited 1s; without a preview no policy is written"), "{warning}");
    let run =
        recommended(&ecr).env("BUILD_ONCE_TEST_PREVIEW", "1").input("registry-policy", "required").run();
    assert!(run.code != 0 && run.error().contains("gives no preview"), "{}", run.all());
}

#[test]
fn in_a_new_repository_nothing_can_expire() {
    let ecr = Ecr::new();
    let _ = making(&ecr).input("lifecycle", "recommended").run().succeeds("built");
    assert_eq!(ecr.asked(), [GET_POLICY, CREATE, GET_POLICY, PUT_POLICY]);
    // Another run made it meanwhile, and with a policy of its own.
    let ecr = Ecr::new();
    ecr.race(json!({}));
    ecr.policy("ci", &foreign());
    let run = making(&ecr).input("lifecycle", "recommended").run().succeeds("built").degraded();
    assert!(run.commands("warning")[0].message.contains("that build-once did not write"), "{}", run.all());
    assert_eq!(ecr.policy_of("ci"), Some(foreign()));
}

#[test]
fn another_authors_policy_is_never_replaced() {
    let ecr = there();
    ecr.policy("ci", &foreign());
    let run = recommended(&ecr).run().succeeds("built").degraded();
    let said = &run.commands("warning")[0].message;
    assert!(said.contains("aws ecr delete-lifecycle-policy --repository-name ci"), "{said}");
    assert!(
        run.summary.contains("| lifecycle policy | 7 rules | rules of another author | differs |"),
        "{}",
        run.summary
    );
    assert_eq!((ecr.asked(), ecr.policy_of("ci")), (vec![GET_POLICY.to_owned()], Some(foreign())));
    let error = recommended(&ecr).input("registry-policy", "required").run();
    assert!(error.fails(20, "access").error().contains("that build-once did not write"));
}

#[test]
fn an_older_policy_of_its_own_is_replaced() {
    let ecr = there();
    ecr.policy("ci", &foreign().replace("by hand", "build-once 1: as it was"));
    let run = recommended(&ecr).run().succeeds("built");
    assert!(run.summary.contains("other rules of build-once | set by this run"), "{}", run.summary);
    assert!(ecr.policy_of("ci").unwrap().contains("sinceImagePushed"));
}

#[test]
fn a_file_is_checked_before_anything_is_asked() {
    let ecr = there();
    let bad = foreign().replace("expire\"", "delete\"");
    for (text, expected) in [
        ("{}", "the file has 2 characters; ECR takes 100 to 30720"),
        (&"x".repeat(200), "the file is not JSON"),
        (&"{\"rules\": [".repeat(4000), "characters; ECR takes 100 to 30720"),
        (&bad, "rule 1: type must be one of expire, transition"),
    ] {
        ecr.lab.write("work/policy.json", text);
        let run = ecr.program().input("lifecycle", "policy.json").run();
        let error = run.fails(2, "input").error().to_owned();
        assert!(
            error.contains("`lifecycle`: policy.json is no lifecycle policy") && error.contains(expected),
            "{error}"
        );
    }
    let error = ecr.program().input("lifecycle", "absent.json").run().fails(2, "input").error().to_owned();
    assert!(error.contains("absent.json"), "{error}");
    assert_eq!(ecr.asked(), [""; 0]);
    ecr.lab.write("work/policy.json", foreign());
    let _ = ecr.program().input("lifecycle", "policy.json").run().succeeds("built");
    assert!(
        ecr.policy_of("ci").unwrap().contains("build-once file: by hand"),
        "so that its next version may replace it"
    );
}
