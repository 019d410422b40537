//! Without a repository: everything stays on the machine.

use crate::harness::{KEY, Repository, Workspace};

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
    let child = format!("FROM {}\nRUN echo evil >/made.txt\n", work.image);
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
