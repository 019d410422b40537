//! What a run left behind, and what holds after every run.

use std::collections::BTreeMap;
use std::fs;
use std::process::Output;

use build_once::testing::{DOCTOR_OUTPUTS, OUTPUTS, PRUNE_OUTPUTS};

use super::lab::{Call, Lab};
use super::run::CANARY;
use super::scanner::{Command, Scanned, file_command, scan};

pub(crate) struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// Read as the runner reads them; empty for commands that only print.
    pub outputs: BTreeMap<String, String>,
    pub summary: String,
    /// The log as the runner sees it.
    pub log: Scanned,
    pub calls: Vec<Call>,
    reports: bool,
    /// It ran the command prune, which has outputs of its own.
    of_prune: bool,
    /// The same of doctor.
    of_doctor: bool,
}

/// What the program may tell the runner.
const ALLOWED: [&str; 8] =
    ["add-mask", "group", "endgroup", "stop-commands", "error", "warning", "notice", "debug"];

impl Run {
    pub(super) fn read(lab: &Lab, output: &Output, reports: bool) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        let file = |name: &str| fs::read_to_string(lab.path(name)).unwrap_or_default();
        Self {
            code: {
                use std::os::unix::process::ExitStatusExt as _;
                output.status.code().unwrap_or_else(|| -output.status.signal().unwrap_or_default())
            },
            outputs: decode(&file("temp/outputs")),
            summary: file("temp/summary"),
            log: scan(if reports { &stdout } else { &stderr }),
            calls: lab.calls(),
            stdout,
            stderr,
            reports,
            of_prune: decode(&file("temp/outputs")).contains_key("restore-ids"),
            of_doctor: decode(&file("temp/outputs")).contains_key("verdict"),
        }
    }

    /// Holds after every run, whatever became of it.
    pub(crate) fn check(&self, lab: &Lab) {
        if self.reports {
            let names: Vec<&str> = self.outputs.keys().map(String::as_str).collect();
            let mut declared: Vec<&str> = if self.of_prune {
                PRUNE_OUTPUTS.iter().map(|(name, _)| *name).collect()
            } else if self.of_doctor {
                DOCTOR_OUTPUTS.iter().map(|(name, _)| *name).collect()
            } else {
                OUTPUTS.iter().map(|(name, ..)| *name).collect()
            };
            declared.sort_unstable();
            assert_eq!(names, declared, "outputs\n{}", self.all());
            assert_eq!(self.stderr, "", "in a workflow everything goes to standard output");
        } else {
            assert!(
                self.outputs.is_empty() && self.summary.is_empty(),
                "only printing writes no files of the runner's"
            );
        }
        for file in lab.files("temp") {
            let name = file.display().to_string();
            assert!(!name.contains("build-once-docker-"), "credentials were left behind in {name}");
            let text = fs::read(&file).unwrap_or_default();
            let found = text.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
            assert!(!found, "a secret was left behind in {name}");
        }
        let obeyed: Vec<&str> = self.log.commands.iter().map(|command| command.name.as_str()).collect();
        assert!(obeyed.iter().all(|name| ALLOWED.contains(name)), "commands: {obeyed:?}");
        assert!(!self.log.stopped, "commands stay stopped: every later step's are dropped");
        assert_eq!(count(&obeyed, "group"), count(&obeyed, "endgroup"), "folds are closed");
        self.check_children();
        self.check_secrets();
    }

    /// No child outlives the run.
    fn check_children(&self) {
        for call in &self.calls {
            let gone = || {
                let stat = fs::read_to_string(format!("/proc/{}/stat", call.pid)).unwrap_or_default();
                !stat.contains("(docker") || stat.contains(") Z ")
            };
            // Whoever inherits one that was killed may take a moment to notice.
            let ended = (0..100).any(|_| {
                gone() || {
                    std::thread::sleep(std::time::Duration::from_millis(10));
                    false
                }
            });
            assert!(ended, "docker {} is still running", call.line());
        }
    }

    fn check_secrets(&self) {
        let printed = self.stdout.lines().chain(self.stderr.lines());
        for line in printed.filter(|line| !line.starts_with("::add-mask::")) {
            assert!(!line.contains(CANARY), "a secret in the log: {line}");
        }
        let told = self.outputs.values().chain([&self.summary]);
        assert!(!told.into_iter().any(|text| text.contains(CANARY)), "a secret in outputs or summary");
        for call in &self.calls {
            let env = call.env.as_object().unwrap();
            for (name, value) in env.iter().filter(|(_, value)| value.as_str().unwrap().contains(CANARY)) {
                // A cache's credential goes to the build that uses that cache.
                let belongs = call.line().starts_with("buildx build")
                    && (name.starts_with("BUILD_ONCE_SECRET_")
                        || name == "ACTIONS_RUNTIME_TOKEN" && call.line().contains("type=gha")
                        || name.starts_with("AWS_") && call.line().contains("type=s3"));
                assert!(belongs || name.ends_with("_PROXY"), "{name}={value} of docker {}", call.line());
            }
            assert_eq!(call.stdin, "", "docker asks nobody anything: {}", call.line());
            assert!(!call.line().contains(CANARY), "a secret on a command line: {}", call.line());
        }
        for name in ["plan", "metadata"] {
            let text =
                self.outputs.get(name).and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
            assert!(!text.contains(CANARY), "a secret in the {name} file");
        }
    }

    pub(crate) fn output(&self, name: &str) -> &str {
        self.outputs.get(name).map_or_else(|| panic!("no output {name}\n{}", self.all()), String::as_str)
    }

    /// Everything it printed, for messages.
    pub(crate) fn all(&self) -> String {
        format!("exit {}\n{}{}", self.code, self.stdout, self.stderr)
    }

    /// The error, else the beginning of what it printed.
    pub(crate) fn error_or_log(&self) -> String {
        let errors = self.commands("error");
        errors.first().map_or_else(|| self.all().chars().take(2000).collect(), |error| error.message.clone())
    }

    /// It ended well, with this outcome.
    #[track_caller]
    pub(crate) fn succeeds(self, outcome: &str) -> Self {
        assert_eq!((self.code, self.output("outcome")), (0, outcome), "{}", self.all());
        assert_eq!(self.output("failure-class"), "");
        assert!(self.commands("error").is_empty(), "{}", self.all());
        self
    }

    /// It failed with this code and class, with one annotation and nothing claimed.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, class: &str) -> Self {
        assert_eq!((self.code, self.output("failure-class")), (code, class), "{}", self.all());
        assert_eq!(self.output("outcome"), "failed");
        assert_eq!(self.commands("error").len(), 1, "{}", self.all());
        self
    }

    /// It made do with less, and said so once.
    #[track_caller]
    pub(crate) fn degraded(self) -> Self {
        assert_eq!((self.output("degraded"), self.commands("warning").len()), ("true", 1), "{}", self.all());
        assert_eq!(self.summary.matches("[!WARNING]").count(), 1, "{}", self.summary);
        self
    }

    /// The annotation that names the failure.
    pub(crate) fn error(&self) -> &str {
        &self.commands("error")[0].message
    }

    pub(crate) fn commands(&self, name: &str) -> Vec<&Command> {
        self.log.commands.iter().filter(|command| command.name == name).collect()
    }

    pub(crate) fn notices(&self) -> String {
        self.commands("notice").iter().map(|notice| notice.message.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// The private name of the image `app` with this run's key, as a run of the zone sets it.
    pub(crate) fn private_name(&self, zone: &str) -> String {
        format!("build-once.invalid/o/r/app:{zone}-key-{}", &self.output("key")[..32])
    }

    /// Calls of docker that begin so.
    pub(crate) fn called(&self, command: &str) -> Vec<&Call> {
        self.calls.iter().filter(|call| call.line().starts_with(command)).collect()
    }

    /// The one build.
    #[track_caller]
    pub(crate) fn build(&self) -> &Call {
        let builds = self.called("buildx build");
        assert_eq!(builds.len(), 1, "{}", self.all());
        builds[0]
    }

    /// Whether the one build publishes, in any spelling.
    pub(crate) fn line_has_push(&self) -> bool {
        self.build().line().contains("push")
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.calls.iter().map(Call::line).collect()
    }
}

fn count(names: &[&str], name: &str) -> usize {
    names.iter().filter(|known| **known == name).count()
}

/// The outputs file as the runner reads it; each name once, each in the form that no value
/// can break out of.
fn decode(text: &str) -> BTreeMap<String, String> {
    let pairs = file_command(text).unwrap_or_else(|error| panic!("the step would fail: {error}\n{text}"));
    let mut outputs = BTreeMap::new();
    for (name, value) in pairs {
        assert!(text.contains(&format!("{name}<<")), "not with a delimiter: {name}");
        assert!(outputs.insert(name.clone(), value).is_none(), "{name} is written twice");
    }
    outputs
}
