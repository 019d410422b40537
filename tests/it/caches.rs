//! Layer caches by kind and zone.

use std::fs;

use serde_json::{Value, json};

use crate::support::{CANARY, HEAD, Lab, MERGE};

/// What a runner gives to JavaScript actions.
pub(crate) const GHA: [(&str, &str); 3] = [
    ("ACTIONS_RUNTIME_TOKEN", CANARY),
    ("ACTIONS_RESULTS_URL", "https://results.example/"),
    ("ACTIONS_CACHE_SERVICE_V2", "true"),
];

/// As buildx prints them.
pub(crate) fn from_to(run: &crate::support::Run) -> (Vec<String>, Vec<String>) {
    let owned = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
    let build = run.build();
    (owned(build.values("--cache-from")), owned(build.values("--cache-to")))
}

#[test]
fn gha_gets_its_token_by_the_childs_environment_alone() {
    let lab = Lab::new();
    let mut program = lab.shared().input("cache", "gha");
    for (name, value) in GHA {
        program = program.env(name, value);
    }
    let run = program.run().succeeds("built");
    assert_eq!(
        from_to(&run),
        (
            vec!["type=gha,scope=cache-rf9d832d9-app-main".to_owned()],
            vec!["type=gha,scope=cache-rf9d832d9-app-main,mode=max,ignore-error=true".to_owned()]
        )
    );
    for (name, value) in GHA {
        assert_eq!(run.build().env[name], value);
    }
    // Only the build, and never an argument.
    for call in lab.calls() {
        assert!(!call.line().contains(CANARY), "{}", call.line());
        if !call.line().starts_with("buildx build") {
            assert!(call.env["ACTIONS_RUNTIME_TOKEN"].is_null(), "{}", call.line());
        }
    }
}

#[test]
fn gha_is_switched_off_where_the_runner_gives_nothing() {
    let lab = Lab::new();
    let run = lab.shared().input("cache", "registry\ngha").run().succeeds("built");
    assert_eq!(run.output("degraded"), "true");
    assert!(run.stdout.contains("cache gha is off: the runner gave no access"), "{}", run.stdout);
    // Whoever names it.
    let lab = Lab::new();
    let by_hand = lab.shared().input("cache-from", "type=gha").env("BUILD_ONCE_CACHE_TO", "type=gha").run();
    let by_hand = by_hand.succeeds("built").degraded();
    assert!(by_hand.commands("warning")[0].message.contains("cache gha is off"), "{}", by_hand.stdout);
    assert!(![from_to(&by_hand).0, from_to(&by_hand).1].concat().iter().any(|cache| cache.contains("gha")));
    let (_, to) = from_to(&run);
    assert!(to.len() == 1 && to[0].starts_with("type=registry"), "{to:?}");
}

#[test]
fn gha_respects_the_runs_cache_mode() {
    for (mode, reads, writes) in
        [("read", 1, 0), ("none", 0, 0), ("write-only", 0, 1), ("write", 1, 1), ("", 1, 1)]
    {
        let lab = Lab::new();
        let mut program = lab.shared().input("cache", "gha").env("ACTIONS_CACHE_MODE", mode);
        for (name, value) in GHA {
            program = program.env(name, value);
        }
        let run = program.run().succeeds("built");
        let (from, to) = from_to(&run);
        assert_eq!((from.len(), to.len()), (reads, writes), "{mode}");
        assert_eq!(run.notices().contains("GitHub's cache is not written"), writes == 0, "{mode}");
        assert_eq!(run.output("degraded"), "false");
    }
}

#[test]
fn buckets_are_split_by_repository_and_zone() {
    let lab = Lab::new();
    let caches = "s3,bucket=b,region=r,prefix=ci/\nazblob,account_url=https://a.example";
    let program = || {
        lab.shared()
            .input("cache", caches)
            .env("AWS_ACCESS_KEY_ID", "id")
            .env("AWS_SECRET_ACCESS_KEY", CANARY)
    };
    let run = program().run().succeeds("built");
    let s3 = "type=s3,bucket=b,region=r,prefix=ci/o/r/trusted/,name=cache-rf9d832d9-app-main";
    let azblob =
        "type=azblob,account_url=https://a.example,prefix=o/r/trusted/,name=cache-rf9d832d9-app-main";
    let write = ",mode=max,ignore-error=true";
    assert_eq!(
        from_to(&run),
        (vec![s3.to_owned(), azblob.to_owned()], vec![format!("{s3}{write}"), format!("{azblob}{write}")])
    );
    assert_eq!(run.build().env["AWS_SECRET_ACCESS_KEY"], CANARY);
    assert!(run.build().env["AWS_SESSION_TOKEN"].is_null());
    lab.write("work/hello", "changed");
    lab.forget_calls();
    let run = program().pull_request(12).input("cache-write", "always").run().succeeds("built");
    let (from, to) = from_to(&run);
    assert!(from[0].contains("prefix=ci/o/r/pr-12/,name=pr-12-cache-rf9d832d9-app"), "{from:?}");
    assert_eq!(from[1], s3);
    assert!(to.iter().all(|to| to.contains("o/r/pr-12/,")), "{to:?}");
}

#[test]
fn a_credential_in_an_attribute_is_refused() {
    let lab = Lab::new();
    for (input, value) in [
        ("cache", format!("s3,bucket=b,region=r,secret_access_key={CANARY}")),
        ("cache-to", format!("type=s3,bucket=b,region=r,name=x,session_token={CANARY}")),
        ("cache-from", format!("type=gha,token={CANARY}")),
        ("extra-args", format!("--cache-to type=s3,access_key_id={CANARY}")),
    ] {
        let run = lab.shared().input(input, &value).run().fails(2, "input");
        assert!(run.error().contains("process list"), "{}", run.error());
        assert!(run.called("buildx build").is_empty());
    }
}

#[test]
fn inline_is_written_into_the_image_and_read_from_the_one_before() {
    let lab = Lab::new();
    let repository = lab.registry.repository();
    let run = lab.shared().input("cache", "inline").commit(MERGE).run().succeeds("built");
    assert_eq!(from_to(&run), (vec![], vec!["type=inline".to_owned()]));
    lab.write("work/hello", "changed");
    lab.forget_calls();
    let event = json!({"repository": {"default_branch": "main"}, "before": MERGE});
    let run = lab.shared().input("cache", "inline").event("push", "refs/heads/main", HEAD, &event);
    let (from, _) = from_to(&run.run().succeeds("built"));
    assert_eq!(from, [format!("type=registry,ref={repository}:sha-rf9d832d9-app-{MERGE}")]);
}

#[test]
fn local_reads_and_writes_folders_of_its_zone() {
    let lab = Lab::new();
    let dir = lab.path("layers");
    let program = || lab.shared().input("cache", "local").input("cache-dir", dir.to_str().unwrap());
    let run = program().commit(MERGE).run().succeeds("built");
    let (from, to) = from_to(&run);
    assert!(from.is_empty());
    let cache = dir.join("o/r/trusted/cache-rf9d832d9-app-main");
    assert!(to[0].starts_with(&format!("type=local,dest={}/gen-", cache.display())), "{to:?}");
    assert_eq!(
        fs::read_dir(&cache).unwrap().filter(|e| e.as_ref().unwrap().file_name() != "lock").count(),
        2
    );
    let first = fs::read_link(cache.join("current")).unwrap();
    // The next one reads it, and leaves only its own.
    lab.write("work/hello", "changed");
    lab.forget_calls();
    let (from, _) = from_to(&program().run().succeeds("built"));
    assert_eq!(from, [format!("type=local,src={}", cache.join(&first).display())]);
    assert!(!cache.join(&first).exists());
    // A pull request reads it too, and writes elsewhere; nobody trusted reads that.
    lab.write("work/hello", "of a pull request");
    lab.forget_calls();
    let run = program().pull_request(12).input("cache-write", "always").run().succeeds("built");
    let (from, to) = from_to(&run);
    assert!(
        from.len() == 1
            && from[0].contains("/trusted/")
            && to[0].contains("/o/r/pr-12/pr-12-cache-rf9d832d9-app/gen-")
    );
    lab.write("work/hello", "trusted again");
    lab.forget_calls();
    let (from, _) = from_to(&program().run().succeeds("built"));
    assert!(from.len() == 1 && from[0].contains("/trusted/"), "{from:?}");
}

/// Starts the program where another job has been moving the cache for longer than anyone should.
fn with_a_held_lock(lab: &Lab, test: impl FnOnce(crate::support::Running<'_>)) {
    let dir = lab.path("layers");
    let program = || lab.shared().input("cache", "local").input("cache-dir", dir.to_str().unwrap());
    let _ = program().commit(MERGE).run().succeeds("built");
    let cache = dir.join("o/r/trusted/cache-rf9d832d9-app-main");
    let current = fs::read_link(cache.join("current")).unwrap();
    // Another process than the program's: this one.
    let lock = fs::File::open(cache.join("lock")).unwrap();
    lock.lock().unwrap();
    lab.write("work/hello", "changed");
    lab.forget_calls();
    test(program().start());
    assert_eq!(fs::read_link(cache.join("current")).unwrap(), current);
}

/// F81
#[test]
fn local_is_left_alone_while_another_job_holds_it() {
    let lab = Lab::new();
    with_a_held_lock(&lab, |running| {
        let run = running.finish().succeeds("built");
        let said = "the local layer cache is left as it is: another job holds it (waited 5 s)";
        assert!(run.notices().contains(said), "{}", run.notices());
    });
}

#[test]
fn a_signal_is_seen_while_local_waits_for_another_job() {
    let lab = Lab::new();
    with_a_held_lock(&lab, |mut running| {
        let _ = running.wait_for_call("buildx build");
        std::thread::sleep(std::time::Duration::from_millis(1500));
        let start = std::time::Instant::now();
        running.signal(rustix::process::Signal::INT);
        let run = running.finish().fails(130, "cancelled");
        assert!(start.elapsed() < std::time::Duration::from_secs(2), "{:?}", start.elapsed());
        assert_eq!((run.output("built"), run.output("pushed")), ("true", "true"), "{}", run.all());
    });
}

#[test]
fn local_keeps_the_old_one_when_the_build_fails_or_exports_nothing() {
    let lab = Lab::new();
    let dir = lab.path("layers");
    let program = || lab.shared().input("cache", "local").input("cache-dir", dir.to_str().unwrap());
    let _ = program().commit(MERGE).run().succeeds("built");
    let cache = dir.join("o/r/trusted/cache-rf9d832d9-app-main");
    let before = fs::read_link(cache.join("current")).unwrap();
    lab.write("work/hello", "changed");
    lab.rule("buildx build", json!({"stderr": "ERROR: failed to solve: process \"/bin/sh -c x\" did not complete successfully: exit code: 1\n", "exit": 1, "times": 1}));
    let _ = program().run().fails(10, "build");
    assert_eq!(fs::read_link(cache.join("current")).unwrap(), before);
    lab.set("exports_cache", false);
    let run = program().run().succeeds("built");
    assert!(run.notices().contains("local cache not written: nothing was exported"), "{}", run.notices());
    assert_eq!(fs::read_link(cache.join("current")).unwrap(), before);
    assert!(cache.join(&before).join("index.json").exists());
}

#[test]
fn local_is_switched_off_where_others_could_write() {
    use std::os::unix::fs::PermissionsExt as _;
    let lab = Lab::new();
    let dir = lab.path("layers");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
    let run = lab
        .shared()
        .input("cache", "local")
        .input("cache-dir", dir.to_str().unwrap())
        .run()
        .succeeds("built");
    assert_eq!(run.output("degraded"), "true");
    assert!(run.stdout.contains("can be written by other users"), "{}", run.stdout);
    assert_eq!(from_to(&run), (vec![], vec![]));
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
}

#[test]
fn a_kill_at_any_moment_leaves_the_old_or_the_new() {
    let lab = Lab::new();
    let dir = lab.path("layers");
    let program = || lab.shared().input("cache", "local").input("cache-dir", dir.to_str().unwrap());
    let _ = program().commit(MERGE).run().succeeds("built");
    let cache = dir.join("o/r/trusted/cache-rf9d832d9-app-main");
    for attempt in 0..20_u32 {
        lab.write("work/hello", format!("attempt {attempt}"));
        lab.forget_calls();
        let mut running = program().start();
        let _ = running.wait_for_call("buildx build");
        std::thread::sleep(std::time::Duration::from_millis(u64::from(attempt)));
        running.kill();
        let current = cache.join(fs::read_link(cache.join("current")).unwrap());
        let index: Value = serde_json::from_slice(&fs::read(current.join("index.json")).unwrap()).unwrap();
        let digest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
        assert!(current.join("blobs").join(digest).exists());
    }
    lab.write("work/hello", "at last");
    let _ = program().run().succeeds("built");
    let left =
        fs::read_dir(&cache).unwrap().flatten().filter(|e| e.file_name().to_string_lossy().contains("gen-"));
    assert_eq!(left.count(), 1);
}

#[test]
fn a_cache_that_breaks_the_build_is_dropped_and_the_build_done_without() {
    let lab = Lab::new();
    let _ = lab.shared().commit(MERGE).run().succeeds("built");
    lab.write("work/hello", "changed");
    lab.forget_calls();
    let fault = "ERROR: failed to solve: failed to compute cache key: failed to copy: httpReadSeeker: failed open: 503\n";
    lab.rule("buildx build", json!({"stderr": fault, "exit": 1, "times": 1}));
    let run = lab.shared().run().succeeds("built");
    assert_eq!((run.output("attempts"), run.output("degraded")), ("2", "true"));
    let builds = run.called("buildx build");
    assert!(!builds[0].values("--cache-from").is_empty());
    assert!(builds[1].values("--cache-from").is_empty());
    assert_eq!(
        builds[0].values("--cache-to"),
        builds[1].values("--cache-to"),
        "written anew, it is repaired"
    );
}
