//! Two repositories of one registry: what reaches each, and what BuildKit moves between them.

use crate::harness::{Repository, Workspace};

const HEAD: &str = "1234567890123456789012345678901234567890";

#[test]
fn a_pull_requests_layers_are_mounted_from_what_is_trusted() {
    let (work, home, theirs) =
        (Workspace::new("split"), Repository::ecr("split"), Repository::ecr("split-pr"));
    // A layer that no other test pushes, so that BuildKit knows one repository that has it.
    work.write("own.txt", &format!("{}\n", work.image));
    work.write(
        "Dockerfile",
        "ARG BASE\nFROM ${BASE}\nCOPY own.txt /own.txt\nCOPY content.txt /content.txt\n",
    );
    let program = || work.program().repository(&home).input("pr-repository", &theirs.name());
    program().run().is("built");
    work.write("content.txt", "changed\n");
    let before = home.tags();
    let built = program().pull_request(12, HEAD, false).run().is("built");
    let commit = format!("pr-12-sha-rf9d832d9-{}-{HEAD}", work.image);
    built.is_published(&theirs, &[&commit, &built.key_tag("pr-12-", &work.image)]);
    assert_eq!(home.tags(), before, "nothing was written where trusted runs read");
    // The layer is in this registry since the first build: BuildKit mounts it from there, and sends none of its bytes.
    let trusted = home.name();
    let from = format!("&from={}", trusted.split_once('/').unwrap().1);
    let uploads = theirs.journal().into_iter().filter(|entry| entry.path.contains("/uploads/"));
    let uploads: Vec<_> = uploads.map(|entry| format!("{} {}", entry.method, entry.path)).collect();
    let mounted = uploads.iter().filter(|upload| upload.ends_with(&from));
    let mounted: Vec<_> = mounted.filter_map(|upload| upload.split("?mount=").nth(1)).collect();
    assert!(!mounted.is_empty(), "{uploads:#?}");
    for blob in mounted.iter().filter_map(|mount| mount.split(['&', ':']).nth(1)) {
        assert!(
            !uploads.iter().any(|upload| upload.starts_with("PUT") && upload.contains(blob)),
            "{uploads:#?}"
        );
    }
    // It is told: the lab's credentials may do everything.
    let told: Vec<_> = built.annotations("notice");
    assert!(built.log.contains("this run may push to"), "{told:?}\n{}", built.log);
}
