//! By the engine's store, on a runner that serves jobs of every trust one after the other.

use serde_json::{Value, json};

use super::{Played, World, fails, told};
use crate::support::{BuildOnce, Response, Run};

const NONE_HERE: &str = "this machine has no image with this key of a run that this one may trust";

/// `docker build -t app`, as any job can: with these labels, and what people call the image.
fn plant(world: &World, labels: &Value) {
    let mut images = world.lab.images().as_array().cloned().unwrap_or_default();
    for image in &mut images {
        image["names"].as_array_mut().unwrap().retain(|name| name != "app:latest");
    }
    images.push(json!({"id": "sha256:ee", "names": ["app:latest"], "digests": [], "labels": labels}));
    world.lab.write("bin/store.json", Value::from(images).to_string());
}

/// The id of the image under a name.
fn id(world: &World, name: &str) -> Value {
    let named = |image: &Value| image["names"].as_array().unwrap().iter().any(|known| known == name);
    world
        .lab
        .images()
        .as_array()
        .unwrap()
        .iter()
        .find(|image| named(image))
        .map_or(Value::Null, |i| i["id"].clone())
}

/// It worked if the victim gives the planted image its name.
fn takes_planted(world: &World, victim: BuildOnce<'_>) -> Played {
    let run = world.run(victim);
    let worked =
        !run.called("tag sha256:ee").is_empty() || id(world, run.output("local-image")) == "sha256:ee";
    Played { worked, told: told(&run) }
}

/// It worked if the victim takes what the attack left on this machine.
fn reused(victim: &Run, attack: &Run) -> Played {
    Played { worked: victim.output("outcome") == "reused-local", told: told(victim) }.after(attack)
}

#[test]
fn an_image_with_a_forged_key() {
    fails("local-record", NONE_HERE, |world| {
        plant(world, &json!({"io.github.build-once.key": world.key()}));
        takes_planted(world, world.lab.build_once())
    });
}

/// D02: `FROM app` and a plain `docker build` inherit the labels.
#[test]
fn a_child_of_our_image() {
    fails(
        "local-record",
        "the engine has an image with this key: build-once.invalid/o/r/app:trusted-key-",
        |world| {
            let first = world.run(world.lab.build_once());
            plant(world, &world.lab.images()[0]["labels"]);
            takes_planted(world, world.lab.build_once()).after(&first)
        },
    );
}

#[test]
fn an_image_that_a_pull_request_left_behind() {
    fails("local-zones", NONE_HERE, |world| {
        let attack = world.run(world.lab.build_once().pull_request(12));
        reused(&world.run(world.lab.build_once()), &attack)
    });
}

#[test]
fn an_image_that_one_pull_request_left_for_another() {
    fails("local-zones", NONE_HERE, |world| {
        let attack = world.run(world.lab.build_once().pull_request(1));
        reused(&world.run(world.lab.build_once().pull_request(12)), &attack)
    });
}

#[test]
fn an_image_that_one_fork_left_for_another() {
    fails("local-zones", NONE_HERE, |world| {
        let attack = world.run(world.lab.build_once().pull_request_from("pull_request", 1, 2));
        reused(&world.run(world.lab.build_once().pull_request_from("pull_request", 2, 2)), &attack)
    });
}

#[test]
fn an_image_that_a_fork_left_for_main() {
    fails("local-zones", NONE_HERE, |world| {
        let attack = world.run(world.lab.build_once().fork());
        reused(&world.run(world.lab.build_once()), &attack)
    });
}

/// D89: trusted, but in another GitHub repository.
#[test]
fn an_image_that_another_repositorys_main_left_behind() {
    fails("local-zones", NONE_HERE, |world| {
        let attack = world.run(world.lab.build_once().env("GITHUB_REPOSITORY", "else/where"));
        reused(&world.run(world.lab.build_once()), &attack)
    });
}

#[test]
fn an_image_that_a_developer_left_behind() {
    fails("local-zones", NONE_HERE, |world| {
        let attack = world.run(world.lab.build_once().outside_github());
        let victim = world.run(world.lab.build_once().fork());
        let told = format!("attacker: {}\nvictim: {}", attack.all(), told(&victim));
        Played { worked: victim.output("outcome") == "reused-local", told }
    });
}

#[test]
fn an_image_that_a_pull_request_left_behind_while_the_registry_is_down() {
    fails("local-zones", NONE_HERE, |world| {
        world.lab.registry.fault("/manifests/", 99, Response::new(503, ""));
        let attack = world.run(world.lab.shared().pull_request(12));
        reused(&world.run(world.lab.shared()), &attack)
    });
}

/// D78: BuildKit inside the engine names no one whose a layer is.
#[test]
fn layers_that_a_pull_request_left_in_the_engine() {
    fails("own-layers", "make the docker-container builder", |world| {
        let program = || world.lab.build_once().env("RUNNER_ENVIRONMENT", "self-hosted");
        let attack = world.run(program().pull_request(12));
        let victim = world.run(program());
        let worked = victim.build().values("--builder").is_empty();
        Played { worked, told: told(&victim) }.after(&attack)
    });
}

/// The same where the trusted run names the engine's builder itself.
#[test]
fn layers_in_a_builder_that_is_named() {
    fails("own-layers", "runs of less trust have built with it", |world| {
        let program = || world.lab.build_once().env("RUNNER_ENVIRONMENT", "self-hosted");
        let attack = world.run(program().env("GITHUB_REPOSITORY", "else/where"));
        let victim = world.run(program().input("builder", "default"));
        Played { worked: !victim.build().has("--no-cache"), told: told(&victim) }.after(&attack)
    });
}

/// A base that only the engine has: a pull request's image under the name that main's Dockerfile says.
#[test]
fn a_base_that_a_pull_request_left_in_the_engine() {
    fails("local-base", "from a run of another repository or of less trust", |world| {
        let attack = world.run(world.lab.build_once().input("image", "local-base:1").pull_request(12));
        world.lab.write("work/Dockerfile", "FROM local-base:1\n");
        // Docker Hub is asked first, and is not reachable from here.
        let victim = world.run(world.lab.build_once().env("HTTPS_PROXY", "http://127.0.0.1:9"));
        Played { worked: victim.output("outcome") == "built-local", told: told(&victim) }.after(&attack)
    });
}
