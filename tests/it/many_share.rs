//! What several images of a run have in common is asked once.

use crate::many::{both, lab};

#[test]
fn a_base_that_images_share_is_asked_for_once() {
    let lab = lab();
    lab.registry.publish_triggers("base/os/1", &["RUN true"]);
    for file in ["Dockerfile", "Dockerfile.web"] {
        lab.write(
            &format!("work/{file}"),
            format!("FROM {}/base/os:1\nCOPY hello /{file}\n", lab.registry.address()),
        );
    }
    both(&lab).run().succeeds("built");
    let asked = lab.registry.asked();
    let of_base: Vec<&str> = asked.iter().map(String::as_str).filter(|ask| ask.contains("base/os")).collect();
    let (head, rest) = of_base.split_first().unwrap();
    assert_eq!(*head, "HEAD base/os/manifests/1");
    let kinds: Vec<&str> = rest.iter().map(|ask| ask.rsplit_once(':').unwrap().0).collect();
    assert_eq!(kinds, ["GET base/os/manifests/sha256", "GET base/os/blobs/sha256"]);
}

/// Every image asks which commits came before, and git answers once. The nearest earlier image alone is read.
#[test]
fn git_is_asked_once_for_the_commits_before() {
    let lab = lab();
    let (older, old) = ("5".repeat(40), "6".repeat(40));
    both(&lab).commit(&old).run().succeeds("built");
    let asked = lab.root().join("asked").display().to_string();
    lab.git_is(&format!(
        "case $* in *rev-list*) echo asked >>{asked}; echo {old}; echo {older} ;; *) exit 128 ;; esac"
    ));
    lab.write("work/hello", "changed");
    lab.registry.forget_requests();
    let run = both(&lab).run().succeeds("built");
    for image in ["app", "web"] {
        let reason =
            format!("{image}: built: miss: `hello` changed; compared with the image of commit 666666666666");
        assert!(run.stdout.contains(&reason), "{}", run.stdout);
    }
    assert_eq!(std::fs::read_to_string(asked).unwrap(), "asked\n");
    let requests = lab.registry.asked();
    let of = |commit: &str| requests.iter().filter(|asked| asked.contains(commit)).count();
    assert_eq!((of(&old), of(&older)), (2, 0), "{requests:?}");
}
