//! Layer caches named by hand: in inputs, by the runner's owner, among extra arguments.

use serde_json::json;

use crate::caches::{GHA, from_to};
use crate::support::{HEAD, Lab};

#[test]
fn by_hand_a_zone_writes_its_own_alone() {
    let repository = |lab: &Lab| lab.registry.repository();
    let rows: [(&str, bool, &str); 16] = [
        // As pull request 12.
        ("REPO:cache-rf9d832d9-app-main", false, "is not this zone's"),
        ("type=registry,ref=REPO:pr-13-cache-rf9d832d9-app", false, "is not this zone's"),
        ("type=registry,ref=REPO:pr-1-cache-rf9d832d9-app", false, "is not this zone's"),
        ("type=registry,ref=REPO:pr-12-cache-rf9d832d9-app", true, ""),
        ("type=registry,ref=REPO:pr-12-cache-more", true, ""),
        (
            "type=registry,ref=REPO:pr-12-cache-x,ref=REPO:cache-rf9d832d9-app-main",
            false,
            "is not this zone's",
        ),
        ("REPO", false, "is not this zone's"),
        ("type=gha,scope=cache-rf9d832d9-app-main", false, "read by trusted runs"),
        ("type=s3,bucket=b,region=r,prefix=o/r/trusted/,name=x", false, "the folder of another zone"),
        ("type=s3,bucket=b,region=r,manifests_prefix=o/r/trusted/manifests/,name=x", false, "another zone"),
        ("type=s3,bucket=b,region=r,prefix=o/r/tru,manifests_prefix=sted/m/,name=x", false, "another zone"),
        ("type=s3,bucket=b,region=r,blobs_prefix=o/r/trusted/blobs/,name=x", false, "another zone"),
        ("type=s3,bucket=b,region=r,manifests_prefix=o/r/,name=x;trusted/manifests/y", false, "another zone"),
        ("type=s3,region=r,prefix=o/r/trusted/,name=x", false, "another zone"),
        (
            "type=s3,bucket=b,region=r,endpoint_url=https://s3.r.amazonaws.com,prefix=o/r/pr-13/",
            false,
            "another zone",
        ),
        ("type=registry,ref=elsewhere.example/x:cache", true, ""),
    ];
    for owner in [None, Some("BUILD_ONCE_CACHE_TO"), Some("BUILD_ONCE_EXTRA_ARGS")] {
        for (text, allowed, why) in rows {
            let lab = Lab::new();
            let text = text.replace("REPO", &repository(&lab));
            let program = lab.shared().pull_request(12).input("cache", "registry\ns3,bucket=b,region=r");
            let program = GHA.iter().fold(program, |program, (name, value)| program.env(name, value));
            // What the runner's owner names has to be asked for.
            let program = if owner.is_some() { program.input("cache-write", "always") } else { program };
            let program = match owner {
                None => program.input("cache-to", &text),
                Some("BUILD_ONCE_EXTRA_ARGS") => {
                    program.env("BUILD_ONCE_EXTRA_ARGS", &format!("--cache-to={text}"))
                }
                Some(name) => program.env(name, &text),
            };
            let run = program.run().succeeds("built");
            let (_, to) = from_to(&run);
            let by_hand = to.iter().filter(|cache| !cache.contains("mode=max")).count();
            assert_eq!(by_hand, usize::from(allowed), "{text}: {to:?}");
            assert_eq!(run.notices().contains("is left out"), !allowed, "{text}: {}", run.notices());
            assert!(run.notices().contains(why), "{text}: {}", run.notices());
        }
    }
}

#[test]
fn a_pull_request_leaves_the_runners_own_cache_alone() {
    for (name, text) in [
        ("BUILD_ONCE_CACHE_TO", "type=local,dest=/tmp/x"),
        ("BUILD_ONCE_EXTRA_ARGS", "--cache-to=type=local,dest=/tmp/x"),
    ] {
        let lab = Lab::new();
        let run = lab.shared().env(name, text).pull_request(12).run().succeeds("built");
        assert_eq!(from_to(&run).1.len(), 0, "{name}");
        assert!(run.notices().contains("written by trusted runs"), "{}", run.notices());
        let lab = Lab::new();
        let run = lab.shared().env(name, text).run().succeeds("built");
        assert!(from_to(&run).1.iter().any(|cache| cache.contains("dest=/tmp/x")), "{name}");
    }
}

#[test]
fn by_hand_nothing_less_trusted_is_read() {
    for (reference, allowed) in [
        ("pr-12-cache-rf9d832d9-app", false),
        ("queue-cache-x", false),
        ("br-x-cache-rf9d832d9-app", false),
        ("cache-other", true),
    ] {
        let lab = Lab::new();
        let text = format!("{}:{reference}", lab.registry.repository());
        let run = lab.shared().input("cache-from", &text).run().succeeds("built");
        let (from, _) = from_to(&run);
        assert_eq!(from.len(), usize::from(allowed), "{reference}");
        assert_eq!(
            run.notices().contains("is another zone's; it is left out"),
            !allowed,
            "{}",
            run.notices()
        );
    }
}

#[test]
fn a_fork_and_a_tag_write_no_cache_at_all() {
    let lab = Lab::new();
    let program = || {
        lab.shared()
            .input("cache-to", "type=local,dest=/tmp/x\nelsewhere.example/x:y")
            .input("cache-write", "always")
    };
    let run = program().fork().run().succeeds("built-local");
    assert!(from_to(&run).1.is_empty() && run.notices().contains("this run writes no cache"));
    lab.another_machine();
    let event = json!({"repository": {"default_branch": "main"}});
    let run = program().event("push", "refs/tags/v1", HEAD, &event).run().succeeds("built");
    assert!(from_to(&run).1.is_empty(), "{}", run.build().line());
}

#[test]
fn d58_a_run_of_a_tag_reads_the_default_branchs_cache_and_its_own() {
    let lab = Lab::new();
    lab.registry.put("cache-rf9d832d9-app-main", None);
    let event = json!({"repository": {"default_branch": "main"}});
    let program = lab.shared().event("push", "refs/tags/v1", HEAD, &event);
    let run = program.input("cache-from", "elsewhere.example/x:y").run().succeeds("built");
    let (from, to) = from_to(&run);
    let main = format!("type=registry,ref={}:cache-rf9d832d9-app-main", lab.registry.repository());
    assert_eq!(from, [main, "type=registry,ref=elsewhere.example/x:y".to_owned()]);
    assert!(to.is_empty() && run.notices().is_empty(), "{}", run.notices());
}

#[test]
fn a_cache_under_an_images_name_is_refused() {
    let lab = Lab::new();
    let repository = lab.registry.repository();
    let key = "0".repeat(32);
    for text in [
        format!("{repository}:sha-rf9d832d9-app-{HEAD}"),
        format!("type=registry,mode=max,ref={repository}:sha-rf9d832d9-app-{HEAD}"),
        format!("{repository}:key-other-{key}"),
        format!("{repository}:pr-12-key-rf9d832d9-app-{key}"),
        format!("{repository}:latest"),
    ] {
        let run = lab.shared().input("tags", &format!("{repository}:latest")).input("cache-to", &text).run();
        let run = run.fails(2, "input");
        assert!(run.error().contains("would overwrite an image"), "{text}: {}", run.error());
    }
}

/// D104: buildx reads a relative path from the folder that it is started in.
#[test]
fn d104_a_relative_path_into_cache_dir() {
    for (path, inside) in [
        ("layers/o/r/trusted/x", true),
        ("./layers", true),
        ("../HERE/layers/x", true),
        ("other/../layers/x", true),
        ("layers-of-mine", false),
        ("../elsewhere", false),
    ] {
        for (input, attribute) in [("cache-from", "src"), ("cache-to", "dest")] {
            let lab = Lab::new();
            let dir = lab.path("work/layers");
            let program = lab.shared().input("cache", "local").input("cache-dir", dir.to_str().unwrap());
            let path = path.replace("HERE", "work");
            let cache = format!("type=local,{attribute}={path}");
            let run = program.input(input, &cache).run().succeeds("built");
            let told =
                run.notices().contains("it lies in cache-dir, where only cache local reads and writes");
            assert_eq!(told, inside, "{input} {cache}: {}", run.notices());
            assert_eq!(run.build().line().contains(&format!("{attribute}={path}")), !inside, "{cache}");
        }
    }
}
