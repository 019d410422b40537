//! A run that has ended: its exit code, its log and its files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use build_once::testing::OUTPUTS;
use serde_json::Value;

use super::registry::Repository;
use super::scanner::{file_command, scan};

/// Everything a run left.
#[derive(Debug)]
pub struct Finished {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output, then standard error.
    pub log: String,
    /// Standard output alone.
    pub stdout: String,
    pub outputs: BTreeMap<String, String>,
    /// The job summary.
    pub summary: String,
    /// The plan file's text, if there is one.
    pub plan: Option<String>,
    pub took: Duration,
    temp: PathBuf,
}

impl Finished {
    pub(super) fn read(temp: &Path, code: Option<i32>, took: Duration) -> Self {
        let read = |name: &str| fs::read_to_string(temp.join(name)).unwrap_or_default();
        let outputs = parse_outputs(&read("output"));
        let plan =
            outputs.get("plan").filter(|path| !path.is_empty()).map(|path| fs::read_to_string(path).unwrap());
        let stdout = read("stdout");
        let log = format!("{stdout}{}", read("stderr"));
        Self { code, log, stdout, outputs, summary: read("summary.md"), plan, took, temp: temp.to_owned() }
    }

    /// What holds for every run, however it ended.
    pub(super) fn check(&self, github: bool, secrets: &[String]) {
        if github {
            let declared: Vec<&str> = OUTPUTS.iter().map(|(name, ..)| *name).collect();
            let missing: Vec<_> = declared.iter().filter(|name| !self.outputs.contains_key(**name)).collect();
            assert!(
                missing.is_empty() && self.outputs.len() == declared.len(),
                "outputs without {missing:?}: {self:#?}"
            );
            let outcome = self.output("outcome");
            assert_eq!(outcome == "failed", self.code != Some(0), "{self:#?}");
            assert_eq!(self.output("failure-class").is_empty(), self.code == Some(0), "{self:#?}");
            assert_eq!(self.summary.is_empty(), self.log.is_empty(), "{self:#?}");
        }
        for entry in fs::read_dir(&self.temp).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.starts_with("build-once-docker-"), "left behind: {name}");
        }
        let left = children(&self.temp);
        assert!(left.is_empty(), "still running: {left:?}");
        if github {
            let scanned = scan(&self.stdout);
            assert!(!scanned.stopped, "commands stay stopped: {}", self.stdout);
            let names: Vec<&str> = scanned.commands.iter().map(|command| command.name.as_str()).collect();
            let ours = ["add-mask", "group", "endgroup", "stop-commands", "error", "warning", "notice"];
            assert!(names.iter().all(|name| ours.contains(name)), "obeyed: {names:?}");
        }
        let visible = self.visible();
        for secret in secrets {
            for form in [secret.clone(), STANDARD.encode(secret), STANDARD.encode(format!("AWS:{secret}"))] {
                assert!(!visible.contains(&form), "the secret {secret} shows (as {form}) in:\n{visible}");
            }
        }
    }

    /// All that people and later steps can read; what the runner takes as a mask is not shown.
    pub fn visible(&self) -> String {
        let log = self.log.lines().filter(|line| !line.starts_with("::add-mask::"));
        let files = [&self.summary, self.plan.as_deref().unwrap_or_default()].map(str::to_owned);
        let metadata = fs::read_to_string(self.outputs.get("metadata-file").map_or("", String::as_str))
            .unwrap_or_default();
        let outputs = self.outputs.values().cloned();
        log.map(str::to_owned).chain(outputs).chain(files).chain([metadata]).collect::<Vec<_>>().join("\n")
    }

    /// An output's value.
    pub fn output(&self, name: &str) -> &str {
        self.outputs.get(name).unwrap_or_else(|| panic!("no output {name}: {self:#?}"))
    }

    /// Ended well, with this outcome.
    #[track_caller]
    pub fn is(self, outcome: &str) -> Self {
        assert_eq!((self.code, self.output("outcome")), (Some(0), outcome), "{}", self.log);
        self
    }

    /// Failed with this exit code and class.
    #[track_caller]
    pub fn failed(self, code: i32, class: &str) -> Self {
        assert_eq!((self.code, self.output("failure-class")), (Some(code), class), "{}", self.log);
        let errors = self.annotations("error");
        assert_eq!(errors.len(), 1, "one error annotation: {errors:?}");
        self
    }

    /// Ended well with this digest and with nothing given up.
    #[track_caller]
    pub fn has(self, digest: &str) -> Self {
        assert_eq!((self.output("digest"), self.output("degraded")), (digest, "false"), "{}", self.log);
        self
    }

    /// Made do with less: one warning, a row in the summary, exit code 0.
    #[track_caller]
    pub fn degraded(self) -> Self {
        assert_eq!((self.code, self.output("degraded")), (Some(0), "true"), "{}", self.log);
        assert_eq!(self.annotations("warning").len(), 1, "{}", self.log);
        assert!(self.summary.contains("[!WARNING]"), "{}", self.summary);
        self
    }

    /// An output as a number.
    pub fn number(&self, name: &str) -> u32 {
        self.output(name).parse().unwrap_or_else(|_| panic!("{name} is {}", self.output(name)))
    }

    /// Annotations of this level that the runner makes, as they were written.
    pub fn annotations(&self, level: &str) -> Vec<&str> {
        let wanted: Vec<_> =
            scan(&self.stdout).commands.into_iter().filter(|known| known.name == level).collect();
        let prefix = format!("::{level} ");
        let lines: Vec<&str> = self.stdout.lines().filter(|line| line.starts_with(&prefix)).collect();
        assert_eq!(lines.len(), wanted.len(), "the runner would read {wanted:?}");
        lines
    }

    /// Names of the commands that the runner obeys.
    pub fn obeyed(&self) -> Vec<String> {
        scan(&self.stdout).commands.into_iter().map(|command| command.name).collect()
    }

    /// The plan.
    pub fn plan(&self) -> Value {
        serde_json::from_str(self.plan.as_ref().unwrap_or_else(|| panic!("no plan: {}", self.log))).unwrap()
    }

    /// Names of the plan's steps.
    pub fn steps(&self) -> Vec<String> {
        let plan = self.plan();
        let steps = plan["steps"].as_array().unwrap();
        steps.iter().map(|step| step["step"].as_str().unwrap().to_owned()).collect()
    }

    /// The key tag in a zone with this prefix.
    pub fn key_tag(&self, prefix: &str, image: &str) -> String {
        format!("{prefix}key-rf9d832d9-{image}-{}", &self.output("key")[..32])
    }

    /// What was published is really there, under these tags, with the key in it, and is what
    /// the outputs say.
    #[track_caller]
    pub fn is_published(&self, repository: &Repository, tags: &[&str]) {
        let digest = self.output("digest");
        let image =
            repository.image(digest).unwrap_or_else(|| panic!("{digest} is not in {}", repository.name()));
        assert_eq!(image.digest, digest);
        assert_eq!(image.annotated_key(), Some(self.output("key")), "{}", image.manifest);
        assert_eq!(self.output("image"), format!("{}@{digest}", repository.name()));
        for tag in tags {
            assert_eq!(repository.digest(tag), digest, "{tag}");
        }
        // What is said to be a tag of it is one.
        for name in ["tag", "commit-tag"] {
            let tag = self.output(name);
            assert!(tag.is_empty() || repository.digest(tag) == digest, "{name} is {tag}: {}", self.log);
        }
    }
}

/// Processes with an environment that names this folder: what the run started.
fn started(temp: &Path) -> impl Iterator<Item = fs::DirEntry> {
    let mark = temp.join("build-once-").display().to_string();
    fs::read_dir("/proc").unwrap().flatten().filter(move |process| {
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        environment.windows(mark.len()).any(|window| window == mark.as_bytes())
    })
}

/// Ends what a run started, as the runner ends the whole tree.
pub(super) fn kill_children(temp: &Path) {
    let ids = started(temp).filter_map(|process| process.file_name().to_str()?.parse().ok());
    for id in ids.filter_map(rustix::process::Pid::from_raw) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
    }
}

/// What the run started and is still there. Whoever inherits one that was killed may take a moment.
fn children(temp: &Path) -> Vec<String> {
    let running = || {
        let line = |process: fs::DirEntry| fs::read(process.path().join("cmdline")).unwrap_or_default();
        started(temp)
            .map(|process| String::from_utf8_lossy(&line(process)).replace('\0', " "))
            .collect::<Vec<_>>()
    };
    for _ in 0..50 {
        if running().is_empty() {
            return Vec::new();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    running()
}

/// The file of outputs, as the runner reads it.
pub fn parse_outputs(text: &str) -> BTreeMap<String, String> {
    let mut outputs = BTreeMap::new();
    let pairs = file_command(text).unwrap_or_else(|error| panic!("the step would fail: {error}: {text}"));
    for (name, value) in pairs {
        assert!(outputs.insert(name.clone(), value).is_none(), "{name} twice");
    }
    outputs
}
