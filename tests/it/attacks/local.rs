//! By the engine's store, on a runner that serves jobs of every trust one after the other.

use serde_json::json;

use super::{Played, World, fails, told};
use crate::support::{BuildOnce, Response};

const ORIGIN: &str = "not known to be of a run that this one may trust";

/// `docker build --label …`, as any job can.
fn plant(world: &World, labels: &serde_json::Value) {
    let image = json!([{"id": "sha256:ee", "names": [], "digests": [], "labels": labels}]);
    world.lab.write("bin/store.json", image.to_string());
}

/// It worked if the victim gives the planted image its name.
fn takes_planted(world: &World, victim: BuildOnce<'_>) -> Played {
    let run = world.run(victim);
    Played { worked: run.called("tag sha256:ee").len() == 1, told: told(&run) }
}

#[test]
fn an_image_with_a_forged_key() {
    fails("local-origin", ORIGIN, |world| {
        plant(world, &json!({"io.github.build-once.key": world.key()}));
        takes_planted(world, world.lab.build_once())
    });
}

#[test]
fn an_image_with_a_forged_key_and_the_mark_of_another_pull_request() {
    fails("local-origin", ORIGIN, |world| {
        let labels = json!({"io.github.build-once.key": world.key(), "io.github.build-once.origin": "pr-1"});
        plant(world, &labels);
        takes_planted(world, world.lab.build_once().pull_request(12))
    });
}

#[test]
fn an_image_that_a_pull_request_left_behind() {
    fails("local-origin", ORIGIN, |world| {
        let attack = world.run(world.lab.build_once().pull_request(12));
        let victim = world.run(world.lab.build_once());
        Played { worked: victim.output("outcome") == "reused-local", told: told(&victim) }.after(&attack)
    });
}

#[test]
fn an_image_that_one_fork_left_for_another() {
    fails("local-origin", ORIGIN, |world| {
        let attack = world.run(world.lab.build_once().pull_request_from("pull_request", 1, 2));
        let victim = world.run(world.lab.build_once().pull_request_from("pull_request", 2, 2));
        Played { worked: victim.output("outcome") == "reused-local", told: told(&victim) }.after(&attack)
    });
}

#[test]
fn an_image_that_a_pull_request_left_behind_while_the_registry_is_down() {
    fails("local-origin", ORIGIN, |world| {
        world.lab.registry.fault("/manifests/", 99, Response::new(503, ""));
        let attack = world.run(world.lab.shared().pull_request(12));
        let victim = world.run(world.lab.shared());
        Played { worked: victim.output("outcome") == "reused-local", told: told(&victim) }.after(&attack)
    });
}
