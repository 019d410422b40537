//! GitHub Packages: the registry deletes nothing, the Packages API deletes whole versions.

use super::{image, pr_tag, prune};
use crate::support::github::{GitHub, PackageVersion};
use crate::support::{BuildOnce, Lab, Response};

struct Set {
    lab: Lab,
    github: GitHub,
    next: std::cell::Cell<u64>,
}

impl Set {
    fn new() -> Self {
        let set = Self { lab: Lab::new(), github: GitHub::start(), next: 100.into() };
        set.github.close(7, 3);
        set
    }

    fn put(&self, name: &str, tags: &[&str]) -> String {
        let digest = self.lab.registry.store_in("o/ci", &image(name, true), tags);
        self.next.set(self.next.get() + 1);
        self.github.version(PackageVersion {
            id: self.next.get(),
            digest: digest.clone(),
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            created: "2020-01-01T00:00:00Z".to_owned(),
        });
        digest
    }

    fn prune(&self) -> BuildOnce<'_> {
        let registry = self.lab.registry.address().to_owned();
        let program = prune(&self.lab, &self.github).env("BUILD_ONCE_TEST_PACKAGES", &registry);
        program.input("repository", &format!("{registry}/o/ci")).input("apply", "true").input("force", "true")
    }
}

#[test]
fn versions_go_by_number_and_can_be_restored_by_it() {
    let set = Set::new();
    set.put("main", &["latest"]);
    set.put("seven", &[&pr_tag(7)]);
    let run = set.prune().run();
    assert_eq!((run.code, run.output("removed")), (0, "1"), "{}", run.all());
    assert_eq!(run.output("restore-ids"), "[102]");
    assert!(run.summary.contains("restore id 102"), "{}", run.summary);
    assert_eq!(set.github.versions().len(), 1);
    assert!(
        set.lab.registry.asked().iter().all(|asked| !asked.starts_with("DELETE")),
        "the registry would refuse"
    );
    set.github.check();
}

#[test]
fn the_last_version_stays_and_that_is_no_failure() {
    let set = Set::new();
    set.put("seven", &[&pr_tag(7)]);
    let run = set.prune().run();
    assert_eq!((run.code, run.output("removed")), (0, "0"), "{}", run.all());
    assert!(run.stdout.contains("does not delete the last version of a package"), "{}", run.stdout);
    set.github.check();
}

#[test]
fn a_version_of_many_downloads_stays_and_that_is_no_failure() {
    let set = Set::new();
    set.put("main", &["latest"]);
    set.put("seven", &[&pr_tag(7)]);
    let message = "Publicly visible package versions with more than 5000 downloads cannot be deleted. Contact GitHub support for further assistance.";
    let body = serde_json::json!({"message": message}).to_string();
    set.github.fault("DELETE /versions/102", 1, Response::new(400, body));
    let run = set.prune().run();
    assert_eq!((run.code, run.output("removed")), (0, "0"), "{}", run.all());
    assert!(run.stdout.contains("more than 5,000 downloads"), "{}", run.stdout);
}

#[test]
fn a_package_without_the_admin_role_is_told_of() {
    let set = Set::new();
    set.put("main", &["latest"]);
    set.put("seven", &[&pr_tag(7)]);
    set.github.fault(
        "DELETE /versions/102",
        1,
        Response::new(403, r#"{"message":"Resource not accessible by integration"}"#),
    );
    let run = set.prune().run();
    assert_eq!((run.code, run.output("failure-class")), (20, "access"), "{}", run.all());
    assert!(run.error().contains("Admin role") && run.error().contains("packages: write"), "{}", run.error());
}

#[test]
fn a_tag_of_an_image_that_stays_goes_by_way_of_a_copy() {
    let set = Set::new();
    let digest = set.put("released", &["v1", &pr_tag(7)]);
    // The registry's push makes a version; the list has it at once.
    let github = &set.github;
    let registry = &set.lab.registry;
    let run = set.prune().start();
    let copied = (0..500).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        let now = registry.digest(&format!("o/ci/{}", pr_tag(7)))?;
        (now != digest).then_some(now)
    });
    let copied = copied.expect("the tag is moved to a copy");
    github.version(PackageVersion {
        id: 900,
        digest: copied,
        tags: vec![pr_tag(7)],
        created: "2020-01-01T00:00:00Z".to_owned(),
    });
    let run = run.finish();
    // Whether GitHub had listed the copy by then or not: the image and its release stay.
    assert!(run.code == 0 || run.error().contains("the next run removes it"), "{}", run.all());
    assert!(registry.digest("o/ci/v1").as_ref() == Some(&digest));
    if run.code == 0 {
        assert_eq!(github.deleted(), ["DELETE /orgs/o/packages/container/ci/versions/900"]);
    }
    github.check();
}

/// Between the look and the deletion another run makes a release of it.
#[test]
fn a_version_that_gets_another_tag_meanwhile_stays() {
    let set = Set::new();
    set.put("main", &["latest"]);
    let digest = set.put("seven", &[&pr_tag(7)]);
    let now = serde_json::json!({"id": 102, "name": digest, "created_at": "2020-01-01T00:00:00Z",
        "metadata": {"container": {"tags": [pr_tag(7), "v1"]}}});
    set.github.fault("/versions/102", 1, Response::new(200, now.to_string()));
    let run = set.prune().run();
    assert_eq!((run.code, run.output("removed")), (0, "0"), "{}", run.all());
    assert!(run.stdout.contains("or the image has another tag"), "{}", run.stdout);
    assert_eq!(set.github.versions().len(), 2);
    set.github.check();
}
