//! Without a repository: everything stays on the machine.

use serde_json::Value;

use crate::harness::{KEY, Program, Repository, Workspace, engine_at, lab};

#[test]
fn built_once_then_found_again() {
    let work = Workspace::new("local");
    let built = work.program().run().is("built-local");
    work.holds(&built, "trusted");
    assert_eq!(
        ["digest", "tag", "image", "pushed", "degraded"].map(|name| built.output(name)),
        ["", "", "", "false", "false"]
    );
    assert_eq!(work.docker(&["run", "--rm", &work.image, "cat", "/made.txt"]), work.image);
    let label = format!("{{{{index .Config.Labels \"{KEY}\"}}}}");
    assert_eq!(work.docker(&["image", "inspect", "--format", &label, &work.image]), built.output("key"));

    work.commit("same content");
    let again = work.program().run().is("reused-local");
    assert_eq!((again.output("key"), again.output("built")), (built.output("key"), "false"));
    // Its name is set again, whatever happened to it.
    work.docker(&["tag", &work.image, &format!("{}:kept", work.image)]);
    work.docker(&["image", "rm", &work.image]);
    work.program().run().is("reused-local");
    assert_eq!(work.docker(&["run", "--rm", &work.image, "cat", "/made.txt"]), work.image);

    work.write("content.txt", "other");
    work.commit("other content");
    let other = work.program().run().is("built-local");
    assert_eq!(work.docker(&["run", "--rm", &work.image, "cat", "/made.txt"]), "other");
    assert_ne!(other.output("key"), built.output("key"));

    // D89: what was built before is found again, too.
    work.write("content.txt", &format!("{}\n", work.image));
    work.commit("the first content again");
    let first = work.program().run().is("reused-local");
    work.holds(&first, "trusted");
    assert_eq!(work.docker(&["run", "--rm", &work.image, "cat", "/made.txt"]), work.image);
}

/// D02: `FROM app` inherits every label, and takes over the name that people use.
#[test]
fn d02_a_child_is_not_taken_for_its_parent() {
    let work = Workspace::new("child");
    let built = work.program().run().is("built-local");
    let child = format!("FROM {}\nRUN --network=none echo evil >/made.txt\n", work.image);
    let folder = work.root().join("child");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("Dockerfile"), child).unwrap();
    work.docker(&["buildx", "build", "--quiet", "--load", "--tag", &work.image, folder.to_str().unwrap()]);
    assert_eq!(work.docker(&["run", "--rm", &work.image, "cat", "/made.txt"]), "evil");
    let again = work.program().run().is("reused-local");
    assert_eq!(again.output("local-image"), built.output("local-image"));
    assert_eq!(work.docker(&["run", "--rm", &work.image, "cat", "/made.txt"]), work.image);
}

#[test]
fn on_a_developers_machine() {
    let work = Workspace::new("developer");
    let built = work.program().outside_github().run();
    assert_eq!(built.code, Some(0), "{}", built.log);
    assert!(built.log.contains("built-local") && !built.log.contains("::"), "{}", built.log);
    assert_eq!(work.docker(&["run", "--rm", &work.image, "cat", "/made.txt"]), work.image);
    let again = work.program().outside_github().run();
    assert!(again.code == Some(0) && again.log.contains("reused-local"), "{}", again.log);
    // What CI published is hers to use, not to write.
    let repository = Repository::ecr("developer");
    let shared = work.program().repository(&repository).run().is("built");
    work.forget();
    let before = repository.journal().last().unwrap().seq;
    let hers = work.program().repository(&repository).outside_github().input("load", "true");
    let hers = hers.env("GITHUB_REPOSITORY_ID", "1").run();
    assert!(hers.code == Some(0) && hers.log.contains(shared.output("digest")), "{}", hers.log);
    assert!(repository.journal().iter().all(|entry| entry.seq <= before || !entry.is_write()));
}

/// An engine's store that lasts: images that were built long ago go, the newest two and those in use stay.
#[test]
fn old_images_go_from_the_engine() {
    for host in [lab().get("DOCKER_HOST"), crate::engines::classic()] {
        if host.is_empty() {
            continue;
        }
        let work = Workspace::new("keep-local");
        let program = |keep: &str| {
            let program = work.program().engine(host).env("RUNNER_ENVIRONMENT", "self-hosted");
            // Else the images of other tests would go too.
            let program = program.env("GITHUB_REPOSITORY", &format!("o/{}", work.image));
            program.input("keep-local", keep).input("builder", "default")
        };
        let mut names = Vec::new();
        let build = |number: usize, keep: &str| {
            work.write("content.txt", &format!("{} {number}", work.image));
            work.commit("another content");
            // Ages are whole seconds: the third and the fourth must be younger than those before.
            if [2, 3].contains(&number) {
                std::thread::sleep(std::time::Duration::from_millis(1_100));
            }
            // The report costs seconds where the engine has many images.
            let report = if number == 4 { "true" } else { "false" };
            program(keep).input("disk-report", report).run().is("built-local")
        };
        let is_there = |name: &str| engine_at(host, &["image", "inspect", name]).0;
        let container = format!("{}-user", work.image);
        for number in 0..4 {
            names.push(build(number, "14d").output("local-image").to_owned());
            if number == 0 {
                work.docker_on(host, &["create", "--name", &container, &names[0]]);
            }
        }
        let last = build(4, "0s");
        let there: Vec<bool> = names.iter().map(|name| is_there(name)).collect();
        let _ = engine_at(host, &["rm", "--force", &container]);
        assert_eq!(there, [true, false, true, true], "a container uses the first: {}", last.log);
        assert!(
            last.summary.contains("Removed 1 old images") && last.summary.contains("| free of "),
            "{}",
            last.summary
        );
        assert!(is_there(last.output("local-image")));
        let last = build(5, "0s");
        let there: Vec<bool> = names.iter().map(|name| is_there(name)).collect();
        assert!(
            !there[0] && !there[2],
            "no container uses it any more: {there:?}\n{}\n{}",
            last.log,
            last.summary
        );
    }
}

/// The engine's socket and the docker CLI: the same facts and the same report, on both kinds of store.
#[test]
fn the_socket_and_the_cli_tell_the_same() {
    for host in [lab().get("DOCKER_HOST"), crate::engines::classic()] {
        if host.is_empty() {
            continue;
        }
        let work = Workspace::new("socket");
        let program = || {
            let program = work.program().engine(host).env("RUNNER_ENVIRONMENT", "self-hosted");
            // The images of other tests come and go.
            let program = program.env("GITHUB_REPOSITORY", "o/socket");
            program.input("disk-report", "true").input("builder", "default")
        };
        // A header that the engine does not know.
        let by_cli = || program().env("DOCKER_CUSTOM_HEADERS", "X-Lab=1");
        program().input("disk-report", "false").run().is("built-local");
        let saved = |program: Program<'_>, asked: &str| -> Value {
            let file = work.root().join("facts.json");
            let program = program.command("plan").flag("--save-facts").flag(file.to_str().unwrap());
            let run = program.flag("--verbose").run();
            assert!(run.code == Some(0) && run.log.contains(asked), "{asked}: {}", run.log);
            serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
        };
        let of_a_hit = |program: Program<'_>, asked: &str| {
            let mut facts = saved(program, asked);
            let mut store = facts["store"].take();
            assert!(!store["images"].as_array().unwrap().is_empty() && !store["disk"].is_null(), "{store}");
            // They change from one second to the next.
            store["images"].as_array_mut().unwrap().iter_mut().for_each(|image| image["age"] = Value::Null);
            store["disk"]["space"] = Value::Null;
            (store, facts["images"][0]["facts"]["local"].take())
        };
        let socket = of_a_hit(program(), "GET unix:/images/");
        assert_eq!(socket, of_a_hit(by_cli(), "docker image inspect"));
        assert!(!socket.1["of_key"].is_null(), "{}", socket.1);

        let of_a_miss = |program: Program<'_>, asked: &str| {
            let mut facts = saved(program.input("labels", "n=1"), asked);
            facts["images"][0]["build"]["toolchain"]["engine"].take()
        };
        let socket = of_a_miss(program(), "GET unix:/info");
        assert_eq!(socket, of_a_miss(by_cli(), "docker info"));
        assert_eq!(socket["containerd_store"], host == lab().get("DOCKER_HOST"));

        let table = |program: Program<'_>| {
            let run = program.run().is("reused-local");
            let rows = run.summary.lines().map(str::to_owned);
            let is_of_the_disk =
                |row: &String| row.contains("reclaimable") || row.contains("<code>build-once.inv");
            // The figures change while other tests run.
            let name = |row: String| row.split(" | ").next().unwrap_or_default().to_owned() + " | ";
            rows.filter(is_of_the_disk).map(name).collect::<Vec<_>>()
        };
        // The engine reports its disk to one question at a time: another test may ask just now.
        let is_whole = |rows: &Vec<String>| rows.iter().any(|row| row.starts_with("| Build Cache | "));
        let whole = |table: &dyn Fn() -> Vec<String>| {
            let mut tables = (0..10).map(|_| table());
            tables.find(is_whole).expect("ten questions, and no table that is whole")
        };
        assert_eq!(whole(&|| table(program())), whole(&|| table(by_cli())));
    }
}
