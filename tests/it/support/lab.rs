//! A machine for one test: a checkout, a runner's folders, a fake docker, a registry.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::registry::Registry;
use super::run::BuildOnce;

/// One call of the fake docker.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub args: Vec<String>,
    pub stdin: String,
    /// Every variable it had.
    pub env: Value,
    /// `config.json` of its `DOCKER_CONFIG`.
    pub config: Value,
    /// BuildKit's source policy, if it was given one.
    pub policy: Value,
    /// The definition for bake, if it was given one.
    pub definition: Value,
    pub pid: i32,
}

impl Call {
    pub(crate) fn line(&self) -> String {
        self.args.join(" ")
    }

    /// Every value of a flag.
    pub(crate) fn values(&self, flag: &str) -> Vec<&str> {
        let pairs = self.args.iter().zip(self.args.iter().skip(1));
        pairs.filter(|(name, _)| *name == flag).map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn has(&self, flag: &str) -> bool {
        self.args.iter().any(|arg| arg == flag)
    }

    /// What the source policy turns into what, images and others.
    pub(crate) fn held(&self) -> Vec<(String, String)> {
        let rules = self.policy["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
        let text = |rule: &Value, of: &str| rule[of]["identifier"].as_str().unwrap().to_owned();
        rules.iter().map(|rule| (text(rule, "selector"), text(rule, "updates"))).collect()
    }
}

pub(crate) struct Lab {
    root: TempDir,
    pub registry: Registry,
    scenario: std::cell::RefCell<Value>,
}

/// A stream as buildx 0.29 writes it: four steps, one of them cached.
pub(crate) const PROGRESS: &str = include_str!("../../fixtures/progress-buildx-0.29.jsonl");

impl Lab {
    /// An engine with containerd's store, a docker builder, a checkout whose image rests on
    /// nothing.
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("it-").tempdir().unwrap();
        let scenario = json!({"buildx": "v0.29.1", "driver": "docker", "containerd": true, "progress": PROGRESS, "rules": []});
        let lab = Self { root, registry: Registry::start(), scenario: scenario.into() };
        for folder in ["work", "temp", "home", "bin"] {
            fs::create_dir(lab.path(folder)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_fake-docker"), lab.path("bin/docker")).unwrap();
        fs::create_dir_all(lab.path("home/.docker/cli-plugins")).unwrap();
        symlink(lab.path("bin/docker"), lab.path("home/.docker/cli-plugins/docker-buildx")).unwrap();
        lab.write("work/Dockerfile", "FROM scratch\nCOPY hello /\n");
        lab.write("work/hello", "hello\n");
        lab.change(|_| {});
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Every file below a folder.
    pub(crate) fn files(&self, folder: &str) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.path(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else {
                    files.push(entry.path());
                }
            }
        }
        files.sort();
        files
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// The program, as a step of a push to the default branch, with the input `image`.
    pub(crate) fn build_once(&self) -> BuildOnce<'_> {
        BuildOnce::new(self)
    }

    /// The same, with the registry's repository.
    pub(crate) fn shared(&self) -> BuildOnce<'_> {
        self.build_once().input("repository", &self.registry.repository())
    }

    fn change(&self, edit: impl FnOnce(&mut Value)) {
        edit(&mut self.scenario.borrow_mut());
        self.write("bin/scenario.json", self.scenario.borrow().to_string());
    }

    pub(crate) fn set(&self, name: &str, value: impl Into<Value>) {
        self.change(|scenario| scenario[name] = value.into());
    }

    /// The fake docker does this for commands that begin so; `{"stderr", "stdout", "exit",
    /// "hang", "times"}`. Without `exit` it then works as ever.
    pub(crate) fn rule(&self, command: &str, mut rule: Value) {
        rule["args"] = command.split(' ').collect::<Vec<_>>().into();
        self.change(|scenario| scenario["rules"].as_array_mut().unwrap().push(rule));
    }

    /// There is no docker on this machine.
    pub(crate) fn without_docker(&self) {
        fs::remove_file(self.path("bin/docker")).unwrap();
        fs::remove_file(self.path("home/.docker/cli-plugins/docker-buildx")).unwrap();
    }

    /// docker is gone, and its plug-in is there.
    pub(crate) fn with_buildx_alone(&self) {
        let plugin = self.path("home/.docker/cli-plugins/docker-buildx");
        fs::remove_file(&plugin).unwrap();
        fs::rename(self.path("bin/docker"), self.path("bin/engine")).unwrap();
        symlink(self.path("bin/engine"), plugin).unwrap();
    }

    /// A git that fails with this text.
    pub(crate) fn git_says(&self, text: &str) {
        let text = text.replace('\'', "'\\''");
        self.git_is(&format!("printf 'fatal: %s\\n' '{text}' >&2\nexit 128"));
    }

    /// A git that is this shell script.
    pub(crate) fn git_is(&self, script: &str) {
        self.write("bin/git", format!("#!/bin/sh\n{script}\n"));
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(self.path("bin/git"), executable).unwrap();
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        let text = fs::read_to_string(self.path("bin/calls.jsonl")).unwrap_or_default();
        // A line that is still being written has no end yet.
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let read = |line: &str| {
            let call: Value = serde_json::from_str(line).unwrap();
            Call {
                args: call["args"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|arg| arg.as_str().unwrap().to_owned())
                    .collect(),
                stdin: call["stdin"].as_str().unwrap().to_owned(),
                env: call["env"].clone(),
                config: call["config"].clone(),
                policy: call["policy"].clone(),
                definition: call["definition"].clone(),
                pid: i32::try_from(call["pid"].as_i64().unwrap()).unwrap(),
            }
        };
        whole.map(read).collect()
    }

    pub(crate) fn forget_calls(&self) {
        fs::remove_file(self.path("bin/calls.jsonl")).unwrap_or_default();
    }

    /// The engine's images.
    pub(crate) fn images(&self) -> Value {
        let text = fs::read(self.path("bin/store.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// The next run is on a machine that has seen no image.
    pub(crate) fn another_machine(&self) {
        fs::remove_file(self.path("bin/store.json")).unwrap_or_default();
        self.forget_calls();
    }

    /// The user's own docker configuration.
    pub(crate) fn docker_config(&self, config: &Value) {
        self.write("home/.docker/config.json", config.to_string());
    }
}
