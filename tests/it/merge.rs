//! `mode: merge`: platforms that were built apart become one image.

use build_once::testing::MEDIA_TYPES;
use serde_json::{Value, json};

use crate::support::{BuildOnce, HEAD, Lab};

const TAG: &str = "sha-rf9d832d9-app-1111111111111111111111111111111111111111";
const ZONE: &str = "io.github.build-once.zone";
const ENTRIES: &str = "io.github.build-once.entries";

/// As a job with a runner of this platform builds it, under an image name of its own.
fn build<'a>(program: BuildOnce<'a>, platform: &str) -> BuildOnce<'a> {
    let name = format!("app-{}", platform.rsplit('/').next().unwrap());
    program.input("image", &name).input("platforms", platform)
}

fn built(lab: &Lab, platform: &str) -> String {
    build(lab.shared(), platform).run().succeeds("built").output("digest").to_owned()
}

fn merge<'a>(program: BuildOnce<'a>, digests: &str) -> BuildOnce<'a> {
    program.input("mode", "merge").input("digests", digests)
}

/// Two platforms, as a matrix of two jobs hands them over.
fn two(lab: &Lab) -> (String, String, String) {
    let (amd64, arm64) = (built(lab, "linux/amd64"), built(lab, "linux/arm64"));
    let digests = format!("linux/arm64={arm64}\nlinux/amd64={amd64}");
    lab.forget_calls();
    lab.registry.forget_requests();
    (amd64, arm64, digests)
}

fn writes(lab: &Lab) -> Vec<String> {
    lab.registry.asked().into_iter().filter(|request| !request.starts_with("GET ")).collect()
}

/// An index of one image, as buildx makes it where there is a provenance.
fn attested(lab: &Lab, image: &str, architecture: &str) -> (String, String) {
    let manifest = lab.registry.manifest(&format!("ci/{image}")).unwrap();
    let attestation = lab.registry.store(&json!({
        "schemaVersion": 2, "mediaType": MEDIA_TYPES[2], "config": manifest["config"], "layers": [], "annotations": {"of": image},
    }));
    let line = |digest: &str, os: &str, architecture: &str| json!({"mediaType": MEDIA_TYPES[2], "digest": digest, "size": 7, "platform": {"os": os, "architecture": architecture}});
    let mut second = line(&attestation, "unknown", "unknown");
    second["annotations"] =
        json!({"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image});
    let index = lab.registry.store(&json!({
        "schemaVersion": 2, "mediaType": MEDIA_TYPES[0], "annotations": manifest["annotations"],
        "manifests": [second, line(image, "linux", architecture)],
    }));
    (index, attestation)
}

fn lines(index: &Value) -> Vec<&str> {
    index["manifests"].as_array().unwrap().iter().map(|line| line["digest"].as_str().unwrap()).collect()
}

#[test]
fn two_platforms_become_one_image_without_docker_and_without_a_checkout() {
    let lab = Lab::new();
    let (amd64, arm64, digests) = two(&lab);
    std::fs::remove_dir_all(lab.path("work")).unwrap();
    std::fs::create_dir(lab.path("work")).unwrap();
    lab.without_docker();
    let tag = format!("{}:v1", lab.registry.repository());
    let annotations = "index:org.opencontainers.image.title=App\nmanifest,index:a=b\nmanifest:c=d";
    let program = merge(lab.shared(), &digests).input("tags", &tag).input("annotations", annotations);
    let run = program.run().succeeds("merged");
    let digest = lab.registry.digest(&format!("ci/{TAG}")).unwrap();
    assert_eq!((run.output("digest"), run.output("imageid")), (digest.as_str(), digest.as_str()));
    assert_eq!(run.output("image"), format!("{}@{digest}", lab.registry.repository()));
    assert_eq!((run.output("commit-tag"), run.output("tag"), run.output("local-image")), (TAG, "", ""));
    assert_eq!(
        (run.output("built"), run.output("pushed"), run.output("degraded")),
        ("false", "true", "false")
    );
    assert_eq!(writes(&lab), [format!("PUT ci/manifests/{TAG}"), "PUT ci/manifests/v1".to_owned()]);
    assert_eq!(lab.registry.digest("ci/v1").as_ref(), Some(&digest));
    assert!(run.calls.is_empty(), "{:?}", run.lines());

    let index = lab.registry.manifest(&format!("ci/{TAG}")).unwrap();
    assert_eq!(index["mediaType"], MEDIA_TYPES[0]);
    let image = |digest: &str, architecture: &str| {
        let size = lab.registry.manifest(&format!("ci/{digest}")).unwrap().to_string().len();
        json!({"digest": digest, "mediaType": MEDIA_TYPES[2], "size": size, "platform": {"architecture": architecture, "os": "linux"}})
    };
    assert_eq!(index["manifests"], json!([image(&amd64, "amd64"), image(&arm64, "arm64")]));
    let expected = json!({
        "a": "b", ZONE: "trusted", "org.opencontainers.image.revision": HEAD, "org.opencontainers.image.title": "App",
    });
    assert_eq!(index["annotations"], expected);
    assert!(run.notices().contains("annotations not set: manifest:c;"), "{}", run.notices());
    assert!(run.summary.contains(&format!("| linux/arm64 | <code>{arm64}</code> |")), "{}", run.summary);
    assert!(run.summary.contains("merged and published"), "{}", run.summary);
}

#[test]
fn the_order_does_not_matter_and_a_second_merge_writes_nothing() {
    let lab = Lab::new();
    let (amd64, arm64, digests) = two(&lab);
    let first = merge(lab.shared(), &digests).run().succeeds("merged");
    lab.registry.forget_requests();
    let again = merge(lab.shared(), &format!("{amd64}\n{arm64}")).run().succeeds("merged");
    assert_eq!((again.output("digest"), again.output("pushed")), (first.output("digest"), "false"));
    assert_eq!(writes(&lab), [""; 0]);
    // The next commit has the same platforms: the same image, with one name more.
    let later = "7".repeat(40);
    let next = merge(lab.shared().commit(&later), &digests).run().succeeds("merged");
    assert_eq!(next.output("digest"), first.output("digest"));
    assert_eq!(writes(&lab), [format!("PUT ci/manifests/sha-rf9d832d9-app-{later}")]);
}

#[test]
fn attestations_ride_along() {
    let lab = Lab::new();
    let (amd64, arm64, _) = two(&lab);
    let ((amd64_index, amd64_proof), (arm64_index, arm64_proof)) =
        (attested(&lab, &amd64, "amd64"), attested(&lab, &arm64, "arm64"));
    let run = merge(lab.shared(), &format!("linux/arm64={arm64_index}\nlinux/amd64={amd64_index}")).run();
    let _ = run.succeeds("merged");
    let index = lab.registry.manifest(&format!("ci/{TAG}")).unwrap();
    assert_eq!(lines(&index), [&amd64, &amd64_proof, &arm64, &arm64_proof]);
    let proof = &index["manifests"][3];
    assert_eq!(proof["annotations"]["vnd.docker.reference.digest"], arm64.as_str());
    assert_eq!(proof["platform"], json!({"architecture": "unknown", "os": "unknown"}));
    // One with, one without.
    let _ = merge(lab.shared(), &format!("{arm64}\n{amd64_index}")).run().succeeds("merged");
    assert_eq!(lines(&lab.registry.manifest(&format!("ci/{TAG}")).unwrap()), [&amd64, &amd64_proof, &arm64]);
}

#[test]
fn what_cannot_be_merged_is_refused_by_name() {
    let lab = Lab::new();
    let (amd64, arm64, digests) = two(&lab);
    let absent = format!("sha256:{}", "a".repeat(64));
    let stranger = lab.registry.publish("ci/stranger", &json!({}), &json!({}));
    let (index, _) = attested(&lab, &arm64, "arm64");
    let mut foreign = lab.registry.manifest(&format!("ci/{index}")).unwrap();
    foreign["manifests"][0]["annotations"] = json!({});
    let foreign = lab.registry.store(&foreign);
    foreign_family(&lab);
    let other = built(&lab, "linux/arm64");
    lab.registry.forget_requests();
    let refused = |digests: &str, code: i32, class: &str, said: &str| {
        let run = merge(lab.shared(), digests).run().fails(code, class);
        assert!(run.error().contains(said), "{said}\n{}", run.error());
    };
    refused(
        &format!("{amd64}\nlinux/amd64={amd64}"),
        2,
        "input",
        &format!("linux/amd64={amd64}: linux/amd64 is there already, in {amd64}"),
    );
    refused(
        &format!("linux/arm64={amd64}"),
        2,
        "input",
        &format!("linux/arm64={amd64}: it is for linux/amd64"),
    );
    refused(
        &format!("{amd64}\nlinux/arm64={absent}"),
        20,
        "access",
        &format!("has no image linux/arm64={absent}"),
    );
    refused(&stranger, 2, "input", "it is no image of build-once's");
    refused(&foreign, 2, "input", "which is neither an image nor an attestation of one");
    refused(
        &format!("{amd64}\n{other}"),
        2,
        "input",
        &format!("{other}: it was made from other inputs than {amd64}: file `hello`"),
    );
    refused(
        "linux/amd64=",
        2,
        "input",
        "`linux/amd64=` has no digest: the job that built it published nothing",
    );
    refused("", 2, "input", "input `platforms`: needs several platforms with mode merge");
    let run =
        merge(lab.shared(), &digests).input("platforms", "linux/amd64,linux/s390x").run().fails(2, "input");
    assert!(
        run.error().contains(
            "it has linux/amd64, linux/arm64, and the input platforms names linux/amd64, linux/s390x"
        )
    );
    let run = merge(lab.build_once(), &digests).run().fails(20, "access");
    assert!(run.error().contains("there is no repository to merge in"), "{}", run.error());
    assert_eq!(writes(&lab), [""; 0]);
}

/// What is built from now on is of other content.
fn foreign_family(lab: &Lab) {
    lab.write("work/hello", "another\n");
}

#[test]
fn a_registry_that_does_not_say_is_no_answer() {
    let lab = Lab::new();
    let (_, _, digests) = two(&lab);
    lab.registry.fault("/manifests/sha256:", 9, crate::support::Response::new(503, ""));
    let run = merge(lab.shared(), &digests).run().fails(30, "unavailable");
    assert!(run.error().contains("503"), "{}", run.error());
    assert_eq!(writes(&lab), [""; 0]);
}

#[test]
fn a_tag_that_names_something_else_and_cannot_be_changed() {
    let lab = Lab::new();
    let (_, _, digests) = two(&lab);
    lab.registry.put(TAG, None);
    let said = r#"{"errors":[{"code":"TAG_INVALID","message":"The image tag already exists and cannot be overwritten because the tag is immutable."}]}"#;
    // It is looked at before it is set.
    let put = crate::support::Response::new(400, said);
    lab.registry.fault_on("PUT", TAG, put);
    let run = merge(lab.shared(), &digests).run().fails(40, "integrity");
    assert_eq!((run.output("digest"), run.output("pushed")), ("", "false"));
}

#[test]
fn a_pull_request_merges_what_it_built_in_its_own_zone() {
    let lab = Lab::new();
    let pr = || lab.shared().pull_request(12);
    let part = |platform: &str| build(pr(), platform).run().succeeds("built").output("digest").to_owned();
    let digests = format!("{}\n{}", part("linux/amd64"), part("linux/arm64"));
    let tag = format!("{}:v1", lab.registry.repository());
    let run = merge(pr(), &digests).input("tags", &tag).run().succeeds("merged").degraded();
    assert_eq!(run.output("commit-tag"), format!("pr-12-{TAG}"));
    let index = lab.registry.manifest(&format!("ci/pr-12-{TAG}")).unwrap();
    assert_eq!(index["annotations"][ZONE], "pr");
    assert!(lab.registry.digest("ci/v1").is_none() && lab.registry.digest(&format!("ci/{TAG}")).is_none());
    // What it built is nothing for a run that is trusted more; what that one built is for both.
    let run = merge(lab.shared(), &digests).run().fails(2, "input");
    assert!(run.error().contains("it was published by a run of the zone pr"), "{}", run.error());
    let (_, _, digests) = two(&lab);
    let _ = merge(pr(), &digests).run().succeeds("merged");
}

#[test]
fn a_run_that_may_not_publish_merges_nothing() {
    let lab = Lab::new();
    let (_, _, digests) = two(&lab);
    let run = merge(lab.shared().fork(), &digests).run().fails(20, "access");
    assert!(run.error().contains("this run may not publish"), "{}", run.error());
    assert!(run.error().contains("hint: skip this job"), "{}", run.error());
    assert_eq!((run.output("digest"), run.output("failure-cause")), ("", "not-published"));
    assert_eq!(writes(&lab), [""; 0]);
}

#[test]
fn the_plan_prints_it_and_writes_nothing() {
    let lab = Lab::new();
    let (_, arm64, digests) = two(&lab);
    let plan = merge(lab.shared(), &digests).args(&["plan", "--json"]).run();
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(
        (&plan["images"][0]["outcome"], &plan["steps"][0]["step"]),
        (&json!("merged"), &json!("put-index"))
    );
    assert_eq!(plan["steps"][0]["index"]["images"][1], json!(["linux/arm64", arm64]));
    assert_eq!(writes(&lab), [""; 0]);
    let text = merge(lab.shared(), &digests).args(&["plan"]).run().stdout;
    let run = merge(lab.shared(), &digests).run().succeeds("merged");
    assert_eq!(plan["steps"][0]["index"]["digest"], run.output("digest"));
    assert!(
        text.contains(&format!("store the index {} of linux/amd64, linux/arm64 as ", run.output("digest"))),
        "{text}"
    );
    assert!(plan["steps"][0].get("text").is_none() && !text.contains(ENTRIES));
}

#[test]
fn an_index_names_images_of_its_own_repository() {
    let lab = Lab::new();
    let (_, _, digests) = two(&lab);
    let own = format!("{}/pr", lab.registry.repository());
    let pr = lab.shared().pull_request(12).input("pr-repository", &own);
    let run = merge(pr, &digests).run().fails(2, "input");
    assert!(run.error().contains("an index names images of its own repository"), "{}", run.error());
    assert_eq!(writes(&lab), [""; 0]);
}

#[test]
fn a_job_that_uses_it_pulls_it_by_digest() {
    let lab = Lab::new();
    let (_, _, digests) = two(&lab);
    let merged = merge(lab.shared(), &digests).run().succeeds("merged");
    let pull = || lab.shared().input("mode", "pull").input("on-missing", "fail");
    let by_key = pull().input("platforms", "linux/amd64,linux/arm64").run().fails(20, "access");
    assert!(by_key.error().contains("no image with this key"), "{}", by_key.error());
    lab.rule("pull", json!({"exit": 0}));
    lab.rule("tag", json!({"exit": 0}));
    let by_digest = pull().input("digest", merged.output("digest")).run();
    assert_eq!(by_digest.output("digest"), merged.output("digest"), "{}", by_digest.all());
    assert_eq!(by_digest.output("outcome"), "reused-digest");
}
