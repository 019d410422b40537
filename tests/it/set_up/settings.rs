//! An existing repository: compared, and changed where an input asks for exactly that.

use serde_json::json;

use super::{CREATE, DESCRIBE, making, there};
use crate::support::{ECR, Ecr};

#[test]
fn drift_is_a_table_and_one_notice() {
    let ecr = there();
    let run = making(&ecr).input("kms-key", "alias/ci").run().succeeds("built");
    assert_eq!(ecr.asked(), [DESCRIBE]);
    assert!(run.summary.contains("| encryption | KMS with alias/ci | AES256 | differs |"), "{}", run.summary);
    assert_eq!(run.commands("notice").len(), 1, "{}", run.all());
    assert!(run.notices().contains("is left so (encryption: wanted KMS with alias/ci, is AES256)"));
    assert_eq!(run.output("degraded"), "false");
}

#[test]
fn what_is_as_asked_is_not_written() {
    let exclusions =
        ["*cache-*", "*sha-*", "edge"].map(|filter| json!({"filterType": "WILDCARD", "filter": filter}));
    let ecr = Ecr::new().with(
        "ci",
        json!({
            "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
            "imageTagMutabilityExclusionFilters": exclusions,
            "imageScanningConfiguration": {"scanOnPush": true},
        }),
    );
    let run =
        ecr.program().input("immutable-tags", "true").input("scan-on-push", "true").run().succeeds("built");
    assert_eq!(super::sorted(ecr.asked()), [DESCRIBE, "GetRegistryScanningConfiguration"]);
    assert_eq!(run.commands("notice").len(), 0, "{}", run.all());
}

#[test]
fn tags_become_immutable_and_those_that_move_stay_so() {
    let ecr = there();
    let program = ecr.program().input("immutable-tags", "true").input("tags", &format!("{ECR}:main"));
    let run = program.run().succeeds("built");
    assert_eq!(ecr.asked(), [DESCRIBE, "PutImageTagMutability"]);
    let made = ecr.repository("ci").unwrap();
    assert_eq!(made["imageTagMutability"], "IMMUTABLE_WITH_EXCLUSION");
    assert_eq!(made["imageTagMutabilityExclusionFilters"].as_array().unwrap().len(), 3);
    assert!(run.summary.contains("set by this run"), "{}", run.summary);
}

#[test]
fn too_many_tags_that_move_are_an_error_of_the_inputs() {
    let ecr = there();
    let tags = ["a", "b", "c", "d"].map(|tag| format!("{ECR}:{tag}")).join("\n");
    let run = ecr.program().input("immutable-tags", "true").input("tags", &tags).run();
    let error = run.fails(2, "input").error().to_owned();
    assert!(error.contains("ECR takes 5 exclusions, and 6 are needed: *cache-*, *sha-*, a"), "{error}");
    assert_eq!(ecr.asked(), [DESCRIBE]);
}

#[test]
fn who_decides_about_scanning_is_said() {
    let rule = json!([{"scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": [{"filter": "c*", "filterType": "WILDCARD"}]}]);
    // The registry's scan type and rules, the input; whether the flag is set, and what the table says.
    let rows = [
        ("BASIC", json!([]), "true", true, "true, by|"),
        (
            "BASIC",
            rule.clone(),
            "true",
            false,
            "true, by the registry's rule SCAN&#95;ON&#95;PUSH for c&#42; (BASIC) | as asked",
        ),
        ("ENHANCED", json!([]), "true", false, "none of which covers the repository | differs"),
        ("ENHANCED", rule, "false", false, "(ENHANCED) | differs"),
        ("BASIC", json!([]), "false", false, "false, by the repository's own flag | as asked"),
    ];
    for (scan_type, rules, asked, sets, said) in rows {
        let ecr = there();
        ecr.scanning(json!({"scanType": scan_type, "rules": rules}));
        let run = ecr.program().input("scan-on-push", asked).run().succeeds("built");
        let said =
            said.split('|').next().filter(|_| said.ends_with('|')).map_or(said, |_| "| set by this run |");
        assert!(run.summary.contains(said), "{said}\n{}", run.summary);
        let flag = ecr.repository("ci").unwrap()["imageScanningConfiguration"]["scanOnPush"].clone();
        assert_eq!((flag == true, ecr.asked().len()), (sets, 2 + usize::from(sets)), "{scan_type} {asked}");
    }
}

#[test]
fn pr_repository_is_made_by_trusted_runs_too() {
    let ecr = there();
    let other = ECR.replace("/ci", "/pr");
    let program = || making(&ecr).input("pr-repository", &other).input("immutable-tags", "true");
    let _ = program().run().succeeds("built");
    assert_eq!(
        ecr.repository("pr").unwrap()["imageTagMutability"],
        "MUTABLE",
        "its moving tags are not known here"
    );
    assert_eq!(ecr.asked().iter().filter(|operation| *operation == CREATE).count(), 1);
}
