//! By references that are written out: in inputs, variables, arguments and Dockerfiles.

use super::{LATER, Played, World, fails, told};
use crate::support::{BuildOnce, HEAD};

const LEFT: &str = "only trusted runs set them, and this is pull request 12";

#[test]
fn the_input_tags_names_mains_key_tag() {
    fails("asked-tags", LEFT, |world| {
        let attacker = world.lab.shared().pull_request(12).input("tags", &world.trusted_key_tag());
        world.poisons(attacker, world.lab.shared().commit(LATER))
    });
}

#[test]
fn the_input_tags_names_mains_next_commit() {
    fails("asked-tags", LEFT, |world| {
        let tag = format!("{}:sha-rf9d832d9-app-{LATER}", world.repository());
        let attacker = world.lab.shared().pull_request(12).input("tags", &tag);
        world.poisons(attacker, world.lab.shared().commit(LATER))
    });
}

#[test]
fn a_fork_that_asks_to_push() {
    fails("fork-writes,asked-tags", "not published: a pull request from a fork", |world| {
        let attacker = world.lab.shared().fork().input("push", "true").input("cache-write", "always");
        let attacker = attacker.input("tags", &world.trusted_key_tag());
        world.poisons(attacker, world.lab.shared().commit(LATER))
    });
}

#[test]
fn a_tag_among_the_runners_own_arguments() {
    // They do not count in the key, so that the image carries the one that main looks for.
    fails("extra-flags", "--tag is not allowed", |world| {
        let extra = format!("--tag {}", world.trusted_key_tag());
        let attacker = world.lab.shared().pull_request(12).env("BUILD_ONCE_EXTRA_ARGS", &extra);
        world.poisons(attacker, world.lab.shared().commit(LATER))
    });
}

#[test]
fn a_tag_in_a_short_flag() {
    fails("extra-flags,expected-key", "-t is not allowed", |world| {
        let extra = format!("-t{}", world.trusted_key_tag());
        let attacker = world.lab.shared().pull_request(12).input("extra-args", &extra);
        world.poisons(attacker, world.lab.shared().commit(LATER))
    });
}

/// A run of main, after a pull request; it worked if main's build imports the cache that the pull
/// request's build wrote.
fn cache_poisons(world: &World, attacker: BuildOnce<'_>) -> Played {
    let attack = world.run(attacker.input("cache-write", "always"));
    let poisoned = world.lab.registry.tags().contains(&"cache-rf9d832d9-app-main".to_owned());
    world.lab.write("work/hello", "the next commit\n");
    world.lab.another_machine();
    let victim = world.run(world.lab.shared().commit(LATER));
    let imports =
        victim.build().values("--cache-from").iter().any(|from| from.ends_with(":cache-rf9d832d9-app-main"));
    Played { worked: poisoned && imports, told: told(&victim) }.after(&attack)
}

const NOT_ITS: &str = "cache-rf9d832d9-app-main is not this zone's";

#[test]
fn a_cache_under_mains_name() {
    fails("written-references", NOT_ITS, |world| {
        let to = format!("type=registry,ref={}:cache-rf9d832d9-app-main", world.repository());
        cache_poisons(world, world.lab.shared().pull_request(12).input("cache-to", &to))
    });
}

#[test]
fn a_cache_under_mains_name_by_a_variable_of_the_runners() {
    fails("written-references", NOT_ITS, |world| {
        let to = format!("type=registry,ref={}:cache-rf9d832d9-app-main", world.repository());
        cache_poisons(world, world.lab.shared().push_to("fix").env("BUILD_ONCE_CACHE_TO", &to))
    });
}

#[test]
fn a_cache_under_mains_name_by_an_argument() {
    fails("written-references", NOT_ITS, |world| {
        let extra = format!("--cache-to type=registry,ref={}:cache-rf9d832d9-app-main", world.repository());
        cache_poisons(world, world.lab.shared().pull_request(12).input("extra-args", &extra))
    });
}

#[test]
fn a_forks_cache_under_mains_name() {
    fails("written-references", "this run writes no cache", |world| {
        let to = format!("type=registry,ref={}:cache-rf9d832d9-app-main", world.repository());
        let push = world.lab.shared().fork().input("cache-to", &to);
        cache_poisons(world, push)
    });
}

/// A run of main that names what a pull request wrote; it worked if its build is given that.
fn reads(world: &World, attacker: BuildOnce<'_>, victim: BuildOnce<'_>, written: &str) -> Played {
    let attack = world.run(attacker);
    world.lab.another_machine();
    let victim = world.run(victim);
    let worked = victim.called("buildx build").iter().any(|call| call.line().contains(written));
    Played { worked, told: told(&victim) }.after(&attack)
}

#[test]
fn main_imports_a_pull_requests_cache() {
    fails("written-references", "pr-12-cache-rf9d832d9-app is another zone's; it is left out", |world| {
        let attacker = world.lab.shared().pull_request(12).input("cache-write", "always");
        let from = format!("type=registry,ref={}:pr-12-cache-rf9d832d9-app", world.repository());
        reads(world, attacker, world.lab.shared().input("cache-from", &from), &from)
    });
}

#[test]
fn main_builds_on_a_pull_requests_image() {
    fails("written-references", "is another zone's", |world| {
        let attacker = world.lab.shared().pull_request(12);
        let base = format!("{}:pr-12-key-rf9d832d9-app-{}", world.repository(), &world.key()[..32]);
        let attack = world.run(attacker);
        world.lab.another_machine();
        world.lab.write("work/Dockerfile", format!("FROM {base}\n"));
        let victim = world.run(world.lab.shared());
        let worked = !victim.called("buildx build").is_empty();
        Played { worked, told: told(&victim) }.after(&attack)
    });
}

#[test]
fn main_takes_a_pull_requests_image_for_a_build_context() {
    fails("written-references", "build-contexts: base: ", |world| {
        let attack = world.run(world.lab.shared().pull_request(12));
        world.lab.another_machine();
        world.lab.write("work/Dockerfile", "FROM base\n");
        let image = format!("base=docker-image://{}:pr-12-sha-rf9d832d9-app-{HEAD}", world.repository());
        let victim = world.run(world.lab.shared().input("build-contexts", &image));
        let worked = !victim.called("buildx build").is_empty();
        Played { worked, told: told(&victim) }.after(&attack)
    });
}

#[test]
fn annotations_that_say_another_zone() {
    fails("own-labels", "`io.github.build-once.zone` is build-once's own", |world| {
        let attacker = world.lab.shared().pull_request(12);
        let run = world.run(attacker.input("annotations", "io.github.build-once.zone=trusted"));
        let published = world.lab.registry.tags().into_iter().find(|tag| tag.starts_with("pr-12-key-"));
        let manifest = published.and_then(|tag| world.lab.registry.manifest(&format!("ci/{tag}")));
        let worked = manifest.is_some_and(|m| m["annotations"]["io.github.build-once.zone"] == "trusted");
        Played { worked, told: told(&run) }
    });
}

#[test]
fn a_label_that_says_another_key_by_an_argument() {
    fails("own-labels", "io.github.build-once.key is build-once's own", |world| {
        let extra = "--label io.github.build-once.key=another";
        let run = world.run(world.lab.build_once().pull_request(12).input("extra-args", extra));
        let images = world.lab.images();
        let worked = images[0]["labels"]["io.github.build-once.key"] == "another";
        Played { worked, told: told(&run) }
    });
}
