//! Registries that refuse, break and lie.

use serde_json::{Value, json};

use crate::harness::{Finished, Repository, Rules, Workspace, lab, rule, status};

/// Something published, then the registry with these rules; requests since then.
struct Scene {
    work: Workspace,
    repository: Repository,
    built: Finished,
    before: u64,
}

impl Scene {
    fn published(test: &str) -> Self {
        let (work, repository) = (Workspace::new(test), Repository::ecr(test));
        let built = work.program().repository(&repository).run().is("built");
        let before = repository.journal().last().unwrap().seq;
        Self { work, repository, built, before }
    }

    fn own_requests(&self) -> Vec<crate::harness::Entry> {
        let journal = self.repository.journal().into_iter();
        journal.filter(|entry| entry.seq > self.before && entry.is_own()).collect()
    }

    fn digest(&self) -> &str {
        self.built.output("digest")
    }
}

/// Fails every read of a manifest in this repository.
fn reads(repository: &Repository, times: Option<u64>, fault: &Value) -> Value {
    rule("GET|HEAD", &repository.path, "manifests/", times, fault)
}

#[test]
fn an_unknown_certificate_authority_is_said_in_one_sentence() {
    let (work, repository) = (Workspace::new("no-ca"), Repository::ecr("no-ca"));
    // Nor is it among docker's own certificates.
    let program = work.program().repository(&repository).without("SSL_CERT_FILE");
    let refused = program.env("BUILD_ONCE_TEST_CERTIFICATES", "/nowhere").run().failed(60, "unsupported");
    let error = refused.annotations("error")[0];
    assert!(error.contains("certificate") && error.contains("SSL_CERT_FILE"), "{error}");
    assert!(repository.journal().is_empty(), "nothing was asked");
}

#[test]
fn a_registry_that_is_down_leaves_a_local_build_or_a_failure() {
    let scene = Scene::published("down");
    let Scene { work, repository, .. } = &scene;
    let _rules = Rules::set(&[rule("GET|HEAD", &repository.path, "", None, &status(500, "UNKNOWN"))]);
    let required = work.program().repository(repository).input("registry-policy", "required").run();
    let required = required.failed(30, "unavailable");
    assert!(required.log.contains("500 Internal Server Error"), "{}", required.log);
    assert_eq!(scene.own_requests().len(), 4, "one try and three more");

    work.forget();
    let local = work.program().repository(repository).run().is("built-local").degraded();
    work.holds(&local, "trusted");
    assert_eq!((local.output("digest"), local.output("tag"), local.output("pushed")), ("", "", "false"));
    assert_eq!(local.output("key"), scene.built.output("key"));
    // The next run on this machine finds it.
    work.program().repository(repository).run().is("reused-local").degraded();
    assert!(scene.own_requests().iter().all(|entry| !entry.is_write()));
}

#[test]
fn too_many_requests_is_waited_out() {
    let scene = Scene::published("slow-down");
    let mut fault = status(429, "TOOMANYREQUESTS");
    fault["headers"] = json!({"Retry-After": "3"});
    let rules = Rules::set(&[reads(&scene.repository, Some(3), &fault)]);
    scene.work.program().repository(&scene.repository).run().is("reused-tag").has(scene.digest());
    assert_eq!(rules.applied(), [3]);
    let asked = scene.own_requests();
    // The last one is for the key's tag, and meets no fault.
    assert_eq!(asked.len(), 5, "{asked:?}");
    for pair in asked[..4].windows(2) {
        let waited = pair[1].at_ms - pair[0].at_ms;
        assert!(waited >= 2_990, "waited {waited} ms where Retry-After says 3 s");
    }
}

#[test]
fn a_connection_that_breaks_is_asked_again() {
    let scene = Scene::published("broken");
    let faults = [
        json!({"kind": "reset"}),
        json!({"kind": "cut_response", "after_bytes": 20}),
        status(503, "UNAVAILABLE"),
        status(502, "UNKNOWN"),
    ];
    let rules = Rules::set(&[]);
    for fault in faults {
        rules.replace(&[reads(&scene.repository, Some(1), &fault)]);
        scene.work.program().repository(&scene.repository).run().is("reused-tag").has(scene.digest());
        assert_eq!(rules.applied(), [1], "{fault}");
    }
}

#[test]
fn unknown_is_not_absent() {
    let scene = Scene::published("unknown");
    let Scene { work, repository, .. } = &scene;
    work.commit("the key tag is there, this commit's is not");
    let commit_tag = format!("manifests/{}", work.commit_tag());
    let rules = Rules::set(&[rule("GET|HEAD", &repository.path, &commit_tag, None, &status(500, "UNKNOWN"))]);
    work.program()
        .repository(repository)
        .input("registry-policy", "required")
        .run()
        .failed(30, "unavailable");
    assert!(repository.image(&work.commit_tag()).is_none());
    rules.replace(&[rule(
        "GET|HEAD",
        &repository.path,
        &commit_tag,
        Some(1),
        &status(404, "MANIFEST_UNKNOWN"),
    )]);
    work.program().repository(repository).run().is("reused-key").has(scene.digest());
}

#[test]
fn a_refused_read_names_what_is_missing() {
    let scene = Scene::published("refused");
    let Scene { work, repository, .. } = &scene;
    let rules = Rules::set(&[reads(repository, None, &status(403, "DENIED"))]);
    let required =
        work.program().repository(repository).input("registry-policy", "required").run().failed(20, "access");
    let hint = format!("ecr:BatchGetImage on {}", repository.name());
    assert!(required.annotations("error")[0].contains(&hint), "{}", required.log);
    assert_eq!(scene.own_requests().len(), 1, "a refusal is not asked again");

    rules.replace(&[reads(repository, None, &json!({"kind": "expire_auth", "after_ms": 0}))]);
    let expired =
        work.program().repository(repository).input("registry-policy", "required").run().failed(20, "access");
    assert!(expired.log.contains("log in to") && expired.log.contains("again"), "{}", expired.log);
    // The engine that built it has it still.
    work.program().repository(repository).run().is("reused-local").degraded();
}

#[test]
fn a_refused_token_names_the_right() {
    let (work, repository) = (Workspace::new("token"), Repository::ecr("token"));
    let fault = json!({"kind": "status", "code": 400, "headers": {"Content-Type": "application/x-amz-json-1.1"}, "body": {
        "__type": "AccessDeniedException",
        "message": "User: arn:aws:iam::123456789012:user/x is not authorized to perform: ecr:GetAuthorizationToken"}});
    let endpoint = format!("https://{}", lab().get("BUILD_ONCE_LAB_ECR_HOST"));
    // No other test signs with this name.
    let user = &work.image;
    let header =
        json!({"x-amz-target": "GetAuthorizationToken$", "authorization": format!("Credential={user}/")});
    let rules = Rules::set(&[json!({"method": "POST", "path": "^/$", "header": header, "fault": fault})]);
    let program = || {
        let program = work.program().repository(&repository).env("AWS_ENDPOINT_URL_ECR", &endpoint);
        program.env("AWS_ACCESS_KEY_ID", user)
    };
    let required = program().input("registry-policy", "required").run().failed(20, "access");
    assert!(
        required.annotations("error")[0].contains("allow ecr:GetAuthorizationToken on *"),
        "{}",
        required.log
    );
    program().run().is("built-local").degraded();
    assert!(rules.applied()[0] >= 2);
    assert!(repository.journal().is_empty(), "without a token nothing is asked");
}

#[test]
fn a_repository_that_is_not_there_fails_before_any_build() {
    let (work, repository) = (Workspace::new("absent"), Repository::ecr_absent("absent"));
    let absent = work.program().repository(&repository).run().failed(20, "access");
    let error = absent.annotations("error")[0];
    assert!(error.contains("does not exist") && error.contains("aws ecr create-repository"), "{error}");
    assert_eq!(absent.output("attempts"), "0");
    assert!(repository.journal().iter().all(|entry| !entry.is_write()));
    // Read-only runs make do.
    let fork = work.program().repository(&repository).pull_request(3, &work.head(), true).run();
    fork.is("built-local");
}

#[test]
fn a_refused_push_fails_with_access() {
    let (work, repository) = (Workspace::new("no-push"), Repository::ecr("no-push"));
    let rules = Rules::set(&[rule("PUT", &repository.path, "manifests/", None, &status(403, "DENIED"))]);
    let refused = work.program().repository(&repository).run().failed(20, "access");
    assert_eq!(
        [refused.output("pushed"), refused.output("digest"), refused.output("tag")],
        ["false", "", ""]
    );
    assert_eq!(refused.output("attempts"), "1", "a refusal is not tried again");
    drop(rules);
    work.program().repository(&repository).run().is("built");
}

#[test]
fn a_push_that_breaks_is_tried_again() {
    let (work, repository) = (Workspace::new("broken-push"), Repository::ecr("broken-push"));
    let rules = Rules::set(&[]);
    let faults = [status(500, "UNKNOWN"), json!({"kind": "drop_after_commit"}), json!({"kind": "reset"})];
    for (at, fault) in faults.iter().enumerate() {
        work.write("content.txt", &format!("{} {at}", work.image));
        work.commit("other content");
        let sha = format!("manifests/sha-rf9d832d9-{}", work.image);
        rules.replace(&[rule("PUT", &repository.path, &sha, Some(1), fault)]);
        let built = work.program().repository(&repository).run().is("built");
        assert_eq!(rules.applied(), [1]);
        built.is_published(&repository, &[&work.commit_tag(), &built.key_tag("", &work.image)]);
    }
}

#[test]
fn an_alias_that_breaks_is_tried_again() {
    let scene = Scene::published("broken-alias");
    let Scene { work, repository, .. } = &scene;
    let rules = Rules::set(&[]);
    for fault in [json!({"kind": "drop_after_commit"}), status(500, "UNKNOWN")] {
        work.commit("same content");
        let tag = format!("manifests/{}", work.commit_tag());
        rules.replace(&[rule("PUT", &repository.path, &tag, Some(1), &fault)]);
        let alias = work.program().repository(repository).run().is("reused-key").has(scene.digest());
        alias.is_published(repository, &[&work.commit_tag(), &alias.key_tag("", &work.image)]);
        assert_eq!(rules.applied(), [1], "{fault}");
    }
}

#[test]
fn an_alias_that_is_refused_is_done_without() {
    let scene = Scene::published("no-alias");
    let Scene { work, repository, .. } = &scene;
    work.commit("same content");
    let _rules = Rules::set(&[rule("PUT", &repository.path, "manifests/", None, &status(403, "DENIED"))]);
    let alias = work.program().repository(repository).run().is("reused-key").has(scene.digest());
    assert_eq!(alias.output("commit-tag"), "", "it has no such tag");
    assert_eq!(alias.annotations("notice").len(), 1, "{}", alias.log);
    assert!(repository.image(&work.commit_tag()).is_none());
}

#[test]
fn a_registry_that_shows_the_image_late_is_waited_for() {
    let (work, repository) = (Workspace::new("late"), Repository::ecr("late"));
    let tag = format!("manifests/{}", work.commit_tag());
    // The first look is before the build; it starts the clock.
    let rules =
        Rules::set(&[rule("GET", &repository.path, &tag, None, &json!({"kind": "hide", "ms": 6000}))]);
    let built = work.program().repository(&repository).run().is("built");
    assert!(rules.applied()[0] >= 2, "it was hidden after the push too");
    built.is_published(&repository, &[&work.commit_tag()]);
}

#[test]
fn content_that_is_not_what_the_digest_says_is_refused() {
    let scene = Scene::published("wrong");
    let swap = json!({"kind": "swap_body", "body": {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2, "digest": format!("sha256:{}", "0".repeat(64))},
        "layers": [], "annotations": {"io.github.build-once.key": scene.built.output("key")}}});
    let _rules = Rules::set(&[reads(&scene.repository, None, &swap)]);
    scene.work.program().repository(&scene.repository).run().failed(40, "integrity");
    // The engine's own copy, which it pushed itself, is right.
    scene.work.forget();
    let (folder, digest) = (scene.work.root(), scene.digest());
    let pull =
        scene.work.program().repository(&scene.repository).input("mode", "pull").input("digest", digest);
    pull.folder(folder).run().failed(40, "integrity");
}

#[test]
fn a_cache_that_cannot_be_written_fails_no_build() {
    let (work, repository) = (Workspace::new("no-cache"), Repository::ecr("no-cache"));
    let rules =
        Rules::set(&[rule("PUT", &repository.path, "manifests/cache-", None, &status(500, "UNKNOWN"))]);
    let built = work.program().repository(&repository).run().is("built").degraded();
    assert!(rules.applied()[0] > 0);
    built.is_published(&repository, &[&work.commit_tag()]);
    rules.replace(&[rule("GET|HEAD", &repository.path, "manifests/cache-", None, &status(500, "UNKNOWN"))]);
    work.write("content.txt", "other");
    work.commit("other content");
    work.program().repository(&repository).run().is("built");
}
