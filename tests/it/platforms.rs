//! Images of several platforms: each platform has a key of its own, and the image's key is made from these.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::Lab;

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
