//! Clean-up of what real builds left in real registries. GitHub is `tests/lab/github.py`.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::harness::{Finished, Program, Repository, Workspace, lab, request, unique};

const HEAD: &str = "1234567890123456789012345678901234567890";

struct GitHub {
    child: Child,
    url: String,
    state: PathBuf,
}

impl GitHub {
    fn start(work: &Workspace) -> Self {
        let state = work.root().join("github");
        std::fs::write(&state, "branch main\n").unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/github.py");
        let mut child = Command::new(script).arg(&state).stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { child, url: url.trim().to_owned(), state }
    }

    fn close(&self, number: u64) {
        std::fs::write(&self.state, format!("branch main\nclosed {number}\n")).unwrap();
    }
}

impl Drop for GitHub {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn login<'a>(program: Program<'a>, repository: &Repository) -> Program<'a> {
    let (host, user) = (lab().get("BUILD_ONCE_LAB_REGISTRY"), lab().get("BUILD_ONCE_LAB_REGISTRY_USER"));
    let program = program.env("LAB_PASSWORD", lab().get("BUILD_ONCE_LAB_REGISTRY_PASSWORD"));
    program.repository(repository).input("logins", &format!("{host} {user} LAB_PASSWORD"))
}

fn removed(run: &Finished) -> usize {
    assert_eq!(run.code, Some(0), "{}", run.log);
    run.output("removed").parse().unwrap()
}

/// `main` and two pull requests build and write layer caches; one pull request is closed.
fn a_closed_pull_request_leaves_nothing_and_the_others_stay(name: &str, repository: &Repository) {
    let work = Workspace::new(name);
    let github = GitHub::start(&work);
    let program = || login(work.program(), repository).input("cache-write", "always");
    program().run().is("built");
    for number in [12, 13] {
        work.write("content.txt", &format!("changed by {number}\n"));
        program().pull_request(number, HEAD, false).run().is("built");
    }
    let of = |number: u64| -> usize {
        repository.tags().iter().filter(|tag| tag.starts_with(&format!("pr-{number}-"))).count()
    };
    assert_eq!((of(12), of(13)), (3, 3), "{:?}", repository.tags());
    let others = || -> Vec<String> {
        repository.tags().into_iter().filter(|tag| !tag.starts_with("pr-12-")).collect()
    };
    let before = others();
    let prune = |apply: &str| {
        let program = login(work.program(), repository).command("prune").env("GITHUB_API_URL", &github.url);
        program.input("apply", apply).input("min-age", "0s").input("untagged", "off").run()
    };
    assert_eq!(prune("true").output("outcome"), "nothing", "both are open");
    github.close(12);
    let plan = prune("false");
    assert_eq!((plan.code, plan.output("outcome")), (Some(0), "planned"), "{}", plan.log);
    assert_eq!(of(12), 3, "nothing goes by itself");
    assert!(removed(&prune("true")) >= 2);
    assert_eq!((of(12), others()), (0, before));
    // What stays can be used: nothing that it needs is gone.
    work.write("content.txt", "changed by 13\n");
    program().pull_request(13, HEAD, false).run().is("reused-tag");
    assert_eq!(prune("true").output("outcome"), "nothing");
}

#[test]
fn in_ecr() {
    a_closed_pull_request_leaves_nothing_and_the_others_stay("prune-ecr", &Repository::ecr("prune"));
}

#[test]
fn in_a_registry_with_a_password() {
    a_closed_pull_request_leaves_nothing_and_the_others_stay("prune-plain", &Repository::plain("prune"));
}

#[test]
fn a_name_of_an_image_that_stays() {
    let (work, repository) = (Workspace::new("prune-tag"), Repository::plain("prune-tag"));
    let github = GitHub::start(&work);
    login(work.program(), &repository).run().is("built");
    // Its commit's name is set on the image of main.
    login(work.program(), &repository).pull_request(12, HEAD, false).run().is("reused-key");
    let before = repository.tags();
    assert!(before.iter().any(|tag| tag.starts_with("pr-12-sha-")), "{before:?}");
    github.close(12);
    let program = login(work.program(), &repository).command("prune").env("GITHUB_API_URL", &github.url);
    let run = program.input("apply", "true").input("min-age", "0s").run();
    assert_eq!(run.code, Some(0), "{}", run.log);
    // Debian's registry (CNCF distribution 2.8) removes no tag alone.
    assert!(run.log.contains("removes no tag without the image"), "{}", run.log);
    assert_eq!(repository.tags(), before);
    let main = before.iter().find(|tag| tag.starts_with("key-")).unwrap();
    assert!(repository.image(main).is_some());
}

/// The lab's BuildKit knows no S3, so the objects are put there as BuildKit would.
#[test]
fn a_zone_in_a_bucket() {
    let work = Workspace::new("prune-s3");
    let github = GitHub::start(&work);
    let (endpoint, bucket) = (lab().get("AWS_ENDPOINT_URL"), unique("prune-s3"));
    let put = |key: &str| request("PUT", &format!("{endpoint}/{bucket}/{key}"), &[], Some(vec![0; 100]));
    assert_eq!(request("PUT", &format!("{endpoint}/{bucket}"), &[], None).status, 200);
    for zone in ["trusted", "pr-12", "pr-13"] {
        for key in ["blobs/sha256:01", "blobs/sha256:02", "manifests/app"] {
            assert_eq!(put(&format!("ci/o/r/{zone}/{key}")).status, 200);
        }
    }
    let keys = || -> Vec<String> {
        let answer = request("GET", &format!("{endpoint}/{bucket}?list-type=2"), &[], None);
        let text = String::from_utf8(answer.body).unwrap();
        let keys = text.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned());
        keys.collect()
    };
    let cache =
        format!("s3,bucket={bucket},region=us-east-1,endpoint_url={endpoint},use_path_style=true,prefix=ci/");
    let prune = |apply: &str| {
        let program = work.program().command("prune").env("GITHUB_API_URL", &github.url);
        program.input("cache", &cache).input("apply", apply).run()
    };
    assert_eq!(prune("true").output("outcome"), "nothing", "both are open");
    github.close(12);
    let plan = prune("false");
    assert_eq!((plan.code, plan.output("outcome")), (Some(0), "planned"), "{}", plan.log);
    assert_eq!(keys().len(), 9);
    assert_eq!(removed(&prune("true")), 1);
    let left = keys();
    assert!(left.len() == 6 && left.iter().all(|key| !key.contains("/pr-12/")), "{left:?}");
    left.iter().for_each(|key| drop(request("DELETE", &format!("{endpoint}/{bucket}/{key}"), &[], None)));
    request("DELETE", &format!("{endpoint}/{bucket}"), &[], None);
}
