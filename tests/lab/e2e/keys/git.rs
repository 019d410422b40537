//! git in the context: clones agree, and `exclude` keeps it out of key and image alike.

use std::fs;
use std::process::Command;

use crate::harness::{Repository, Workspace, engine};

#[test]
fn d53_clones_agree_and_exclude_holds_for_the_build() {
    let (work, repository) = (Workspace::new("clones"), Repository::open("clones"));
    fs::remove_file(work.folder().join(".dockerignore")).unwrap();
    work.write("Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY . /src\n");
    work.write("made/now.txt", "1");
    work.write("docker/own.txt", "1");
    work.commit("everything is copied");
    let first = work.program().repository(&repository).run().is("built");
    assert!(first.annotations("warning")[0].contains("line 3 of Dockerfile takes it"), "{}", first.log);

    // Another clone: other packs, index and logs; the same commit on the same branch.
    let other = work.root().join("clone");
    let url = format!("file://{}", work.folder().display());
    let cloned =
        Command::new("git").args(["clone", "--quiet", "--no-local", &url]).arg(&other).status().unwrap();
    assert!(cloned.success());
    let second = work.program().folder(&other).repository(&repository).run().is("reused-tag");
    assert_eq!(second.output("key"), first.output("key"));
    // References that are packed answer the same.
    let packed = Command::new("git").args(["pack-refs", "--all"]).current_dir(&other).status().unwrap();
    assert!(packed.success());
    work.program().folder(&other).repository(&repository).run().is("reused-tag");

    // Left out of key and image, whichever builder builds.
    let listed = |image: &str| engine(&["run", "--rm", image, "sh", "-c", "cd /src && find . | sort"]);
    let excluded = || work.program().input("exclude", ".git\nmade\n**/own.txt");
    let built = excluded().run().is("built-local");
    assert!(built.annotations("warning").is_empty(), "{}", built.log);
    let files = listed(built.output("local-image"));
    assert_eq!(files.lines().collect::<Vec<_>>(), [".", "./Dockerfile", "./content.txt", "./docker"]);
    work.write("made/now.txt", "2");
    work.commit("what is left out");
    assert_eq!(excluded().run().output("key"), built.output("key"));
    let own = excluded().repository(&repository).input("driver", "docker-container").input("load", "true");
    let own = own.input("buildkit-image", crate::harness::lab().get("BUILD_ONCE_LAB_BUILDKIT_IMAGE"));
    let own = own.input("driver-opts", "network=host").run().is("built");
    assert_eq!(listed(own.output("local-image")), files);
    // Messages name the user's file, not the copy.
    work.write("Dockerfile", "ARG BASE\nFROM ${BASE}\nRUN false\n");
    let failed = excluded().run().failed(10, "build");
    assert!(failed.stdout.contains("file=Dockerfile,line=3"), "{}", failed.stdout);
}
