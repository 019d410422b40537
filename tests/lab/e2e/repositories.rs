//! Where the repository's name comes from.

use serde_json::json;

use crate::harness::{Finished, Repository, Workspace, aws, lab};

fn source(finished: &Finished) -> String {
    finished.plan()["images"][0]["repository"]["found"]["source"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn from_the_environment() {
    let (work, repository) = (Workspace::new("environment"), Repository::open("environment"));
    let built = work.program().env("BUILD_ONCE_REPOSITORY", &repository.name()).run().is("built");
    assert_eq!(source(&built), "BUILD_ONCE_REPOSITORY");
    let hit = work.program().env("ECR_CACHE_URL", &repository.name()).run().is("reused-tag");
    assert_eq!((source(&hit).as_str(), hit.output("digest")), ("ECR_CACHE_URL", built.output("digest")));
    // The nearer one counts.
    let other = Repository::open("environment-other");
    let near = work
        .program()
        .repository(&repository)
        .env("BUILD_ONCE_REPOSITORY", &other.name())
        .env("ECR_CACHE_URL", &other.name())
        .run()
        .is("reused-tag");
    assert_eq!(source(&near), "input repository");
    assert!(other.tags().is_empty());
}

#[test]
fn from_the_parameter_that_instance_metadata_names() {
    let (work, repository) = (Workspace::new("parameter"), Repository::ecr("parameter"));
    let instance = lab().get("BUILD_ONCE_LAB_INSTANCE_ID");
    let name = format!("/e2e/{}/{instance}/url", work.image);
    aws(
        "ssm",
        "AmazonSSM.PutParameter",
        &json!({"Name": name, "Value": repository.name(), "Type": "String"}),
    );
    let template = format!("/e2e/{}/{{instance-id}}/url", work.image);
    let built = work.program().input("ssm-parameter", &template).run().is("built");
    assert_eq!(source(&built), format!("SSM parameter {name}"));
    built.is_published(&repository, &[&work.commit_tag()]);
}

#[test]
fn the_parameter_has_the_name_that_self_hosted_runners_use() {
    let work = Workspace::new("default-parameter");
    let plan = work.program().command("plan").without("INPUT_SSM_PARAMETER").run();
    assert_eq!(plan.code, Some(0), "{}", plan.log);
    let name =
        format!("SSM parameter /github-runner/{}/ecr-cache-url", lab().get("BUILD_ONCE_LAB_INSTANCE_ID"));
    assert!(plan.stdout.contains(&name), "{}", plan.stdout);
    assert!(plan.stdout.contains(lab().get("BUILD_ONCE_LAB_ECR_REPOSITORY")), "{}", plan.stdout);
}

#[test]
fn none_is_said_once_with_its_reason() {
    let work = Workspace::new("no-repository");
    let absent = work.program().run().is("built-local");
    assert_eq!(absent.output("degraded"), "false", "nobody asked for more");
    // BuildKit's checks have notices of their own.
    let own = |run: &Finished| -> Vec<String> {
        let all = run.annotations("notice").into_iter();
        all.filter(|text| !text.contains("Dockerfile check")).map(str::to_owned).collect()
    };
    let notices = own(&absent);
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].contains("the SSM parameter /e2e/none does not exist"), "{notices:?}");

    let elsewhere = work.program().env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9").run();
    let elsewhere = elsewhere.is("reused-local");
    let notices = own(&elsewhere);
    assert!(notices.len() == 1 && notices[0].contains("instance metadata does not answer"), "{notices:?}");
}

#[test]
fn a_junk_value_is_not_read_as_none() {
    let work = Workspace::new("junk");
    let junk =
        work.program().env("BUILD_ONCE_REPOSITORY", "https://junk.example/x y").run().failed(2, "input");
    assert!(junk.log.contains("BUILD_ONCE_REPOSITORY"), "{}", junk.log);
}

#[test]
fn plan_and_key_write_nothing() {
    let (work, repository) = (Workspace::new("plan"), Repository::ecr("plan"));
    let plan = work.program().command("plan").repository(&repository).run();
    assert_eq!(plan.code, Some(0), "{}", plan.log);
    assert!(plan.stdout.contains("outcome      built"), "{}", plan.stdout);
    let key = work.program().command("key").repository(&repository).run();
    assert_eq!(key.code, Some(0), "{}", key.log);
    assert!(repository.journal().iter().all(|entry| !entry.is_write()));
    assert!(repository.tags().is_empty());
    let built = work.program().repository(&repository).run().is("built");
    assert!(plan.stdout.contains(built.output("key")) && key.stdout.contains(built.output("key")));
}
