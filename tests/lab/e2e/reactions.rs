//! Faults in the middle of a build, and what is done about each.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cancel::{is_sleeping, sleeper};
use crate::engines::{classic, fresh, no_classic, nothing_left};
use crate::harness::{Repository, Rules, Workspace, engine_at, eventually, rule, status};

/// More than BuildKit and containerd try by themselves for one manifest: five times at once for a
/// 429, four times with an attempt each for the others (buildkit `retryhandler`).
const BEYOND_BUILDKIT: u64 = 7;

fn manifest(work: &Workspace, repository: &Repository, times: Option<u64>, fault: &Value) -> Value {
    rule("PUT", &repository.path, &format!("manifests/{}", work.commit_tag()), times, fault)
}

#[test]
fn too_many_requests_in_a_push_is_waited_out() {
    let (work, repository) = (Workspace::new("slow-push"), Repository::ecr("slow-push"));
    let mut fault = status(429, "TOOMANYREQUESTS");
    fault["headers"] = json!({"Retry-After": "3"});
    let rules = Rules::set(&[manifest(&work, &repository, Some(BEYOND_BUILDKIT), &fault)]);
    let built = work.program().repository(&repository).run().is("built");
    assert_eq!(rules.applied(), [BEYOND_BUILDKIT]);
    // BuildKit keeps the header for itself; between its attempts and the next build's we wait 2 s
    // at least.
    let path = format!("/v2/{}/manifests/{}", repository.path, work.commit_tag());
    let puts: Vec<u64> = repository
        .journal()
        .iter()
        .filter(|entry| entry.method == "PUT" && entry.path == path)
        .map(|entry| entry.at_ms)
        .collect();
    assert!(puts.windows(2).any(|pair| pair[1] - pair[0] >= 1_990), "{puts:?}");
    assert!(built.log.contains("(throttled); trying again in "), "{}", built.log);
    assert!(built.number("attempts") >= 2, "{}", built.log);
    built.is_published(&repository, &[&work.commit_tag(), &built.key_tag("", &work.image)]);
}

#[test]
fn a_registry_that_breaks_for_ever_is_named() {
    let (work, repository) = (Workspace::new("broken-blobs"), Repository::ecr("broken-blobs"));
    let rules =
        Rules::set(&[rule("PUT|PATCH|POST", &repository.path, "blobs/", None, &status(500, "UNKNOWN"))]);
    let failed = work.program().repository(&repository).input("cache", "none").input("retries", "1").run();
    let failed = failed.failed(30, "unavailable");
    let cause = (failed.output("failure-cause"), failed.output("attempts"));
    assert_eq!(cause, ("registry-5xx", "2"), "{}", failed.log);
    assert!(failed.annotations("error")[0].contains(&repository.host), "{}", failed.log);
    assert!(rules.applied()[0] > 1);
    assert!(repository.tags().is_empty(), "{:?}", repository.tags());
    // One is gone by itself.
    rules.replace(&[rule("PUT", &repository.path, "blobs/", Some(1), &status(500, "UNKNOWN"))]);
    let built = work.program().repository(&repository).input("cache", "none").run().is("built");
    assert_eq!((built.output("attempts"), rules.applied()[0]), ("1", 1), "BuildKit's own affair");
}

#[test]
fn a_push_whose_every_reply_is_lost_is_found_stored() {
    let (work, repository) = (Workspace::new("lost-reply"), Repository::ecr("lost-reply"));
    let fault = json!({"kind": "drop_after_commit"});
    let rules = Rules::set(&[manifest(&work, &repository, None, &fault)]);
    let built = work.program().repository(&repository).input("cache", "none").run().is("built");
    assert!(rules.applied()[0] >= 1);
    assert_eq!((built.output("attempts"), built.output("pushed")), ("1", "true"), "{}", built.log);
    built.is_published(&repository, &[&work.commit_tag(), &built.key_tag("", &work.image)]);
}

#[test]
fn a_token_that_expires_before_the_push_is_renewed() {
    let (work, repository) = (Workspace::new("expires"), Repository::ecr("expires"));
    let expired = json!({"kind": "status", "code": 403, "headers": {}, "body": {"errors": [{"code": "DENIED",
        "message": "Your authorization token has expired. Reauthenticate and try again."}]}});
    let fault = manifest(&work, &repository, Some(1), &expired);
    let rules = Rules::set(&[fault]);
    let built = work.program().repository(&repository).input("retries", "0").run().is("built");
    assert_eq!((rules.applied()[0], built.output("attempts")), (1, "2"), "{}", built.log);
    assert!(built.log.contains("(auth-expired); trying again with a new login"), "{}", built.log);
    assert_eq!(built.output("cached-steps"), built.output("total-steps"), "only the push is done again");
    built.is_published(&repository, &[&work.commit_tag()]);
}

#[test]
fn a_cache_whose_layer_is_gone_is_not_read_again() {
    if no_classic() {
        return;
    }
    let (work, repository) = (Workspace::new("lost-layer"), Repository::ecr("lost-layer"));
    work.write("Dockerfile", "ARG BASE\nFROM ${BASE}\nRUN --network=none head -c 100000 /dev/urandom >/big\nCOPY content.txt /content.txt\nRUN --network=none cat /big /content.txt >/both\n");
    work.commit("a layer that the next step needs");
    let program = || fresh(work.program().repository(&repository).engine(classic()));
    program().run().is("built");
    let cache = repository.image(&format!("cache-rf9d832d9-{}-main", work.image)).unwrap();
    work.write("content.txt", "other");
    work.commit("the last two steps run anew");
    // The manifest stays, every layer of it is gone: as a lifecycle rule may leave it.
    let layers = cache.manifest["layers"].as_array().unwrap();
    let gone: Vec<Value> = layers
        .iter()
        .map(|layer| {
            let path = format!("blobs/{}", layer["digest"].as_str().unwrap());
            rule("GET|HEAD", &repository.path, &path, Some(12), &status(404, "BLOB_UNKNOWN"))
        })
        .collect();
    let _rules = Rules::set(&gone);
    let built = program().run().is("built");
    assert_eq!(built.output("attempts"), "2", "{}", built.log);
    assert!(built.log.contains("without reading the layer cache"), "{}", built.log);
    built.is_published(&repository, &[&work.commit_tag()]);
    nothing_left(&work, classic());
}

/// The container of the builder that this test's run has made.
fn container(work: &Workspace) -> Option<String> {
    let (_, names) = engine_at(classic(), &["ps", "--format", "{{.Names}}"]);
    names
        .lines()
        .find(|name| name.contains("buildx_buildkit_") && name.contains(&work.image))
        .map(str::to_owned)
}

fn in_step(command: &str) {
    eventually("the step runs", Duration::from_secs(90), || is_sleeping(command));
}

#[test]
fn a_builder_that_is_killed_is_replaced_once() {
    if no_classic() {
        return;
    }
    let ((work, command), repository) = (sleeper("killed"), Repository::ecr("killed"));
    let program = || fresh(work.program().repository(&repository).engine(classic()));
    let running = program().start();
    in_step(&command);
    assert!(engine_at(classic(), &["kill", &container(&work).unwrap()]).0);
    eventually("the first one is gone", Duration::from_secs(30), || !is_sleeping(&command));
    in_step(&command);
    assert!(engine_at(classic(), &["kill", &container(&work).unwrap()]).0);
    let failed = running.finish().failed(30, "unavailable");
    assert_eq!(
        (failed.output("failure-cause"), failed.output("attempts")),
        ("builder-lost", "2"),
        "{}",
        failed.log
    );
    assert!(failed.log.contains("trying again on a fresh builder"), "{}", failed.log);
    nothing_left(&work, classic());
    assert!(repository.tags().is_empty());
}

#[test]
fn a_builder_that_is_killed_once_costs_nothing_but_time() {
    if no_classic() {
        return;
    }
    let (work, repository) = (Workspace::new("killed-once"), Repository::ecr("killed-once"));
    work.write(
        "Dockerfile",
        "ARG BASE\nFROM ${BASE}\nCOPY content.txt /content.txt\nRUN --network=none sleep 8.25\n",
    );
    work.commit("sleeps a little");
    let running = fresh(work.program().repository(&repository).engine(classic())).start();
    in_step("sleep 8.25");
    assert!(engine_at(classic(), &["kill", &container(&work).unwrap()]).0);
    let built = running.finish().is("built");
    assert_eq!(built.output("attempts"), "2");
    built.is_published(&repository, &[&work.commit_tag(), &built.key_tag("", &work.image)]);
    nothing_left(&work, classic());
}

#[test]
fn a_registry_that_never_answers_a_push_hangs_nobody() {
    if no_classic() {
        return;
    }
    let (work, repository) = (Workspace::new("hangs"), Repository::ecr("hangs"));
    let _rules = Rules::set(&[manifest(&work, &repository, None, &json!({"kind": "hang"}))]);
    let program = fresh(work.program().repository(&repository).engine(classic()));
    let failed =
        program.input("stall-timeout", "8s").input("cache", "none").input("provenance", "true").run();
    let failed = failed.failed(30, "unavailable");
    assert_eq!((failed.output("failure-cause"), failed.output("attempts")), ("hang", "2"), "{}", failed.log);
    assert!(failed.annotations("error")[0].contains("nothing moved for 8s while pushing"), "{}", failed.log);
    nothing_left(&work, classic());
    assert!(repository.tags().is_empty());
}

/// F24, in a step: silence alone is no sign there, so the builder is asked.
#[test]
fn a_builder_that_is_paused_in_a_step_is_replaced_once() {
    if no_classic() {
        return;
    }
    let ((work, command), repository) = (sleeper("paused"), Repository::ecr("paused"));
    let program = fresh(work.program().repository(&repository).engine(classic()));
    let running = program.input("stall-timeout", "5s").start();
    let mut before = String::new();
    for _ in 0..2 {
        eventually("its step runs", Duration::from_secs(90), || {
            id(&work).is_some_and(|id| id != before) && is_sleeping(&command)
        });
        before = id(&work).unwrap();
        assert!(engine_at(classic(), &["pause", &before]).0);
    }
    let failed = running.finish().failed(30, "unavailable");
    assert_eq!((failed.output("failure-cause"), failed.output("attempts")), ("hang", "2"), "{}", failed.log);
    let said = "nothing moved for 5s while running the steps, and the builder does not answer";
    assert!(failed.annotations("error")[0].contains(said), "{}", failed.log);
    nothing_left(&work, classic());
    assert!(repository.tags().is_empty());
}

/// The container of the builder, as long as there is one, by its id: the next one has its name.
fn id(work: &Workspace) -> Option<String> {
    let (found, id) = engine_at(classic(), &["inspect", "--format", "{{.Id}}", &container(work)?]);
    found.then(|| id.trim().to_owned())
}

/// F20: the image is there by then, so the build is not done again.
#[test]
fn a_cache_that_is_never_taken_costs_a_while() {
    let (work, repository) = (Workspace::new("slow-cache"), Repository::ecr("slow-cache"));
    let at = format!("manifests/cache-rf9d832d9-{}-main", work.image);
    let rules = Rules::set(&[rule("PUT", &repository.path, &at, None, &json!({"kind": "hang"}))]);
    let built = work.program().repository(&repository).input("stall-timeout", "6s").run().is("built");
    assert!(rules.applied()[0] > 0);
    assert_eq!((built.output("attempts"), built.output("degraded")), ("1", "true"), "{}", built.log);
    let warning = built.annotations("warning")[0];
    assert!(warning.contains("nothing moved for 6s while writing the layer cache"), "{warning}");
    built.is_published(&repository, &[&work.commit_tag(), &built.key_tag("", &work.image)]);
    assert!(repository.image(&format!("cache-rf9d832d9-{}-main", work.image)).is_none());
}
