//! `doctor` against the real engine, the registry's gateway and the AWS emulator. ministack has no
//! `GetRegistryScanningConfiguration` and no `GetAccountSetting`: these checks are not known here.

use serde_json::Value;

use crate::harness::{Finished, Program, Repository, Workspace, lab};

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
