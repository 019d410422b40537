//! A role without each single right in turn: what is said, what is not done, and how the run ends.

use std::collections::BTreeSet;

use build_once::testing::{Purpose, RIGHTS};
use serde_json::json;

use super::{CREATE, PUT_POLICY};
use crate::support::{Aws, BuildOnce, ECR, Ecr, Response, Run};

/// A run that needs every right: `ci` is there and is to change, `pr` is made.
fn everything(ecr: &Ecr) -> BuildOnce<'_> {
    ecr.program()
        .input("create-repository", "true")
        .input("pr-repository", &ECR.replace("/ci", "/pr"))
        .input("scan-on-push", "true")
        .input("kms-key", "alias/ci")
        .input("immutable-tags", "true")
        .input("lifecycle", "recommended")
}

fn there() -> Ecr {
    let kms = json!({"encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": "arn:aws:kms:eu-west-1:123456789012:key/k"}});
    Ecr::new().with("ci", kms)
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ends {
    /// As with it, in most cases.
    Silent,
    /// With a notice.
    Noticed,
    /// Degraded; with `registry-policy: required` it fails with 20.
    Degraded,
    /// With exit code 20.
    Failed,
}

/// A right that the role lacks.
pub(crate) struct Row {
    pub right: &'static str,
    pub ends: Ends,
    /// What is not done, for the docs.
    pub without: &'static str,
    /// The operation that is then not asked for.
    not_asked: &'static str,
}

const fn row(right: &'static str, ends: Ends, without: &'static str, not_asked: &'static str) -> Row {
    Row { right, ends, without, not_asked }
}

/// The rights of the set-up.
pub(crate) const ROWS: [Row; 12] = [
    row(
        "ecr:DescribeRepositories",
        Ends::Degraded,
        "nothing is compared or changed but the lifecycle policy, and `pr-repository` is not made",
        "PutImageTagMutability",
    ),
    row("ecr:CreateRepository", Ends::Failed, "the repository is not made, and nothing is built for it", "-"),
    row("ecr:TagResource", Ends::Failed, "the repository is not made, and nothing is built for it", "-"),
    row("kms:DescribeKey", Ends::Failed, "the repository is not made, and nothing is built for it", "-"),
    row("kms:CreateGrant", Ends::Failed, "the repository is not made, and nothing is built for it", "-"),
    row(
        "ecr:GetRegistryScanningConfiguration",
        Ends::Noticed,
        "the repository's own flag is set, and it is not known whether the registry's rules decide",
        "-",
    ),
    row("ecr:PutImageScanningConfiguration", Ends::Degraded, "scanning stays as it is", "-"),
    row("ecr:PutImageTagMutability", Ends::Degraded, "the mutability stays as it is", "-"),
    row(
        "ecr:GetLifecyclePolicy",
        Ends::Degraded,
        "no policy is written, because it could replace another author's",
        PUT_POLICY,
    ),
    row(
        "ecr:StartLifecyclePolicyPreview",
        Ends::Degraded,
        "no policy is written, because what it would remove is not known",
        "-",
    ),
    row(
        "ecr:GetLifecyclePolicyPreview",
        Ends::Degraded,
        "no policy is written, because what it would remove is not known",
        "-",
    ),
    row("ecr:PutLifecyclePolicy", Ends::Degraded, "the policy stays as it is", "-"),
];

/// The rights of the jobs that build and pull.
pub(crate) const BUILD_ROWS: [Row; 10] = [
    row(
        "ecr:GetAuthorizationToken",
        Ends::Degraded,
        "nothing is looked up or published; the image is built for this machine alone",
        "-",
    ),
    row(
        "ecr:BatchGetImage",
        Ends::Degraded,
        "nothing is looked up or published; the image is built for this machine alone",
        "-",
    ),
    row("ecr:GetDownloadUrlForLayer", Ends::Failed, "the image is not pulled", "-"),
    row("ecr:BatchCheckLayerAvailability", Ends::Failed, "the image is built and not published", "-"),
    row("ecr:InitiateLayerUpload", Ends::Failed, "the image is built and not published", "-"),
    row("ecr:UploadLayerPart", Ends::Failed, "the image is built and not published", "-"),
    row("ecr:CompleteLayerUpload", Ends::Failed, "the image is built and not published", "-"),
    row("ecr:PutImage", Ends::Failed, "the image is built and not published; a tag is not set", "-"),
    row(
        "ecr:ListImages",
        Ends::Silent,
        "the version in the label of the image that holds the tag counts; other releases are not seen",
        "-",
    ),
    row(
        "ssm:GetParameter",
        Ends::Degraded,
        "the repository is not known; the image is built for this machine alone",
        "-",
    ),
];

fn set_up_rights() -> BTreeSet<String> {
    RIGHTS
        .iter()
        .filter(|right| right.purpose == Purpose::SetUp)
        .map(|right| right.action.to_owned())
        .collect()
}

#[test]
fn the_table_lists_exactly_the_rights_that_are_used() {
    let ecr = there();
    let run = everything(&ecr).run().succeeds("built");
    assert_eq!(run.output("degraded"), "false", "{}", run.all());
    ecr.asked();
    let mut used = ecr.used();
    used.remove("ecr:GetAuthorizationToken");
    assert_eq!(used, set_up_rights());
    let rows: BTreeSet<String> = ROWS.iter().map(|row| row.right.to_owned()).collect();
    assert_eq!(rows, set_up_rights(), "each right is taken away below");
}

#[test]
fn without_each_right_in_turn() {
    for Row { right, ends, not_asked, .. } in ROWS {
        let ecr = there();
        ecr.deny(right);
        let run = everything(&ecr).run();
        let said = said(&run, ends, right);
        assert!(said.contains(right), "{right} is not named: {said}\n{}", run.all());
        let asked = ecr.asked();
        assert!(!asked.iter().any(|operation| operation == not_asked), "{right}: {asked:?}");
        let action = right.trim_start_matches("ecr:");
        match action {
            "PutLifecyclePolicy"
            | "GetLifecyclePolicy"
            | "StartLifecyclePolicyPreview"
            | "GetLifecyclePolicyPreview" => {
                assert_eq!(ecr.policy_of("ci"), None, "{right}");
            }
            "PutImageTagMutability" => {
                assert_eq!(ecr.repository("ci").unwrap()["imageTagMutability"], "MUTABLE");
            }
            "PutImageScanningConfiguration" => {
                assert_eq!(ecr.repository("ci").unwrap()["imageScanningConfiguration"]["scanOnPush"], false);
            }
            "DescribeRepositories" | "GetRegistryScanningConfiguration" => {}
            _ => assert_eq!(ecr.repository("pr"), None, "{right}"),
        }
    }
}

/// What the run says, after its end is checked.
fn said(run: &Run, ends: Ends, right: &str) -> String {
    let warnings = run.commands("warning");
    match ends {
        Ends::Silent | Ends::Noticed => {
            assert_eq!((run.code, warnings.len()), (0, 0), "{right}\n{}", run.all());
            run.notices()
        }
        Ends::Degraded => {
            assert_eq!((run.code, run.output("outcome")), (0, "built"), "{right}\n{}", run.all());
            assert_eq!(run.output("degraded"), "true", "{right}\n{}", run.all());
            warnings[0].message.clone()
        }
        Ends::Failed => {
            assert_eq!((run.code, run.output("failure-class")), (20, "access"), "{right}\n{}", run.all());
            run.error().to_owned()
        }
    }
}

#[test]
fn required_makes_each_refusal_a_failure() {
    for Row { right, .. } in ROWS.into_iter().filter(|row| row.ends == Ends::Degraded) {
        let ecr = there();
        ecr.deny(right);
        let run = everything(&ecr).input("registry-policy", "required").run();
        assert_eq!((run.code, run.output("failure-class")), (20, "access"), "{right}\n{}", run.all());
        assert!(run.error().contains(right), "{right}: {}", run.error());
    }
}

#[test]
fn a_repository_that_cannot_be_made_stops_the_push() {
    let ecr = Ecr::new();
    ecr.deny("ecr:CreateRepository");
    let run = ecr.program().input("create-repository", "true").run();
    let error = run.fails(20, "access").error().to_owned();
    assert!(error.contains("failed to make") && error.contains("allow ecr:CreateRepository on"), "{error}");
    assert_eq!(ecr.asked(), [CREATE]);
    assert!(
        ecr.lab.calls().iter().all(|call| !call.line().starts_with("buildx build")),
        "nothing is built for it"
    );
}

/// As ECR refuses what is asked of its registry, by docker or by the program.
fn refusal(right: &str) -> String {
    format!(
        "denied: User: arn:aws:sts::123456789012:assumed-role/ci/s is not authorized to perform: {right} on resource: arn:aws:ecr:eu-west-1:123456789012:repository/ci because no identity-based policy allows the {right} action"
    )
}

#[test]
fn a_build_without_each_right_in_turn() {
    let needed = RIGHTS
        .iter()
        .filter(|right| !matches!(right.purpose, Purpose::SetUp | Purpose::Prune | Purpose::Doctor));
    // The key of a SecureString is SSM's own business: it answers as to the parameter.
    let needed: BTreeSet<&str> =
        needed.map(|right| right.action).filter(|action| *action != "kms:Decrypt").collect();
    assert_eq!(BUILD_ROWS.iter().map(|row| row.right).collect::<BTreeSet<_>>(), needed);
    for Row { right, ends, .. } in BUILD_ROWS {
        let ecr = there();
        let run = match right {
            // `it::older::without_a_list_of_tags_the_images_version_counts`
            "ecr:ListImages" => continue,
            "ecr:GetAuthorizationToken" => {
                ecr.deny(right);
                ecr.program().run()
            }
            "ecr:BatchGetImage" => {
                let denied = Response::error(403, "DENIED", &refusal(right));
                ecr.lab.registry.fault("/manifests/", 1000, denied);
                ecr.program().run()
            }
            "ecr:GetDownloadUrlForLayer" => {
                let _ = ecr.program().run().succeeds("built");
                ecr.lab.another_machine();
                ecr.lab.registry.refuse("/_pull", &refusal(right));
                ecr.program().input("mode", "pull").run()
            }
            "ssm:GetParameter" => {
                let aws = Aws::start(ECR);
                aws.deny_parameter("AccessDeniedException");
                aws.serves(ecr.lab.build_once()).run()
            }
            _ => {
                ecr.lab.registry.refuse("/_publish", &refusal(right));
                ecr.program().run()
            }
        };
        if ends == Ends::Degraded {
            assert_eq!(
                (run.code, run.output("degraded"), run.output("outcome")),
                (0, "true", "built-local"),
                "{right}\n{}",
                run.all()
            );
            assert!(run.commands("warning")[0].message.contains(right), "{right}\n{}", run.all());
        } else {
            assert_eq!((run.code, run.output("failure-class")), (20, "access"), "{right}\n{}", run.all());
            assert!(run.error().contains(right), "{right}\n{}", run.all());
        }
    }
}
