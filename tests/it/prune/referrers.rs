//! Signatures and attestations that refer to an image, in registries that list tags alone.

use serde_json::{Value, json};

use super::{image, pr_tag, prune};
use crate::support::github::GitHub;
use crate::support::{Deletes, Lab, Response};

/// A manifest about another one.
pub(super) fn about(subject: &str, name: &str) -> Value {
    let mut manifest = image(name, false);
    manifest["subject"] = json!({"mediaType": super::OCI_IMAGE, "digest": subject, "size": 400});
    manifest
}

/// The image of a closed pull request and that of an open one, each signed; the signature of the first is signed too.
fn signed() -> (Lab, GitHub, Vec<String>, String) {
    let (lab, github) = (Lab::new(), GitHub::start());
    github.close(7, 3);
    github.open(8);
    lab.registry.deletes(Deletes::Tags);
    let seven = lab.registry.put(&pr_tag(7), Some("seven"));
    let eight = lab.registry.put(&pr_tag(8), Some("eight"));
    lab.registry.put("latest", Some("latest"));
    let first = lab.registry.store(&about(&seven, "signature"));
    let second = lab.registry.store(&about(&seven, "attestation"));
    let third = lab.registry.store(&about(&first, "signature of the signature"));
    let stays = lab.registry.store(&about(&eight, "signature of eight"));
    (lab, github, vec![seven, first, second, third], stays)
}

#[test]
fn signatures_go_with_their_image_and_after_it() {
    let (lab, github, go, stays) = signed();
    lab.registry.list_referrers(1);
    let plan = prune(&lab, &github).run();
    assert_eq!((plan.code, plan.output("planned")), (0, "4"), "{}", plan.all());
    let run = prune(&lab, &github).input("apply", "true").input("force", "true").run();
    assert_eq!((run.code, run.output("removed")), (0, "4"), "{}", run.all());
    for digest in &go {
        assert_eq!(lab.registry.manifest(&format!("ci/{digest}")), None, "{digest}");
    }
    assert!(lab.registry.manifest(&format!("ci/{stays}")).is_some());
    let asked = lab.registry.asked();
    let place = |digest: &str| {
        asked.iter().position(|asked| *asked == format!("DELETE ci/manifests/{digest}")).unwrap()
    };
    assert!(place(&go[0]) < place(&go[1]) && place(&go[1]) < place(&go[3]), "{asked:?}");
    let about_eight = lab.registry.digest(&format!("ci/{}", pr_tag(8))).unwrap();
    assert!(!asked.iter().any(|asked| asked.contains(&format!("referrers/{about_eight}"))), "only what goes");
    github.check();
}

#[test]
fn a_registry_without_referrers_is_asked_once() {
    for instead in [
        None,
        Some(Response::new(405, "")),
        Some(Response::error(400, "UNSUPPORTED", "not here")),
        Some(Response::new(200, "<html>")),
    ] {
        let (lab, github, go, _) = signed();
        github.close(8, 3);
        if let Some(instead) = instead {
            lab.registry.fault("/referrers/", usize::MAX, instead);
        }
        let plan = prune(&lab, &github).run();
        assert_eq!((plan.code, plan.output("planned")), (0, "2"), "{}", plan.all());
        let asked = lab.registry.asked().iter().filter(|asked| asked.contains("/referrers/")).count();
        assert_eq!(asked, 1);
        let run = prune(&lab, &github).input("apply", "true").input("force", "true").run();
        assert_eq!((run.code, run.output("removed")), (0, "2"), "{}", run.all());
        assert!(lab.registry.manifest(&format!("ci/{}", go[1])).is_some());
    }
}

#[test]
fn referrers_that_cannot_be_read_stop_everything() {
    let index =
        |text: &str| Response::new(200, text).header("content-type", build_once::testing::MEDIA_TYPES[0]);
    let circle = r#"{"schemaVersion":2,"manifests":[]}"#;
    for (instead, code) in [
        (Response::new(500, ""), 30),
        (Response::new(403, ""), 20),
        (index("<html>"), 30),
        (index(r#"{"schemaVersion":2}"#), 30),
        (index(r#"{"schemaVersion":2,"manifests":[{"digest":"sha512:00"}]}"#), 30),
        (index(circle).header("link", "</v2/ci/referrers/x?page=1>; rel=\"next\""), 30),
    ] {
        let (lab, github, ..) = signed();
        lab.registry.list_referrers(100);
        lab.registry.fault("/referrers/", usize::MAX, instead);
        let before = lab.registry.tags();
        let run =
            prune(&lab, &github).input("apply", "true").input("force", "true").input("retries", "0").run();
        assert_eq!((run.code, run.output("outcome")), (code, "failed"), "{}", run.all());
        assert_eq!(lab.registry.tags(), before);
        assert!(!lab.registry.asked().iter().any(|asked| asked.starts_with("DELETE")));
    }
}

#[test]
fn an_index_that_is_known_by_a_signature_alone_keeps_its_images() {
    let (lab, github, go, _) = signed();
    // The index has no tag; its signature has one that no run of build-once made.
    let index = lab.registry.store(&super::index(&[&go[0]]));
    let signature = lab.registry.store(&about(&index, "signature of an index"));
    lab.registry.tag("release-signature", &signature);
    let run = prune(&lab, &github).input("apply", "true").input("force", "true").run();
    assert_eq!((run.code, run.output("outcome")), (0, "nothing"), "{}", run.all());
    assert!(lab.registry.tags().contains(&pr_tag(7)));
}

#[test]
fn an_index_that_only_a_tag_of_a_signature_names_keeps_its_images() {
    let (lab, github, go, _) = signed();
    let index = lab.registry.store(&super::index(&[&go[0]]));
    let signature = lab.registry.store(&about(&index, "signature of an index"));
    lab.registry.tag(&format!("{}.sig", index.replace(':', "-")), &signature);
    let run = prune(&lab, &github).input("apply", "true").input("force", "true").run();
    assert_eq!((run.code, run.output("outcome")), (0, "nothing"), "{}", run.all());
    assert!(lab.registry.tags().contains(&pr_tag(7)));
}
