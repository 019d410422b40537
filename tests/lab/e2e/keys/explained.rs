//! What a key is made from travels with the image and explains every miss.

use std::fs;

use build_once::testing::explain::{MAX_BYTES, decode};

use crate::engines::{classic, no_classic};
use crate::harness::{Program, Repository, Workspace, engine};

const ENTRIES: &str = "io.github.build-once.entries";

#[test]
fn every_miss_is_explained() {
    let (work, repository) = (Workspace::new("explained"), Repository::ecr("explained"));
    work.write(".dockerignore", ".git\n");
    let first_commit = work.commit("without .git");
    let first = work.program().input("key", "context").repository(&repository).run().is("built");
    let none = format!("no image has this key; there is no earlier image of {} to compare with", work.image);
    assert_eq!(first.output("reason"), none);
    let image = repository.image(first.output("digest")).unwrap();
    let text = image.manifest["annotations"][ENTRIES].as_str().unwrap();
    assert_eq!(decode(text).unwrap().key, first.output("key"));
    assert!(repository.labels(&image)[ENTRIES].is_null(), "an annotation is enough");

    work.write("content.txt", "other");
    let second_commit = work.commit("touch one file");
    let second = work
        .program()
        .input("key", "context")
        .repository(&repository)
        .before(&first_commit)
        .run()
        .is("built");
    let short = &first_commit[..12];
    let expected = format!("miss: `content.txt` changed; compared with the image of commit {short}");
    assert_eq!(second.output("reason"), expected);
    assert!(second.log.contains(&expected), "{}", second.log);
    assert!(second.summary.contains("content.txt"), "{}", second.summary);

    // A pull request is compared with what it goes on top of.
    work.write("more/new.txt", "");
    let head = work.commit("add one");
    let asked = work
        .program()
        .input("key", "context")
        .repository(&repository)
        .pull_request(7, &head, false)
        .run()
        .is("built");
    let short = &second_commit[..12];
    let expected = format!(
        "miss: `more/new.txt` added; compared with the image of commit {short}; it would have been a hit with `key: auto`"
    );
    assert_eq!(asked.output("reason"), expected);

    // The same commit with other inputs: its own image is nearest.
    let other = work
        .program()
        .input("key", "context")
        .repository(&repository)
        .pull_request(7, &head, false)
        .input("labels", "team=ci");
    let other = other.run().is("built");
    assert!(
        other.output("reason").starts_with("miss: label `team` added; compared with this commit's image ")
    );

    // More than a sentence holds is listed.
    for name in ["a", "b", "c", "d"] {
        work.write(name, "");
    }
    work.commit("add some");
    let many = work
        .program()
        .input("key", "context")
        .repository(&repository)
        .before(&second_commit)
        .run()
        .is("built");
    assert!(many.output("reason").contains(", 2 more; compared"), "{}", many.output("reason"));
    assert!(many.log.contains("\n  `d` added\n") && many.summary.contains("| changed |"), "{}", many.log);
}

#[test]
fn sixteen_kibibytes_travel() {
    let (work, repository) = (Workspace::new("wide"), Repository::open("wide"));
    for number in 0..900 {
        work.write(&format!("src/part-{}/file-{number}.txt", number % 30), "x");
    }
    work.write(".dockerignore", ".git\n");
    let before = work.commit("many files");
    let first = work
        .program()
        .input("key", "context")
        .repository(&repository)
        .input("provenance", "mode=min")
        .run()
        .is("built");
    let image = repository.image(first.output("digest")).unwrap();
    let text = image.manifest["annotations"][ENTRIES].as_str().expect("an index has it too");
    assert!((MAX_BYTES / 2..=MAX_BYTES).contains(&text.len()), "{} bytes", text.len());
    assert_eq!(decode(text).unwrap().key, first.output("key"));

    work.write("src/part-7/file-7.txt", "y");
    work.commit("touch one");
    let second = work
        .program()
        .input("key", "context")
        .repository(&repository)
        .input("provenance", "mode=min")
        .before(&before)
        .run();
    let second = second.is("built");
    assert!(second.output("reason").starts_with("miss: ") && second.output("reason").contains("`src/"));
}

#[test]
fn without_a_repository_the_label_explains() {
    let work = Workspace::new("label");
    work.write(".dockerignore", ".git\n");
    let first = work.program().run().is("built-local");
    let label = |name: &str| {
        engine(&[
            "image",
            "inspect",
            "--format",
            &format!("{{{{index .Config.Labels \"{name}\"}}}}"),
            &work.image,
        ])
    };
    assert_eq!(decode(&label(ENTRIES)).unwrap().key, first.output("key"));
    work.write("content.txt", "other");
    let second = work.program().run().is("built-local");
    let expected =
        format!("miss: `content.txt` changed; compared with {}:latest on this machine", work.image);
    assert_eq!(second.output("reason"), expected);
}

#[test]
fn the_old_store_has_the_label_alone() {
    if no_classic() {
        return;
    }
    let host = classic();
    let (work, repository) = (Workspace::new("oldstore"), Repository::ecr("oldstore"));
    work.write(".dockerignore", ".git\n");
    let before = work.commit("without .git");
    let program = || work.program().repository(&repository).engine(host).input("cache", "none");
    let first = program().run().is("built");
    let image = repository.image(first.output("digest")).unwrap();
    assert!(image.manifest["annotations"].is_null());
    assert_eq!(
        decode(repository.labels(&image)[ENTRIES].as_str().unwrap()).unwrap().key,
        first.output("key")
    );
    work.write("content.txt", "other");
    work.commit("touch");
    let second = program().before(&before).run().is("built");
    assert!(
        second.output("reason").starts_with("miss: `content.txt` changed; "),
        "{}",
        second.output("reason")
    );
}

/// What `key` prints with this flag.
fn key(program: Program<'_>, flag: &str) -> String {
    let done = program.command("key").flag(flag).run();
    assert_eq!(done.code, Some(0), "{}", done.log);
    done.stdout
}

#[test]
fn key_explain_names_the_touched_file() {
    let (work, repository) = (Workspace::new("explain"), Repository::open("explain"));
    work.write(".dockerignore", ".git\n");
    work.commit("without .git");
    let built = work.program().input("key", "context").repository(&repository).run().is("built");
    let program = || work.program().input("key", "context").repository(&repository);
    assert!(key(program(), "--explain").starts_with("nothing differs from this commit's image "));

    work.write("content.txt", "touched");
    for flag in [
        "--explain".to_owned(),
        format!("--explain={}", work.commit_tag()),
        format!("--explain={}", built.output("image")),
    ] {
        let text = key(program(), &flag);
        assert!(
            text.contains(built.output("key")) && text.ends_with(":\n  `content.txt` changed\n"),
            "{flag}: {text}"
        );
    }
    // Two checkouts that should be equal and are not.
    let listing = work.root().join("there.json");
    fs::write(&listing, key(program(), "--json")).unwrap();
    work.write("generated/version.txt", "1");
    let text = key(program(), &format!("--explain={}", listing.display()));
    let told = "`generated/version.txt` added\nit would have been a hit with `key: auto`";
    assert!(text.ends_with(&format!(":\n  {told}\n")), "{text}");

    let gone = program().command("key").flag("--explain=no-such-tag").run();
    assert_eq!(gone.code, Some(2), "{}", gone.log);
    assert!(gone.log.contains("is not there"), "{}", gone.log);
}
