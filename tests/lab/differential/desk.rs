//! Where one worker builds: a home, folders of its own, and both programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::case::{Case, Invocation, Written};
use super::image::{Content, read};
use super::plain::Plain;
use super::store::{Layout, Registry};
use super::world::World;
use crate::harness::{lab, parse_outputs};

/// A worker's place.
pub struct Desk<'a> {
    pub world: &'a World,
    pub registry: Registry,
    /// By address.
    engines: BTreeMap<String, Registry>,
    /// How many smaller cases are tried for each finding.
    pub shrink: usize,
    /// The build-once that is looked at.
    pub program: String,
    root: PathBuf,
}

/// A key, or why there is none.
pub type Key = Result<String, String>;

/// A run of the program that has ended.
#[derive(Clone, Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub outputs: BTreeMap<String, String>,
    pub log: String,
}

/// How the program is run, beside the case.
#[derive(Clone, Debug)]
pub struct How {
    pub image: String,
    pub commit: String,
    /// Inputs and variables that come on top.
    pub inputs: Vec<(String, String)>,
    pub host: String,
    /// Sends it an interrupt when its log says this.
    pub interrupt_at: Option<&'static str>,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl<'a> Desk<'a> {
    /// The place of this worker.
    pub fn new(world: &'a World, worker: usize, shrink: usize) -> Self {
        let root = world.root.path().join(format!("desk{worker}"));
        fs::create_dir_all(root.join("home/.docker/cli-plugins")).unwrap();
        fs::write(root.join("home/.docker/config.json"), "{}").unwrap();
        let plugin = root.join("home/.docker/cli-plugins/docker-buildx");
        std::os::unix::fs::symlink(lab().get("BUILD_ONCE_LAB_BUILDX"), plugin).unwrap();
        fs::write(
            root.join("event.json"),
            r#"{"ref":"refs/heads/main","repository":{"default_branch":"main"}}"#,
        )
        .unwrap();
        Self { shrink, ..Self::at(world, root, world.program.clone()) }
    }

    /// The same place with another program.
    pub fn with_program(&self, program: &str) -> Self {
        Self::at(self.world, self.root.clone(), program.to_owned())
    }

    fn at(world: &'a World, root: PathBuf, program: String) -> Self {
        let registry = Registry::new(World::host(), &world.repository());
        let engines = ["DOCKER_HOST", "BUILD_ONCE_LAB_CLASSIC_HOST"].map(|name| lab().get(name));
        let engines = engines.into_iter().filter(|host| !host.is_empty());
        let engines = engines.map(|host| (host.to_owned(), Registry::engine(host))).collect();
        Self { world, registry, engines, shrink: 0, program, root }
    }

    /// The engine with this address.
    pub fn engine(&self, host: &str) -> &Registry {
        &self.engines[host]
    }

    /// A folder below this one that nobody has.
    pub fn folder(&self, name: &str) -> PathBuf {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        self.root.join(format!("{name}-{}-{number}", self.world.run))
    }

    fn command(&self, program: &str, host: &str) -> Command {
        let mut command = Command::new(program);
        let path = format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", lab().bin);
        let home = self.root.join("home");
        command.env_clear();
        for (name, value) in lab().shell() {
            command.env(name, value);
        }
        command.env("PATH", path).env("HOME", &home).env("DOCKER_CONFIG", home.join(".docker"));
        command.env("DOCKER_HOST", host).stdin(Stdio::null());
        command
    }

    /// Plain buildx with the engine's builder.
    pub fn buildx(&self) -> Command {
        self.command(lab().get("BUILD_ONCE_LAB_BUILDX"), lab().get("DOCKER_HOST"))
    }

    /// What is recorded of a case.
    pub fn recorded(&self, case: &Case) -> Option<Plain> {
        self.world.records.find(&self.mark(case)?)
    }

    /// The same, and where nothing is recorded what plain buildx makes now.
    pub fn plain(&self, case: &Case) -> Plain {
        self.recorded(case).unwrap_or_else(|| self.build(case))
    }

    /// What plain buildx makes of it on the engine's builder. It is recorded if records are written.
    pub fn build(&self, case: &Case) -> Plain {
        let plain = self.build_on(case, "default");
        if let Some(mark) = self.mark(case).filter(|_| self.world.records.writing) {
            if plain.is_like(&self.build_on(case, "default")) {
                self.world.records.note(&mark, &plain);
            } else {
                println!("not recorded, because two builds differ:\n{case}");
            }
        }
        plain
    }

    /// The same, and nothing is recorded.
    pub fn build_unrecorded(&self, case: &Case) -> Plain {
        self.build_on(case, "default")
    }

    /// A hash of all that plain buildx is given for a case, under which its image is recorded.
    pub fn mark(&self, case: &Case) -> Option<String> {
        Written { case, root: &self.root, name: "ctx", world: self.world }.inputs_mark()
    }

    /// Builds with plain buildx and without a cache. The folder's name is used once: BuildKit would take
    /// files that look unchanged from an earlier transfer of a folder of the same name.
    fn build_on(&self, case: &Case, builder: &str) -> Plain {
        let root = self.folder("plain");
        let name = root.file_name().unwrap().to_str().unwrap().to_owned();
        let written = case.write(&root, &name, self.world);
        let layout = root.join("image");
        let output = self
            .buildx()
            .args(["build", "--progress=plain", "--no-cache", "--provenance=false", "--builder", builder])
            .arg(format!("--output=type=oci,tar=false,compression=uncompressed,dest={}", layout.display()))
            .args(written.arguments())
            .arg(root.join(&name))
            .envs(case.environment())
            .output()
            .unwrap();
        let plain = if output.status.success() {
            let layout = Layout(&layout);
            Plain::built(read(&layout, &layout.digest()))
        } else {
            Plain::Refused(Some(last_words(&output)))
        };
        fs::remove_dir_all(&root).unwrap();
        plain
    }

    /// The same on a builder that was made for it, and goes with it.
    pub fn plain_on_fresh(&self, case: &Case) -> Plain {
        let name = self.folder("fresh").file_name().unwrap().to_str().unwrap().to_owned();
        let image = format!("image={}", lab().get("BUILD_ONCE_LAB_BUILDKIT_IMAGE"));
        let options = ["--driver=docker-container", "--driver-opt=network=host", "--driver-opt", &image];
        let made = self.buildx().arg("create").args(options).args(["--name", &name]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let plain = self.build_on(case, &name);
        let gone = self.buildx().args(["rm", &name]).output().unwrap();
        assert!(gone.status.success(), "{}", String::from_utf8_lossy(&gone.stderr));
        plain
    }

    /// The program's key of what is written there.
    pub fn key(&self, given: &Invocation) -> Key {
        let temp = self.folder("key");
        fs::create_dir(&temp).unwrap();
        let output = self.once(given, "key", &How::new(self, "key"), &temp).arg("--json").output().unwrap();
        fs::remove_dir_all(&temp).unwrap();
        if !output.status.success() {
            return Err(last_words(&output));
        }
        let listing: Value = serde_json::from_slice(&output.stdout).unwrap();
        Ok(listing["key"].as_str().unwrap().to_owned())
    }

    /// Runs the program on what is written there, as a step of a workflow on a push to `main`.
    pub fn run(&self, given: &Invocation, how: &How) -> Ran {
        let temp = self.folder("temp");
        fs::create_dir(&temp).unwrap();
        let log = |name: &str| fs::File::create(temp.join(name)).unwrap();
        let mut once = self.once(given, "run", how, &temp);
        let mut child = once.stdout(log("stdout")).stderr(log("stderr")).spawn().unwrap();
        let read =
            |name: &str| String::from_utf8_lossy(&fs::read(temp.join(name)).unwrap_or_default()).into_owned();
        if let Some(moment) = how.interrupt_at {
            while child.try_wait().unwrap().is_none() && !read("stdout").contains(moment) {
                std::thread::sleep(Duration::from_millis(10));
            }
            let id = i32::try_from(child.id()).unwrap();
            let _ = kill_process(Pid::from_raw(id).unwrap(), Signal::INT);
        }
        let status = child.wait().unwrap();
        let outputs = parse_outputs(&read("output"));
        let log = read("stdout") + &read("stderr");
        fs::remove_dir_all(&temp).unwrap();
        Ran { code: status.code(), outputs, log }
    }

    fn once(&self, given: &Invocation, command: &str, how: &How, temp: &Path) -> Command {
        let mut once = self.command(&self.program, &how.host);
        once.arg(command)
            .current_dir(&given.folder)
            .env("RUNNER_TEMP", temp)
            .env("GITHUB_OUTPUT", temp.join("output"))
            .env("GITHUB_STEP_SUMMARY", temp.join("summary.md"))
            .env("GITHUB_EVENT_PATH", self.root.join("event.json"))
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_REPOSITORY", "o/r")
            .env("GITHUB_REPOSITORY_ID", "1")
            .env("GITHUB_RUN_ID", &how.image)
            .env("GITHUB_RUN_ATTEMPT", "1")
            .env("GITHUB_JOB", "job")
            .env("GITHUB_EVENT_NAME", "push")
            .env("GITHUB_REF", "refs/heads/main")
            .env("GITHUB_REF_NAME", "main")
            .env("GITHUB_SHA", &how.commit)
            .envs(given.environment.iter().cloned());
        let fixed = [("image", &*how.image), ("ssm-parameter", "/e2e/none")];
        let fixed = fixed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        for (name, value) in fixed.chain(given.inputs.iter().cloned()).chain(how.inputs.iter().cloned()) {
            once.env(format!("INPUT_{}", name.replace('-', "_").to_ascii_uppercase()), value);
        }
        once
    }

    /// What the outputs say was published.
    pub fn published(&self, ran: &Ran) -> Option<Content> {
        let digest = ran.outputs.get("digest").filter(|digest| !digest.is_empty())?;
        self.registry.digest(digest)?;
        Some(read(&self.registry, digest))
    }
}

impl How {
    /// An image of its own, published to the run's repository by the engine's own builder.
    pub fn new(desk: &Desk<'_>, image: &str) -> Self {
        let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let repository = format!("{}/{}", World::host(), desk.world.repository());
        Self {
            image: image.to_owned(),
            commit: "c0ffee0000000000000000000000000000000000".to_owned(),
            inputs: vec![
                text("repository", &repository),
                text("cache", "none"),
                text("builder", "default"),
                // CNCF distribution answers 500 to a read of a manifest whose record it writes again for another tag.
                text("retries", "2"),
            ],
            host: lab().get("DOCKER_HOST").to_owned(),
            interrupt_at: None,
        }
    }

    /// With another commit.
    pub fn commit(mut self, number: u8) -> Self {
        self.commit = format!("{number:02x}").repeat(20);
        self
    }

    /// On the engine with the classic image store.
    pub fn classic(mut self) -> Self {
        lab().get("BUILD_ONCE_LAB_CLASSIC_HOST").clone_into(&mut self.host);
        self
    }

    /// Without an input that it has.
    pub fn without(mut self, name: &str) -> Self {
        self.inputs.retain(|(known, _)| known != name);
        self
    }

    /// An input's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.inputs.iter().rev().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// With one more input.
    pub fn input(mut self, name: &str, value: &str) -> Self {
        self.inputs.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Ran {
    /// An output's value, empty where there is none.
    pub fn output(&self, name: &str) -> &str {
        self.outputs.get(name).map_or("", String::as_str)
    }
}

/// What a program said of its failure.
pub fn last_words(output: &Output) -> String {
    let text =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    let telling = text.lines().filter(|line| line.to_ascii_lowercase().contains("error"));
    let line = telling.last().or_else(|| text.lines().next_back()).unwrap_or_default();
    line.chars().take(400).collect()
}
