//! Images of several platforms: each platform has a key of its own, and the image's key is made from these.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::{BuildOnce, Lab};

const BOTH: &str = "linux/amd64,linux/arm64";

/// The key for these platforms, and that of each.
fn keys(lab: &Lab, platforms: &str, inputs: &[(&str, &str)]) -> (String, BTreeMap<String, String>) {
    let program = lab.build_once().args(&["key", "--json"]).input("platforms", platforms);
    let run = inputs.iter().fold(program, |program, (name, value)| program.input(name, value)).run();
    let document: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{}", run.all()));
    let each = document["platforms"].as_object().into_iter().flatten();
    let each = each.map(|(platform, key)| (platform.clone(), key.as_str().unwrap().to_owned()));
    (document["key"].as_str().unwrap().to_owned(), each.collect())
}

/// Checks that each of two platforms has the key that it has alone. Returns the key of both together.
#[track_caller]
fn same_apart(lab: &Lab, inputs: &[(&str, &str)]) -> String {
    let (both, each) = keys(lab, BOTH, inputs);
    let (other, _) = keys(lab, "linux/arm64, linux/x86_64", inputs);
    assert_eq!(both, other, "in any order and spelling");
    for platform in BOTH.split(',') {
        let (alone, none) = keys(lab, platform, inputs);
        assert_eq!(each[platform], alone, "{platform}");
        assert!(none.is_empty() && alone != both);
    }
    assert_eq!(each.len(), 2);
    both
}

#[test]
fn a_platform_has_the_key_that_it_has_alone() {
    let lab = Lab::new();
    let plain = same_apart(&lab, &[]);
    lab.write("work/bin/amd64/tool", "1");
    lab.write("work/bin/arm64/tool", "1");
    assert_eq!(same_apart(&lab, &[]), plain);
    // Each takes files of its own.
    lab.write("work/Dockerfile", "FROM scratch\nARG TARGETARCH\nCOPY bin/$TARGETARCH /bin/\nCOPY hello /\n");
    let first = same_apart(&lab, &[]);
    let (_, before) = keys(&lab, BOTH, &[]);
    lab.write("work/bin/arm64/tool", "2");
    assert_ne!(same_apart(&lab, &[]), first);
    let (_, after) = keys(&lab, BOTH, &[]);
    assert_eq!(before["linux/amd64"], after["linux/amd64"], "the other one stays");
    assert_ne!(before["linux/arm64"], after["linux/arm64"]);
    // Stages, secrets and a network that one platform alone reaches; arguments.
    lab.write(
        "work/Dockerfile",
        "FROM scratch AS for-amd64\nARG A\nRUN --mount=type=secret,id=s true\nFROM scratch AS for-arm64\nARG B\nFROM for-$TARGETARCH\n",
    );
    for input in [
        ("build-args", "A=1\nB=2\nC=3"),
        ("secrets", "s=x\nt=y"),
        ("network", "none"),
        ("add-hosts", "h:1.1.1.1"),
        ("labels", "a=b"),
        ("extra-args", "--label=p=${PLATFORM}"),
        ("provenance", "true"),
        ("key-extra", "x"),
        ("key", "context"),
    ] {
        assert_ne!(same_apart(&lab, &[input]), plain, "{input:?}");
    }
}

#[test]
fn bases_and_their_instructions_are_those_of_the_platform() {
    let lab = Lab::new();
    let host = lab.registry.address().to_owned();
    let plain = lab.registry.publish("ci/plain", &json!({"a": "1"}), &json!({}));
    let amd = lab.registry.publish("base/os/amd64", &json!({}), &json!({}));
    let arm = lab.registry.publish("base/os/arm64", &json!({}), &json!({"x": "1"}));
    assert_ne!(amd, arm);
    lab.write("work/Dockerfile", format!("FROM {host}/base/os:$TARGETARCH\nCOPY hello /\n"));
    same_apart(&lab, &[]);
    let own = lab.registry.publish_triggers("ci/arm", &["COPY README.md /src"]);
    lab.registry.put_index("both", &[&plain, &own]);
    lab.write("work/README.md", "1");
    lab.write("work/Dockerfile", format!("FROM {host}/ci:both\nCOPY hello /\n"));
    same_apart(&lab, &[]);
    let (_, before) = keys(&lab, BOTH, &[]);
    lab.write("work/README.md", "2");
    let (_, after) = keys(&lab, BOTH, &[]);
    assert_eq!(before["linux/amd64"], after["linux/amd64"]);
    assert_ne!(before["linux/arm64"], after["linux/arm64"], "its base copies that file");
}

const KEY: &str = "io.github.build-once.key";
const ENTRIES: &str = "io.github.build-once.entries";
const ZONE: &str = "io.github.build-once.zone";

#[test]
fn each_manifest_carries_its_own_key() {
    let lab = Lab::new();
    let (_, each) = keys(&lab, BOTH, &[]);
    let run = lab.shared().input("platforms", BOTH).run().succeeds("built");
    let index = lab.registry.manifest(&format!("ci/{}", run.output("digest"))).unwrap();
    assert_eq!(index["annotations"][KEY], run.output("key"));
    for (line, (platform, key)) in index["manifests"].as_array().unwrap().iter().zip(&each) {
        let manifest = lab.registry.manifest(&format!("ci/{}", line["digest"].as_str().unwrap())).unwrap();
        let own = &manifest["annotations"];
        assert_eq!((&own[KEY], &own[ZONE]), (&json!(key), &json!("trusted")), "{platform}");
        let entries: Value = serde_json::from_str(own[ENTRIES].as_str().unwrap()).unwrap();
        assert_eq!(entries["key"], json!(key));
        let named = entries["e"].as_array().unwrap().iter().filter(|entry| entry[0] == "platform");
        assert_eq!(named.map(|entry| entry[1].as_str().unwrap()).collect::<Vec<_>>(), [platform]);
        let labels = run.build().values("--label");
        assert!(labels.contains(&format!("{KEY}={}", run.output("key")).as_str()), "{labels:?}");
    }
}

const TAG: &str = "sha-rf9d832d9-app-1111111111111111111111111111111111111111";

fn alone<'a>(lab: &'a Lab, platform: &str) -> BuildOnce<'a> {
    lab.shared().input("platforms", platform)
}

fn both(lab: &Lab) -> BuildOnce<'_> {
    lab.shared().input("platforms", BOTH)
}

fn merge(lab: &Lab) -> BuildOnce<'_> {
    both(lab).input("mode", "merge").input("wait-timeout", "1s")
}

fn lines(lab: &Lab, reference: &str) -> Vec<String> {
    let index = lab.registry.manifest(&format!("ci/{reference}")).unwrap();
    let lines = index["manifests"].as_array().unwrap_or_else(|| panic!("{index}"));
    lines.iter().map(|line| line["digest"].as_str().unwrap().to_owned()).collect()
}

fn writes(lab: &Lab) -> Vec<String> {
    lab.registry.asked().into_iter().filter(|request| !request.starts_with("GET ")).collect()
}

#[test]
fn platforms_that_were_built_apart_are_merged_by_their_keys() {
    let lab = Lab::new();
    let (key, _) = keys(&lab, BOTH, &[]);
    let arm = alone(&lab, "linux/arm64").run().succeeds("built");
    let amd = alone(&lab, "linux/amd64").run().succeeds("built");
    // Jobs of one commit do not overwrite each other's tag.
    assert_eq!(arm.output("commit-tag"), TAG.replace("app-", "app._linux-arm64-"));
    assert_eq!(amd.output("commit-tag"), TAG.replace("app-", "app._linux-amd64-"));
    lab.registry.forget_requests();
    lab.without_docker();
    let merged = merge(&lab).run().succeeds("merged");
    assert_eq!(merged.output("key"), key);
    assert_eq!((merged.output("commit-tag"), merged.output("pushed")), (TAG, "true"));
    assert_eq!(merged.output("tag"), format!("key-rf9d832d9-app-{}", &key[..32]));
    assert_eq!(lines(&lab, TAG), [amd.output("digest"), arm.output("digest")]);
    let index = lab.registry.manifest(&format!("ci/{TAG}")).unwrap();
    let annotations = &index["annotations"];
    assert_eq!((&annotations[KEY], &annotations[ZONE]), (&json!(key), &json!("trusted")));
    assert!(annotations[ENTRIES].as_str().is_some_and(|entries| entries.contains(&key)), "{annotations}");
    // It is there now: nothing is written.
    lab.registry.forget_requests();
    let again = merge(&lab).run().succeeds("reused-tag");
    assert_eq!((again.output("digest"), again.output("pushed")), (merged.output("digest"), "false"));
    assert_eq!(again.output("tag"), merged.output("tag"));
    assert_eq!(writes(&lab), [""; 0]);
    // The next commit has the same content: one name more.
    let later = "7".repeat(40);
    let next = merge(&lab).commit(&later).run().succeeds("reused-key");
    assert_eq!(next.output("digest"), merged.output("digest"));
    assert_eq!(writes(&lab), [format!("PUT ci/manifests/sha-rf9d832d9-app-{later}")]);
}

#[test]
fn an_index_of_a_build_is_found_by_a_merge_and_by_a_pull() {
    let lab = Lab::new();
    let built = both(&lab).run().succeeds("built");
    lab.another_machine();
    let merged = merge(&lab).run().succeeds("reused-tag");
    assert_eq!(merged.output("digest"), built.output("digest"));
    let pulled = both(&lab).input("mode", "pull").commit(&"7".repeat(40)).run().succeeds("reused-key");
    assert_eq!(pulled.output("digest"), built.output("digest"));
    // One platform of it, by its own key.
    let child = &lines(&lab, TAG)[1];
    let arm = alone(&lab, "linux/arm64").commit(&"7".repeat(40)).run().succeeds("reused-key");
    assert_eq!(arm.output("digest"), child);
    // The same where its tag is gone: the index of the commit leads to it.
    let tag = arm.output("tag").to_owned();
    lab.registry.remove_tag(&tag);
    lab.registry.remove_tag(&TAG.replace(
        "app-1111111111111111111111111111111111111111",
        "app._linux-arm64-7777777777777777777777777777777777777777",
    ));
    lab.another_machine();
    let pull = alone(&lab, "linux/arm64").input("mode", "pull").input("on-missing", "fail");
    let arm = pull.run().succeeds("reused-tag");
    assert_eq!(arm.output("digest"), child);
    assert!(arm.called("pull")[0].line().contains(child), "{:?}", arm.lines());
}

#[test]
fn only_the_missing_platform_is_built() {
    for (there, missing) in [("linux/amd64", "linux/arm64"), ("linux/arm64", "linux/amd64")] {
        let lab = Lab::new();
        let (key, each) = keys(&lab, BOTH, &[]);
        let first = alone(&lab, there).commit(&"6".repeat(40)).run().succeeds("built");
        lab.forget_calls();
        let run = both(&lab).run().succeeds("built");
        assert_eq!(run.called("buildx build").len(), 1);
        assert_eq!(run.build().values("--platform"), [missing]);
        let labels = run.build().values("--label");
        assert!(labels.contains(&format!("{KEY}={}", each[missing]).as_str()), "{labels:?}");
        assert_eq!((run.output("key"), run.output("commit-tag")), (key.as_str(), TAG));
        // A cache of its own, so that the image's keeps what it has of other platforms.
        let cache = format!("cache-rf9d832d9-app._{}-main", missing.replace('/', "-"));
        assert!(
            run.build().values("--cache-to")[0].contains(&cache),
            "{:?}",
            run.build().values("--cache-to")
        );
        assert_eq!(lab.registry.digest(&format!("ci/{TAG}")).as_deref(), Some(run.output("digest")));
        // buildx's own file is of the one platform.
        let metadata: Value = serde_json::from_str(run.output("metadata")).unwrap();
        assert_eq!(metadata["containerimage.digest"], run.output("digest"));
        assert_eq!(run.output("metadata-file"), "");
        let children = lines(&lab, TAG);
        assert!(children.len() == 2 && children.contains(&first.output("digest").to_owned()));
        let index = lab.registry.manifest(&format!("ci/{TAG}")).unwrap();
        assert_eq!(index["annotations"][KEY], json!(key));
        // The next time it is read.
        lab.write("work/hello", "other");
        let _ = alone(&lab, there).commit(&"8".repeat(40)).run().succeeds("built");
        lab.forget_calls();
        let other = both(&lab).commit(&"8".repeat(40)).run().succeeds("built");
        assert!(other.build().values("--cache-from")[0].contains(&cache), "{:?}", other.lines());
        lab.write("work/hello", "hello\n");
        // All is there now, for either platform too.
        lab.another_machine();
        let _ = both(&lab).run().succeeds("reused-tag");
        let own = alone(&lab, missing).run().succeeds("reused-tag");
        assert!(children.contains(&own.output("digest").to_owned()));
    }
}

#[test]
fn nothing_is_built_where_every_platform_is_there() {
    let lab = Lab::new();
    for platform in BOTH.split(',') {
        let _ = alone(&lab, platform).run().succeeds("built");
    }
    lab.forget_calls();
    lab.without_docker();
    let run = both(&lab).run().succeeds("reused-key");
    assert_eq!((run.output("built"), run.output("commit-tag")), ("false", TAG));
    assert_eq!(lines(&lab, TAG).len(), 2);
    assert!(run.calls.is_empty(), "{:?}", run.lines());
}

#[test]
fn a_platform_that_never_comes_is_named() {
    let lab = Lab::new();
    let _ = alone(&lab, "linux/amd64").run().succeeds("built");
    let run = merge(&lab).run().fails(30, "unavailable");
    assert!(run.error().contains("linux/arm64 is missing"), "{}", run.error());
    assert!(run.error().contains("waited 1s for its key"), "{}", run.error());
    let run = merge(&lab).input("on-missing", "fail").run().fails(20, "access");
    assert!(run.error().contains("linux/arm64 is missing"), "{}", run.error());
    assert!(lab.registry.digest(&format!("ci/{TAG}")).is_none());
    let run = both(&lab).fork().input("mode", "merge").run().fails(20, "access");
    assert!(run.error().contains("this run may not publish"), "{}", run.error());
    let run = lab.build_once().input("mode", "merge").input("platforms", BOTH).run().fails(20, "access");
    assert!(run.error().contains("there is no repository to merge in"), "{}", run.error());
}

#[test]
fn a_platform_counts_only_from_zones_that_the_run_reads() {
    let lab = Lab::new();
    let pr = alone(&lab, "linux/arm64").pull_request(12).run().succeeds("built");
    assert!(pr.output("tag").starts_with("pr-12-key-"), "{}", pr.output("tag"));
    let _ = alone(&lab, "linux/amd64").run().succeeds("built");
    // A trusted run builds what a pull request has built.
    let run = merge(&lab).input("on-missing", "fail").run().fails(20, "access");
    assert!(run.error().contains("linux/arm64 is missing"), "{}", run.error());
    // The pull request itself uses both.
    let run = both(&lab).pull_request(12).run().succeeds("reused-key");
    assert_eq!(run.output("commit-tag"), format!("pr-12-{TAG}"));
    assert!(lines(&lab, &format!("pr-12-{TAG}")).contains(&pr.output("digest").to_owned()));
    // An image that says that it is of a pull request is no part of a trusted one, whatever its tag says.
    let tag = pr.output("tag").trim_start_matches("pr-12-").to_owned();
    lab.registry.tag(&tag, pr.output("digest"));
    let run = merge(&lab).input("on-missing", "fail").run().fails(20, "access");
    assert!(run.error().contains("linux/arm64 is missing"), "{}", run.error());
}

#[test]
fn an_image_of_another_platform_is_no_part() {
    let lab = Lab::new();
    let (_, each) = keys(&lab, BOTH, &[]);
    let _ = alone(&lab, "linux/amd64").run().succeeds("built");
    // A foreign key under the tag is none.
    let tag = format!("key-rf9d832d9-app-{}", &each["linux/arm64"][..32]);
    lab.registry.put(&tag, Some(&each["linux/amd64"]));
    let run = merge(&lab).input("on-missing", "fail").run().fails(20, "access");
    assert!(run.error().contains("linux/arm64 is missing"), "{}", run.error());
    lab.registry.put(&tag, Some(&each["linux/arm64"]));
    let run = merge(&lab).run();
    assert!(run.error().contains("has the key of linux/arm64: it is for linux/amd64"), "{}", run.error());
}

/// The missing platforms do not wait for each other: what one of them has is there for the next run.
#[test]
fn a_missing_platform_is_built_where_another_one_fails() {
    const THREE: &str = "linux/amd64,linux/arm64,linux/s390x";
    for (fails, comes) in [("linux/amd64", "linux/s390x"), ("linux/s390x", "linux/amd64")] {
        let lab = Lab::new();
        let _ = alone(&lab, "linux/arm64").run().succeeds("built");
        let text = "ERROR: failed to solve: process \"/bin/sh -c make\" did not complete successfully: exit code: 2\n";
        lab.rule("buildx build", json!({"has": fails, "stderr": text, "exit": 1, "times": 1}));
        lab.forget_calls();
        let three = || lab.shared().input("platforms", THREE);
        let failed = three().run().fails(10, "build");
        let builds = failed.called("buildx build");
        assert_eq!(builds.len(), 2, "{}", failed.all());
        let files: BTreeSet<_> =
            builds.iter().map(|build| build.values("--metadata-file").join("")).collect();
        assert_eq!(files.len(), 2, "a file each: {files:?}");
        assert!(lab.registry.digest(&format!("ci/{TAG}")).is_none(), "no index without {fails}");
        let own = alone(&lab, comes).run().succeeds("reused-tag");
        // The next run builds the one that failed.
        lab.forget_calls();
        let run = three().run().succeeds("built");
        assert_eq!(run.called("buildx build").len(), 1);
        assert_eq!(run.build().values("--platform"), [fails]);
        let images = lines(&lab, TAG);
        assert!(images.len() == 3 && images.contains(&own.output("digest").to_owned()), "{images:?}");
    }
}

/// Both are built on the run's own builder: what the one puts in the place of the lost builder, the other one uses.
#[test]
fn a_builder_that_two_builds_lose_is_replaced_once() {
    let lab = Lab::new();
    lab.set("containerd", false);
    let _ = alone(&lab, "linux/arm64").run().succeeds("built");
    lab.forget_calls();
    let text = "ERROR: failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF";
    lab.rule("buildx build", json!({"stderr": text, "exit": 1, "times": 2}));
    let three = lab.shared().input("platforms", "linux/amd64,linux/arm64,linux/s390x");
    let run = three.input("retries", "3").run().succeeds("built");
    assert_eq!(run.called("buildx build").len(), 4, "{:?}", run.lines());
    assert_eq!(run.called("buildx create").len(), 2, "{:?}", run.lines());
    assert_eq!(lines(&lab, TAG).len(), 3);
}
