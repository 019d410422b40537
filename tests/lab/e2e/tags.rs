//! The order of tags, on real registries.

use serde_json::Value;

use crate::harness::{Finished, Repository, Workspace};

fn results(run: &Finished) -> Vec<(String, String)> {
    let tags: Value = serde_json::from_str(run.output("tags")).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = |tag: &Value| text(&tag["tag"]).rsplit(':').next().unwrap_or_default().to_owned();
    tags.as_array().unwrap().iter().map(|tag| (name(tag), text(&tag["result"]))).collect()
}

fn order(work: &Workspace, repository: &Repository) {
    let run = |tags: &str| work.program().repository(repository).input("tags", tags).run();
    let old = work.head();
    let first = run("latest\n1.2.3\n1.2\n${SHORT_SHA}").is("built");
    assert!(results(&first).iter().all(|(_, result)| result == "set"), "{}", first.log);
    assert_eq!(repository.digest(&old[..7]), first.output("digest"));
    work.write("content.txt", "newer\n");
    work.commit("newer");
    let second = run("latest\n1.2.4\n1.2").is("built");
    work.git(&["checkout", "--quiet", &old]);
    let again = run("latest\n1.2.3\n1.2").is("reused-tag").has(first.output("digest"));
    let expected = [("1.2.3", "there"), ("latest", "skipped"), ("1.2", "skipped")];
    let expected = expected.map(|(tag, result)| (tag.to_owned(), result.to_owned()));
    assert_eq!(results(&again), expected, "{}", again.log);
    for tag in ["latest", "1.2"] {
        assert_eq!(repository.digest(tag), second.output("digest"), "{tag}");
    }
}

#[test]
fn an_old_commit_sets_no_tag_back_in_ecr() {
    order(&Workspace::new("order-ecr"), &Repository::ecr("order-ecr"));
}

#[test]
fn an_old_commit_sets_no_tag_back_in_an_open_registry() {
    order(&Workspace::new("order-open"), &Repository::open("order-open"));
}
