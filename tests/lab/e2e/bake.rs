//! Many images from one definition (`bake`), on real builders.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::engines::{classic, fresh, no_classic, nothing_left};
use crate::harness::{
    Finished, Image, Program, Repository, Rules, Workspace, engine_at, eventually, lab, rule,
};

/// The definition's images in place of the one, with no cache but the builder's own.
fn bake<'a>(work: &'a Workspace, repository: &Repository) -> Program<'a> {
    let program = work.program().repository(repository).input("build-args", "");
    program.input("bake", "docker-bake.json").input("cache", "none")
}

/// Writes the definition: each target with what it is built on, its own folder as context.
fn define(work: &Workspace, asked: &[&str], targets: &[(&str, Option<&str>)]) {
    let target = |(name, on): &(&str, Option<&str>)| {
        let contexts = on.map_or(json!({}), |on| json!({on: format!("target:{on}")}));
        ((*name).to_owned(), json!({"context": name, "contexts": contexts}))
    };
    let targets: serde_json::Map<String, Value> = targets.iter().map(target).collect();
    let definition = json!({"group": {"default": {"targets": asked}}, "target": targets});
    work.write("docker-bake.json", &definition.to_string());
}

/// A Dockerfile whose first step makes a file `<name>-made` that is another one each time, and whose second one copies.
fn dockerfile(work: &Workspace, name: &str, on: &str) {
    let made = format!("RUN --network=none cat /proc/sys/kernel/random/uuid >/{name}-made # {}", work.image);
    work.write(&format!("{name}/Dockerfile"), &format!("FROM {on}\n{made}\nCOPY file /{name}-file\n"));
    work.write(&format!("{name}/file"), "first\n");
}

fn base_image() -> &'static str {
    lab().get("BUILD_ONCE_LAB_BASE_IMAGE")
}

/// The outcome of each image, by its target.
#[track_caller]
fn outcomes(work: &Workspace, run: &Finished) -> BTreeMap<String, String> {
    let images: BTreeMap<String, Value> = serde_json::from_str(run.output("images")).unwrap();
    let prefix = format!("{}-", work.image);
    let outcome = |(name, value): (String, Value)| {
        (name.strip_prefix(&prefix).unwrap().to_owned(), value["outcome"].as_str().unwrap().to_owned())
    };
    images.into_iter().map(outcome).collect()
}

#[track_caller]
fn expect(work: &Workspace, run: &Finished, expected: &[(&str, &str)]) {
    assert_eq!(run.code, Some(0), "{}", run.log);
    let expected: BTreeMap<String, String> =
        expected.iter().map(|(name, outcome)| ((*name).to_owned(), (*outcome).to_owned())).collect();
    assert_eq!(outcomes(work, run), expected, "{}", run.log);
}

/// The image that this commit's tag names.
#[track_caller]
fn published(work: &Workspace, repository: &Repository, target: &str) -> Image {
    let tag = format!("sha-rf9d832d9-{}-{target}-{}", work.image, work.head());
    repository.image(&tag).unwrap_or_else(|| panic!("no {tag}, only {:?}", repository.tags()))
}

fn layers(image: &Image) -> Vec<Value> {
    image.manifest["layers"].as_array().unwrap().clone()
}

/// Each run has an empty builder, so a step that is done once more makes another file.
#[test]
fn a_chain_is_built_as_far_as_it_changed() {
    let (work, repository) = (Workspace::new("bake-chain"), Repository::ecr("bake-chain"));
    let all = ["base", "middle", "leaf", "alone"];
    define(
        &work,
        &all,
        &[("base", None), ("middle", Some("base")), ("leaf", Some("middle")), ("alone", None)],
    );
    for (name, on) in
        [("base", base_image()), ("middle", "base"), ("leaf", "middle"), ("alone", base_image())]
    {
        dockerfile(&work, name, on);
    }
    work.commit("a chain");
    let run = || fresh(bake(&work, &repository).input("driver", "docker-container")).run();
    expect(&work, &run(), &all.map(|name| (name, "built")));
    let middle = published(&work, &repository, "middle");
    let first = published(&work, &repository, "leaf");
    assert!(layers(&first).starts_with(&layers(&middle)), "it is built on what is published");

    work.write("leaf/file", "second\n");
    work.commit("the leaf");
    let hits = [("base", "reused-key"), ("middle", "reused-key"), ("alone", "reused-key")];
    expect(&work, &run(), &[hits[0], hits[1], hits[2], ("leaf", "built")]);
    let second = published(&work, &repository, "leaf");
    assert!(layers(&second).starts_with(&layers(&middle)), "what it is built on was built once more");
    assert_ne!(second.digest, first.digest);

    work.write("base/file", "second\n");
    work.commit("the base");
    let built = ["base", "middle", "leaf"].map(|name| (name, "built"));
    expect(&work, &run(), &[built[0], built[1], built[2], ("alone", "reused-key")]);
    let (base, leaf) = (published(&work, &repository, "base"), published(&work, &repository, "leaf"));
    assert!(layers(&leaf).starts_with(&layers(&base)));
    assert_eq!(repository.texts(&leaf)["base-file"], "second\n");
    nothing_left(&work, lab().get("DOCKER_HOST"));
}

/// A base that nobody asks for, whose triggers copy from the context of what is built on it.
#[test]
fn triggers_of_a_linked_base_count() {
    let (work, repository) = (Workspace::new("bake-onbuild"), Repository::open("bake-onbuild"));
    define(&work, &["leaf"], &[("base", None), ("leaf", Some("base"))]);
    dockerfile(&work, "leaf", "base");
    let base = |last: &str| format!("FROM {}\nCOPY file /base\nONBUILD COPY trigger /{last}\n", base_image());
    work.write("base/Dockerfile", &base("trigger"));
    work.write("base/file", &work.image);
    work.write("leaf/trigger", "first");
    work.commit("a base with a trigger");
    let run = |targets: &str| bake(&work, &repository).input("targets", targets).run();
    expect(&work, &run(""), &[("leaf", "built")]);
    assert_eq!(repository.texts(&published(&work, &repository, "leaf"))["trigger"], "first");
    assert!(!repository.tags().iter().any(|tag| tag.contains("-base-")), "{:?}", repository.tags());

    work.write("leaf/trigger", "second");
    work.commit("what the trigger copies");
    expect(&work, &run(""), &[("leaf", "built")]);
    assert_eq!(repository.texts(&published(&work, &repository, "leaf"))["trigger"], "second");
    expect(&work, &run("base,leaf"), &[("base", "built"), ("leaf", "reused-tag")]);

    work.write("leaf/trigger", "third");
    work.commit("the base is there");
    expect(&work, &run(""), &[("leaf", "built")]);
    assert_eq!(repository.texts(&published(&work, &repository, "leaf"))["trigger"], "third");
    work.write("base/Dockerfile", &base("elsewhere"));
    work.commit("another trigger");
    expect(&work, &run(""), &[("leaf", "built")]);
    assert_eq!(repository.texts(&published(&work, &repository, "leaf"))["elsewhere"], "third");
}

#[test]
fn each_target_gets_its_own_secret() {
    let (work, repository) = (Workspace::new("bake-secrets"), Repository::open("bake-secrets"));
    let values =
        [("one", "FIRST_TOKEN", "v4lue-of-the-first"), ("two", "SECOND_TOKEN", "v4lue-of-the-second")];
    let target = |(name, variable, _): (&str, &str, &str)| {
        // The same step of two targets is one for BuildKit, whatever the secrets are.
        let run = format!(
            "RUN --network=none --mount=type=secret,id=token sha256sum </run/secrets/token >/sum # {name}"
        );
        let step = format!("FROM {}\nCOPY content.txt /\n{run}\n", base_image());
        let secret = [format!("id=token,env={variable}"), "id=THIRD_TOKEN".to_owned()];
        (name.to_owned(), json!({"dockerfile-inline": step, "secret": secret}))
    };
    let targets: serde_json::Map<String, Value> = values.map(target).into_iter().collect();
    let definition = json!({"group": {"default": {"targets": ["one", "two"]}}, "target": targets});
    work.write("docker-bake.json", &definition.to_string());
    work.commit("two Dockerfiles in the definition");
    let mut program =
        bake(&work, &repository).env("THIRD_TOKEN", "v4lue-of-the-third").secret("v4lue-of-the-third");
    for (_, variable, value) in values {
        program = program.env(variable, value).secret(value);
    }
    expect(&work, &program.run(), &[("one", "built"), ("two", "built")]);
    for (name, _, value) in values {
        let sum = format!("{:x}", <sha2::Sha256 as sha2::Digest>::digest(value.as_bytes()));
        let text = &repository.texts(&published(&work, &repository, name))["sum"];
        assert!(text.starts_with(&sum), "{name}: {text}");
    }
}

#[test]
fn a_base_that_moves_during_the_run_is_the_one_of_the_keys() {
    let (work, repository) = (Workspace::new("bake-moving"), Repository::ecr("bake-moving"));
    let base = Repository::open("bake-moving-base");
    base.copy_base("1", "latest");
    define(&work, &["one", "two", "three"], &[("one", None), ("two", None), ("three", Some("two"))]);
    let name = format!("{}:latest", base.name());
    for (target, on) in [("one", name.as_str()), ("two", &name), ("three", "two")] {
        dockerfile(&work, target, on);
    }
    work.commit("three images");
    let path = format!("manifests/sha-rf9d832d9-{}-two-{}", work.image, work.head());
    let delay = json!({"kind": "delay", "ms": 4000});
    let rules = Rules::set(&[rule("GET", &repository.path, &path, Some(1), &delay)]);
    let running = bake(&work, &repository).start();
    eventually("it asks", Duration::from_secs(20), || rules.applied() == [1]);
    std::thread::sleep(Duration::from_millis(1500));
    base.copy_base("2", "latest");
    let run = running.finish();
    drop(rules);
    expect(&work, &run, &["one", "two", "three"].map(|name| (name, "built")));
    for target in ["one", "two", "three"] {
        let image = published(&work, &repository, target);
        assert_eq!(repository.texts(&image)["etc/base-version"].trim(), "1", "{target}");
    }
}

#[test]
fn each_image_has_a_local_cache_of_its_own() {
    let (work, repository) = (Workspace::new("bake-local"), Repository::open("bake-local"));
    let dir = work.root().join("disk");
    define(&work, &["one", "two"], &[("one", None), ("two", None)]);
    for name in ["one", "two"] {
        dockerfile(&work, name, base_image());
    }
    work.commit("two images");
    let run = || {
        let program = bake(&work, &repository).input("cache", "local").input("driver", "docker-container");
        fresh(program.input("cache-dir", dir.to_str().unwrap())).run()
    };
    expect(&work, &run(), &[("one", "built"), ("two", "built")]);
    let made =
        |name: &str| repository.texts(&published(&work, &repository, name))[&format!("{name}-made")].clone();
    let first = ["one", "two"].map(made);
    for name in ["one", "two"] {
        work.write(&format!("{name}/file"), "second\n");
    }
    work.commit("the files");
    expect(&work, &run(), &[("one", "built"), ("two", "built")]);
    assert_eq!(["one", "two"].map(made), first, "the first step of each came from its cache");
}

#[test]
fn both_stores_build_and_load_many() {
    for (store, host) in [("containerd", lab().get("DOCKER_HOST")), ("classic", classic())] {
        if store == "classic" && no_classic() {
            continue;
        }
        let test = format!("bake-{store}");
        let (work, repository) = (Workspace::new(&test), Repository::open(&test));
        define(&work, &["base", "leaf"], &[("base", None), ("leaf", Some("base"))]);
        dockerfile(&work, "base", base_image());
        dockerfile(&work, "leaf", "base");
        work.commit("two images");
        let program = || bake(&work, &repository).engine(host).input("load", "true");
        expect(&work, &program().run(), &[("base", "built"), ("leaf", "built")]);
        for name in ["base", "leaf"] {
            let local = format!("{}-{name}", work.image);
            let (ran, text) = engine_at(host, &["run", "--rm", &local, "cat", "/base-file"]);
            assert!(ran && text.contains("first"), "{store}: {name}: {text}");
            // The classic store writes no annotations, and both write the label.
            let labels = repository.labels(&published(&work, &repository, name));
            assert!(labels["io.github.build-once.key"].is_string(), "{store}: {name}: {labels}");
        }
        expect(&work, &program().run(), &[("base", "reused-local"), ("leaf", "reused-local")]);
        for name in ["base", "leaf"] {
            engine_at(host, &["image", "rm", "--force", &format!("{}-{name}", work.image)]);
        }
    }
}

#[test]
fn one_that_fails_stops_no_other() {
    let (work, repository) = (Workspace::new("bake-fails"), Repository::open("bake-fails"));
    let targets = [("good", None), ("bad", None), ("on-bad", Some("bad")), ("on-good", Some("good"))];
    define(&work, &["good", "bad", "on-bad", "on-good"], &targets);
    for (name, on) in [("good", base_image()), ("on-good", "good"), ("on-bad", "bad")] {
        dockerfile(&work, name, on);
    }
    let step =
        format!("FROM {}\nCOPY file /\nRUN echo no such thing as {} && exit 7\n", base_image(), work.image);
    work.write("bad/Dockerfile", &step);
    work.write("bad/file", "first");
    work.commit("one is bad");
    let run = bake(&work, &repository).run();
    assert_eq!((run.code, run.output("failure-class")), (Some(10), "build"), "{}", run.log);
    let wanted = [("good", "built"), ("on-good", "built"), ("bad", "failed"), ("on-bad", "failed")];
    let wanted = wanted.map(|(name, outcome)| (name.to_owned(), outcome.to_owned()));
    assert_eq!(outcomes(&work, &run), BTreeMap::from(wanted), "{}", run.log);
    for good in ["good", "on-good"] {
        assert_eq!(repository.texts(&published(&work, &repository, good))["good-file"], "first\n");
    }
    let errors = run.annotations("error").join("\n");
    assert!(errors.contains("exit code: 7") && errors.contains("file=bad/Dockerfile,line=3"), "{errors}");
    assert!(!repository.tags().iter().any(|tag| tag.contains("bad")), "{:?}", repository.tags());
}

#[test]
fn killed_in_the_middle() {
    let (work, repository) = (Workspace::new("bake-killed"), Repository::ecr("bake-killed"));
    define(&work, &["one", "two", "three"], &[("one", None), ("two", None), ("three", Some("two"))]);
    for (name, on) in [("one", base_image()), ("two", base_image()), ("three", "two")] {
        dockerfile(&work, name, on);
    }
    work.commit("three images");
    for wait in [700, 1500, 2200] {
        for name in ["one", "two", "three"] {
            work.write(&format!("{name}/file"), &wait.to_string());
        }
        work.commit("other content");
        let running = bake(&work, &repository).start();
        std::thread::sleep(Duration::from_millis(wait));
        running.kill_tree();
        drop(running);
        let run = bake(&work, &repository).run();
        assert_eq!(run.code, Some(0), "after {wait} ms: {}", run.log);
        let images: BTreeMap<String, Value> = serde_json::from_str(run.output("images")).unwrap();
        for name in ["one", "two", "three"] {
            let image = published(&work, &repository, name);
            assert_eq!(images[&format!("{}-{name}", work.image)]["digest"], image.digest.as_str(), "{name}");
            let texts = repository.texts(&image);
            assert_eq!(texts[&format!("{name}-file")], wait.to_string(), "{name} after {wait} ms");
        }
        let (two, three) = (published(&work, &repository, "two"), published(&work, &repository, "three"));
        assert!(layers(&three).starts_with(&layers(&two)), "after {wait} ms it stands on another image");
    }
}
