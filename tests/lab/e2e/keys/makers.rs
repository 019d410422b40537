//! What runs of less trust leave in a builder that outlives them does not reach `main` (`docs/coherence.md`).

use crate::harness::{Program, Workspace, lab};

/// What the step leaves: a layer with the run's own secret in it, and the first run's secret in a cache mount.
const DOCKERFILE: &str = "ARG BASE\nFROM ${BASE}\nCOPY content.txt /\nRUN --network=none --mount=type=secret,id=tok --mount=type=cache,target=/c [ -s /c/first ] || cp /run/secrets/tok /c/first; cat /run/secrets/tok >/made; cat /c/first >/cached; cat /proc/sys/kernel/random/uuid >>/made\n";

fn made(work: &Workspace) -> String {
    work.docker(&["run", "--rm", &work.image, "cat", "/made", "/cached"])
}

fn workspace(name: &str) -> Workspace {
    let work = Workspace::new(name);
    // Another text each, so that no other test's layers are met.
    work.write("Dockerfile", &format!("{DOCKERFILE}RUN --network=none echo {}\n", work.image));
    work.write("content.txt", &work.image);
    work.commit("uses a secret");
    work
}

fn on<'a>(work: &'a Workspace, kind: &str, secret: &str) -> Program<'a> {
    let program = work.program().env("RUNNER_ENVIRONMENT", kind).input("cache", "none").input("load", "true");
    program.input("secrets", &format!("tok={secret}\n"))
}

/// With what the lab needs for a builder of the run's own.
fn own(program: Program<'_>) -> Program<'_> {
    let program = program.input("driver-opts", "network=host");
    program.input("buildkit-image", lab().get("BUILD_ONCE_LAB_BUILDKIT_IMAGE"))
}

/// D78: a pull request's run leaves layers and a cache mount in the engine's builder; main's run on the same machine
/// does not take them. On a hosted runner, where no two runs share an engine, it would: the control.
#[test]
fn d78_main_takes_no_layer_of_a_pull_request() {
    for (kind, taken) in [("github-hosted", true), ("self-hosted", false)] {
        let work = workspace(&format!("layers-{kind}"));
        own(on(&work, kind, "evil")).pull_request(12, &work.head(), false).run().is("built-local");
        let main = own(on(&work, kind, "good")).run().is("built-local");
        assert_eq!(made(&work).contains("evil"), taken, "{kind}: {}", main.log);
        if kind == "self-hosted" {
            // The second run of main trusts its own layers no more than before: others are still noted.
            let named = on(&work, kind, "good").input("builder", "default").input("key-extra", "2").run();
            let named = named.is("built-local");
            assert!(!made(&work).contains("evil"), "{}", named.log);
        }
    }
}

/// The same with a builder of the job's own making that outlives the job, named or current.
#[test]
fn d78_nor_from_another_builder_that_lasts() {
    for named in [true, false] {
        let work = workspace(&format!("lasting-{named}"));
        let name = format!("lasting-{}", work.image);
        let image = format!("image={}", lab().get("BUILD_ONCE_LAB_BUILDKIT_IMAGE"));
        let options =
            ["--driver", "docker-container", "--driver-opt", "network=host", "--driver-opt", &image];
        work.docker(&[&["buildx", "create", "--name", &name][..], &options].concat());
        let with = |kind: &str, secret: &str| {
            let program = on(&work, kind, secret);
            if named { program.input("builder", &name) } else { program.env("BUILDX_BUILDER", &name) }
        };
        let own = |program| if named { program } else { own(program) };
        own(with("self-hosted", "evil")).pull_request(12, &work.head(), false).run().is("built-local");
        let main = own(with("self-hosted", "good")).run().is("built-local");
        let (text, log) = (made(&work), main.log.clone());
        // The control: on a hosted runner the builder would have given what it has.
        own(with("github-hosted", "good")).input("rebuild", "true").run();
        let control = made(&work);
        work.docker(&["buildx", "rm", &name]);
        assert!(!text.contains("evil"), "{named}: {text}\n{log}");
        assert!(control.contains("evil"), "{named}: {control}");
    }
}
