//! Inputs: all bad ones named at once, before anything runs.

use crate::support::{CANARY, Lab};

#[test]
/// D74. Also what buildx or BuildKit would refuse later.
fn every_bad_input_is_named_before_any_call() {
    let lab = Lab::new();
    let bad = [
        ("image", "Not/Lower:case"),
        ("repository", "https://x/y"),
        ("mode", "pul"),
        ("load", "yes"),
        ("push", "1"),
        ("on-missing", "guess"),
        ("wait-timeout", "soon"),
        ("context", "absent"),
        ("platforms", "linux"),
        ("build-args", "=x"),
        ("labels", "=nothing"),
        ("secrets", &format!("a b={CANARY}")),
        ("outputs", "type=oci,dest=x.tar"),
        ("call", "outline"),
        ("attests", "type=vex"),
        ("shm-size", "2x"),
        ("ulimit", "nofile"),
        ("allow", "network.hosts"),
        ("ssh", "default"),
        ("network", "bridge"),
        ("add-hosts", "host"),
        ("annotations", "indx:a=b"),
        ("provenance", "maybe"),
        ("sbom", "maybe"),
        ("build-contexts", "src=absent"),
        ("driver-opts", "network"),
        ("buildkitd-config", "absent"),
        ("aws-region", "Frankfurt"),
        ("stall-timeout", "45"),
        ("secret-envs", "a=UNSET_HERE"),
        ("secret-files", "b=absent"),
        ("no-cache", "maybe"),
        ("compression", "lzma"),
        ("extra-args", "'open"),
        ("key", "guess"),
        ("max-age", "1s"),
        ("cache", "floppy"),
        ("cache-mode", "mid"),
        ("cache-write", "sometimes"),
        ("registry-policy", "lax"),
        ("retries", "many"),
        ("timeout", "45"),
        ("logins", "host user"),
        ("summary", "perhaps"),
        ("log", "loud"),
        ("tags", "not a tag"),
        ("tags-file", "absent"),
        ("build-args-file", "absent"),
        ("labels-file", "absent"),
        ("annotations-file", "absent"),
    ];
    // An annotation holds the first 3,000 characters.
    for bad in bad.chunks(20) {
        let program = bad.iter().fold(lab.build_once(), |program, (name, value)| program.input(name, value));
        let run = program.run().fails(2, "input");
        for (name, _) in bad {
            assert!(run.error().contains(&format!("input `{name}`: ")), "{name}: {}", run.error());
        }
        assert!(run.calls.is_empty() && run.output("key").is_empty());
        // Each by itself: nothing is asked, of nobody.
        for (name, value) in bad {
            let run = lab.shared().input(name, value).run().fails(2, "input");
            assert!(run.calls.is_empty(), "{name}: {:?}", run.lines());
            assert_eq!(lab.registry.connections(), 0, "{name}: {:?}", lab.registry.asked());
        }
    }
    let run = lab.build_once().input("mode", "pul").run().fails(2, "input");
    // Accepted words are told with the bad one.
    assert!(run.error().contains("input `mode`: `pul` is not one of build, pull"), "{}", run.error());
}

#[test]
fn one_bad_input() {
    let lab = Lab::new();
    let run = lab.build_once().input("image", "").run().fails(2, "input");
    assert_eq!(run.error(), "input `image`: is required: a name such as app-ci");
    let run = lab.build_once().input("digest", &format!("sha256:{}", "a".repeat(64))).run().fails(2, "input");
    assert_eq!(run.error(), "input `digest`: only goes with mode pull");
}

#[test]
fn flags_and_variables_are_one_thing() {
    let lab = Lab::new();
    let repository = lab.registry.repository();
    let args = ["run", "--repository", &repository, "--build-args=A=1", "--image", "flag"];
    let run = lab.build_once().args(&args).run().succeeds("built");
    assert_eq!(run.build().values("--build-arg"), ["A=1"]);
    assert!(run.output("tag").starts_with("key-rf9d832d9-flag-"), "a flag wins: {}", run.output("tag"));
    let key = run.output("key").to_owned();
    lab.forget_calls();
    let same = lab
        .build_once()
        .args(&[])
        .input("image", "flag")
        .input("repository", &repository)
        .input("build-args", "A=1");
    assert_eq!(same.run().succeeds("reused-tag").output("key"), key);
}

#[test]
fn names_with_hyphens_in_the_environment_are_not_read() {
    // Some runners set INPUT_BUILD-ARGS for the steps of a composite action; the real one does not.
    let lab = Lab::new();
    let run = lab
        .build_once()
        .env("INPUT_BUILD-ARGS", "A=1")
        .env("INPUT_TARGET", " ")
        .run()
        .succeeds("built-local");
    assert!(run.build().values("--build-arg").is_empty() && run.build().values("--target").is_empty());
}

#[test]
fn an_unknown_flag_is_answered_by_name() {
    let lab = Lab::new();
    let run = lab.build_once().outside_github().args(&["run", "--imgae", "x"]).run();
    assert_eq!(run.code, 2);
    assert!(
        run.stderr.contains("unexpected argument '--imgae'") && run.stderr.contains("--image"),
        "{}",
        run.stderr
    );
    let run = lab.build_once().outside_github().args(&["--help"]).run();
    assert!(
        run.code == 0 && run.stdout.contains("Print what `run` would do, and write nothing"),
        "{}",
        run.all()
    );
    let run = lab.build_once().outside_github().args(&["--version"]).run();
    assert_eq!((run.code, run.stdout.trim()), (0, concat!("build-once ", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn in_a_workflow_a_bad_command_line_is_reported_too() {
    let lab = Lab::new();
    let run = lab.build_once().args(&["run", "--secrets=a=b"]).run().fails(2, "input");
    assert!(run.error().contains("--secrets would show the secret in the process list"), "{}", run.error());
    assert!(!run.all().contains("a=b") && run.calls.is_empty());
    let run = lab.build_once().args(&["run", "--imgae", "x"]).run().fails(2, "input");
    assert!(run.error().starts_with("unexpected argument '--imgae' found"), "{}", run.error());
    assert!(run.error().contains("hint: a similar argument exists: '--image'"), "{}", run.error());
    assert!(run.output("reason").contains("'--imgae'") && run.summary.contains("'--imgae'"));
    let run = lab.build_once().args(&["run", "--timeout"]).run().fails(2, "input");
    assert!(run.error().contains("'--timeout <VALUE>'"), "{}", run.error());
    // These only print.
    let run = lab.build_once().args(&["plan", "--imgae", "x"]).run();
    assert!(run.code == 2 && run.stderr.contains("unexpected argument '--imgae'"), "{}", run.all());
}

/// No defect of ours.
#[test]
fn arguments_that_are_no_text_are_bad_input() {
    let lab = Lab::new();
    let words = ["/bin/sh", "-c", "exec \"$0\" \"$@\" --target=\"$(printf 'canary\\377')\""];
    let words = [words.as_slice(), &[env!("CARGO_BIN_EXE_build-once")]].concat();
    let run = lab.build_once().through(&words).args(&["run"]).run().fails(2, "input");
    assert_eq!(run.error(), "argument 2 is not UTF-8");
    assert!(!run.all().contains("canary"));
    let run = lab.build_once().through(&words).args(&["key"]).run();
    assert_eq!((run.code, run.stderr.as_str()), (2, "error: argument 2 is not UTF-8\n"), "{}", run.all());
}

#[test]
fn twin_files_add_to_their_lists() {
    let lab = Lab::new();
    let repository = lab.registry.repository();
    lab.write("work/.ci/args", "B=2\n# a comment\n\nC=3\n");
    lab.write("work/.ci/labels", "l=2\n");
    lab.write("work/.ci/annotations", "manifest:a=2\r\n");
    lab.write("work/.ci/tags", format!("{repository}:v2\n{repository}:v3\n"));
    let run =
        lab.shared().input("build-args", "A=1").input("build-args-file", ".ci/args").input("labels", "k=1");
    let run = run.input("labels-file", ".ci/labels").input("annotations-file", ".ci/annotations");
    let run =
        run.input("tags", &format!("{repository}:v1")).input("tags-file", ".ci/tags").run().succeeds("built");
    let build = run.build();
    assert_eq!(build.values("--build-arg"), ["A=1", "B=2", "C=3"]);
    assert_eq!(build.values("--label")[..2], ["k=1", "l=2"]);
    assert!(build.values("--annotation").contains(&"manifest:a=2"));
    for tag in ["v1", "v2", "v3"] {
        assert_eq!(lab.registry.digest(&format!("ci/{tag}")).as_deref(), Some(run.output("digest")), "{tag}");
    }
}

#[test]
fn outputs_that_go_nowhere_are_an_error() {
    let lab = Lab::new();
    let run = lab.build_once().unset("GITHUB_OUTPUT").unset("GITHUB_STEP_SUMMARY").run();
    assert_eq!(run.code, 60, "{}", run.all());
    assert!(run.stdout.contains("GITHUB_OUTPUT is not set"), "{}", run.stdout);
}

#[test]
fn the_summary_may_be_left_out() {
    let lab = Lab::new();
    assert_eq!(lab.shared().input("summary", "false").run().succeeds("built").summary, "");
    assert!(!lab.shared().run().succeeds("reused-tag").summary.is_empty());
}

/// D73. buildx takes the folder, and a stranger's repository may have its name.
#[test]
fn d73_a_folder_that_is_there_is_no_url() {
    let lab = Lab::new();
    for folder in ["github.com/acme/app", "git@host:acme/app"] {
        lab.write(&format!("work/{folder}/Dockerfile"), "FROM scratch\nCOPY x /\n");
        lab.write(&format!("work/{folder}/x"), folder);
        let built = lab.build_once().input("context", folder).run().succeeds("built-local");
        assert!(built.called("buildx build").iter().any(|call| call.has(folder)), "{folder}");
    }
    lab.write("work/Dockerfile", "FROM scratch\nCOPY --from=src x /\n");
    let named = |value: &str| lab.build_once().input("build-contexts", value).run();
    let built = named("src=github.com/acme/app").succeeds("built-local");
    let last = built.called("buildx build").last().unwrap().values("--build-context");
    assert_eq!(last, ["src=./github.com/acme/app"]);
    let absent = named("src=github.com/acme/absent").fails(2, "input");
    assert!(absent.error().contains("for the repository, write `https://github.com/"), "{}", absent.error());
}

/// D05. buildx makes it a build argument, so it can choose a file and a base.
#[test]
fn d05_source_date_epoch_chooses_what_is_copied() {
    let lab = Lab::new();
    lab.write("work/Dockerfile", "FROM scratch\nARG SOURCE_DATE_EPOCH\nCOPY v-${SOURCE_DATE_EPOCH}.txt /\n");
    let key = |epoch: &str| {
        let run = lab.build_once().env("SOURCE_DATE_EPOCH", epoch).input("load", "false").run();
        run.succeeds("built-local").output("key").to_owned()
    };
    lab.write("work/v-1.txt", "one");
    lab.write("work/v-2.txt", "two");
    let (one, two) = (key("1"), key("2"));
    lab.write("work/v-1.txt", "another");
    assert_ne!((key("1"), one), (key("2"), two.clone()));
    assert_eq!(key("2"), two);
    lab.write("work/Dockerfile", "FROM scratch\nCOPY v-1.txt /\n");
    assert_eq!(key("1"), key("2"), "it only dates the image");
}

/// D60. Told as in the input `repository`, without the value.
#[test]
fn d60_a_repository_in_capitals_is_told_why() {
    let lab = Lab::new();
    let run = lab.build_once().env("BUILD_ONCE_REPOSITORY", "host.example/Team/CI").run().fails(2, "input");
    assert!(run.error().contains("the name must be lower-case"), "{}", run.error());
    let run = lab.build_once().input("repository", "host.example/Team/CI").run().fails(2, "input");
    assert!(run.error().contains("the name must be lower-case"), "{}", run.error());
}

/// D60. A plan that builds nothing needs no docker; what loads the image does.
#[test]
fn d60_a_plan_of_a_hit_needs_no_docker() {
    let lab = Lab::new();
    let _ = lab.shared().run().succeeds("built");
    lab.without_docker();
    let planned = lab.shared().args(&["plan"]).input("load", "true").run();
    assert!(planned.all().contains("pull"), "{}", planned.all());
    let run = lab.shared().input("load", "true").run().fails(60, "unsupported");
    assert!(run.error().contains("docker"), "{}", run.error());
}

/// D74. What buildx says of an input once it runs is traced back to that input.
#[test]
fn d74_what_buildx_refuses_names_the_input() {
    let config = "ERROR: failed to parse buildkit config: (2, 1): unterminated array\n";
    let option = "ERROR: failed to initialize builder b (b0): invalid driver option nonsense for docker-container driver\n";
    for (command, text, hint) in [
        ("buildx create", config, "correct the input buildkitd-config"),
        ("buildx create", option, "correct the inputs builder, driver and driver-opts"),
        (
            "buildx build",
            "ERROR: failed to build: failed to solve: invalid mode \"foo\"\n",
            "correct the inputs provenance and sbom",
        ),
        (
            "buildx build",
            "ERROR: failed to build: failed to convert agent config {default [/k] false}: failed to parse /k: ssh: no key found\n",
            "in the input ssh",
        ),
    ] {
        let lab = Lab::new();
        lab.rule(command, serde_json::json!({"stderr": text, "exit": 1}));
        let run = lab.shared().input("driver", "docker-container").run().fails(2, "input");
        assert!(run.error().contains(hint), "{text}: {}", run.error());
        assert_eq!(run.called(command).len(), 1, "{text}");
    }
    // What it passes over, or lets a build fail for, is asked before.
    for (input, value, missing) in [
        ("cache-from", "type=local", "cache-from: `type=local` needs src=…"),
        ("cache-to", "type=local", "cache-to: `type=local` needs dest=…"),
        ("cache-from", "type=registry", "cache-from: `type=registry` needs ref=…"),
    ] {
        let lab = Lab::new();
        let run = lab.shared().input(input, value).run().fails(2, "input");
        assert!(run.error().contains(missing), "{}", run.error());
        assert!(run.called("buildx build").is_empty());
    }
    let run = Lab::new();
    let run = run.shared().input("provenance", "mode=foo").run().fails(2, "input");
    assert!(run.error().contains("input `provenance`: mode is min or max, not `foo`"), "{}", run.error());
}
