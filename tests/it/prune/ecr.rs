//! ECR, with its rules and its pull times.

use super::{KEY, image, index, pr_tag, prune};
use crate::support::ecr::Ecr;
use crate::support::github::GitHub;
use crate::support::{BuildOnce, Lab, Response, refusal};

struct Set {
    lab: Lab,
    github: GitHub,
    ecr: Ecr,
}

impl Set {
    fn new() -> Self {
        let set = Self { lab: Lab::new(), github: GitHub::start(), ecr: Ecr::start() };
        set.github.close(7, 3);
        set.ecr.put(&["latest"], &image("latest", true), 100.0);
        set
    }

    fn prune(&self) -> BuildOnce<'_> {
        self.ecr.serves(prune(&self.lab, &self.github))
    }

    fn apply(&self) -> BuildOnce<'_> {
        self.prune().input("apply", "true").input("force", "true")
    }
}

#[test]
fn an_image_with_all_its_tags_and_its_children() {
    let set = Set::new();
    let children = [set.ecr.put(&[], &image("a", true), 5.0), set.ecr.put(&[], &image("b", true), 5.0)];
    let top =
        set.ecr.put(&[&pr_tag(7), "pr-7-cache-rf9d832d9-app"], &index(&[&children[0], &children[1]]), 5.0);
    let run = set.apply().run();
    assert_eq!((run.code, run.output("removed")), (0, "3"), "{}", run.all());
    assert!(!set.ecr.has(&top) && !set.ecr.has(&children[0]));
    assert_eq!(set.ecr.tags(), ["latest"]);
    set.github.check();
}

#[test]
fn a_tag_of_a_release_keeps_the_image() {
    let set = Set::new();
    let digest = set.ecr.put(&[&pr_tag(7), "v1"], &image("a", true), 5.0);
    let run = set.apply().run();
    assert_eq!((run.code, run.output("removed")), (0, "1"), "{}", run.all());
    assert!(set.ecr.has(&digest));
    assert_eq!(set.ecr.tags(), ["latest", "v1"]);
}

#[test]
fn a_tag_that_was_moved_meanwhile_is_left() {
    let set = Set::new();
    let old = set.ecr.put(&[&pr_tag(7)], &image("a", true), 5.0);
    let new = set.ecr.put(&["v1"], &image("b", true), 5.0);
    set.ecr.move_before_deletion(&pr_tag(7), &new);
    let run = set.apply().run();
    assert_eq!((run.code, run.output("removed")), (0, "0"), "{}", run.all());
    assert!(run.stdout.contains("the tag names another image now"), "{}", run.stdout);
    assert!(set.ecr.has(&old) && set.ecr.has(&new));
}

#[test]
fn what_was_pulled_lately_stays() {
    let set = Set::new();
    let tag = |n: u8| format!("key-rf9d832d9-app-{}{n:02}", &KEY[2..]);
    let unused = set.ecr.put(&[&tag(1)], &image("unused", true), 200.0);
    let pulled = set.ecr.put(&[&tag(2)], &image("pulled", true), 200.0);
    set.ecr.pulled(&pulled, 2.0);
    // A kept name of the same image keeps its key.
    let released = set.ecr.put(&[&tag(3), "v3"], &image("released", true), 200.0);
    let run = set.apply().run();
    assert_eq!((run.code, run.output("removed")), (0, "1"), "{}", run.all());
    assert!(!set.ecr.has(&unused) && set.ecr.has(&pulled) && set.ecr.has(&released));
    assert!(set.ecr.tags().contains(&tag(3)));
    let run = set.apply().input("unused", "1d").run();
    assert_eq!(run.output("removed"), "1", "{}", run.all());
}

#[test]
fn without_a_name_only_our_own_go_and_only_when_old() {
    let set = Set::new();
    let ours = set.ecr.put(&[], &image("ours", true), 5.0);
    let young = set.ecr.put(&[], &image("young", true), 0.5);
    let foreign = set.ecr.put(&[], &image("foreign", false), 500.0);
    let run = set.apply().run();
    assert_eq!((run.code, run.output("removed")), (0, "1"), "{}", run.all());
    assert!(!set.ecr.has(&ours) && set.ecr.has(&young) && set.ecr.has(&foreign));
    set.ecr.put(&[], &image("more", true), 5.0);
    let run = set.apply().input("untagged", "off").run();
    assert_eq!(run.output("outcome"), "nothing", "{}", run.all());
}

#[test]
fn signatures_go_with_their_image() {
    let set = Set::new();
    let digest = set.ecr.put(&[&pr_tag(7)], &image("a", true), 5.0);
    let mut signature = image("signature", false);
    signature["subject"] = serde_json::json!({"digest": digest, "size": 1});
    let signature = set.ecr.put(&[], &signature, 5.0);
    let old_style = set.ecr.put(&[&format!("{}.sig", digest.replace(':', "-"))], &image("sig", false), 5.0);
    let run = set.apply().run();
    assert_eq!((run.code, run.output("removed")), (0, "3"), "{}", run.all());
    assert!(!set.ecr.has(&digest) && !set.ecr.has(&signature) && !set.ecr.has(&old_style));
}

#[test]
fn all_pages_are_read() {
    let set = Set::new();
    set.ecr.page(1);
    for n in 0..5 {
        set.ecr.put(&[], &image(&n.to_string(), true), 5.0);
    }
    assert_eq!(set.apply().run().output("removed"), "5");
}

#[test]
fn each_right_is_named_where_it_is_missing() {
    for (action, removed) in [("DescribeImages", 0), ("BatchGetImage", 0), ("BatchDeleteImage", 0)] {
        let set = Set::new();
        let child = set.ecr.put(&[], &image("a", true), 5.0);
        let digest = set.ecr.put(&[&pr_tag(7)], &index(&[&child]), 5.0);
        set.ecr.deny(action);
        let run = set.apply().run();
        assert_eq!((run.code, run.output("failure-class")), (20, "access"), "{action}: {}", run.all());
        assert!(run.error().contains(&format!("ecr:{action} on 123456789012.dkr.ecr")), "{}", run.error());
        assert_eq!(run.output("removed"), removed.to_string());
        assert!(set.ecr.has(&digest) && set.ecr.has(&child));
    }
}

#[test]
fn throttling_is_waited_out_and_then_told() {
    let set = Set::new();
    let digest = set.ecr.put(&[&pr_tag(7)], &image("a", true), 5.0);
    set.ecr.fault("DescribeImages", 2, refusal("ThrottlingException"));
    let run = set.apply().run();
    assert_eq!((run.code, run.output("removed")), (0, "1"), "{}", run.all());
    assert!(!set.ecr.has(&digest));
    let set = Set::new();
    let digest = set.ecr.put(&[&pr_tag(7)], &image("a", true), 5.0);
    set.ecr.fault("BatchDeleteImage", 99, refusal("ThrottlingException"));
    let run = set.apply().run();
    assert_eq!(run.code, 30, "{}", run.all());
    assert!(set.ecr.has(&digest) && run.error().contains("Throttling"), "{}", run.error());
}

#[test]
fn a_manifest_that_cannot_be_read_stops_everything() {
    let set = Set::new();
    let digest = set.ecr.put(&[&pr_tag(7)], &image("a", true), 5.0);
    // A kept index whose list is none.
    let broken = serde_json::json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": 3});
    set.ecr.put(&["v1"], &broken, 5.0);
    let run = set.apply().run();
    assert_eq!(run.code, 30, "{}", run.all());
    assert!(run.error().contains("nothing is removed, because it is not known"), "{}", run.error());
    assert!(set.ecr.has(&digest));
    let set = Set::new();
    set.ecr.put(&[&pr_tag(7)], &index(&[&digest]), 5.0);
    set.ecr.fault("BatchGetImage", 99, Response::new(500, ""));
    assert_eq!(set.apply().run().code, 30);
}
