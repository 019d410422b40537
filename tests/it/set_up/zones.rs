//! Only trusted runs set repositories up, and only in private ECR; what is not done is said in one line.

use super::{making, there};
use crate::support::{Ecr, Lab};

#[test]
fn runs_of_less_trust_say_so_and_ask_nothing() {
    let ecr = there();
    for run in [
        making(&ecr).input("lifecycle", "recommended").pull_request(12).run(),
        making(&ecr).input("lifecycle", "recommended").push_to("fix").run(),
    ] {
        let run = run.succeeds("built");
        let said =
            "not done: create-repository, lifecycle; only trusted runs set repositories up, and this is ";
        assert_eq!(run.notices().matches(said).count(), 1, "{}", run.all());
    }
    assert_eq!(ecr.asked(), [""; 0]);
    let absent = Ecr::new();
    let error = making(&absent).pull_request(12).run().fails(20, "access").error().to_owned();
    assert!(
        error.contains("does not exist") && error.contains("in a trusted run create-repository: true"),
        "{error}"
    );
    let _ = making(&absent).fork().run();
    assert_eq!(absent.asked(), [""; 0]);
}

#[test]
fn pulls_leave_it_to_the_job_that_builds() {
    let ecr = there();
    let _ = ecr.program().run().succeeds("built");
    ecr.forget();
    let run = making(&ecr).input("mode", "pull").run();
    assert!(
        run.notices().contains("not done: create-repository; the job that builds does that"),
        "{}",
        run.all()
    );
    assert_eq!(ecr.asked(), [""; 0]);
}

#[test]
fn other_registries_are_no_error() {
    let lab = Lab::new();
    let run = lab.shared().input("create-repository", "true").run().succeeds("built");
    assert_eq!(run.notices().matches("is not in private Amazon ECR").count(), 1, "{}", run.all());
    assert_eq!(run.output("degraded"), "false");
}

#[test]
fn on_a_machine_of_a_persons_nothing_is_set_up() {
    let ecr = Ecr::new();
    let run = making(&ecr).outside_github().run();
    assert_eq!(ecr.asked(), [""; 0], "{}", run.all());
}

/// As `attacks` plays them: without the guard it works.
#[test]
#[cfg(debug_assertions)]
fn a_pull_request_that_gives_the_repository_a_policy() {
    for (guards, works) in [(None, false), (Some("set-up"), true)] {
        let ecr = there();
        let program = ecr.program().input("lifecycle", "recommended").pull_request(12);
        let _ = guards.into_iter().fold(program, crate::support::BuildOnce::without).run().succeeds("built");
        assert_eq!(ecr.policy_of("ci").is_some(), works);
    }
}
