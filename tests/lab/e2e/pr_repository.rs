//! Two repositories of one registry: what reaches each, and what BuildKit moves between them.

use crate::harness::{Repository, Workspace};

const HEAD: &str = "1234567890123456789012345678901234567890";

#[test]
fn a_pull_requests_layers_are_mounted_from_what_is_trusted() {
    let (work, home, theirs) =
        (Workspace::new("split"), Repository::ecr("split"), Repository::ecr("split-pr"));
    let program = || work.program().repository(&home).input("pr-repository", &theirs.name());
    program().run().is("built");
    work.write("content.txt", "changed\n");
    let before = home.tags();
    let built = program().pull_request(12, HEAD, false).run().is("built");
    let commit = format!("pr-12-sha-rf9d832d9-{}-{HEAD}", work.image);
    built.is_published(&theirs, &[&commit, &built.key_tag("pr-12-", &work.image)]);
    assert_eq!(home.tags(), before, "nothing was written where trusted runs read");
    // The base's layers are in this registry since the first build: BuildKit mounts them from a
    // repository it has pushed them to, and sends none of their bytes.
    let uploads = theirs.journal().into_iter().filter(|entry| entry.path.contains("/uploads/"));
    let uploads: Vec<_> = uploads.map(|entry| format!("{} {}", entry.method, entry.path)).collect();
    let mounted: Vec<_> = uploads.iter().filter_map(|upload| upload.split("?mount=").nth(1)).collect();
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
