//! The input `tags`: short names, and the facts of the run in them.

use crate::support::{HEAD, Lab};

const ALL: &str = "latest, ${SHORT_SHA}, ci-${RUN}, ${BRANCH}, pr-${PR}, ${VERSION}";

#[test]
fn short_names_are_tags_of_the_repository() {
    let lab = Lab::new();
    let built = lab.shared().input("tags", ALL).run().succeeds("built");
    for tag in ["latest", &HEAD[..7], "ci-77", "main"] {
        assert_eq!(
            lab.registry.digest(&format!("ci/{tag}")).as_deref(),
            Some(built.output("digest")),
            "{tag}"
        );
    }
    // One list serves all events: what this one has no value for is left out, and no warning says so.
    assert_eq!((built.output("degraded"), built.notices().as_str()), ("false", ""));
    let said = "the tag pr-${PR} is left out: this run is of no pull request";
    assert!(built.all().contains(said), "{}", built.all());
    assert!(!lab.registry.tags().iter().any(|tag| tag.starts_with("pr-") || tag.contains('$')));
    // The key does not depend on them.
    let hit = lab.shared().input("tags", "v-${SHA}\n${DATE}").run().succeeds("reused-tag");
    assert_eq!(hit.output("key"), built.output("key"));
    assert!(lab.registry.digest(&format!("ci/v-{HEAD}")).is_some());
}

#[test]
fn in_a_pull_request_they_are_tags_of_its_own_repository() {
    let lab = Lab::new();
    let pr = format!("{}/pr", lab.registry.repository());
    let program = lab.shared().input("pr-repository", &pr).input("tags", "pr-${PR}\npreview");
    let run = program.pull_request(12).run().succeeds("built");
    assert_eq!(run.output("degraded"), "false");
    for tag in ["pr-12", "preview"] {
        assert_eq!(
            lab.registry.digest(&format!("ci/pr/{tag}")).as_deref(),
            Some(run.output("digest")),
            "{tag}"
        );
    }
    assert!(lab.registry.digest("ci/pr-12").is_none());
    // In the shared repository only trusted runs set tags.
    let run = lab.shared().input("tags", "pr-${PR}").pull_request(12).run().degraded();
    assert!(run.commands("warning")[0].message.contains("only trusted runs set them"));
}

#[test]
fn what_is_not_known_is_refused() {
    let lab = Lab::new();
    let run = lab.shared().input("tags", "ci-${NUMBER}").run().fails(2, "input");
    let said = "`ci-${NUMBER}`: ${NUMBER} is not known; SHA, SHORT_SHA, DATE, BRANCH, VERSION, PR, RUN are";
    assert!(run.error().contains(said), "{}", run.error());
}

#[test]
fn without_a_repository_there_are_none() {
    let lab = Lab::new();
    let run = lab.build_once().input("tags", "latest").run().succeeds("built-local");
    let said = "tags not set: latest; they are short names within the repository, and there is none";
    assert!(run.notices().contains(said), "{}", run.notices());
}
