//! What a build is given, and what is told of it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{CANARY, HEAD, Lab, Response};

#[test]
fn all_names_in_one_push_and_the_digest_read_back() {
    let lab = Lab::new();
    let repository = lab.registry.repository();
    let run = lab.shared().input("tags", &format!("{repository}:latest")).run().succeeds("built");
    let key = run.output("key");
    let names = [
        format!("sha-rf9d832d9-app-{HEAD}"),
        format!("key-rf9d832d9-app-{}", &key[..32]),
        "latest".to_owned(),
    ];
    // One name is pushed; the others are set afterwards, each by itself.
    assert_eq!(run.build().values("--tag"), [format!("{repository}:{}", names[0])]);
    assert!(run.build().has("--push") && !run.build().has("--load") && run.build().has("--provenance=false"));
    let digest = lab.registry.digest(&format!("ci/{}", names[0])).unwrap();
    for (name, value) in [
        ("digest", digest.as_str()),
        ("tag", names[1].as_str()),
        ("commit-tag", names[0].as_str()),
        ("image", &format!("{repository}@{digest}")),
        // The engine's own builder keeps what it pushes.
        ("local-image", &run.private_name("trusted")),
        ("zone", "trusted"),
        ("built", "true"),
        ("pushed", "true"),
        ("degraded", "false"),
        ("cached-steps", "1"),
        ("total-steps", "3"),
        ("attempts", "1"),
        ("failure-class", ""),
    ] {
        assert_eq!(run.output(name), value, "{name}");
    }
    assert!(run.output("reason").starts_with("no image has this key"), "{}", run.output("reason"));
    assert!(run.output("seconds").parse::<f64>().unwrap() > 0.0);
    let file =
        |name: &str| -> Value { serde_json::from_slice(&std::fs::read(run.output(name)).unwrap()).unwrap() };
    assert_eq!(file("metadata-file")["containerimage.digest"], digest.as_str());
    assert_eq!(file("plan")["images"][0]["outcome"], "built");
    for name in names {
        assert_eq!(lab.registry.digest(&format!("ci/{name}")).unwrap(), digest, "{name}");
    }
    // The last word is the registry's.
    assert_eq!(lab.registry.asked().last().unwrap(), "GET ci/manifests/latest");
}

#[test]
fn after_a_build_the_engine_is_told_the_name_and_asked_nothing() {
    let lab = Lab::new();
    let run = lab.shared().run().succeeds("built");
    let lines = run.lines();
    let build = lines.iter().position(|line| line.starts_with("buildx build")).unwrap();
    let name = format!("tag {} {}", run.output("image"), run.private_name("trusted"));
    assert_eq!(lines[build + 1..], [name]);
}

#[test]
fn the_key_and_its_commit_travel_with_the_image() {
    let lab = Lab::new();
    let run = lab.shared().run().succeeds("built");
    let manifest = lab.registry.manifest(&format!("ci/{}", run.output("tag"))).unwrap();
    let annotations = &manifest["annotations"];
    assert_eq!(annotations["io.github.build-once.key"], run.output("key"));
    assert_eq!(annotations["org.opencontainers.image.revision"], HEAD);
    // A label with the commit would give the same content another digest in every commit.
    let labels = run.build().values("--label").join("\n");
    assert!(
        labels.contains(&format!("io.github.build-once.key={}", run.output("key"))) && !labels.contains(HEAD)
    );
}

#[test]
fn somebody_was_first_with_the_same_content() {
    let lab = Lab::new();
    let key = lab.build_once().args(&["key", "--json"]).run().stdout;
    let key: Value = serde_json::from_str(&key).unwrap();
    // Absent at first; after our push the tag is another run's, with the same key.
    let theirs = lab.registry.put("theirs", key["key"].as_str());
    let manifest = lab.registry.manifest("ci/theirs").unwrap().to_string();
    lab.registry.fault("/manifests/sha-", 1, Response::error(404, "MANIFEST_UNKNOWN", ""));
    lab.registry.fault("/manifests/sha-", 1, Response::new(200, manifest));
    let run = lab.shared().run().succeeds("built");
    assert_eq!(run.output("digest"), theirs);
    assert!(run.notices().contains("the registry's copy counts"), "{}", run.notices());
}

#[test]
fn bases_are_pinned_to_what_the_key_was_made_from() {
    let lab = Lab::new();
    let host = lab.registry.address().to_owned();
    let base = lab.registry.publish("base/os:12".replace(':', "/").as_str(), &json!({}), &json!({}));
    let tool = lab.registry.publish("base/tool/latest", &json!({"x": "tool"}), &json!({}));
    lab.write("work/Dockerfile", format!("FROM {host}/base/os:12 AS a\nFROM {host}/base/tool AS b\nCOPY --from=a / /\nFROM a\nCOPY --from=b /x /\n"));
    let run = lab.shared().run().succeeds("built");
    let held: BTreeSet<_> = run.build().held().into_iter().collect();
    let pin = |name: &str, at: String| {
        (format!("docker-image://{host}/{name}"), format!("docker-image://{host}/{at}"))
    };
    let expected =
        [pin("base/os:12", format!("base/os@{base}")), pin("base/tool:latest", format!("base/tool@{tool}"))];
    assert_eq!(held, BTreeSet::from(expected));
    assert!(run.build().values("--build-context").is_empty(), "a context may take a stage's place");
    // A base that moved makes another image.
    lab.registry.publish("base/os/12", &json!({"new": "1"}), &json!({}));
    let moved = lab.shared().commit(&"4".repeat(40)).run().succeeds("built");
    assert_ne!(moved.output("key"), run.output("key"));
}

#[test]
fn a_base_of_this_machine_needs_its_engine() {
    let lab = Lab::new();
    let _ = lab.build_once().input("image", "local-base:1").run().succeeds("built-local");
    assert!(
        lab.images()[0]["names"].as_array().unwrap().contains(&json!("local-base:1")),
        "{}",
        lab.images()
    );
    lab.forget_calls();
    lab.set("driver", "docker-container");
    lab.write("work/Dockerfile", "FROM local-base:1\n");
    // Docker Hub is asked first, and is not reachable from here.
    let run = lab.shared().env("HTTPS_PROXY", "http://127.0.0.1:9").run().succeeds("built");
    assert_eq!(run.build().values("--builder"), ["default"], "{}", run.build().line());
    assert!(run.build().values("--build-context").is_empty());
    assert!(
        run.notices().is_empty() || run.notices().contains("layer cache is not written"),
        "{}",
        run.notices()
    );
}

#[test]
fn named_contexts_are_pinned_too() {
    let lab = Lab::new();
    let host = lab.registry.address().to_owned();
    let base = lab.registry.publish("base/os/12", &json!({}), &json!({}));
    lab.write("work/Dockerfile", "FROM base\nCOPY --from=files a /\n");
    lab.write("work/more/a", "a");
    let contexts = format!("base=docker-image://{host}/base/os:12\nfiles=more");
    let run = lab.shared().input("build-contexts", &contexts).run().succeeds("built");
    let given = run.build().values("--build-context");
    assert!(given.contains(&format!("base=docker-image://{host}/base/os@{base}").as_str()), "{given:?}");
    assert!(given.contains(&"files=more"), "{given:?}");
    let last = given.iter().rev().find(|value| value.starts_with("base=")).unwrap();
    assert!(last.ends_with(&base), "of two with one name docker takes the last: {given:?}");
}

#[test]
fn secrets_go_through_the_childs_environment_alone() {
    let lab = Lab::new();
    lab.write("work/.secret", format!("{CANARY}-file"));
    lab.write("work/.dockerignore", ".secret\n");
    let by_value = format!("a={CANARY}-a\n\"b={CANARY}-b1\n{CANARY}-b2\"");
    let run = lab
        .shared()
        .input("secrets", &by_value)
        .input("secret-envs", "c=TOKEN")
        .input("secret-files", "d=.secret");
    let run = run.env("TOKEN", &format!("{CANARY}-c")).run().succeeds("built");
    let build = run.build();
    assert_eq!(
        build.values("--secret"),
        [
            "id=a,env=BUILD_ONCE_SECRET_0",
            "id=b,env=BUILD_ONCE_SECRET_1",
            "id=c,env=BUILD_ONCE_SECRET_2",
            "id=d,src=.secret",
        ]
    );
    assert_eq!(build.env["BUILD_ONCE_SECRET_0"], format!("{CANARY}-a"));
    assert_eq!(build.env["BUILD_ONCE_SECRET_1"], format!("{CANARY}-b1\n{CANARY}-b2"));
    assert_eq!(build.env["BUILD_ONCE_SECRET_2"], format!("{CANARY}-c"));
    assert!(build.env.get("BUILD_ONCE_SECRET_3").is_none());
    for call in run.calls.iter().filter(|call| !call.line().starts_with("buildx build")) {
        assert!(!call.env.to_string().contains(CANARY), "{}", call.line());
    }
    // Masked before anything else is printed.
    let masks: Vec<_> = run.commands("add-mask").iter().map(|mask| mask.message.clone()).collect();
    assert_eq!(masks, ["a", "b1", "b2", "c", "file"].map(|end| format!("{CANARY}-{end}")));
    assert!(run.stdout.starts_with("::add-mask::"), "{}", run.stdout);
}

#[test]
fn a_secrets_value_is_no_part_of_the_key_its_id_is() {
    let lab = Lab::new();
    lab.write(
        "work/Dockerfile",
        "FROM scratch\nRUN --mount=type=secret,id=a --mount=type=secret,id=b true\n",
    );
    let key =
        |secrets: &str| lab.build_once().input("secrets", secrets).args(&["key", "--json"]).run().stdout;
    assert_eq!(key(&format!("a={CANARY}-1")), key(&format!("a={CANARY}-2")));
    assert_ne!(key(&format!("a={CANARY}-1")), key(&format!("b={CANARY}-1")));
}

#[test]
fn every_input_reaches_buildx() {
    let lab = Lab::new();
    lab.write("work/sub/Other.Dockerfile", "FROM scratch AS stage\nARG A\nCOPY hello /\n");
    lab.write("work/sub/hello", "");
    let inputs = [
        ("context", "sub"),
        ("file", "sub/Other.Dockerfile"),
        ("target", "stage"),
        ("build-args", "A=1 2\nFROM_ENV\nUNSET"),
        ("platforms", "linux/amd64,linux/arm64"),
        ("annotations", "index:a=v"),
        ("ssh", "default=/dev/null"),
        ("cgroup-parent", "ci"),
        ("allow", "network.host"),
        ("network", "none"),
        ("add-hosts", "h:1.2.3.4"),
        ("shm-size", "1g"),
        ("ulimit", "nofile=1:1"),
        ("no-cache", "true"),
        ("no-cache-filters", "stage"),
        ("pull", "true"),
        ("provenance", "mode=max"),
        ("sbom", "true"),
        ("compression", "zstd"),
        ("cache-from", "type=local,src=/c"),
        ("cache-to", "type=local,dest=/c"),
        ("builder", "warm"),
        ("cache-mode", "min"),
    ];
    let program = inputs.iter().fold(lab.shared(), |program, (name, value)| program.input(name, value));
    let run = program.env("FROM_ENV", "x y").run().succeeds("built");
    let line = run.build().args.join("\n");
    for wanted in [
        "--progress\nrawjson",
        "--builder\nwarm",
        "--file\nsub/Other.Dockerfile",
        "--target\nstage",
        "--network\nnone",
        "--shm-size\n1g",
        "--platform\nlinux/amd64,linux/arm64",
        "--build-arg\nA=1 2\n--build-arg\nFROM_ENV=x y\n--label",
        "--annotation\nindex:a=v",
        "--ssh\ndefault=/dev/null",
        "--allow\nnetwork.host",
        "--add-host\nh:1.2.3.4",
        "--ulimit\nnofile=1:1",
        "--no-cache\n",
        "--no-cache-filter\nstage",
        "--pull\n",
        "--provenance=mode=max",
        "--sbom=true",
        "compression=zstd",
        "--cache-from\ntype=local,src=/c",
        "--cache-to\ntype=local,dest=/c",
        "mode=min",
        "\nsub",
    ] {
        assert!(line.contains(wanted), "{wanted} is not in\n{line}");
    }
    assert!(line.ends_with("\nsub"), "the context comes last");
    assert!(
        line.contains("--annotation\nindex:io.github.build-once.key="),
        "an index carries the key itself"
    );
}

#[test]
fn extra_args_expand_and_stay_one_argument() {
    let lab = Lab::new();
    lab.write("work/Dockerfile", "FROM scratch AS t\nCOPY hello /\n");
    let extra = "--build-arg 'x,dir=${DIR}' --label=i=${IMAGE},t=${TARGET},z=${ZONE},b=${BRANCH},p=${PLATFORM} --set=${KEY} --other plain$x";
    let program = lab.shared().input("image", "org/app:ci").input("extra-args", extra).input("target", "t");
    let program = program
        .env("DIR", "/c d")
        .env("BUILD_ONCE_EXTRA_ARGS", "--cgroup-parent=${IMAGE} --build-arg=Y=${ZONE}");
    let program = program
        .env("BUILD_ONCE_CACHE_FROM", "type=local,src=/o")
        .env("BUILD_ONCE_CACHE_TO", "type=local,dest=/o");
    let run = program.input("platforms", "linux/amd64").run().succeeds("built");
    assert_eq!(run.build().values("--build-arg"), ["x,dir=/c d", "Y=trusted"]);
    assert_eq!(run.build().values("--label")[0], "i=org-app-ci,t=t,z=trusted,b=main,p=linux/amd64");
    let args = &run.build().args;
    let set = format!("--set={}", run.output("key"));
    let tail = &args[args.iter().position(|arg| *arg == set).unwrap()..];
    let expected = [&set, "--other", "plain$x", "--cgroup-parent=org-app-ci", "."];
    assert_eq!(tail, expected);
    assert!(run.build().values("--cache-from").contains(&"type=local,src=/o"));
    assert!(run.build().values("--cache-to").contains(&"type=local,dest=/o"));
}

#[test]
fn extra_args_that_break_the_contract_are_refused() {
    for (extra, told) in [
        ("--push", "--push is not allowed\nhint: use push"),
        ("--output=type=tar", "--output is not allowed"),
        ("--metadata-file x", "--metadata-file is not allowed"),
        ("--secret id=${UNSET_HERE}", "${UNSET_HERE} is not known"),
        ("${OPEN", "is not closed"),
    ] {
        for owner in [false, true] {
            let lab = Lab::new();
            let program = if owner {
                lab.shared().env("BUILD_ONCE_EXTRA_ARGS", extra)
            } else {
                lab.shared().input("extra-args", extra)
            };
            let run = program.run().fails(2, "input");
            assert!(run.error().contains(told), "{extra}: {}", run.error());
            let name = if owner { "BUILD_ONCE_EXTRA_ARGS" } else { "extra-args" };
            assert!(run.error().contains(name), "{}", run.error());
            assert!(run.called("buildx build").is_empty() && run.called("buildx create").is_empty());
        }
    }
}

#[test]
fn a_cache_cannot_replace_the_image() {
    let lab = Lab::new();
    let cache = format!("type=registry,ref={}:sha-rf9d832d9-app-{HEAD}", lab.registry.repository());
    let run = lab.shared().input("cache-to", &cache).run().fails(2, "input");
    assert!(run.error().contains("would overwrite an image"), "{}", run.error());
}

#[test]
fn built_and_kept_here_too() {
    for (driver, loads) in [("docker", false), ("docker-container", true)] {
        let lab = Lab::new();
        lab.set("driver", driver);
        let run = lab.shared().input("load", "true").run().succeeds("built");
        // The engine's own builder keeps what it pushes; two exports would race for the name.
        assert_eq!(
            (run.build().has("--push"), run.build().has("--load")),
            (true, loads),
            "{}",
            run.build().line()
        );
        assert_eq!(run.output("local-image"), run.private_name("trusted"));
        for name in ["app:latest", run.output("local-image")] {
            assert!(lab.images()[0]["names"].as_array().unwrap().contains(&json!(name)), "{}", lab.images());
        }
    }
}

/// What buildx would take from its surroundings counts in the key, and nothing else is built.
#[test]
fn the_surroundings_count_in_the_key() {
    let lab = Lab::new();
    lab.write("work/Dockerfile", "FROM scratch\nARG SOURCE_DATE_EPOCH\nARG MIRROR\nCOPY hello /\n");
    let built = |name: &str, value: &str| {
        lab.another_machine();
        let run = lab.build_once().env(name, value).run().succeeds("built-local");
        (run.output("key").to_owned(), run.build().values("--platform").join(" "))
    };
    let (plain, platform) = built("NOTHING", "x");
    for (name, value) in [
        ("DOCKER_DEFAULT_PLATFORM", "linux/s390x"),
        ("SOURCE_DATE_EPOCH", "1700000000"),
        ("BUILD_ONCE_EXTRA_ARGS", "--build-arg=MIRROR=http://mirror.example/"),
        ("BUILD_ONCE_EXTRA_ARGS", "--label owner=x"),
    ] {
        let (key, on) = built(name, value);
        assert_ne!(key, plain, "{name}");
        assert_eq!(on == "linux/s390x", name == "DOCKER_DEFAULT_PLATFORM", "{on}");
    }
    assert_eq!(built("BUILD_ONCE_EXTRA_ARGS", "--memory 1g"), (plain, platform), "room is no content");
    let bad = lab.build_once().env("DOCKER_DEFAULT_PLATFORM", "x").run().fails(2, "input");
    assert!(bad.error().contains("DOCKER_DEFAULT_PLATFORM"), "{}", bad.error());
}

/// What is expanded into an argument may be a secret.
#[test]
fn a_plan_shows_the_flags_of_extra_arguments_alone() {
    let lab = Lab::new();
    let program =
        lab.build_once().env("T", CANARY).input("extra-args", "--from-the-future=${T} --other ${T}");
    let run = program.args(&["plan", "--json"]).run();
    assert_eq!(run.code, 0, "{}", run.all());
    assert!(!run.all().contains(CANARY), "{}", run.stdout);
    assert!(run.stdout.contains("--from-the-future"), "{}", run.stdout);
}
