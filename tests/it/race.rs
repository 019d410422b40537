//! Two runs that build the same at once: one image is kept under the key's tag, and both report it.
//! The registry's answers are scripted, so that each order of events is played for certain.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{HEAD, Lab, PROGRESS, Response};

/// A registry where a rival's image with the same key stands under the key's tag. Until it does,
/// by the test's script, questions for it are answered with "not there".
struct Race {
    lab: Lab,
    key: String,
    theirs: String,
}

fn race(looks_before_it_is_there: usize) -> Race {
    let lab = Lab::new();
    let key: Value = serde_json::from_str(&lab.build_once().args(&["key", "--json"]).run().stdout).unwrap();
    let key = key["key"].as_str().unwrap().to_owned();
    let theirs = rival(&lab, &format!("key-rf9d832d9-app-{}", &key[..32]), &key);
    let absent = Response::error(404, "MANIFEST_UNKNOWN", "manifest unknown");
    lab.registry.fault("/manifests/key-", looks_before_it_is_there, absent);
    Race { lab, key, theirs }
}

/// An image that is not byte for byte what this run builds.
fn rival(lab: &Lab, tag: &str, key: &str) -> String {
    let annotations = json!({"io.github.build-once.key": key, "made-by": "a rival"});
    lab.registry.publish(&format!("ci/{tag}"), &json!({}), &annotations)
}

impl Race {
    fn key_tag(&self) -> String {
        format!("ci/key-rf9d832d9-app-{}", &self.key[..32])
    }

    fn digest(&self, name: &str) -> String {
        self.lab.registry.digest(name).unwrap()
    }

    /// How often the program set the key's tag.
    fn sets(&self) -> usize {
        self.lab.registry.asked().iter().filter(|ask| ask.starts_with("PUT ci/manifests/key-")).count()
    }

    #[track_caller]
    fn adopts(&self) {
        let repository = self.lab.registry.repository();
        let run = self.lab.shared().input("tags", &format!("{repository}:latest")).run().succeeds("built");
        assert_eq!(run.output("digest"), self.theirs);
        assert_eq!(run.output("image"), format!("{repository}@{}", self.theirs));
        for name in [&self.key_tag(), &format!("ci/sha-rf9d832d9-app-{HEAD}"), "ci/latest"] {
            assert_eq!(self.digest(name), self.theirs, "{name} follows the winner");
        }
        // What this run built is not what counts.
        assert_eq!((run.output("built"), run.output("pushed")), ("true", "false"));
        assert!(run.notices().contains("another run has published"), "{}", run.notices());
        assert!(run.notices().contains(&self.theirs), "{}", run.notices());
    }
}

#[test]
fn a_rival_was_done_while_this_run_was_building() {
    // Not there for the look before the build.
    let race = race(1);
    race.adopts();
    assert_eq!(race.sets(), 0, "what others have reported is not replaced");
}

/// The registry has read the tag long before its answer arrives.
#[test]
fn a_late_answer_is_asked_for_again() {
    let race = race(1);
    let absent = Response::error(404, "MANIFEST_UNKNOWN", "manifest unknown");
    race.lab.registry.fault("/manifests/key-", 1, absent.after(Duration::from_secs(2)));
    race.adopts();
    assert_eq!(race.sets(), 0);
}

/// What has slowed this run may slow another one next.
#[test]
fn a_slow_answer_makes_the_wait_longer() {
    const SLOW: Duration = Duration::from_millis(600);
    let race = race(1);
    let absent = || Response::error(404, "MANIFEST_UNKNOWN", "manifest unknown");
    race.lab.registry.fault("/manifests/key-", 1, absent().after(SLOW));
    race.lab.registry.fault("/manifests/key-", 1, absent());
    let watch = std::time::Instant::now();
    let run = race.lab.shared().run().succeeds("built");
    assert!(
        watch.elapsed() > 3 * SLOW,
        "the answer, and twice that after the tag was set: {:?}",
        watch.elapsed()
    );
    assert_eq!((run.output("digest"), race.sets()), (race.digest(&race.key_tag()).as_str(), 1));
}

#[test]
fn a_rivals_request_lands_just_after_this_runs() {
    // Not there for the look before setting it either; this run's own request is answered well, and
    // replaced at once.
    let race = race(2);
    race.lab.registry.fault("/manifests/key-", 1, Response::new(201, ""));
    race.adopts();
    assert_eq!(race.sets(), 1);
}

#[test]
fn this_runs_request_lands_last() {
    let race = race(2);
    let run = race.lab.shared().run().succeeds("built");
    let own = race.digest(&race.key_tag());
    assert_ne!(own, race.theirs);
    assert_eq!((run.output("digest"), race.sets()), (own.as_str(), 1));
    assert_eq!(race.digest(&format!("ci/sha-rf9d832d9-app-{HEAD}")), own);
    assert!(run.notices().is_empty(), "{}", run.notices());
}

#[test]
fn a_tag_that_only_the_first_can_set() {
    let race = race(2);
    let refused = "The image tag 'key' already exists in the 'ci' repository and cannot be overwritten because the tag is immutable.";
    race.lab.registry.fault("/manifests/key-", 1, Response::error(400, "TAG_INVALID", refused));
    race.adopts();
    assert_eq!(race.sets(), 1);
}

#[test]
fn a_protected_tag_with_other_content_is_a_conflict() {
    let race = race(2);
    let other = rival(&race.lab, race.key_tag().trim_start_matches("ci/"), &"f".repeat(64));
    let refused = "tag invalid: the tag is immutable";
    race.lab.registry.fault("/manifests/key-", 1, Response::error(400, "TAG_INVALID", refused));
    let run = race.lab.shared().run().fails(40, "integrity");
    let own = race.digest(&format!("ci/sha-rf9d832d9-app-{HEAD}"));
    assert!(run.error().contains(&other) && run.error().contains(&own), "both are named: {}", run.error());
}

#[test]
fn an_image_made_from_other_inputs_is_never_adopted() {
    let race = race(0);
    let forged = rival(&race.lab, race.key_tag().trim_start_matches("ci/"), &"f".repeat(64));
    let run = race.lab.shared().run().succeeds("built");
    assert_ne!(run.output("digest"), forged);
    assert_eq!(race.digest(&race.key_tag()), run.output("digest"), "it is set anew");
}

#[test]
fn an_answer_that_was_lost_is_no_reason_to_set_it_twice() {
    let race = race(2);
    // The registry took it, and its answer did not arrive: the next look finds the rival's.
    race.lab.registry.fault("/manifests/key-", 1, Response::error(503, "UNAVAILABLE", "try later"));
    race.adopts();
    assert_eq!(race.sets(), 1);
}

#[test]
fn a_push_that_a_rivals_protected_tag_refuses() {
    let race = race(1);
    rival(&race.lab, &format!("sha-rf9d832d9-app-{HEAD}"), &race.key);
    let absent = Response::error(404, "MANIFEST_UNKNOWN", "manifest unknown");
    race.lab.registry.fault("/manifests/sha-", 1, absent);
    race.lab.registry.refuse(
        "/_publish",
        "unexpected status from PUT request: 400 Bad Request: tag invalid: The image tag 'x' already exists and cannot be overwritten because the tag is immutable.",
    );
    let run = race.lab.shared().run().succeeds("built");
    assert_eq!(run.output("digest"), race.theirs);
    assert_eq!((run.output("built"), run.output("pushed")), ("true", "false"));
    assert_eq!(run.output("commit-tag"), format!("sha-rf9d832d9-app-{HEAD}"));
    assert!(run.notices().contains("although the push failed"), "{}", run.notices());
}

#[test]
fn a_push_that_fails_for_other_reasons_still_fails() {
    let race = race(9);
    let other = rival(&race.lab, &format!("sha-rf9d832d9-app-{HEAD}"), &"f".repeat(64));
    let own = format!("sha256:{}", "b".repeat(64));
    let packed = json!({"statuses": [{"id": format!("exporting manifest {own}"), "vertex": "x"}]});
    race.lab.set("progress", format!("{PROGRESS}{packed}\n"));
    race.lab.registry.refuse("/_publish", "400 Bad Request: tag invalid: the tag is immutable");
    let run = race.lab.shared().run().fails(40, "integrity");
    assert!(run.error().contains("made from other inputs"), "{}", run.error());
    assert!(run.error().contains(&other) && run.error().contains(&own), "both are named: {}", run.error());
    assert_eq!(race.digest(&format!("ci/sha-rf9d832d9-app-{HEAD}")), other, "the tag stays as it is");
    assert_eq!(run.output("digest"), "", "what nobody can pull is not reported");
}

#[test]
fn a_slow_registry_is_no_rival() {
    let race = race(2);
    race.lab.registry.slow(Duration::from_millis(60));
    let run = race.lab.shared().run().succeeds("built");
    assert_eq!((run.output("digest"), race.sets()), (race.digest(&race.key_tag()).as_str(), 1));
}
