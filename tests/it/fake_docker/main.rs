//! A docker without an engine. It keeps its images in `store.json` beside the program's own
//! link, talks to the stub registry, writes every call to `calls.jsonl`, and misbehaves as
//! `scenario.json` says.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    reason = "this is a test's stand-in: what breaks here must break loudly"
)]

mod build;
mod engine;
mod flood;
mod info;
mod wire;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

/// What every command works with.
struct Docker {
    folder: PathBuf,
    args: Vec<String>,
    scenario: Value,
    /// What it says, and how it ends, once its work is done.
    after: std::cell::RefCell<Option<(String, u8)>>,
}

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().collect();
    let mut program = PathBuf::from(args.remove(0));
    if program.ends_with("docker-buildx") {
        // As the plug-in, a link to the docker it belongs to.
        program = fs::read_link(&program).unwrap();
        args.insert(0, "buildx".to_owned());
    }
    let folder = program.parent().unwrap().to_owned();
    let scenario: Value = serde_json::from_slice(&fs::read(folder.join("scenario.json")).unwrap()).unwrap();
    wire::stand_in(&scenario["hosts"]);
    let docker = Docker { folder, args, scenario, after: None.into() };
    docker.note_call();
    if let Some(code) = docker.misbehave() {
        return code;
    }
    let code = docker.work();
    match docker.after.take() {
        Some((text, code)) => {
            eprint!("{text}");
            ExitCode::from(code)
        }
        None => code,
    }
}

impl Docker {
    fn work(&self) -> ExitCode {
        let words: Vec<&str> = self.args.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["buildx", "version"] => {
                println!("github.com/docker/buildx {} a32761a", self.text("buildx"));
                ExitCode::SUCCESS
            }
            ["buildx", "build", "--call=check,format=json", ..] => {
                let found = self.text("check");
                println!("{found}");
                ExitCode::from(u8::from(found.contains("ruleName")))
            }
            ["buildx", "inspect", name @ ..] => self.inspect_builder(name.last().unwrap_or(&"default")),
            ["buildx", "create", ..] => self.create_builder(),
            ["buildx", "rm", "--force", name] => {
                Self::builder_file(name).map(fs::remove_file);
                eprintln!("{name} removed");
                ExitCode::SUCCESS
            }
            // Of containers that use images: the ids of those are the containers' own.
            ["container", "ls", "--all", "--quiet", "--no-trunc"] => {
                for image in self.in_use() {
                    println!("container-of-{image}");
                }
                ExitCode::SUCCESS
            }
            ["container", "inspect", "--format", "{{.Image}}", names @ ..] => {
                for name in names {
                    println!("{}", name.trim_start_matches("container-of-"));
                }
                ExitCode::SUCCESS
            }
            ["container", "ls", ..] => {
                println!("{}", self.scenario["containers"].as_str().unwrap_or_default());
                ExitCode::SUCCESS
            }
            ["container" | "volume", "rm", .., name] => {
                println!("{name}");
                ExitCode::SUCCESS
            }
            ["volume", "ls", ..] => {
                print!("{}", fs::read_to_string(self.folder.join("volumes")).unwrap_or_default());
                ExitCode::SUCCESS
            }
            ["volume", "create", name] => {
                let mut all = fs::read_to_string(self.folder.join("volumes")).unwrap_or_default();
                all.push_str(name);
                all.push('\n');
                fs::write(self.folder.join("volumes"), all).unwrap();
                println!("{name}");
                ExitCode::SUCCESS
            }
            ["buildx", "build", ..] => self.build(),
            ["buildx", "bake", "--print", ..] => match self.scenario["bake"].as_str() {
                Some(printed) => {
                    println!("{printed}");
                    ExitCode::SUCCESS
                }
                None => fail("ERROR: docker-bake.hcl:4,34-44: Invalid block definition; it has no end"),
            },
            ["buildx", "bake", ..] => self.bake(),
            ["info", ..] => {
                println!("{}", info::info(&self.folder, self.store().len()));
                ExitCode::SUCCESS
            }
            ["image", "ls", .., filter] => self.list(filter),
            ["image", "inspect", name] => self.inspect_image(name),
            ["image", "inspect", ids @ ..] => self.inspect_images(ids),
            ["image", "rm", names @ ..] => self.remove_images(names),
            ["system", "df", "--format", "{{json .}}"] => {
                let (size, count) = (format!("{}MB", self.store().len()), self.store().len().to_string());
                println!(
                    "{}",
                    json!({"Type": "Images", "TotalCount": count, "Size": size, "Reclaimable": "0B (0%)"})
                );
                ExitCode::SUCCESS
            }
            ["pull", .., reference] => self.pull(reference),
            ["tag", image, name] => self.tag(image, name),
            other => fail(&format!("docker: the fake does not know {other:?}")),
        }
    }
}

fn fail(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}

impl Docker {
    fn text(&self, name: &str) -> &str {
        self.scenario[name].as_str().unwrap()
    }

    /// Every value of a flag, `--flag value`.
    fn values(&self, flag: &str) -> Vec<String> {
        let pairs = self.args.iter().zip(self.args.iter().skip(1));
        pairs.filter(|(name, _)| *name == flag).map(|(_, value)| value.clone()).collect()
    }

    fn value(&self, flag: &str) -> String {
        self.values(flag).pop().unwrap_or_default()
    }

    fn has(&self, flag: &str) -> bool {
        self.args.iter().any(|arg| arg == flag)
    }

    /// The definition that bake was given, if it is this program's.
    fn definition(&self) -> Value {
        let file = fs::read(self.value("--file")).unwrap_or_default();
        serde_json::from_slice(&file).unwrap_or_default()
    }

    fn note_call(&self) {
        let mut stdin = String::new();
        std::io::stdin().read_to_string(&mut stdin).unwrap();
        let env: BTreeMap<String, String> = std::env::vars().collect();
        let config = env.get("DOCKER_CONFIG").map(|folder| Path::new(folder).join("config.json"));
        let config: Value =
            config.and_then(|path| serde_json::from_slice(&fs::read(path).ok()?).ok()).unwrap_or_default();
        let policy = env.get("EXPERIMENTAL_BUILDKIT_SOURCE_POLICY");
        let policy: Option<Value> =
            policy.map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap());
        let call = json!({"args": self.args, "stdin": stdin, "env": env, "config": config, "policy": policy, "definition": self.definition(), "pid": std::process::id()});
        let mut journal =
            fs::OpenOptions::new().append(true).create(true).open(self.folder.join("calls.jsonl")).unwrap();
        journal.write_all(format!("{call}\n").as_bytes()).unwrap();
    }

    /// The first rule for this command, and for the argument that it must have, that is not used up: its text, and its end if it has one.
    fn misbehave(&self) -> Option<ExitCode> {
        let rules = self.scenario["rules"].as_array().unwrap();
        let fits = |rule: &Value| {
            rule["args"].as_array().unwrap().iter().zip(&self.args).all(|(wanted, arg)| wanted == arg)
                && rule["args"].as_array().unwrap().len() <= self.args.len()
                && rule["has"].as_str().is_none_or(|wanted| self.args.iter().any(|arg| arg == wanted))
        };
        let mut fitting = rules.iter().enumerate().filter(|(_, rule)| fits(rule));
        let rule = fitting.find_map(|(at, rule)| self.take(at, rule["times"].as_u64()).then_some(rule))?;
        if let Some(code) = rule["after"].as_u64() {
            let text = rule["stderr"].as_str().unwrap_or_default().to_owned();
            self.after.replace(Some((text, u8::try_from(code).unwrap())));
            return None;
        }
        std::io::stderr().write_all(rule["stderr"].as_str().unwrap_or_default().as_bytes()).unwrap();
        std::io::stdout().write_all(rule["stdout"].as_str().unwrap_or_default().as_bytes()).unwrap();
        std::io::stdout().flush().unwrap();
        if let Some(bytes) = rule["flood"].as_u64() {
            flood::write(bytes);
        }
        if let Some(script) = rule["shell"].as_str() {
            // In this process's place, as a script that is called docker would be.
            let error = std::process::Command::new("/bin/sh").args(["-c", script]).exec();
            panic!("{error}");
        }
        if let Some(millis) = rule["pause"].as_u64() {
            std::thread::sleep(std::time::Duration::from_millis(millis));
        }
        if rule["hang"] == true {
            // Longer than any test; the parent is to end it.
            std::thread::sleep(std::time::Duration::from_mins(1));
        }
        rule["exit"].as_u64().map(|code| ExitCode::from(u8::try_from(code).unwrap()))
    }

    /// Uses the rule up once, also where two commands run side by side.
    fn take(&self, rule: usize, times: Option<u64>) -> bool {
        let Some(times) = times else { return true };
        (0..times).any(|use_| fs::File::create_new(self.folder.join(format!("used-{rule}-{use_}"))).is_ok())
    }

    /// buildx's own note of a builder, in a folder that the test has made.
    fn builder_file(name: &str) -> Option<PathBuf> {
        let folder = PathBuf::from(std::env::var_os("BUILDX_CONFIG")?).join("instances");
        folder.is_dir().then(|| folder.join(name))
    }

    fn create_builder(&self) -> ExitCode {
        let name = self.value("--name");
        if let Some(file) = Self::builder_file(&name) {
            if file.exists() && !self.has("--append") {
                return fail(&format!(
                    "ERROR: existing instance for \"{name}\" but no append mode, specify the node name to make changes for existing instances"
                ));
            }
            fs::write(file, "{}").unwrap();
        }
        println!("{name}");
        ExitCode::SUCCESS
    }

    fn inspect_builder(&self, name: &str) -> ExitCode {
        let driver = self.text("driver");
        println!(
            "Name:          {name}\nDriver:        {driver}\nLast Activity: 2026-01-01 00:00:00 +0000 UTC\n"
        );
        println!("Nodes:\nName:             {name}0\nEndpoint:         default\nStatus:           running");
        let buildkit = self.scenario["buildkit"].as_str().unwrap_or("v0.25.2");
        let platforms = self.scenario["platforms"].as_str().unwrap_or("linux/amd64, linux/amd64/v2");
        println!("BuildKit version: {buildkit}\nPlatforms:        {platforms}");
        ExitCode::SUCCESS
    }
}
