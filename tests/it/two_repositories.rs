//! D91: two GitHub repositories that share one registry repository and an image's name.

use crate::support::{BuildOnce, HEAD, Lab};

/// The mark of the GitHub repository that the tests run in, and of the other one.
const OWN: &str = "rf9d832d9";
const OTHER: &str = "rd4b3670a";

trait Elsewhere {
    /// In the other GitHub repository.
    fn elsewhere(self) -> Self;
}

impl Elsewhere for BuildOnce<'_> {
    fn elsewhere(self) -> Self {
        self.env("GITHUB_REPOSITORY", "else/where").env("GITHUB_REPOSITORY_ID", "2")
    }
}

#[test]
fn d91_neither_uses_the_others_images() {
    let lab = Lab::new();
    for (first, second, mark) in [
        (lab.shared().pull_request(12), lab.shared().elsewhere().pull_request(12), OTHER),
        (lab.shared().elsewhere(), lab.shared(), OWN),
    ] {
        let before = first.run().succeeds("built");
        lab.another_machine();
        lab.registry.forget_requests();
        let run = second.run().succeeds("built");
        assert_eq!(run.output("key"), before.output("key"), "the same content");
        let asked = lab.registry.asked();
        assert!(asked.iter().any(|asked| asked.contains(mark)), "{asked:?}");
        let foreign = if mark == OWN { OTHER } else { OWN };
        assert!(!asked.iter().any(|asked| asked.contains(foreign)), "{asked:?}");
        lab.another_machine();
    }
    for tag in lab.registry.tags() {
        assert!(tag.contains(OWN) != tag.contains(OTHER), "{tag}");
    }
}

#[test]
fn d91_neither_uses_the_others_layer_cache() {
    let lab = Lab::new();
    let always = |program: BuildOnce<'_>| program.input("cache-write", "always").run().succeeds("built");
    let main = |mark: &str| format!("type=registry,ref={}:cache-{mark}-app-main", lab.registry.repository());
    let _ = always(lab.shared().pull_request(12));
    let _ = always(lab.shared());
    let other = || lab.shared().elsewhere();
    for (at, (program, expected)) in
        [(other().pull_request(12), vec![]), (other(), vec![]), (other().pull_request(13), vec![main(OTHER)])]
            .into_iter()
            .enumerate()
    {
        lab.another_machine();
        // Another image each time, so that each is built.
        let program = program.input("key-extra", &at.to_string());
        assert_eq!(always(program).build().values("--cache-from"), expected);
    }
    // The other way.
    lab.another_machine();
    lab.write("work/hello", "changed");
    assert_eq!(always(lab.shared()).build().values("--cache-from"), [main(OWN)]);
}

#[test]
fn d91_a_new_name_keeps_the_images() {
    let lab = Lab::new();
    let built = lab.shared().run().succeeds("built");
    lab.another_machine();
    let hit = lab.shared().env("GITHUB_REPOSITORY", "o/new-name").run().succeeds("reused-tag");
    assert_eq!(hit.output("digest"), built.output("digest"));
    // Where there is no number, the name counts.
    let named = || lab.shared().unset("GITHUB_REPOSITORY_ID");
    lab.another_machine();
    let _ = named().run().succeeds("built");
    let _ = named().run().succeeds("reused-tag");
    let _ = named().env("GITHUB_REPOSITORY", "else/where").run().succeeds("built");
}

#[test]
fn d91_the_others_names_are_not_set_by_hand() {
    let lab = Lab::new();
    let repository = lab.registry.repository();
    let key = format!("{repository}:key-{OTHER}-app-{}", "a".repeat(32));
    let commit = format!("{repository}:pr-12-sha-{OTHER}-app-{HEAD}");
    let tags = format!("{key}\n{commit}\n{repository}:latest");
    let run = lab.shared().input("tags", &tags).run().succeeds("built").degraded();
    let told = &run.commands("warning")[0].message;
    assert!(told.contains(&key) && told.contains("another GitHub repository's"), "{told}");
    assert!(lab.registry.tags().iter().all(|tag| !tag.contains(OTHER)), "{:?}", lab.registry.tags());
    assert!(lab.registry.digest("ci/latest").is_some());
    // A cache that the other one's trusted runs write may be read: so much can be shared on purpose.
    let theirs = format!("type=registry,ref={repository}:cache-{OTHER}-app-main");
    let bucket = format!("type=s3,bucket=b,region=r,prefix=else/where/trusted/,name=cache-{OTHER}-app-main");
    let program = |extra: &str| lab.shared().input("key-extra", extra).input("cache", "s3,bucket=b,region=r");
    lab.forget_calls();
    let run = program("1").input("cache-from", &theirs).run().succeeds("built");
    assert!(run.build().values("--cache-from").contains(&theirs.as_str()), "{}", run.build().line());
    for (at, cache) in [theirs, bucket].into_iter().enumerate() {
        lab.forget_calls();
        let run = program(&format!("to {at}")).input("cache-to", &cache).run().succeeds("built");
        assert!(!run.build().line().contains(OTHER), "{}", run.build().line());
        assert!(run.notices().contains("it is left out"), "{}", run.notices());
    }
}

#[test]
fn d91_a_developer_names_the_github_repository() {
    let lab = Lab::new();
    let built = lab.shared().run().succeeds("built");
    lab.another_machine();
    let hers = || lab.shared().outside_github();
    let run = hers().run();
    assert!(run.code == 0 && run.all().contains("set GITHUB_REPOSITORY_ID to its number"), "{}", run.all());
    assert!(lab.registry.asked().iter().all(|asked| !asked.contains("/key-") || asked.contains(OWN)));
    lab.another_machine();
    let run = hers().env("GITHUB_REPOSITORY_ID", "1").run();
    assert!(run.code == 0 && run.all().contains(built.output("digest")), "{}", run.all());
}
