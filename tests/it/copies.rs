//! Tags in other repositories than the run's: the image is copied there, on a hit too, without an engine.

use std::time::Duration;

use build_once::testing::MEDIA_TYPES;
use serde_json::{Value, json};

use crate::support::{HEAD, Lab, Login, Registry, Response};

/// The key of the build in the lab.
fn key(lab: &Lab) -> String {
    let printed = lab.build_once().args(&["key", "--json"]).run();
    let printed: Value = serde_json::from_str(&printed.stdout).unwrap();
    printed["key"].as_str().unwrap().to_owned()
}

/// An image of one layer, found by this commit's tag.
fn image_with_layer(lab: &Lab, layer: Vec<u8>) -> (String, Value) {
    let layer = lab.registry.store_blob(layer);
    let config = lab.registry.store_blob(b"{\"architecture\":\"amd64\",\"os\":\"linux\"}".to_vec());
    let config = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "size": config["size"], "digest": config["digest"]});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MEDIA_TYPES[2], "config": config, "layers": [layer, layer],
        "annotations": {"io.github.build-once.key": key(lab)},
    });
    let digest = lab.registry.store_as(&format!("sha-rf9d832d9-app-{HEAD}"), &manifest);
    (digest, layer)
}

fn elsewhere(lab: &Lab) -> Registry {
    let other = Registry::start();
    other.let_push();
    lab.without_docker();
    other
}

#[test]
fn an_index_with_all_that_it_names() {
    let lab = Lab::new();
    let key = key(&lab);
    let one = &*lab.registry.put_labelled("amd64", &key);
    let labels = json!({"io.github.build-once.key": key, "of": "arm64"});
    let two = &*lab.registry.publish("ci/arm64", &labels, &json!({}));
    let index = lab.registry.put_index(&format!("sha-rf9d832d9-app-{HEAD}"), &[one, two]);
    let other = elsewhere(&lab);
    let tag = format!("{}/mirror:v1", other.address());
    let run = lab.shared().input("tags", &tag).run().succeeds("reused-tag");
    assert_eq!((run.output("digest"), other.digest("mirror/v1").as_deref()), (index.as_str(), Some(&*index)));
    for child in [one, two] {
        let manifest = other.manifest(&format!("mirror/{child}")).unwrap();
        assert!(other.holds(&format!("mirror/{}", manifest["config"]["digest"].as_str().unwrap())));
    }
    // The tag is last.
    assert!(
        other
            .asked()
            .iter()
            .rposition(|asked| asked.starts_with("PUT"))
            .is_some_and(|last| { other.asked()[last] == "PUT mirror/manifests/v1" })
    );
    // Another tag costs no layer, the same one no write.
    other.forget_requests();
    let again = format!("{tag}\n{}/mirror:v2", other.address());
    let _ = lab.shared().input("tags", &again).run().succeeds("reused-tag");
    let writes: Vec<String> =
        other.asked().into_iter().filter(|asked| !asked.starts_with(['G', 'H'])).collect();
    assert_eq!(writes, ["PUT mirror/manifests/v2"]);
}

#[test]
fn a_layer_is_streamed() {
    const LAYER: usize = 96 << 20;
    let lab = Lab::new();
    let (digest, layer) = image_with_layer(&lab, vec![7; LAYER]);
    let other = elsewhere(&lab);
    let mut running = lab.shared().input("tags", &format!("{}/mirror:v1", other.address())).start();
    let mut peak = 0;
    while running.is_running() {
        peak = peak.max(running.peak_memory());
        std::thread::sleep(Duration::from_millis(5));
    }
    let run = running.finish().succeeds("reused-tag");
    assert_eq!(other.digest("mirror/v1"), Some(digest));
    assert!(other.holds(&format!("mirror/{}", layer["digest"].as_str().unwrap())));
    assert!(peak > 0 && peak < (LAYER as u64 / 2) >> 10, "{peak} KiB");
    assert!(run.all().contains("0 mounted, 2 sent"), "{}", run.all());
}

#[test]
fn beside_it_the_registry_mounts() {
    for (mounts, refuses) in [(true, false), (false, false), (false, true)] {
        let lab = Lab::new();
        let (digest, layer) = image_with_layer(&lab, vec![7; 1000]);
        lab.registry.let_push();
        if mounts {
            lab.registry.let_mount();
        }
        if refuses {
            for _ in 0..2 {
                lab.registry.fault_on("POST", "mount=", Response::error(405, "UNSUPPORTED", "no mounts"));
            }
        }
        lab.registry.forget_requests();
        let tag = format!("{}/released:v1", lab.registry.address());
        let _ = lab.shared().input("tags", &tag).run().succeeds("reused-tag");
        assert_eq!(lab.registry.digest("released/v1").as_ref(), Some(&digest));
        let blob = layer["digest"].as_str().unwrap();
        assert!(lab.registry.holds(&format!("released/{blob}")));
        let sent = lab.registry.asked().contains(&format!("GET ci/blobs/{blob}"));
        assert_eq!(sent, !mounts, "{:?}", lab.registry.asked());
    }
}

/// Each registry has its own login.
#[test]
fn each_registry_gets_its_own_login() {
    let lab = Lab::new();
    let (digest, _) = image_with_layer(&lab, vec![7; 10]);
    let other = elsewhere(&lab);
    other.require(Login::Bearer("ann", "her-password"));
    let login = format!("{} ann PASSWORD", other.address());
    let program = |password: &str| {
        let program = lab.shared().input("logins", &login).env("PASSWORD", password);
        program.input("tags", &format!("{}/mirror:v1", other.address()))
    };
    let _ = program("wrong").run().fails(20, "access");
    let _ = program("her-password").run().succeeds("reused-tag");
    assert_eq!(other.digest("mirror/v1"), Some(digest));
}

#[test]
fn another_registry_that_is_down_costs_its_own_tags_alone() {
    let lab = Lab::new();
    let (digest, _) = image_with_layer(&lab, vec![7; 10]);
    let other = elsewhere(&lab);
    // Nothing listens there.
    let down = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap().to_string()
    };
    let denied = Registry::start();
    let tags = format!("{down}/x:v1\n{}/x:v1\n{}/x:v1\nlatest", denied.address(), other.address());
    let run = lab.shared().input("tags", &tags).input("retries", "0").run().fails(30, "unavailable");
    assert_eq!(other.digest("x/v1").as_ref(), Some(&digest));
    assert_eq!(lab.registry.digest("ci/latest").as_ref(), Some(&digest));
    assert!(denied.tags().is_empty());
    let said = run.error();
    assert!(said.contains(&format!("not set: {down}/x:v1, {}/x:v1", denied.address())), "{said}");
    // Without the one that is down, the right that is missing is named.
    let run = lab.shared().input("tags", &format!("{}/x:v1", denied.address())).run().fails(20, "access");
    let said = format!("failed to send a layer of {}/x:v1", denied.address());
    assert!(run.error().contains(&said) && run.error().contains("check that the login"), "{}", run.error());
}

#[test]
fn an_upload_that_is_cut_is_tried_again() {
    let lab = Lab::new();
    let (digest, layer) = image_with_layer(&lab, vec![7; 1 << 20]);
    let other = elsewhere(&lab);
    other.fault_on("PUT", "/blobs/uploads/", Response::cut());
    let tag = format!("{}/mirror:v1", other.address());
    let run = lab.shared().input("tags", &tag).input("retries", "0").run().fails(30, "unavailable");
    assert!(run.error().contains("failed to send a layer"), "{}", run.error());
    assert!(other.digest("mirror/v1").is_none() && other.manifest(&format!("mirror/{digest}")).is_none());
    other.fault_on("PUT", "/blobs/uploads/", Response::cut());
    // The source breaks off in the middle.
    let half = Response::new(200, vec![7; 100]).header("x-half", "1");
    lab.registry.fault(&format!("/blobs/{}", layer["digest"].as_str().unwrap()), 1, half);
    let run = lab.shared().input("tags", &tag).input("retries", "3").run().succeeds("reused-tag");
    assert_eq!(other.digest("mirror/v1"), Some(digest));
    assert!(run.summary.contains("tried again"), "{}", run.summary);
}

#[test]
fn a_layer_that_the_registry_lost_is_named() {
    let lab = Lab::new();
    let (_, layer) = image_with_layer(&lab, vec![7; 10]);
    let other = elsewhere(&lab);
    let layer = layer["digest"].as_str().unwrap();
    lab.registry.forget_blob(layer);
    let tag = format!("{}/mirror:v1", other.address());
    let run = lab.shared().input("tags", &tag).run().fails(30, "unavailable");
    let said = format!("{} has lost {layer}, which the image names", lab.registry.repository());
    assert!(run.error().contains(&said) && run.error().contains("rebuild: true"), "{}", run.error());
    assert!(other.tags().is_empty());
}

#[test]
fn a_tag_that_is_immutable_elsewhere() {
    let lab = Lab::new();
    let _ = image_with_layer(&lab, vec![7; 10]);
    let other = elsewhere(&lab);
    let refusal = "The image tag 'v1' already exists in the 'mirror' repository and cannot be overwritten because the tag is immutable.";
    other.fault_on("PUT", "mirror/manifests/v1", Response::error(400, "TAG_INVALID", refusal));
    let tags = format!("{}/mirror:v1\nlatest", other.address());
    let run = lab.shared().input("tags", &tags).run().fails(40, "integrity");
    assert_eq!(run.output("failure-cause"), "immutable-tag");
    assert!(lab.registry.digest("ci/latest").is_some());
}
