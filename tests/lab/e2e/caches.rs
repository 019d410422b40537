//! Layer caches of every kind against real BuildKit: written by one builder, read by another
//! that has never seen anything.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Finished, Program, Repository, Workspace, lab, unique};

/// An empty builder of the test's own.
pub struct Builder<'a> {
    work: &'a Workspace,
    pub name: String,
}

impl<'a> Builder<'a> {
    pub fn new(work: &'a Workspace) -> Self {
        let name = unique("e2e-cache");
        let image = format!("image={}", lab().get("BUILD_ONCE_LAB_BUILDKIT_IMAGE"));
        let options = ["--driver-opt", "network=host", "--driver-opt", &image, "--bootstrap"];
        work.docker(
            &[&["buildx", "create", "--name", &name, "--driver", "docker-container"], &options[..]].concat(),
        );
        Self { work, name }
    }

    /// Makes it empty again.
    pub fn empty(&self) {
        self.work.docker(&["buildx", "prune", "--builder", &self.name, "--all", "--force"]);
        let usage = self.work.docker(&["buildx", "du", "--builder", &self.name]);
        assert_eq!(usage.split_whitespace().next_back(), Some("0B"), "{usage}");
    }
}

impl Drop for Builder<'_> {
    fn drop(&mut self) {
        self.work.docker(&["buildx", "rm", "--force", &self.name]);
    }
}

/// A build on an empty builder, then one of another key with the same steps on another empty
/// builder: every step must come from the cache.
fn warm<'a>(work: &'a Workspace, program: impl Fn() -> Program<'a>) -> (Finished, Finished) {
    let one = |program: Program<'a>| {
        let builder = Builder::new(work);
        let finished = program.input("key", "context").input("builder", &builder.name).run().is("built");
        assert_eq!(finished.output("degraded"), "false", "{}", finished.log);
        finished
    };
    let first = one(program());
    assert_eq!(first.number("cached-steps"), 0, "{}", first.log);
    let before = work.head();
    work.write("more.txt", "not in the image, but in the context");
    work.commit("another key, the same steps");
    let second = one(program().before(&before));
    assert_eq!((second.number("cached-steps"), second.number("total-steps")), (2, 2), "{}", second.log);
    (first, second)
}

#[test]
fn registry() {
    let (work, repository) = (Workspace::new("c-registry"), Repository::ecr("c-registry"));
    let _ = warm(&work, || work.program().repository(&repository));
    let cache = repository.image(&format!("cache-rf9d832d9-{}-main", work.image)).unwrap();
    // What ECR takes, and engines and cleaners understand.
    assert_eq!(cache.media_type, "application/vnd.oci.image.manifest.v1+json");
}

#[test]
fn local() {
    let (work, repository) = (Workspace::new("c-local"), Repository::ecr("c-local"));
    let dir = work.root().join("layers");
    let program = || {
        let program = work.program().repository(&repository).input("cache", "local").input("key", "context");
        program.input("cache-dir", dir.to_str().unwrap())
    };
    let (_, second) = warm(&work, program);
    assert!(second.log.contains("cache from type=local"), "{}", second.log);
    let cache = dir.join(format!("o/r/trusted/cache-rf9d832d9-{}-main", work.image));
    let generations = || {
        let names =
            fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains("gen-")).count()
    };
    assert_eq!(generations(), 1, "bounded to the newest");
    assert!(repository.tags().iter().all(|tag| !tag.starts_with("cache-")), "{:?}", repository.tags());

    // A layer that was lost on the disk is noticed; the build goes on without.
    let current = cache.join(fs::read_link(cache.join("current")).unwrap());
    let layer = largest(&current.join("blobs/sha256"));
    fs::remove_file(&layer).unwrap();
    work.write("more.txt", "once more");
    work.commit("once more");
    let builder = Builder::new(&work);
    let rebuilt = program().input("builder", &builder.name).run().is("built");
    assert!(rebuilt.log.contains("local cache not read"), "{}", rebuilt.log);
    assert_eq!((rebuilt.number("cached-steps"), generations()), (0, 1));

    // A pull request reads it, and leaves it alone.
    let before = fs::read_link(cache.join("current")).unwrap();
    work.write("more.txt", "of a pull request");
    work.commit("of a pull request");
    let builder = Builder::new(&work);
    let theirs =
        program().pull_request(12, &work.head(), false).input("builder", &builder.name).run().is("built");
    assert_eq!(theirs.number("cached-steps"), 2, "{}", theirs.log);
    assert_eq!(fs::read_link(cache.join("current")).unwrap(), before);
    assert!(!dir.join("o/r/pr-12").exists());
}

fn largest(folder: &Path) -> std::path::PathBuf {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
}

#[test]
fn a_read_only_folder_switches_local_off() {
    let (work, repository) = (Workspace::new("c-readonly"), Repository::ecr("c-readonly"));
    let dir = work.root().join("layers");
    fs::create_dir(&dir).unwrap();
    let mount = |arguments: &[&str]| {
        assert!(Command::new(arguments[0]).args(&arguments[1..]).arg(&dir).status().unwrap().success());
    };
    mount(&["mount", "-t", "tmpfs", "-o", "ro,mode=0700", "e2e"]);
    let program = work.program().repository(&repository).input("cache", "local");
    let built = program.input("cache-dir", dir.to_str().unwrap()).run();
    mount(&["umount"]);
    let built = built.is("built").degraded();
    assert!(built.annotations("warning")[0].contains("cannot be written"), "{}", built.log);
}

#[test]
fn inline() {
    let (work, repository) = (Workspace::new("c-inline"), Repository::ecr("c-inline"));
    let (_, second) = warm(&work, || work.program().repository(&repository).input("cache", "inline"));
    assert!(repository.tags().iter().all(|tag| !tag.starts_with("cache-")), "{:?}", repository.tags());
    assert!(
        second.log.contains("--cache-to") || second.log.contains("cache to type=inline"),
        "{}",
        second.log
    );
}

/// BuildKit inside an engine knows no S3 (moby `builder-next`), and the lab has no other: the
/// cache is dropped with the reason, and the build is as good as any. Prefixes, credentials and
/// variables are shown without an engine, in `tests/it/caches.rs`.
#[test]
fn s3_is_dropped_where_buildkit_does_not_know_it() {
    let (work, repository) = (Workspace::new("c-s3"), Repository::ecr("c-s3"));
    let endpoint = lab().get("AWS_ENDPOINT_URL");
    let cache =
        format!("s3,bucket=b,region=us-east-1,endpoint_url={endpoint},use_path_style=true,prefix=ci/");
    let builder = Builder::new(&work);
    let program =
        work.program().repository(&repository).input("cache", &cache).input("builder", &builder.name);
    let program = program.env("AWS_SECRET_ACCESS_KEY", "s3-secret-canary").secret("s3-secret-canary");
    let built = program.run().is("built").degraded();
    let warning = built.annotations("warning")[0].to_owned();
    assert!(warning.contains("built without writing the layer cache") && warning.contains("s3"), "{warning}");
    assert_eq!(built.number("attempts"), 2);
    built.is_published(&repository, &[&work.commit_tag(), &built.key_tag("", &work.image)]);
}

/// What the runner gives to a JavaScript action, its script hands on as outputs, masked first.
#[test]
fn the_runtimes_script_masks_and_hands_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("output");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/runtime/main.js");
    let ran = Command::new("node")
        .arg(script)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("GITHUB_OUTPUT", &file)
        .env("ACTIONS_RUNTIME_TOKEN", "token%1\nline")
        .env("ACTIONS_RESULTS_URL", "https://results.example/")
        .env("ACTIONS_CACHE_MODE", "read")
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "::add-mask::token%251%0Aline\n");
    let outputs = crate::harness::parse_outputs(&fs::read_to_string(file).unwrap());
    let expected = [
        ("cache-url", ""),
        ("mode", "read"),
        ("results-url", "https://results.example/"),
        ("service-v2", ""),
        ("token", "token%1\nline"),
    ];
    assert_eq!(outputs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect::<Vec<_>>(), expected);
}

const WORKFLOW: &str = r#"
on: push
jobs:
  image:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - uses: build-once/build-once@v1
        id: image
        with:
          image: IMAGE
          repository: REPOSITORY
          cache: gha
          key: context
          build-args: BASE=FROM_BASE
          builder: ${{ vars.BUILDER }}
      - run: test ! -e .build-once-runtime
"#;

/// Through the action, as a workflow uses it, with the runner's own cache server.
#[test]
fn gha_through_the_action() {
    let (work, repository) = (Workspace::new("c-gha"), Repository::ecr("c-gha"));
    let workflow = WORKFLOW
        .replace("IMAGE", &work.image)
        .replace("REPOSITORY", &repository.name())
        .replace("FROM_BASE", lab().get("BUILD_ONCE_LAB_BASE_IMAGE"));
    work.write(".github/workflows/ci.yml", &workflow);
    work.git(&["remote", "add", "origin", "https://github.com/o/r.git"]);
    work.commit("workflow");
    let first = act(&work);
    assert_eq!(first["cached-steps"], "0", "{first}");
    work.write("more.txt", "not in the image, but in the context");
    work.commit("another key, the same steps");
    let second = act(&work);
    assert_eq!((&second["cached-steps"], &second["total-steps"]), (&json!("2"), &json!("2")), "{second}");
    // act names no number of the repository: its name counts (docs/trust.md, "Tags").
    let scope = format!("cache from type=gha,scope=cache-rba0da53c-{}-main", work.image);
    assert!(second["log"].as_str().unwrap().contains(&scope), "{}", second["log"].as_str().unwrap());
}

/// A push of HEAD on an empty builder: the outputs of the step, and the log.
fn act(work: &Workspace) -> Value {
    let builder = Builder::new(work);
    let root = work.root().join("act");
    let (action, home) = (root.join("action"), root.join("home"));
    fs::create_dir_all(action.join("dist")).unwrap();
    fs::create_dir_all(home.join(".config/act")).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::copy(source.join("action.yml"), action.join("action.yml")).unwrap();
    assert!(Command::new("cp").arg("-r").arg(source.join("dist")).arg(&action).status().unwrap().success());
    let event = json!({"ref": "refs/heads/main", "after": work.head(),
        "repository": {"full_name": "o/r", "default_branch": "main"}, "sender": {"login": "lab"}});
    fs::write(root.join("event.json"), event.to_string()).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let path = |name: &str| root.join(name).display().to_string();
    let mut command = Command::new(Path::new(lab().bin.as_str()).join("act"));
    command
        .args(["push", "--json", "--platform", "ubuntu-latest=-self-hosted", "--directory"])
        .arg(work.folder())
        .args(["--eventpath", &path("event.json"), "--action-cache-path", &path("actions")])
        .args(["--local-repository", &format!("build-once/build-once@v1={}", action.display())])
        .args(["--cache-server-addr", "127.0.0.1", "--cache-server-path", &path("cache")])
        // With it act gives a token, without which nobody talks to a cache service.
        .args(["--artifact-server-path", &path("artifacts"), "--artifact-server-addr", "127.0.0.1"])
        .args(["--artifact-server-port", &port, "--var", &format!("BUILDER={}", builder.name)])
        .env("HOME", &home)
        .env("DOCKER_CONFIG", work.home().join(".docker"))
        .env("BUILD_ONCE_BIN", env!("CARGO_BIN_EXE_build-once"))
        .env("PATH", format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", lab().bin));
    for (name, value) in lab().shell().filter(|(name, _)| !["DOCKER_CONFIG", "PATH", "HOME"].contains(name)) {
        command.env(name, value);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let mut found = json!({"log": ""});
    let mut log = String::new();
    for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        log.push_str(line["msg"].as_str().unwrap_or_default());
        if line["command"] == "set-output" && line["stepID"] == json!(["image"]) {
            found[line["name"].as_str().unwrap()] = line["arg"].clone();
        }
    }
    found["log"] = log.into();
    found
}
