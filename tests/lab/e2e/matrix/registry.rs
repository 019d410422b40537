//! A registry that breaks under a push, an alias, a cache.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::{Finished, Program, Repository, Rules, Workspace, eventually, rule, status};

/// As a load balancer before a registry answers, which speaks no registry's language.
fn front(code: u16) -> Value {
    json!({"kind": "status", "code": code, "headers": {"Content-Type": "text/html"}, "body": "<html>busy</html>"})
}

/// A checkout whose image has a layer of some size, its own.
fn with_layer(test: &str) -> (Workspace, Repository) {
    let work = Workspace::new(test);
    let noise: String = (0..4000_u64)
        .map(|at| {
            format!("{:x}\n", at.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(std::process::id()) << 32)
        })
        .collect();
    work.write("noise.txt", &noise);
    work.write(
        "Dockerfile",
        "ARG BASE\nFROM ${BASE}\nCOPY content.txt noise.txt /\nRUN --network=none cat /content.txt >/made.txt\n",
    );
    work.commit("a layer");
    let repository = Repository::ecr(test);
    (work, repository)
}

/// F01 and F06: an error, or a connection that breaks, in the middle of a layer's upload.
#[test]
fn a_layer_whose_upload_breaks_once() {
    let (work, repository) = with_layer("layer");
    let faults = [front(500), json!({"kind": "cut_request", "after_bytes": 20000})];
    let rules = Rules::set(&[]);
    for (at, fault) in faults.iter().enumerate() {
        work.write("content.txt", &format!("{} {at}\n", work.image));
        work.write(
            "noise.txt",
            &format!("{at} {}", std::fs::read_to_string(work.folder().join("noise.txt")).unwrap()),
        );
        work.commit("other content");
        rules.replace(&[rule("PUT|PATCH", &repository.path, "blobs/", Some(1), fault)]);
        // Now and then the engine's push waits for ever after a break; that is survived too.
        let program = work.program().repository(&repository).input("stall-timeout", "40s");
        let built = program.run().is("built");
        assert_eq!(rules.applied(), [1], "{fault}");
        assert!(
            built.annotations("warning").is_empty() && built.output("degraded") == "false",
            "{}",
            built.log
        );
        built.is_published(&repository, &[&work.commit_tag()]);
        let image = repository.image(built.output("digest")).unwrap();
        for layer in image.manifest["layers"].as_array().unwrap() {
            let digest = layer["digest"].as_str().unwrap();
            assert_eq!(
                format!("sha256:{:x}", Sha256::digest(repository.blob(digest))),
                digest,
                "it is whole"
            );
        }
    }
}

/// F02: it never gets better.
#[test]
fn layers_that_are_never_taken() {
    let (work, repository) = with_layer("never");
    let _rules = Rules::set(&[rule("POST|PUT|PATCH", &repository.path, "blobs/", None, &front(500))]);
    let failed = work.program().repository(&repository).input("retries", "1").run().failed(30, "unavailable");
    let error = failed.annotations("error")[0];
    assert!(error.contains("500 Internal Server Error") && error.contains(&repository.host), "{error}");
    assert_eq!(
        [failed.output("attempts"), failed.output("pushed"), failed.output("digest")],
        ["2", "false", ""]
    );
    assert!(repository.tags().is_empty(), "{:?}", repository.tags());
}

/// F05: too many requests, for ever.
#[test]
fn a_registry_that_is_always_busy() {
    let (work, repository) = with_layer("busy");
    let mut fault = status(429, "TOOMANYREQUESTS");
    fault["headers"] = json!({"Retry-After": "0"});
    let _rules = Rules::set(&[rule("POST|PUT|PATCH", &repository.path, "", None, &fault)]);
    let failed = work.program().repository(&repository).input("retries", "1").run().failed(30, "unavailable");
    let error = failed.annotations("error")[0];
    assert!(error.contains("toomanyrequests") && error.contains("limits the rate"), "{error}");
    assert!(repository.tags().is_empty(), "{:?}", repository.tags());
}

/// F03: the registry's front has hiccups when a tag is set.
#[test]
fn an_alias_after_two_bad_gateways() {
    let (work, repository) = (Workspace::new("gateway"), Repository::ecr("gateway"));
    let built = work.program().repository(&repository).run().is("built");
    work.commit("same content");
    let tag = format!("manifests/{}", work.commit_tag());
    let rules = Rules::set(&[rule("PUT", &repository.path, &tag, Some(2), &front(502))]);
    let alias = work.program().repository(&repository).run().is("reused-key").has(built.output("digest"));
    assert_eq!(rules.applied(), [2]);
    assert_eq!(repository.digest(&work.commit_tag()), alias.output("digest"));
}

/// F34: some of the tags that are asked for are set, one is refused; the next run sets the rest.
#[test]
fn one_tag_of_five_is_refused() {
    let (work, repository) = (Workspace::new("five"), Repository::ecr("five"));
    let names: Vec<String> = (1..=5).map(|at| format!("v{at}")).collect();
    let tags: Vec<String> = names.iter().map(|name| format!("{}:{name}", repository.name())).collect();
    let program = || work.program().repository(&repository).input("tags", &tags.join("\n"));
    let built = work.program().repository(&repository).run().is("built");
    let rules = Rules::set(&[rule("PUT", &repository.path, "manifests/v3", None, &status(403, "DENIED"))]);
    let failed = program().run().failed(20, "access");
    let error = failed.annotations("error")[0];
    let set = [&tags[..2], &tags[3..]].concat().join(", ");
    let said = format!("set: {set}; not set: {}", tags[2]);
    assert!(error.contains(&said), "{said}: {error}");
    for (name, is_set) in names.iter().zip([true, true, false, true, true]) {
        assert_eq!(repository.image(name).is_some(), is_set, "{name}");
    }
    assert_eq!((failed.output("digest"), failed.output("pushed")), (built.output("digest"), "false"));
    // On a build, too: the image and the other tags are published all the same.
    work.write("content.txt", "five anew");
    work.commit("other content");
    let failed = program().run().failed(20, "access");
    assert_eq!((failed.output("pushed"), failed.output("built")), ("true", "true"));
    for name in ["v1", "v2", "v4", "v5"] {
        assert_eq!(repository.digest(name), failed.output("digest"), "{name}");
    }
    let built = failed;
    drop(rules);
    program().run().is("reused-tag").has(built.output("digest"));
    for name in &names {
        assert_eq!(repository.digest(name), built.output("digest"), "{name}");
    }
}

/// F17: another image stands where the layer cache should be.
#[test]
fn a_cache_that_is_none() {
    let (work, repository) = (Workspace::new("junk"), Repository::open("junk"));
    let cache = format!("cache-rf9d832d9-{}-main", work.image);
    let junk = repository.copy_base("1", &cache);
    let built = work.program().repository(&repository).run().is("built");
    built.is_published(&repository, &[&work.commit_tag()]);
    assert!(built.log.contains(&cache), "it was looked at: {}", built.log);
    assert_ne!(repository.digest(&cache), junk, "it is replaced");
}

/// F17: what the registry gives for the layer cache is no manifest.
#[test]
fn a_cache_that_is_junk() {
    let (work, repository) = (Workspace::new("no-manifest"), Repository::ecr("no-manifest"));
    let program = || work.program().repository(&repository).input("key", "context");
    let cache = format!("cache-rf9d832d9-{}-main", work.image);
    program().run().is("built");
    let before = repository.digest(&cache);
    work.write("content.txt", &format!("{} other", work.image));
    work.commit("other content");
    // By tag, and by the digest that HEAD still says.
    let path = format!("manifests/({cache}|{before})");
    let size = repository.get(&format!("manifests/{cache}")).body.len();
    let mut body = json!({"layers": "junk", "manifests": 7}).to_string();
    body.push_str(&" ".repeat(size - body.len()));
    let junk = json!({"kind": "swap_body", "body": body});
    let rules = Rules::set(&[rule("GET", &repository.path, &path, None, &junk)]);
    let built = program().run().is("built");
    assert!(rules.applied()[0] > 0, "it was looked at: {}", built.log);
    drop(rules);
    built.is_published(&repository, &[&work.commit_tag()]);
    assert_eq!(built.number("cached-steps"), 0, "{}", built.log);
    // BuildKit says what it could not read, and goes on.
    let lines = || built.log.lines();
    let import = lines().find(|line| line.contains(" importing cache manifest from ")).unwrap();
    let number = import.split(' ').next().unwrap();
    assert!(lines().any(|line| line.starts_with(&format!("{number} ERROR: "))), "{}", built.log);
    assert!(import.ends_with(&cache) && built.output("degraded") == "true", "{}", built.log);
    assert!(
        built.annotations("warning")[0].contains("is not read: invalid ambiguous manifest"),
        "{}",
        built.log
    );
    assert_ne!(repository.digest(&cache), before, "it is replaced");
    // The next machine reads the new one.
    work.write("more.txt", "in the context alone");
    work.commit("the same steps");
    assert_ne!(program().run().is("built").number("cached-steps"), 0);
}

/// F18: the layer cache may be read and not written.
#[test]
fn a_cache_that_may_not_be_written() {
    let (work, repository) = (Workspace::new("refused"), Repository::ecr("refused"));
    let at = format!("manifests/cache-rf9d832d9-{}-main", work.image);
    let rules = Rules::set(&[rule("PUT", &repository.path, &at, None, &status(403, "DENIED"))]);
    let built = work.program().repository(&repository).run().is("built").degraded();
    assert!(rules.applied()[0] > 0);
    let warning = built.annotations("warning")[0];
    assert!(warning.contains("403 Forbidden") && warning.contains("may write the cache"), "{warning}");
    built.is_published(&repository, &[&work.commit_tag()]);
}

/// F29: nothing is written on a hit, whoever asks.
#[test]
fn a_hit_writes_nothing() {
    let (work, repository) = (Workspace::new("quiet"), Repository::ecr("quiet"));
    let built = work.program().repository(&repository).run().is("built");
    let seen = repository.journal().len();
    work.program().repository(&repository).run().is("reused-tag").has(built.output("digest"));
    let since = repository.journal().split_off(seen);
    assert!(!since.is_empty() && since.iter().all(|entry| !entry.is_write()), "{since:?}");
}

/// F33: the image is found, and removed before its turn comes: when it gets another tag, when it
/// is pulled.
#[test]
fn an_image_that_is_removed_meanwhile() {
    let (work, repository) = (Workspace::new("removed"), Repository::ecr("removed"));
    let program = || work.program().repository(&repository);
    let slow = json!({"kind": "delay", "ms": 3000});

    let built = program().run().is("built");
    work.commit("same content");
    let tag = work.commit_tag();
    // The look-up's question passes, the alias's waits.
    let mut at_alias = rule("GET|HEAD", &repository.path, &format!("manifests/{tag}"), Some(1), &slow);
    at_alias["skip"] = json!(1);
    let rules = Rules::set(&[at_alias]);
    let anew = while_held(&rules, &repository, built.output("digest"), program()).is("built");
    anew.is_published(&repository, &[&tag, &anew.key_tag("", &work.image)]);
    assert_ne!(anew.output("digest"), built.output("digest"));
    assert_eq!(anew.output("built"), "true");

    work.forget();
    let mut at_pull = rule("GET|HEAD", &repository.path, "manifests/sha256:", Some(1), &slow);
    at_pull["header"] = json!({"User-Agent": "^docker/"});
    rules.replace(&[at_pull]);
    let pulling = program().input("load", "true");
    let again = while_held(&rules, &repository, anew.output("digest"), pulling).is("built");
    again.is_published(&repository, &[&tag, &again.key_tag("", &work.image)]);
    work.docker(&["image", "inspect", again.output("local-image")]);
}

/// Runs it, and removes the image while the rule holds a request back.
fn while_held(rules: &Rules, repository: &Repository, digest: &str, program: Program<'_>) -> Finished {
    let running = program.start();
    eventually("a request is held back", Duration::from_secs(60), || rules.applied() == [1]);
    repository.remove(digest);
    let finished = running.finish();
    let said = format!("the image {digest} was deleted while this run was using it: looking it up again");
    assert!(finished.log.contains(&said) && finished.summary.contains(digest), "{}", finished.log);
    assert!(finished.annotations("error").is_empty(), "{}", finished.log);
    finished
}
