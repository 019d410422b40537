//! The lab: its variables, its engines.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use super::http;

/// What `tests/lab/env` prints.
pub struct Lab {
    variables: BTreeMap<String, String>,
    /// The folder that goes before everything else on the `PATH`.
    pub bin: String,
}

impl Lab {
    /// A variable of the lab's.
    pub fn get(&self, name: &str) -> &str {
        self.variables.get(name).map(String::as_str).unwrap_or_else(|| panic!("tests/lab/env sets no {name}"))
    }

    /// What a shell in the lab has, without the names that only the tests use.
    pub fn shell(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        all.filter(|(name, _)| !name.starts_with("BUILD_ONCE_"))
    }
}

/// The lab. Fails the test if it is not up.
pub fn lab() -> &'static Lab {
    static LAB: OnceLock<Result<Lab, String>> = OnceLock::new();
    match LAB.get_or_init(read) {
        Ok(lab) => lab,
        Err(why) => panic!("the lab is not up ({why}): run tests/lab/up, as root"),
    }
}

fn read() -> Result<Lab, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/env");
    let output = Command::new(script).output().map_err(|error| error.to_string())?;
    let mut lab = Lab { variables: BTreeMap::new(), bin: String::new() };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let words = shell_words::split(line).map_err(|error| error.to_string())?;
        let Some((name, value)) = words.get(1).and_then(|word| word.split_once('=')) else { continue };
        if name == "PATH" {
            lab.bin = value.trim_end_matches(":$PATH").to_owned();
        } else {
            lab.variables.insert(name.to_owned(), value.to_owned());
        }
    }
    let gateway = lab.variables.get("BUILD_ONCE_LAB_GATEWAY").ok_or("tests/lab/env says nothing")?;
    if http::try_request("GET", &format!("{gateway}/healthz"), &[], None).map(|answer| answer.status)
        != Ok(200)
    {
        return Err("its gateway does not answer".to_owned());
    }
    Ok(lab)
}

/// A name that no test of this or another run has, and that is no part of another one.
pub fn unique(name: &str) -> String {
    static RUN: OnceLock<String> = OnceLock::new();
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let run = RUN.get_or_init(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        // Not eight hex digits alone: a name that ends so is marked by its hash.
        format!("t{:x}", now % 0x1_0000_0000)
    });
    format!("{name}-{}-{run}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Runs the lab's docker against its main engine; what it wrote, or a panic.
pub fn engine(arguments: &[&str]) -> String {
    let (good, text) = engine_at(lab().get("DOCKER_HOST"), arguments);
    assert!(good, "docker {arguments:?}: {text}");
    text
}

/// A command of the lab's docker against an engine. buildx is started by itself: docker would start it twice. A container
/// has no network, which would cost half of its time: the tests only look into it.
pub fn docker(host: &str, config: &Path, arguments: &[&str]) -> Command {
    let (program, first, rest): (_, &[&str], _) = match arguments {
        ["buildx", rest @ ..] => ("BUILD_ONCE_LAB_BUILDX", &[], rest),
        ["run", rest @ ..] => ("BUILD_ONCE_LAB_DOCKER", &["run", "--network=none"], rest),
        rest => ("BUILD_ONCE_LAB_DOCKER", &[], rest),
    };
    let mut docker = Command::new(lab().get(program));
    docker.args(first).args(rest).env("DOCKER_HOST", host).env("DOCKER_CONFIG", config);
    docker
}

/// Runs the lab's docker against an engine; whether it went well, and what it wrote.
pub fn engine_at(host: &str, arguments: &[&str]) -> (bool, String) {
    let config = Path::new(lab().get("DOCKER_CONFIG"));
    let output = docker(host, config, arguments).output().unwrap();
    let text = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.success(), String::from_utf8_lossy(&text).trim().to_owned())
}
