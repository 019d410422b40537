//! Starts the program with an environment made from nothing.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::lab::Lab;
use super::result::Run;

/// In every secret of every test; nothing but a mask may show it.
pub(crate) const CANARY: &str = "canary-5ec2e7";
/// The commit of a push, and the head commit of a pull request.
pub(crate) const HEAD: &str = "1111111111111111111111111111111111111111";
/// What GitHub checks out for a pull request.
pub(crate) const MERGE: &str = "2222222222222222222222222222222222222222";

/// A run to be.
#[must_use = "nothing happens before `run`"]
pub(crate) struct BuildOnce<'a> {
    lab: &'a Lab,
    program: Vec<String>,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    event: String,
    discard: bool,
}

impl<'a> BuildOnce<'a> {
    pub(super) fn new(lab: &'a Lab) -> Self {
        let path = |name: &str| lab.path(name).display().to_string();
        let env = [
            ("PATH", path("bin")),
            ("HOME", path("home")),
            ("TMPDIR", path("temp")),
            ("GITHUB_ACTIONS", "true".to_owned()),
            ("GITHUB_EVENT_PATH", path("event.json")),
            ("GITHUB_OUTPUT", path("temp/outputs")),
            ("GITHUB_STEP_SUMMARY", path("temp/summary")),
            ("GITHUB_REPOSITORY", "o/r".to_owned()),
            ("GITHUB_REPOSITORY_ID", "1".to_owned()),
            ("GITHUB_RUN_ID", "77".to_owned()),
            ("GITHUB_RUN_ATTEMPT", "1".to_owned()),
            ("GITHUB_JOB", "image".to_owned()),
            ("RUNNER_TEMP", path("temp")),
            // Nothing answers there: not an EC2 instance, whatever the test runs on.
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9".to_owned()),
            // Nor there: the fake docker is asked, and never the engine of the machine that the test runs on.
            ("DOCKER_HOST", "unix:///no-engine.sock".to_owned()),
        ];
        let env = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let program = vec![env!("CARGO_BIN_EXE_build-once").to_owned()];
        Self { lab, program, args: Vec::new(), env, event: String::new(), discard: false }
            .push_to("main")
            .input("image", "app")
            .input("retries", "0")
    }

    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.args = args.iter().map(|&arg| arg.to_owned()).collect();
        self
    }

    /// A request of several images, each by its flags.
    pub(crate) fn images(mut self, images: &[&[&str]]) -> Self {
        self.program = vec![env!("CARGO_BIN_EXE_many-images").to_owned()];
        self.args = images.join(&"--and").into_iter().map(str::to_owned).collect();
        self.env.remove("INPUT_IMAGE");
        self
    }

    /// Through this command, which is to end in the program itself.
    pub(crate) fn through(mut self, command: &[&str]) -> Self {
        self.program = command.iter().map(|&word| word.to_owned()).collect();
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn unset(mut self, name: &str) -> Self {
        self.env.remove(name);
        self
    }

    /// As action.yml hands it over.
    pub(crate) fn input(self, name: &str, value: &str) -> Self {
        self.env(&format!("INPUT_{}", name.replace('-', "_").to_uppercase()), value)
    }

    /// With the ref in the event file, where GitHub says it too.
    pub(crate) fn event(self, name: &str, git_ref: &str, commit: &str, event: &Value) -> Self {
        let mut event = event.clone();
        if let (true, Some(fields)) = (["push", "workflow_dispatch"].contains(&name), event.as_object_mut()) {
            fields.entry("ref").or_insert_with(|| git_ref.into());
        }
        self.event_as_it_is(name, git_ref, commit, &event)
    }

    fn event_as_it_is(mut self, name: &str, git_ref: &str, commit: &str, event: &Value) -> Self {
        self.event = event.to_string();
        self.env("GITHUB_EVENT_NAME", name).env("GITHUB_REF", git_ref).env("GITHUB_SHA", commit)
    }

    /// An event of `tests/fixtures/events`, changed.
    pub(crate) fn fixture(
        self,
        name: &str,
        git_ref: &str,
        file: &str,
        change: impl FnOnce(&mut Value),
    ) -> Self {
        let path = format!("{}/tests/fixtures/events/{file}.json", env!("CARGO_MANIFEST_DIR"));
        let mut event = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        change(&mut event);
        let commit = if name.starts_with("pull_request") { MERGE } else { HEAD };
        self.event_as_it_is(name, git_ref, commit, &event)
    }

    /// Without these guards, by name.
    pub(crate) fn without(self, guards: &str) -> Self {
        self.env("BUILD_ONCE_WITHOUT_GUARDS", guards)
    }

    pub(crate) fn push_to(self, branch: &str) -> Self {
        let git_ref = format!("refs/heads/{branch}");
        let event = json!({"ref": git_ref, "repository": {"default_branch": "main"}});
        self.event("push", &git_ref, HEAD, &event)
    }

    /// A commit of the default branch.
    pub(crate) fn commit(self, commit: &str) -> Self {
        self.env("GITHUB_SHA", commit)
    }

    /// From a branch of the same repository, into `main`.
    pub(crate) fn pull_request(self, number: u64) -> Self {
        self.pull_request_from("pull_request", number, 1)
    }

    pub(crate) fn fork(self) -> Self {
        self.pull_request_from("pull_request", 12, 2)
    }

    pub(crate) fn pull_request_from(self, event: &str, number: u64, repository: u64) -> Self {
        let name = if repository == 1 { "o/r" } else { "stranger/r" };
        let repo = |id: u64, name: &str| json!({"id": id, "full_name": name});
        let payload = json!({
            "repository": {"default_branch": "main"},
            "pull_request": {
                "number": number,
                "user": {"login": "ann"},
                "head": {"sha": HEAD, "ref": "fix", "repo": repo(repository, name)},
                "base": {"ref": "main", "repo": repo(1, "o/r")},
            },
        });
        self.event(event, &format!("refs/pull/{number}/merge"), MERGE, &payload)
    }

    /// On a developer's machine.
    pub(crate) fn outside_github(mut self) -> Self {
        self.env.retain(|name, _| !name.starts_with("GITHUB_") && !name.starts_with("RUNNER_"));
        self
    }

    /// With a temporary folder and files of outputs of its own, because another run goes on at the same time.
    pub(crate) fn beside_another(self) -> Self {
        self.lab.write("other/files", "");
        let [folder, files] = ["other", "other/files"].map(|name| self.lab.path(name).display().to_string());
        let own = self.env("TMPDIR", &folder).env("RUNNER_TEMP", &folder);
        own.env("GITHUB_OUTPUT", &files).env("GITHUB_STEP_SUMMARY", &files)
    }

    /// Its log is for nobody: only what it leaves counts.
    pub(crate) fn discard_log(mut self) -> Self {
        self.discard = true;
        self
    }

    /// Runs to the end.
    pub(crate) fn run(self) -> Run {
        self.start().finish()
    }

    /// Starts; the test has something to do meanwhile.
    pub(crate) fn start(self) -> Running<'a> {
        for file in ["temp/outputs", "temp/summary"] {
            self.lab.write(file, "");
        }
        // In one go, because a run that was started before may be reading it.
        self.lab.write("event.json.new", &self.event);
        fs::rename(self.lab.path("event.json.new"), self.lab.path("event.json")).unwrap();
        let home = home(self.lab);
        let child = Command::new(&self.program[0])
            .args(&self.program[1..])
            .args(&self.args)
            .env_clear()
            .envs(&self.env)
            .current_dir(self.lab.path("work"))
            .stdin(Stdio::null())
            .stdout(if self.discard { Stdio::null() } else { Stdio::piped() })
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let own = self.lab.path("temp/outputs").display().to_string();
        let in_workflow = self.env.get("GITHUB_OUTPUT") == Some(&own);
        let only_prints = ["plan", "key", "completions"];
        let command = self.args.first().map(String::as_str);
        let reports = command.is_none_or(|command| !only_prints.contains(&command));
        let prints_json = self.args.iter().any(|arg| arg == "--json");
        Running {
            lab: self.lab,
            child,
            home,
            reports: reports && in_workflow && !(command == Some("doctor") && prints_json),
        }
    }
}

/// The program while it runs.
#[must_use]
pub(crate) struct Running<'a> {
    lab: &'a Lab,
    child: Child,
    home: Vec<(String, Vec<u8>)>,
    reports: bool,
}

impl Running<'_> {
    /// Waits for a call of docker that begins so.
    pub(crate) fn wait_for_call(&mut self, command: &str) -> super::lab::Call {
        for _ in 0..1000 {
            if let Some(call) = self.lab.calls().into_iter().find(|call| call.line().starts_with(command)) {
                return call;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "ended without `docker {command}`");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("no call `docker {command}`");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// As [`Self::finish`], for a run that is to break what holds after every run.
    pub(crate) fn finish_unchecked(self) -> Run {
        let output = self.child.wait_with_output().unwrap();
        Run::read(self.lab, &output, self.reports)
    }

    /// Nothing of it runs on, and it cannot clean up.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // As the runner does between jobs.
        fs::remove_dir_all(self.lab.path("temp")).unwrap();
        fs::create_dir(self.lab.path("temp")).unwrap();
    }

    /// The most memory it has had so far, in KiB (`VmHWM`); 0 once it has ended, and before it has begun.
    pub(crate) fn peak_memory(&mut self) -> u64 {
        // Linux resumes the parent of a `vfork` a moment before the child leaves the parent's memory.
        let exe = fs::read_link(format!("/proc/{}/exe", self.child.id())).ok();
        if self.child.try_wait().unwrap().is_some() || exe == std::env::current_exe().ok() {
            return 0;
        }
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
    }

    /// The same on a machine of one's own, where what it left stays.
    pub(crate) fn kill_alone(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// As GitHub's runner stops a step (actions/runner, `ProcessInvoker`): SIGINT to the process it
    /// started, SIGTERM 7.5 s later, SIGKILL 2.5 s after that.
    pub(crate) fn cancel_as_the_runner(mut self) -> Run {
        let waits = [(Signal::INT, 7500), (Signal::TERM, 2500), (Signal::KILL, 1000)];
        for (signal, millis) in waits {
            self.signal(signal);
            for _ in 0..millis / 10 {
                if self.child.try_wait().unwrap().is_some() {
                    return self.finish();
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
        panic!("it outlives SIGKILL");
    }

    pub(crate) fn finish(self) -> Run {
        let output = self.child.wait_with_output().unwrap();
        assert_eq!(home(self.lab), self.home, "the user's own files were changed");
        let run = Run::read(self.lab, &output, self.reports);
        run.check(self.lab);
        run
    }
}

/// Every file of the user's home, but for the program's own cache (`docs/coherence.md`).
fn home(lab: &Lab) -> Vec<(String, Vec<u8>)> {
    // Of a link where it leads: the fake docker has many megabytes.
    let content = |path: &std::path::Path| match fs::read_link(path) {
        Ok(target) => target.into_os_string().into_encoded_bytes(),
        Err(_) => fs::read(path).unwrap_or_default(),
    };
    let read = |path: std::path::PathBuf| (path.display().to_string(), content(&path));
    let files = lab.files("home").into_iter();
    files.filter(|path| !path.components().any(|part| part.as_os_str() == ".cache")).map(read).collect()
}
