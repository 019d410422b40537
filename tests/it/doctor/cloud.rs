//! AWS and the job's identity, against a repository of ECR whose registry is not there.

use serde_json::json;

use super::world::{ECR, Found, ROLE, World, checks, lifecycle, refused, repository};
use crate::support::{BuildOnce, Lab, Response, refusal};

/// The program with a repository of ECR; nothing answers at its registry.
fn doctor<'a>(lab: &'a Lab, world: &World) -> BuildOnce<'a> {
    let nowhere = "http://127.0.0.1:9";
    world.serves(lab.build_once().input("repository", ECR).env("HTTPS_PROXY", nowhere))
}

fn found(lab: &Lab, world: &World, name: &str, change: impl FnOnce(BuildOnce<'_>) -> BuildOnce<'_>) -> Found {
    let all = checks(&change(doctor(lab, world)).run());
    all.get(name).unwrap_or_else(|| panic!("no check {name}: {all:?}")).clone()
}

#[test]
fn an_account_that_is_as_it_should_be() {
    let (lab, world) = (Lab::new(), World::start());
    let run = doctor(&lab, &world).input("role-to-assume", ROLE).run();
    let all = checks(&run);
    for name in [
        "AWS credentials",
        "rights to log in",
        "rights to pull ci",
        "rights to push ci",
        "no more rights on ci",
        "OIDC token",
        "OIDC trust policy",
        "who may take the role",
        "mutability of ci",
        "scanning of ci",
        "lifecycle of ci",
        "encryption of ci",
    ] {
        assert_eq!(all[name].verdict, "ok", "{name}: {:?}", all[name]);
    }
    // Calls that change nothing: nothing else arrived.
    let reads = [
        "GetAuthorizationToken",
        "DescribeRepositories",
        "GetLifecyclePolicy",
        "GetRegistryScanningConfiguration",
        "GetAccountSetting",
        "GetCallerIdentity",
        "SimulatePrincipalPolicy",
        "GetRole",
        "AssumeRoleWithWebIdentity",
    ];
    for asked in world.asked() {
        let is_read =
            asked.starts_with("GET ") || asked.starts_with("HEAD ") || reads.contains(&asked.as_str());
        assert!(is_read, "{asked}");
    }
}

#[test]
fn each_right_that_the_role_lacks_is_named() {
    for (right, check) in [
        ("GetAuthorizationToken", "rights to log in"),
        ("BatchGetImage", "rights to pull ci"),
        ("GetDownloadUrlForLayer", "rights to pull ci"),
        ("BatchCheckLayerAvailability", "rights to push ci"),
        ("InitiateLayerUpload", "rights to push ci"),
        ("UploadLayerPart", "rights to push ci"),
        ("CompleteLayerUpload", "rights to push ci"),
        ("PutImage", "rights to push ci"),
    ] {
        let (lab, world) = (Lab::new(), World::start());
        world.allow(&[right]);
        let check = found(&lab, &world, check, |program| program);
        assert!(check.verdict == "fail" && check.fix.contains(&format!("allow ecr:{right}")), "{check:?}");
    }
}

#[test]
fn rights_that_a_run_must_not_have() {
    let (lab, world) = (Lab::new(), World::start());
    world.allow(&["+BatchDeleteImage"]);
    assert_eq!(found(&lab, &world, "no more rights on ci", |program| program).verdict, "warn");
    assert_eq!(
        found(&lab, &world, "no more rights on ci", |program| program.pull_request(7)).verdict,
        "fail"
    );
    // A fork's run whose role may push.
    let check = found(&lab, &world, "rights to push ci", |program| program.fork().input("retries", "0"));
    assert!(check.verdict == "fail" && check.why.contains("must not publish"), "{check:?}");
}

#[test]
fn a_call_that_the_role_may_not_make_is_not_known() {
    for (call, name, says) in [
        ("SimulatePrincipalPolicy", "rights", "allow iam:SimulatePrincipalPolicy"),
        ("GetRole", "who may take the role", "allow iam:GetRole on arn:aws:iam::123456789012:role/ci"),
        ("DescribeRepositories", "mutability of ci", "allow ecr:DescribeRepositories"),
        ("DescribeRepositories", "encryption of ci", "allow ecr:DescribeRepositories"),
        ("GetLifecyclePolicy", "lifecycle of ci", "allow ecr:GetLifecyclePolicy"),
    ] {
        let (lab, world) = (Lab::new(), World::start());
        world.deny(call);
        let check = found(&lab, &world, name, |program| program);
        assert!(check.verdict == "warn" && check.why.contains("could not be checked"), "{call}: {check:?}");
        assert!(check.fix.contains(says), "{call}: {check:?}");
    }
}

#[test]
fn credentials_that_are_wrong_or_absent() {
    let (lab, world) = (Lab::new(), World::start());
    for (code, verdict) in
        [("InvalidClientTokenId", "fail"), ("SignatureDoesNotMatch", "fail"), ("Throttling", "warn")]
    {
        world.set("GetCallerIdentity", refused(code));
        assert_eq!(found(&lab, &world, "AWS credentials", |program| program).verdict, verdict, "{code}");
    }
    let check = found(&lab, &world, "AWS credentials", |program| {
        program.unset("AWS_ACCESS_KEY_ID").unset("AWS_SECRET_ACCESS_KEY")
    });
    assert!(check.verdict == "fail" && check.fix.contains("id-token: write"), "{check:?}");
}

/// The first failure of `SkyPilot`'s list: the role refuses the job's token.
#[test]
fn a_trust_policy_that_refuses_the_token() {
    let (lab, world) = (Lab::new(), World::start());
    let trust = |name: &str| found(&lab, &world, name, |program| program.input("role-to-assume", ROLE));
    world.set("AssumeRoleWithWebIdentity", refused("AccessDenied"));
    let check = trust("OIDC trust policy");
    assert!(check.verdict == "fail" && check.why.contains("repo:o/r:ref:refs/heads/main"), "{check:?}");
    assert!(check.fix.contains(r#"githubusercontent.com:sub":"repo:o/r:ref:refs/heads/main"#), "{check:?}");
    world.set("AssumeRoleWithWebIdentity", refused("InvalidIdentityToken"));
    assert!(trust("OIDC trust policy").fix.contains("create-open-id-connect-provider"));
    world.set("AssumeRoleWithWebIdentity", refused("Throttling"));
    assert_eq!(trust("OIDC trust policy").verdict, "warn");
    world.set("GET /oidc", Response::new(403, "no"));
    assert_eq!(trust("OIDC token").verdict, "warn");
    world.set("GET /oidc", Response::new(200, json!({"value": "canary-5ec2e7.junk"}).to_string()));
    assert_eq!(trust("OIDC token").verdict, "warn");
}

#[test]
fn a_job_without_a_token() {
    let (lab, world) = (Lab::new(), World::start());
    world.set("GetCallerIdentity", refused("InvalidClientTokenId"));
    let check = found(&lab, &world, "OIDC token", |program| program.unset("ACTIONS_ID_TOKEN_REQUEST_URL"));
    assert!(check.verdict == "fail" && check.fix.contains("id-token: write"), "{check:?}");
}

#[test]
fn each_setting_of_the_repository() {
    let (lab, world) = (Lab::new(), World::start());
    let of = |name: &str, verdict: &str, says: &str| {
        let check = found(&lab, &world, name, |program| program);
        assert!(check.verdict == verdict && check.why.contains(says), "{name}: {check:?}");
    };
    world.set("DescribeRepositories", repository(|found| found["imageTagMutability"] = json!("MUTABLE")));
    of("mutability of ci", "warn", "can give a tag other content");
    world.set("DescribeRepositories", repository(|found| found["imageTagMutability"] = json!("IMMUTABLE")));
    of("mutability of ci", "fail", "the layer cache moves");
    world.set(
        "DescribeRepositories",
        repository(|found| found["imageScanningConfiguration"] = json!({"scanOnPush": false})),
    );
    of("scanning of ci", "warn", "not scanned");
    world.set("DescribeRepositories", refusal("RepositoryNotFoundException"));
    of("mutability of ci", "fail", "does not exist");
    world.set("GetLifecyclePolicy", refusal("LifecyclePolicyNotFoundException"));
    of("lifecycle of ci", "warn", "no lifecycle policy");
    let any = json!([{"rulePriority": 3, "selection": {"tagStatus": "any", "countType": "sinceImagePushed"}, "action": {"type": "expire"}}]);
    world.set("GetLifecyclePolicy", lifecycle(any));
    of("lifecycle of ci", "warn", "rule 3 removes images by key");
    world.set("DescribeRepositories", repository(|_| {}));
    world.set(
        "GetAccountSetting",
        Response::new(200, json!({"name": "BLOB_MOUNTING", "value": "DISABLED"}).to_string()),
    );
    let two = found(&lab, &world, "layers mounted between repositories", |program| {
        program.input("pr-repository", &format!("{ECR}/pr"))
    });
    assert_eq!(two.verdict, "warn", "{two:?}");
}
