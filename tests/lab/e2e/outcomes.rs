//! Every outcome, and what it left in the registry and on the machine.

use crate::harness::{KEY, Repository, Workspace, engine, request};

#[test]
fn built_then_reused_by_tag_then_by_key() {
    let (work, repository) = (Workspace::new("outcomes"), Repository::ecr("outcomes"));
    let first = work.program().repository(&repository).run().is("built");
    let (digest, first_tag) = (first.output("digest").to_owned(), work.commit_tag());
    let key_tag = first.key_tag("", &work.image);
    first.is_published(&repository, &[&first_tag, &key_tag]);
    assert_eq!(
        [first.output("built"), first.output("pushed"), first.output("attempts")],
        ["true", "true", "1"]
    );
    assert_eq!(first.output("zone"), "trusted");
    let image = repository.image(&digest).unwrap();
    assert_eq!(repository.labels(&image)[KEY], first.output("key"));
    assert_eq!(image.manifest["annotations"]["org.opencontainers.image.revision"], work.head());
    assert_eq!(image.manifest["annotations"]["io.github.build-once.zone"], "trusted");
    let cache = format!("cache-rf9d832d9-{}-main", work.image);
    let mut tags = vec![first_tag.clone(), key_tag.clone(), cache.clone()];
    tags.sort();
    assert_eq!(repository.tags(), tags, "no tag but these, no latest");

    let again = work.program().repository(&repository).run().is("reused-tag").has(&digest);
    assert_eq!(
        (again.output("commit-tag"), again.output("built"), again.output("key")),
        (&*first_tag, "false", first.output("key"))
    );
    assert_eq!(again.steps(), [""; 0]);

    work.commit("nothing that is in the image");
    let before = repository.journal().last().unwrap().seq;
    let alias = work.program().repository(&repository).run().is("reused-key").has(&digest);
    assert_ne!(work.commit_tag(), first_tag);
    alias.is_published(&repository, &[&work.commit_tag(), &key_tag]);
    assert_eq!(alias.output("commit-tag"), work.commit_tag());
    tags.push(work.commit_tag());
    tags.sort();
    assert_eq!(repository.tags(), tags);
    let own: Vec<_> =
        repository.journal().into_iter().filter(|entry| entry.seq > before && entry.is_own()).collect();
    assert!(
        own.len() >= 3 && own.iter().all(|entry| entry.connection == own[0].connection),
        "one connection: {own:?}"
    );

    work.program().repository(&repository).run().is("reused-tag").has(&digest);
}

#[test]
fn what_is_published_can_be_pulled_by_its_digest() {
    let (work, repository) = (Workspace::new("pullable"), Repository::open("pullable"));
    let built = work.program().repository(&repository).run().is("built");
    let reference = built.output("image");
    engine(&["pull", "--quiet", reference]);
    assert_eq!(engine(&["run", "--rm", reference, "cat", "/made.txt"]), work.image);
    engine(&["image", "rm", "--force", reference]);
}

#[test]
fn load_gives_the_local_name_what_was_published() {
    let (work, repository) = (Workspace::new("load"), Repository::open("load"));
    let built = work.program().repository(&repository).input("load", "true").run().is("built");
    work.holds(&built, "trusted");
    built.is_published(&repository, &[&work.commit_tag(), &built.key_tag("", &work.image)]);
    assert_eq!(engine(&["run", "--rm", &work.image, "cat", "/made.txt"]), work.image);

    let hit = work.program().repository(&repository).input("load", "true").run().is("reused-local");
    assert_eq!(hit.output("digest"), built.output("digest"));
}

#[test]
fn tags_asked_for_are_set_on_builds_and_on_hits() {
    let (work, repository) = (Workspace::new("tags"), Repository::ecr("tags"));
    let tag = |name: &str| format!("{}:{name}", repository.name());
    let built = work.program().repository(&repository).input("tags", &tag("v1")).run().is("built");
    assert_eq!(repository.digest("v1"), built.output("digest"));
    let two = format!("{}\n{}", tag("v1"), tag("v2"));
    let hit = work.program().repository(&repository).input("tags", &two).run().is("reused-tag");
    assert_eq!(repository.digest("v2"), hit.output("digest"));
}

#[test]
fn the_layer_cache_serves_another_machine() {
    // Two builders with nothing in them stand for two machines.
    let (work, repository) = (Workspace::new("warm"), Repository::ecr("warm"));
    let builder = |name: &str| {
        let image = format!("image={}", crate::harness::lab().get("BUILD_ONCE_LAB_BUILDKIT_IMAGE"));
        work.docker(&[
            "buildx",
            "create",
            "--name",
            name,
            "--driver",
            "docker-container",
            "--driver-opt",
            "network=host",
            "--driver-opt",
            &image,
        ]);
    };
    let [cold, warm] = ["cold", "warm"].map(|name| format!("{}-{name}", work.image));
    builder(&cold);
    let first = work.program().repository(&repository).input("builder", &cold).run();
    work.docker(&["buildx", "rm", "--force", &cold]);
    let first = first.is("built");
    assert_eq!((first.number("cached-steps"), first.number("total-steps")), (0, 2));
    let cache =
        repository.image(&format!("cache-rf9d832d9-{}-main", work.image)).expect("a cache was written");
    assert_eq!(cache.media_type, "application/vnd.oci.image.manifest.v1+json", "what ECR takes");

    work.write(
        "Dockerfile",
        &format!(
            "{}RUN --network=none echo more >/more.txt\n",
            std::fs::read_to_string(work.folder().join("Dockerfile")).unwrap()
        ),
    );
    work.commit("one more step");
    builder(&warm);
    let second = work.program().repository(&repository).input("builder", &warm).run();
    work.docker(&["buildx", "rm", "--force", &warm]);
    let second = second.is("built");
    assert_eq!((second.number("cached-steps"), second.number("total-steps")), (2, 3), "{}", second.log);
    assert_ne!(second.output("digest"), first.output("digest"));
}

#[test]
fn a_hit_takes_one_connection_and_no_docker() {
    let (work, repository) = (Workspace::new("hit"), Repository::ecr("hit"));
    work.program().repository(&repository).run().is("built");
    let before = repository.journal().last().unwrap().seq;
    // A docker on the PATH that nobody may start, and no engine.
    let bin = work.root().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let trap = bin.join("docker");
    std::fs::write(&trap, "#!/bin/sh\necho \"$@\" >>\"${0%/*}/started\"\nexit 1\n").unwrap();
    std::fs::set_permissions(&trap, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let hit = work
        .program()
        .repository(&repository)
        .env("PATH", &format!("{}:/usr/bin:/bin", bin.display()))
        .engine("unix:///nowhere.sock")
        .run()
        .is("reused-tag");
    assert!(!bin.join("started").exists(), "docker was started");
    assert_eq!(hit.steps(), [""; 0]);
    let asked: Vec<_> = repository.journal().into_iter().filter(|entry| entry.seq > before).collect();
    assert_eq!(asked.len(), 2, "the commit's tag, and whether the key's is there: {asked:?}");
    assert!(asked.iter().all(|entry| entry.had_auth && !entry.is_write()));
}

#[test]
fn the_registry_demands_a_login() {
    // The hits above mean something only if the gateway turns strangers away.
    let gateway = crate::harness::lab().get("BUILD_ONCE_LAB_GATEWAY");
    assert_eq!(request("GET", &format!("{gateway}/healthz"), &[], None).status, 200);
    let (work, repository) = (Workspace::new("login"), Repository::ecr("login"));
    work.program().repository(&repository).run().is("built");
    let journal = repository.journal();
    assert!(
        journal.iter().filter(|entry| !entry.had_auth).all(|entry| entry.status == Some(401)),
        "{journal:?}"
    );
    assert!(
        journal.iter().filter(|entry| entry.is_own()).all(|entry| entry.had_auth),
        "no round trip to be asked"
    );
}

/// `rebuild`: a step whose result differs each time shows whether it ran.
#[test]
fn rebuild_builds_although_the_image_is_there() {
    let (work, repository) = (Workspace::new("rebuild"), Repository::ecr("rebuild"));
    work.write(
        "Dockerfile",
        "ARG BASE\nFROM ${BASE}\nRUN --network=none head -c 16 /dev/urandom | od -An -tx1 >/made.txt\n",
    );
    work.commit("what differs each time");
    let program = || work.program().repository(&repository);
    let first = program().run().is("built");
    let again = program().input("rebuild", "true").input("no-cache", "true").run().is("built");
    assert_eq!(again.output("key"), first.output("key"));
    assert_ne!(again.output("digest"), first.output("digest"));
    again.is_published(&repository, &[&work.commit_tag(), &again.key_tag("", &work.image)]);
    work.commit("same content");
    program().run().is("reused-key").has(again.output("digest"));
}
