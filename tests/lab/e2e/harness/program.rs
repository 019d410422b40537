//! The program, started as a step of a workflow starts it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::lab::lab;
use super::registry::Repository;
use super::run::Finished;
use super::workspace::Workspace;

/// One run to be started: its environment is what the runner gives a step, and no more.
pub struct Program<'a> {
    workspace: &'a Workspace,
    command: &'static str,
    flags: Vec<String>,
    folder: PathBuf,
    env: BTreeMap<String, String>,
    event: Value,
    secrets: Vec<String>,
    temp: PathBuf,
}

/// Longest a run may take before the test gives up on it.
const LIMIT: Duration = Duration::from_secs(180);

impl<'a> Program<'a> {
    pub(super) fn new(workspace: &'a Workspace) -> Self {
        let runs = workspace.root().join("temp");
        let number = fs::read_dir(&runs).unwrap().count() + 1;
        let temp = runs.join(number.to_string());
        fs::create_dir_all(&temp).unwrap();
        let mut this = Self {
            workspace,
            command: "run",
            flags: Vec::new(),
            folder: workspace.folder(),
            env: BTreeMap::new(),
            event: Value::Null,
            secrets: vec![lab().get("BUILD_ONCE_LAB_ECR_PASSWORD").to_owned()],
            temp,
        };
        for (name, value) in lab().shell() {
            this = this.env(name, value);
        }
        // The setting of Go's collector that the lab's other programs have, for docker and buildx.
        if let Ok(value) = std::env::var("GOGC") {
            this = this.env("GOGC", &value);
        }
        let path = format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", lab().bin);
        let home = workspace.home();
        let (temp, docker) = (this.temp.clone(), home.join(".docker"));
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        this.env("PATH", &path)
            .env("HOME", &text(&home))
            .env("DOCKER_CONFIG", &text(&docker))
            .env("RUNNER_TEMP", &text(&temp))
            .env("GITHUB_OUTPUT", &text(&temp.join("output")))
            .env("GITHUB_STEP_SUMMARY", &text(&temp.join("summary.md")))
            .env("GITHUB_EVENT_PATH", &text(&temp.join("event.json")))
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_REPOSITORY", "o/r")
            .env("GITHUB_REPOSITORY_ID", "1")
            // Of the test's own: builders are named by it.
            .env("GITHUB_RUN_ID", &workspace.image)
            .env("GITHUB_RUN_ATTEMPT", "1")
            .env("GITHUB_JOB", &format!("job{number}"))
            .input("image", &workspace.image)
            .input("build-args", &format!("BASE={}", lab().get("BUILD_ONCE_LAB_BASE_IMAGE")))
            // The emulator's own parameter names one for every run that asks.
            .input("ssm-parameter", "/e2e/none")
            .push("main")
    }

    /// Another command than `run`.
    pub fn command(mut self, command: &'static str) -> Self {
        self.command = command;
        self
    }

    /// A flag of the command's.
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// The branch's commit before this push, as the event names it.
    pub fn before(mut self, commit: &str) -> Self {
        self.event["before"] = json!(commit);
        self
    }

    /// An input, as the action hands it over.
    pub fn input(self, name: &str, value: &str) -> Self {
        self.env(&format!("INPUT_{}", name.replace('-', "_").to_ascii_uppercase()), value)
    }

    /// Shares the image there.
    pub fn repository(self, repository: &Repository) -> Self {
        self.input("repository", &repository.name())
    }

    /// An environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Takes a variable away.
    pub fn without(mut self, name: &str) -> Self {
        self.env.remove(name);
        self
    }

    /// Something that may show up nowhere.
    pub fn secret(mut self, secret: &str) -> Self {
        self.secrets.push(secret.to_owned());
        self
    }

    /// Starts in this folder instead of the checkout.
    pub fn folder(mut self, folder: &Path) -> Self {
        folder.clone_into(&mut self.folder);
        self
    }

    /// Against another engine.
    pub fn engine(self, host: &str) -> Self {
        self.env("DOCKER_HOST", host)
    }

    fn event(mut self, name: &str, git_ref: &str, sha: &str, event: Value) -> Self {
        self.event = event;
        self.env("GITHUB_EVENT_NAME", name)
            .env("GITHUB_REF", git_ref)
            .env("GITHUB_REF_NAME", git_ref.rsplit("heads/").next().unwrap())
            .env("GITHUB_SHA", sha)
    }

    /// A push to a branch; `main` is the default one.
    pub fn push(self, branch: &str) -> Self {
        let sha = self.workspace.head();
        let git_ref = format!("refs/heads/{branch}");
        let event = json!({"ref": git_ref, "repository": {"default_branch": "main"}});
        self.event("push", &git_ref, &sha, event)
    }

    /// A pull request of the same repository, or of a fork; the checkout is its merge commit.
    pub fn pull_request(self, number: u64, head: &str, is_fork: bool) -> Self {
        let sha = self.workspace.head();
        let own = json!({"id": 1, "full_name": "o/r"});
        let from = if is_fork { json!({"id": 2, "full_name": "stranger/r"}) } else { own.clone() };
        let event = json!({
            "number": number,
            "repository": {"default_branch": "main"},
            "pull_request": {
                "number": number,
                "user": {"login": "ann"},
                "head": {"ref": "topic", "sha": head, "repo": from},
                "base": {"ref": "main", "repo": own},
            },
        });
        self.event("pull_request", &format!("refs/pull/{number}/merge"), &sha, event)
            .env("GITHUB_BASE_REF", "main")
    }

    /// The merge queue.
    pub fn merge_group(self) -> Self {
        let sha = self.workspace.head();
        let git_ref = format!("refs/heads/gh-readonly-queue/main/pr-7-{sha}");
        let event = json!({"action": "checks_requested", "repository": {"default_branch": "main"},
            "merge_group": {"head_sha": sha, "head_ref": git_ref, "base_ref": "refs/heads/main"}});
        self.event("merge_group", &git_ref, &sha, event)
    }

    /// On somebody's own machine.
    pub fn outside_github(mut self) -> Self {
        self.env.retain(|name, _| !name.starts_with("GITHUB_") && name != "RUNNER_TEMP");
        let temp = self.temp.to_str().unwrap().to_owned();
        self.env("TMPDIR", &temp)
    }

    /// Starts it.
    pub fn start(self) -> Running {
        fs::write(self.temp.join("event.json"), self.event.to_string()).unwrap();
        let log = |name: &str| fs::File::create(self.temp.join(name)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_build-once"))
            .arg(self.command)
            .args(&self.flags)
            .current_dir(&self.folder)
            .env_clear()
            .envs(&self.env)
            .stdin(Stdio::null())
            .stdout(log("stdout"))
            .stderr(log("stderr"))
            .spawn()
            .unwrap();
        let github = self.env.contains_key("GITHUB_ACTIONS") && self.command == "run";
        Running { child: Some(child), start: Instant::now(), temp: self.temp, github, secrets: self.secrets }
    }

    /// Starts it and waits for its end.
    pub fn run(self) -> Finished {
        self.start().finish()
    }
}

/// A run under way. Killed if it is dropped before its end.
pub struct Running {
    child: Option<Child>,
    start: Instant,
    temp: PathBuf,
    github: bool,
    secrets: Vec<String>,
}

impl Running {
    /// What it has written to its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.temp.join("stdout")).unwrap_or_default()
    }

    /// Sends a signal to the program alone.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.child.as_ref().unwrap().id()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Ends it and all that it started, at once.
    pub fn kill_tree(&self) {
        self.signal(rustix::process::Signal::KILL);
        super::run::kill_children(&self.temp);
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().unwrap().try_wait().unwrap().is_none()
    }

    /// Waits for its end and checks what holds for every run.
    pub fn finish(mut self) -> Finished {
        while self.is_running() {
            assert!(self.start.elapsed() < LIMIT, "no end after {LIMIT:?}: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        let took = self.start.elapsed();
        let status = self.child.take().unwrap().wait().unwrap();
        let finished = Finished::read(&self.temp, status.code(), took);
        finished.check(self.github, &self.secrets);
        finished
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
