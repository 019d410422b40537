//! What can be written in several ways is read as plain buildx reads it.

use std::fs;
use std::os::unix::fs::symlink;

use crate::harness::{Repository, Workspace, engine, lab};

/// Every file of the image's `/r`, with its content.
const SEEN: &str =
    "cd /r && find . | sort | while read f; do test -f $f && echo $f $(cat $f) || echo $f; done";

fn ours(work: &Workspace) -> String {
    engine(&["run", "--rm", &work.image, "sh", "-c", SEEN])
}

fn plain(work: &Workspace, flags: &[&str]) -> String {
    let (name, base) =
        (format!("{}-plain", work.image), format!("BASE={}", lab().get("BUILD_ONCE_LAB_BASE_IMAGE")));
    let folder = work.folder();
    let start = ["buildx", "build", "--quiet", "--load", "--tag", &name, "--build-arg", &base];
    engine(&[&start, flags, &[folder.to_str().unwrap()]].concat());
    let seen = engine(&["run", "--rm", &name, "sh", "-c", SEEN]);
    engine(&["rmi", "--force", &name]);
    seen
}

/// An image without layers: BuildKit writes `"layers": null`.
#[test]
fn d72_an_image_without_layers() {
    let (work, repository) = (Workspace::new("no-layers"), Repository::open("no-layers"));
    work.write("Dockerfile", &format!("FROM scratch\nLABEL test={}\n", work.image));
    let built = work.program().repository(&repository).run().is("built");
    let digest = built.output("digest").to_owned();
    work.commit("another");
    work.forget();
    let again = work.program().repository(&repository).run().is("reused-key");
    assert_eq!(again.output("digest"), digest);
}

/// D03
#[test]
fn d03_a_build_context_given_twice() {
    let work = Workspace::new("twice");
    // Of another length: BuildKit itself does not tell files of one size and time apart.
    work.write("one/x", "the first");
    work.write("two/x", "two");
    work.write("Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY --from=src . /r\n");
    let folder = work.folder();
    let (one, two) = (folder.join("one").display().to_string(), folder.join("two").display().to_string());
    for list in [[&one, &two], [&two, &one]] {
        let given = list.map(|folder| format!("src={folder}"));
        let built = work.program().input("build-contexts", &given.join("\n")).run().is("built-local");
        let flags = ["--build-context", &given[0], "--build-context", &given[1]];
        assert_eq!(ours(&work), plain(&work, &flags), "{}", built.log);
    }
}

#[test]
fn d110_an_ignore_file_that_is_a_link() {
    let work = Workspace::new("ignore-link");
    work.write("rules/list", "a\n.git\n");
    work.write("a", "a");
    work.write("b", "b");
    work.write("Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY a* b* /r/\n");
    let link = work.folder().join(".dockerignore");
    for target in ["rules/list", "/rules/list", "../rules/list", "absent", "/etc/hostname"] {
        fs::remove_file(&link).unwrap();
        symlink(target, &link).unwrap();
        work.write("b", target);
        work.program().run().is("built-local");
        assert_eq!(ours(&work), plain(&work, &[]), "{target}");
    }
}

/// D11
#[test]
fn d70_d88_d11_two_spellings_have_one_key() {
    let work = Workspace::new("one-key");
    let dockerfile = fs::read_to_string(work.folder().join("Dockerfile")).unwrap();
    work.write("Dockerfile", &dockerfile.replace("FROM ${BASE}", "FROM ${BASE} AS Final"));
    let built = work.program().run().is("built-local");
    for (input, value) in [("target", "final"), ("target", "FINAL"), ("provenance", "0"), ("sbom", "FALSE")] {
        let again = work.program().input(input, value).run().is("reused-local");
        assert_eq!(again.output("key"), built.output("key"), "{input}: {value}");
    }
}
