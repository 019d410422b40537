//! A checkout: a git repository with a Dockerfile, as a workflow's job finds it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::images;
use super::lab::{docker, lab, unique};
use super::program::Program;
use super::run::Finished;

/// Two steps over the lab's base image; `content.txt` is in no other test's image. Without a network, which the engine
/// would make and remove for each step.
const DOCKERFILE: &str =
    "ARG BASE\nFROM ${BASE}\nCOPY content.txt /content.txt\nRUN --network=none cat /content.txt >/made.txt\n";

/// A git repository, a home and a runner's temporary folder. All goes when it is dropped, the
/// image under its local name too.
pub struct Workspace {
    root: TempDir,
    /// The image's name, and the test's.
    pub image: String,
}

impl Workspace {
    /// With one commit of the usual Dockerfile.
    pub fn new(test: &str) -> Self {
        let this = Self {
            root: tempfile::Builder::new().prefix("build-once-e2e-").tempdir().unwrap(),
            image: unique(test),
        };
        let docker = this.home().join(".docker");
        fs::create_dir_all(docker.join("cli-plugins")).unwrap();
        fs::create_dir_all(this.folder()).unwrap();
        fs::create_dir_all(this.root.path().join("temp")).unwrap();
        this.docker_config(&serde_json::json!({}));
        this.buildx(lab().get("BUILD_ONCE_LAB_BUILDX"));
        this.git(&["init", "--quiet", "--initial-branch=main"]);
        this.write("Dockerfile", DOCKERFILE);
        // Else it is part of the context, and every commit has a key of its own.
        this.write(".dockerignore", ".git\n");
        this.write("content.txt", &format!("{}\n", this.image));
        this.commit("first");
        this
    }

    /// The checkout.
    pub fn folder(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// Where nothing is of anybody.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The user's home.
    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// Sets the user's docker configuration.
    pub fn docker_config(&self, config: &Value) {
        fs::write(self.home().join(".docker/config.json"), config.to_string()).unwrap();
    }

    /// Sets the buildx plug-in.
    pub fn buildx(&self, plugin: &str) {
        let link = self.home().join(".docker/cli-plugins/docker-buildx");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(plugin, link).unwrap();
    }

    /// Writes a file of the checkout.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.folder().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Commits everything there is, changed or not.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.head()
    }

    /// The commit that is checked out.
    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// git in the checkout.
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=lab", "-c", "user.email=lab@example.test", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(self.folder())
            .env("HOME", self.home())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The program as a step of a workflow, on a push to the default branch.
    pub fn program(&self) -> Program<'_> {
        Program::new(self)
    }

    /// Commit tag of this checkout in the trusted zone.
    pub fn commit_tag(&self) -> String {
        format!("sha-rf9d832d9-{}-{}", self.image, self.head())
    }

    /// docker with this home's configuration, builders included.
    pub fn docker(&self, arguments: &[&str]) -> String {
        self.docker_on(lab().get("DOCKER_HOST"), arguments)
    }

    /// The same against another engine.
    pub fn docker_on(&self, host: &str, arguments: &[&str]) -> String {
        let output = docker(host, &self.home().join(".docker"), arguments).output().unwrap();
        assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Workspace {
    /// The run's `local-image` is a private name of this zone, and the image that people find under
    /// the input `image`.
    #[track_caller]
    pub fn holds(&self, run: &Finished, zone: &str) {
        let (private, id) = (run.output("local-image"), ["image", "inspect", "--format", "{{.Id}}"]);
        let zoned = format!(":{zone}-");
        assert!(private.starts_with("build-once.invalid/") && private.contains(&zoned), "{private}");
        let id = |name: &str| self.docker(&[&id, &[name] as &[&str]].concat());
        assert_eq!(id(private), id(&self.image));
    }

    /// Takes the image out of every engine's store, as on a machine that has never seen it.
    pub fn forget(&self) {
        images::forget(&self.image);
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        images::tidy(&self.image);
    }
}
