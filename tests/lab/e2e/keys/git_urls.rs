//! Git repositories by URL: the image is the one that plain buildx makes, and the key is of what is in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::sources::{Web, git};
use crate::harness::{Workspace, engine, lab};

/// What a build took from the repository, its references included, for each folder that is named.
const SEEN: &str = "for d; do echo @@@; cd $d; cat x; test -d .git || continue; cd .git; cat HEAD config; \
                    find refs -type f | sort | while read f; do echo $f; cat $f; done; cat packed-refs 2>/dev/null || true; done";

/// A repository with a plain tag, an annotated one, two branches, and a name that is both; its commits.
fn repository(root: &Path) -> [String; 2] {
    let work = root.join("work");
    fs::create_dir(&work).unwrap();
    git(&work, &["init", "--quiet", "--initial-branch=main"]);
    fs::write(work.join("Dockerfile"), "ARG BASE\nFROM ${BASE}\nCOPY . /r0\n").unwrap();
    fs::write(work.join("x"), "one").unwrap();
    fs::create_dir(work.join("sub")).unwrap();
    fs::write(work.join("sub/x"), "below").unwrap();
    git(&work, &["add", "--all"]);
    git(&work, &["commit", "--quiet", "--message=one"]);
    git(&work, &["tag", "light"]);
    git(&work, &["tag", "--annotate", "--message=v", "v1.0"]);
    git(&work, &["branch", "both"]);
    let one = git(&work, &["rev-parse", "HEAD"]);
    fs::write(work.join("x"), "two").unwrap();
    git(&work, &["commit", "--quiet", "--all", "--message=two"]);
    git(&work, &["tag", "both"]);
    publish(root);
    [one, git(&work, &["rev-parse", "HEAD"])]
}

/// Shows the repository as it is now.
fn publish(root: &Path) {
    let _ = fs::remove_dir_all(root.join("r.git"));
    git(root, &["clone", "--quiet", "--bare", "work", "r.git"]);
    git(&root.join("r.git"), &["update-server-info"]);
}

/// What plain buildx makes of the same.
fn plain(work: &Workspace, folders: usize, arguments: &[&str]) -> Vec<String> {
    let (name, base) =
        (format!("{}-plain", work.image), format!("BASE={}", lab().get("BUILD_ONCE_LAB_BASE_IMAGE")));
    let start = ["buildx", "build", "--quiet", "--load", "--tag", &name, "--build-arg", &base];
    engine(&[&start, arguments].concat());
    let seen = seen(&name, folders);
    engine(&["rmi", "--force", &name]);
    seen
}

/// What is in the image's folders `/r0`, `/r1`, and so on.
fn seen(image: &str, folders: usize) -> Vec<String> {
    let folders: Vec<String> = (0..folders).map(|number| format!("/r{number}")).collect();
    let start = ["run", "--rm", image, "sh", "-c", SEEN, "sh"];
    let text = engine(&[&start[..], &folders.iter().map(String::as_str).collect::<Vec<_>>()].concat());
    let seen: Vec<String> = text.split("@@@\n").skip(1).map(str::to_owned).collect();
    assert_eq!(seen.len(), folders.len(), "{text}");
    seen
}

fn ours(work: &Workspace) -> String {
    seen(&work.image, 1).remove(0)
}

/// D71
#[test]
fn d56_d71_add_of_a_repository_is_what_buildx_makes() {
    let (work, web) = (Workspace::new("git-add"), tempfile::tempdir().unwrap());
    let [one, two] = repository(web.path());
    let server = Web::serve(web.path().to_owned());
    let url = server.url("r.git");
    let sources = [
        (format!("ADD {url}?ref=light"), "one"),
        (format!("ADD {url}?tag=v1.0"), "one"),
        (format!("ADD {url}?branch=main"), "two"),
        (format!("ADD {url}?ref=main&subdir=sub"), "below"),
        (format!("ADD {url}?ref=light&checksum={}", &one[..12]), "one"),
        (format!("ADD {url}?commit={two}"), "two"),
        (format!("ADD {url}?submodules=false#main"), "two"),
        (format!("ADD {url}?tag=both"), "two"),
        (format!("ADD {url}#refs/heads/both"), "one"),
        (format!("ADD {url}?ref=light&keep-git-dir=1"), "one"),
        (format!("ADD --keep-git-dir=true {url}#light"), "one"),
        (format!("ADD --keep-git-dir=true {url}#v1.0"), "one"),
        (format!("ADD --keep-git-dir {url}#main"), "two"),
        (format!("ADD --keep-git-dir {url}"), "two"),
        (format!("ADD --keep-git-dir {url}#{one}"), "one"),
    ];
    let dockerfile = |adds: &str| work.write("Dockerfile", &format!("ARG BASE\nFROM ${{BASE}}\n{adds}"));
    let keys: BTreeSet<String> = sources
        .iter()
        .map(|(add, _)| {
            dockerfile(&format!("{add} /r0\n"));
            let key = work.program().command("key").run();
            assert_eq!(key.code, Some(0), "{add}: {}", key.log);
            key.stdout.lines().next().unwrap().to_owned()
        })
        .collect();
    assert_eq!(keys.len(), sources.len());

    // All in one image: a build for each would take minutes.
    let all: String = sources.iter().enumerate().map(|(at, (add, _))| format!("{add} /r{at}\n")).collect();
    dockerfile(&all);
    work.program().run().is("built-local");
    let (ours, folder) = (seen(&work.image, sources.len()), work.folder());
    let plain = plain(&work, sources.len(), &[folder.to_str().unwrap()]);
    for (at, (add, content)) in sources.iter().enumerate() {
        assert_eq!(ours[at], plain[at], "{add}");
        assert!(ours[at].starts_with(content), "{add}: {}", ours[at]);
        assert_eq!(ours[at].contains("[core]"), add.contains("keep-git-dir"), "{add}: {}", ours[at]);
    }

    // Which of the two it is depends on BuildKit's version.
    work.write("Dockerfile", &format!("ARG BASE\nFROM ${{BASE}}\nADD {url}#both /r0\n"));
    let both = work.program().run();
    assert_eq!(both.code, Some(10), "{}", both.log);
    assert!(both.log.contains("`both` is a branch and a tag"), "{}", both.log);
    assert!(both.log.contains("write refs/heads/both or refs/tags/both"), "{}", both.log);
}

/// A name that moves while the image is built stops the build, where `.git` is kept too.
/// D71
#[test]
fn d71_a_name_is_held_to_its_commit() {
    let (work, web) = (Workspace::new("git-held"), tempfile::tempdir().unwrap());
    let [one, _] = repository(web.path());
    let server = Web::serve(web.path().to_owned());
    let add = format!("ADD --keep-git-dir=true {}#main /r0", server.url("r.git"));
    work.write("Dockerfile", &format!("ARG BASE\nFROM ${{BASE}}\n{add}\n"));
    let planned = work.program().command("plan").flag("--json").run();
    assert_eq!(planned.code, Some(0), "{}", planned.log);
    assert!(planned.log.contains("\"hold\": \"name\""), "{}", planned.log);
    let source = web.path().join("work");
    let before = work.program().command("key").run();
    git(&source, &["reset", "--quiet", "--hard", &one]);
    publish(web.path());
    let after = work.program().command("key").run();
    assert_ne!(before.visible(), after.visible());
}

/// D71
#[test]
fn d56_d71_a_context_is_what_buildx_makes() {
    let (work, web) = (Workspace::new("git-context"), tempfile::tempdir().unwrap());
    repository(web.path());
    let server = Web::serve(web.path().to_owned());
    let url = server.url("r.git");
    let keep = "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1";
    for (context, argument) in [
        (format!("{url}#light"), ""),
        (format!("{url}#light"), keep),
        (format!("{url}#v1.0"), keep),
        (url.clone(), keep),
        (format!("{url}?ref=v1.0&keep-git-dir=1"), ""),
        (format!("{url}?branch=main&submodules=0"), ""),
        (format!("{url}?tag=light&keep-git-dir"), ""),
    ] {
        let base = lab().get("BUILD_ONCE_LAB_BASE_IMAGE");
        let arguments = format!("BASE={base}\n{argument}");
        let built = work.program().input("context", &context).input("build-args", &arguments).run();
        let built = built.is("built-local");
        let flags = ["--build-arg", argument, &context];
        let flags = if argument.is_empty() { &flags[2..] } else { &flags[..] };
        let seen = ours(&work);
        assert_eq!(seen, plain(&work, 1, flags)[0], "{context} {argument}");
        assert_eq!(seen.contains("[core]"), context.contains("keep") || argument == keep, "{context}");
        let again = work.program().input("context", &context).input("build-args", &arguments).run();
        assert_eq!(again.is("reused-local").output("key"), built.output("key"));
    }
    // As a build context.
    work.write("Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY --from=src . /r0\n");
    let folder = work.folder();
    for named in [format!("src={url}?tag=v1.0&keep-git-dir=1"), format!("src={url}?ref=light&subdir=sub")] {
        work.program().input("build-contexts", &named).run().is("built-local");
        let plain = plain(&work, 1, &["--build-context", &named, folder.to_str().unwrap()]);
        assert_eq!(ours(&work), plain[0], "{named}");
    }
}

/// D46. Key and build read a private repository with one token, which stands in no argument, log or key.
#[test]
fn d46_a_private_repository_with_buildkits_own_secrets() {
    use base64::Engine as _;
    let (work, web) = (Workspace::new("git-private"), tempfile::tempdir().unwrap());
    repository(web.path());
    let token = "canary-git-5ec2e7";
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{token}"));
    let header = format!("basic {basic}");
    let server = Web::serve_to(web.path().to_owned(), Some(header.clone()));
    let url = format!("{}#light", server.url("r.git"));
    let refused = work.program().input("context", &url).run();
    assert_eq!(refused.output("failure-class"), "access", "{}", refused.log);
    assert!(refused.log.contains("GIT_AUTH_TOKEN"), "{}", refused.log);
    for (name, value) in [
        ("GIT_AUTH_TOKEN".to_owned(), token),
        (format!("GIT_AUTH_TOKEN.{}", server.host()), token),
        (format!("GIT_AUTH_HEADER.{}", server.host()), header.as_str()),
    ] {
        let run = work.program().input("context", &url).input("secrets", &format!("{name}={value}"));
        let run = run.input("rebuild", "true").run().is("built-local");
        assert!(ours(&work).starts_with("one"), "{name}");
        for text in [run.visible(), run.plan().to_string()] {
            assert!(!text.contains(token) && !text.contains(&basic), "{name}: {text}");
        }
    }
}
