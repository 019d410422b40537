//! `doctor` against the real engine, the registry's gateway and the AWS emulator. ministack has no
//! `GetRegistryScanningConfiguration` and no `GetAccountSetting`: these checks are not known here.

use serde_json::{Value, json};

use crate::harness::{Finished, Program, Repository, Workspace, lab, request, unique};

fn doctor<'a>(work: &'a Workspace, repository: &Repository) -> Program<'a> {
    work.program().repository(repository).command("doctor")
}

/// The verdict and the reason of a check.
fn check(run: &Finished, name: &str) -> (String, String) {
    let checks: Vec<Value> = serde_json::from_str(run.output("checks")).unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    let check = check.unwrap_or_else(|| panic!("no check {name}: {}", run.log));
    let text = |field: &str| check[field].as_str().unwrap_or_default().to_owned();
    (text("verdict"), text("why"))
}

#[test]
fn doctor_finds_the_lab_in_order_and_leaves_it_so() {
    let (work, repository) = (Workspace::new("doctor"), Repository::ecr("doctor"));
    let run = doctor(&work, &repository).run();
    assert_eq!(run.code, Some(0), "{}", run.log);
    let path = repository.name().split_once('/').unwrap().1.to_owned();
    let registry = format!("registry of {path}");
    for name in
        ["docker", "buildx", "builder", "image store", "repository", &registry, "AWS credentials", "clock"]
    {
        assert_eq!(check(&run, name).0, "ok", "{name}: {}", run.log);
    }
    assert!(check(&run, "image store").1.contains("containerd"));
    // Seen by the gateway: reads alone.
    let journal = repository.journal();
    assert!(!journal.is_empty() && journal.iter().all(|entry| !entry.is_write()), "{journal:?}");
    assert!(repository.tags().is_empty());
    println!("doctor took {:.2} s", run.took.as_secs_f64());
}

#[test]
fn doctor_names_what_is_wrong_with_real_parts() {
    let work = Workspace::new("doctor-ill");
    let absent = Repository::ecr_absent("doctor-ill");
    let run = doctor(&work, &absent).run();
    let path = absent.name().split_once('/').unwrap().1.to_owned();
    let (verdict, why) = check(&run, &format!("registry of {path}"));
    assert!(verdict == "fail" && why.contains("does not exist") && run.code == Some(20), "{}", run.log);
    let fixed = Repository::ecr_immutable("doctor-ill");
    let run = doctor(&work, &fixed).run();
    let path = fixed.name().split_once('/').unwrap().1.to_owned();
    let (verdict, why) = check(&run, &format!("mutability of {path}"));
    assert!(verdict == "fail" && why.contains("the layer cache moves"), "{}", run.log);
    // The engine with the classic store, and none.
    let run = doctor(&work, &fixed).engine(lab().get("BUILD_ONCE_LAB_CLASSIC_HOST")).run();
    assert_eq!(check(&run, "image store").0, "warn", "{}", run.log);
    let run = doctor(&work, &fixed).engine("unix:///nowhere.sock").run();
    assert_eq!((check(&run, "docker").0.as_str(), run.code), ("fail", Some(60)), "{}", run.log);
}

/// The emulator's IAM keeps roles and answers `GetRole`.
#[test]
fn doctor_reads_who_may_take_a_role() {
    let (work, repository) = (Workspace::new("doctor-role"), Repository::ecr("doctor-role"));
    let role = unique("e2e-role");
    let call = |fields: &[(&str, &str)]| {
        let mut url = reqwest::Url::parse("http://form.invalid/").unwrap();
        let fixed = [("Version", "2010-05-08"), ("RoleName", &role)];
        url.query_pairs_mut().extend_pairs(fixed.iter().chain(fields));
        let scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0";
        let headers = [("authorization", scope), ("content-type", "application/x-www-form-urlencoded")];
        let body = url.query().unwrap().as_bytes().to_vec();
        request("POST", &format!("{}/", lab().get("AWS_ENDPOINT_URL")), &headers, Some(body)).status
    };
    let host = "token.actions.githubusercontent.com";
    for (subject, verdict, told) in [
        ("repo:o/r:ref:refs/heads/main", "ok", "certain jobs of one repository alone"),
        ("repo:*", "fail", "takes the jobs of any repository on GitHub"),
    ] {
        let condition = json!({
            "StringEquals": {format!("{host}:aud"): "sts.amazonaws.com"}, "StringLike": {format!("{host}:sub"): subject},
        });
        let principal = json!({"Federated": format!("arn:aws:iam::123456789012:oidc-provider/{host}")});
        let policy = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity", "Principal": principal, "Condition": condition,
        }]});
        let document = policy.to_string();
        assert_eq!(call(&[("Action", "CreateRole"), ("AssumeRolePolicyDocument", &document)]), 200);
        let program = doctor(&work, &repository);
        let run = program.input("role-to-assume", &format!("arn:aws:iam::123456789012:role/{role}")).run();
        assert_eq!(call(&[("Action", "DeleteRole")]), 200);
        let found = check(&run, "who may take the role");
        assert!(found.0 == verdict && found.1.contains(told), "{found:?}\n{}", run.log);
    }
}
