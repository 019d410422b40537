//! docker/build-push-action's own CI, kind by kind (`tests/fixtures/build-push-action-ci.toml`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde::Deserialize;
use serde_json::json;

use crate::caches::GHA;
use crate::migrate::INPUTS;
use crate::support::{Lab, Run};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    kind: Vec<Kind>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Kind {
    name: String,
    #[serde(default)]
    variant: String,
    /// The step's inputs there.
    with: BTreeMap<String, String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// What is written beside or in place of them.
    #[serde(default)]
    add: BTreeMap<String, String>,
    outcome: Option<String>,
    /// A piece of what is said where it does not work.
    refused: Option<String>,
    /// How it ends there, where that is no success.
    there: Option<String>,
    /// What it does otherwise than there.
    differs: Option<String>,
    /// Outputs that have a value.
    #[serde(default)]
    outputs: Vec<String>,
    driver: Option<String>,
    buildx: Option<String>,
    docker: Option<String>,
    config: Option<String>,
    #[serde(default)]
    same_job: bool,
}

impl Kind {
    fn title(&self) -> String {
        if self.variant.is_empty() { self.name.clone() } else { format!("{} ({})", self.name, self.variant) }
    }

    /// What the page says.
    fn here(&self) -> String {
        let add: Vec<String> = self.add.iter().map(|(name, value)| line(name, value)).collect();
        let mut said = match (&self.refused, &self.there) {
            (Some(_), Some(there)) => format!("{there}, as there"),
            (Some(_), None) => "refused by name".to_owned(),
            (None, _) if add.is_empty() => "unchanged".to_owned(),
            (None, _) => format!("with {}", add.join(" and ")),
        };
        said.extend(self.differs.iter().map(|differs| format!("; {differs}")));
        said
    }
}

fn line(name: &str, value: &str) -> String {
    if value.starts_with('{') { format!("`{name}: \"{value}\"`") } else { format!("`{name}: {value}`") }
}

fn kinds() -> Vec<Kind> {
    let text = include_str!("../fixtures/build-push-action-ci.toml");
    toml::from_str::<Table>(text).unwrap().kind
}

/// Its Dockerfiles, without bases that only the network has.
const FILES: [(&str, &str); 9] = [
    ("Dockerfile", "FROM scratch\nCOPY secret.txt /\n"),
    ("secret.Dockerfile", "FROM scratch\nRUN --mount=type=secret,id=MYSECRET echo\n"),
    (
        "nocachefilter.Dockerfile",
        "FROM scratch AS base\nFROM scratch AS build\nCOPY --from=base / /\nFROM build\n",
    ),
    (
        "multi.Dockerfile",
        "FROM --platform=$BUILDPLATFORM scratch AS build\nARG TARGETPLATFORM\nFROM scratch\nCOPY --from=build / /\n",
    ),
    ("multi-sudo.Dockerfile", "FROM scratch\nRUN sudo true\n"),
    ("go/Dockerfile", "FROM scratch AS binary\nCOPY . /\nFROM scratch AS image\nCOPY --from=binary / /\n"),
    ("named-context.Dockerfile", "FROM alpine\nRUN cat /etc/os-release\n"),
    (
        "lint.Dockerfile",
        "frOM scratch as base\ncOpy lint.Dockerfile .\nfrom scratch\nCOPy --from=base /lint.Dockerfile /\n",
    ),
    ("secret.txt", "foo\n"),
];

fn lab(kind: &Kind) -> Lab {
    let lab = Lab::new();
    let git = kind.add.contains_key("context");
    for (name, text) in FILES {
        // A context that is a repository has them, and the runner does not.
        if git {
            // Its context is the repository's top.
            lab.write(
                &format!("source/test/{name}"),
                text.replace("COPY secret.txt", "COPY test/secret.txt"),
            );
        } else {
            lab.write(&format!("work/test/{name}"), text);
        }
    }
    if git {
        repository(&lab);
    }
    for image in ["alpine/edge", "scanner/1"] {
        lab.registry.publish(image, &json!({}), &json!({}));
    }
    lab.set("driver", kind.driver.as_deref().unwrap_or("docker-container"));
    lab.set("platforms", "linux/amd64, linux/arm64");
    lab.set("check", r#"{"warnings":[{"ruleName":"StageNameCasing","detail":"x","location":{"ranges":[{"start":{"line":1}}]}}]}"#);
    if let Some(buildx) = &kind.buildx {
        lab.set("buildx", buildx.as_str());
    }
    if let Some(config) = &kind.config {
        lab.write("home/.docker/config.json", config);
    }
    match kind.docker.as_deref() {
        Some("absent") => lab.without_docker(),
        Some(_) => {
            let text = "ERROR: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n";
            for command in ["info", "image", "buildx inspect", "buildx build", "buildx create"] {
                lab.rule(command, json!({"stderr": text, "exit": 1}));
            }
        }
        None => {}
    }
    lab
}

/// The run's repository, which git finds in place of the one on GitHub.
fn repository(lab: &Lab) {
    let path = std::env::var_os("PATH").unwrap();
    let git =
        std::env::split_paths(&path).map(|folder| folder.join("git")).find(|git| git.is_file()).unwrap();
    symlink(&git, lab.path("bin/git")).unwrap();
    let user = ["-c", "user.name=x", "-c", "user.email=x@x.example", "-c", "commit.gpgsign=false"];
    for args in [vec!["init", "--quiet"], vec!["add", "--all"], vec!["commit", "--quiet", "--message=x"]] {
        let done = Command::new(&git).current_dir(lab.path("source")).args(user).args(args).status().unwrap();
        assert!(done.success());
    }
}

fn head(lab: &Lab) -> String {
    let done = Command::new(lab.path("bin/git"))
        .current_dir(lab.path("source"))
        .args(["rev-parse", "HEAD"])
        .output();
    String::from_utf8(done.unwrap().stdout).unwrap().trim().to_owned()
}

fn play(kind: &Kind, lab: &Lab) -> Run {
    let host = lab.registry.address();
    let here =
        |value: &str| value.replace("HOST", host).replace("TEMP", &lab.path("temp").display().to_string());
    let mut program = lab.build_once().unset("INPUT_IMAGE");
    if kind.add.contains_key("context") {
        let source = lab.path("source").display().to_string();
        program = program
            .commit(&head(lab))
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", &format!("url.{source}.insteadOf"))
            .env("GIT_CONFIG_VALUE_0", "https://github.com/o/r.git");
    }
    program = GHA.iter().fold(program, |program, (name, value)| program.env(name, value));
    program = kind.env.iter().fold(program, |program, (name, value)| program.env(name, value));
    for (name, value) in kind.with.iter().chain(&kind.add) {
        program = program.input(name, &here(value));
    }
    program.run()
}

/// D45. Each works as it is or with a line more, or is refused by name.
#[test]
fn d45_each_kind_of_its_ci() {
    let mut last: Option<Lab> = None;
    let mut wrong = Vec::new();
    for kind in kinds() {
        let lab = match last.take() {
            Some(lab) if kind.same_job => {
                lab.forget_calls();
                lab
            }
            _ => lab(&kind),
        };
        let run = play(&kind, &lab);
        let fits = match (&kind.outcome, &kind.refused) {
            (Some(outcome), None) => {
                run.code == 0
                    && run.output("outcome") == outcome
                    && run.output("degraded") == "false"
                    && kind.outputs.iter().all(|name| !run.output(name).is_empty())
            }
            (None, Some(piece)) => run.code != 0 && run.error().contains(piece.as_str()),
            _ => panic!("{}: an outcome, or what is said", kind.title()),
        };
        if !fits {
            wrong.push(format!("{}: {}\n{:?}", kind.title(), run.all(), run.outputs));
        }
        last = Some(lab);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// D45. At most one line beside `image`, and none that the page does not know.
#[test]
fn d45_its_ci_stands_on_the_page() {
    let kinds = kinds();
    assert_eq!(kinds.iter().map(|kind| &kind.name).collect::<BTreeSet<_>>().len(), 45);
    for kind in &kinds {
        assert!(kind.add.keys().filter(|name| *name != "image").count() <= 1, "{}", kind.title());
        for name in kind.with.keys() {
            assert!(INPUTS.contains(&name.as_str()), "{name}");
        }
    }
    let rows: Vec<String> =
        kinds.iter().map(|kind| format!("| {} | {} |", kind.title(), kind.here())).collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/migrate.md");
    let page = fs::read_to_string(path).unwrap();
    let head = "| kind there | here |\n| --- | --- |\n";
    let (before, _) = page.split_once(head).unwrap();
    let made = format!("{before}{head}{}\n", rows.join("\n"));
    if std::env::var_os("BUILD_ONCE_UPDATE").is_some() {
        fs::write(path, &made).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap(), made, "BUILD_ONCE_UPDATE=1 writes the table anew");
}
