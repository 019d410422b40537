//! By what is stored under a name that a run of more trust reads: somebody with too many rights put
//! it there, or the registry answers with something else.

use serde_json::json;

use super::{LATER, Played, fails, told};
use crate::support::{HEAD, Response};

#[test]
fn another_image_under_mains_commit_tag() {
    fails("expected-key", "was made from other inputs", |world| {
        let evil = world.lab.registry.put(&format!("sha-rf9d832d9-app-{HEAD}"), None);
        world.uses(&evil, world.lab.shared())
    });
}

#[test]
fn another_image_under_mains_key_tag() {
    fails("expected-key", "was made from other inputs", |world| {
        let tag = format!("key-rf9d832d9-app-{}", &world.key()[..32]);
        let evil = world.lab.registry.put(&tag, Some(&"e".repeat(64)));
        world.uses(&evil, world.lab.shared())
    });
}

#[test]
fn an_index_one_of_whose_images_was_swapped() {
    fails("every-child", "was made from other inputs", |world| {
        let key = world.key();
        let image = |labels, tag: &str| world.lab.registry.publish(&format!("ci/{tag}"), &labels, &json!({}));
        let genuine = image(json!({"io.github.build-once.key": key}), "genuine");
        let evil = image(json!({"evil": "1"}), "evil");
        let index = world.lab.registry.put_index(&format!("sha-rf9d832d9-app-{HEAD}"), &[&genuine, &evil]);
        world.uses(&index, world.lab.shared())
    });
}

#[test]
fn an_image_whose_bytes_were_swapped() {
    fails("content-digest", "the registry sent wrong content", |world| {
        let attack = world.run(world.lab.shared().pull_request(12));
        let evil = world.lab.registry.manifest(&format!("ci/pr-12-sha-rf9d832d9-app-{HEAD}")).unwrap();
        let genuine = world.run(world.lab.shared().commit(LATER));
        world.lab.another_machine();
        let swapped = Response::new(200, evil.to_string())
            .header("content-type", "application/vnd.oci.image.manifest.v1+json")
            .header("docker-content-digest", genuine.output("digest"));
        world.lab.registry.fault(&format!("/manifests/sha-rf9d832d9-app-{LATER}"), 99, swapped);
        let Played { worked, told } = world.uses(attack.output("digest"), world.lab.shared().commit(LATER));
        Played { worked, told }
    });
}

#[test]
fn a_pull_requests_image_among_what_is_merged() {
    fails("merged-zones", "it was published by a run of the zone pr", |world| {
        let attack = world.run(world.lab.shared().pull_request(12));
        let merge = world.lab.shared().input("mode", "merge").input("digests", attack.output("digest"));
        let victim = world.run(merge);
        Played { worked: victim.code == 0, told: told(&victim) }
    });
}
