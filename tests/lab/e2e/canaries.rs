//! One real build with a secret in every channel, to a registry, with the layer cache and full
//! provenance; then a look everywhere: processes, files, and every blob that was pushed.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::{Finished, Program, Repository, Watcher, Workspace, lab};

fn canary(work: &Workspace, channel: &str) -> String {
    format!("canary-{channel}-{}", work.image)
}

/// A text's forms: plain, in base64 at each offset, in JSON.
fn forms(text: &str) -> Vec<String> {
    let at = |offset: usize| {
        let text = STANDARD.encode(format!("{}{text}", "x".repeat(offset)));
        text[4..text.len() - 4].to_owned()
    };
    vec![text.to_owned(), at(0), at(1), at(2)]
}

/// A canary is ASCII: what else is in a file does not matter.
fn readable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Every blob and manifest that a repository's tags lead to, layers unpacked.
fn everything(repository: &Repository) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut references = repository.tags();
    assert!(!references.is_empty());
    while let Some(reference) = references.pop() {
        let Some(image) = repository.image(&reference).filter(|image| seen.insert(image.digest.clone()))
        else {
            continue;
        };
        found.push((format!("manifest {reference}"), image.manifest.to_string()));
        let list = |name: &str| image.manifest[name].as_array().cloned().unwrap_or_default();
        for child in list("manifests") {
            // An index of layer caches lists layers there.
            let digest = child["digest"].as_str().unwrap().to_owned();
            if child["mediaType"].as_str().unwrap().contains("manifest")
                || child["mediaType"].as_str().unwrap().contains("index")
            {
                references.push(digest);
            } else {
                found.push((format!("blob of {reference}"), unpacked(repository.blob(&digest))));
            }
        }
        let config: Vec<Value> = image.manifest.get("config").cloned().into_iter().collect();
        for blob in list("layers").iter().chain(&config) {
            let digest = blob["digest"].as_str().unwrap();
            if seen.insert(digest.to_owned()) {
                found.push((
                    format!("{} of {reference}", blob["mediaType"]),
                    unpacked(repository.blob(digest)),
                ));
            }
        }
    }
    found
}

fn unpacked(blob: Vec<u8>) -> String {
    if !blob.starts_with(&[0x1f, 0x8b]) {
        return readable(&blob);
    }
    let mut gzip =
        Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = gzip.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&blob).unwrap());
    let output = gzip.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    readable(&output.stdout)
}

/// Files below a folder, those of the checkout and the secret's own left out.
fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            files(&path, found);
        } else if name != "the.secret" && name != "stdout" && !path.ends_with(".docker/config.json") {
            found.push((path.display().to_string(), readable(&std::fs::read(&path).unwrap_or_default())));
        }
    }
}

/// The run, and who held what meanwhile.
fn run(
    work: &Workspace,
    program: Program<'_>,
    channels: &[&str],
    more: &[String],
) -> (Finished, BTreeSet<String>) {
    let get = |channel: &str| canary(work, channel);
    std::fs::write(work.root().join("the.secret"), get("file")).unwrap();
    // docker hands this one to every step of the build.
    let proxy = format!("http://ann:{}@127.0.0.1:9", get("config"));
    work.docker_config(&json!({"proxies": {"default": {"httpsProxy": proxy, "noProxy": "*"}}}));
    let mut program = program
        .input("secrets", &format!("by_value={}", get("value")))
        .input("secret-envs", "by_env=SECRET_OF_THE_JOB")
        .env("SECRET_OF_THE_JOB", &get("env"))
        .input("secret-files", &format!("by_file={}", work.root().join("the.secret").display()))
        .env("GITHUB_TOKEN", &get("github"))
        .input(
            "build-args",
            &format!("BASE={}\nARGUMENT={}", lab().get("BUILD_ONCE_LAB_BASE_IMAGE"), get("argument")),
        )
        .env("ACTIONS_RUNTIME_TOKEN", &get("runtime"))
        .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", &get("oidc"))
        .env("AWS_SESSION_TOKEN", &get("session"))
        .env("HTTPS_PROXY", &format!("http://ann:{}@127.0.0.1:9", get("proxy")))
        .env("NO_PROXY", "*")
        .input("provenance", "mode=max")
        .input("cache-mode", "max");
    let mut texts: Vec<(String, String)> =
        more.iter().map(|text| ("password".to_owned(), text.clone())).collect();
    for channel in channels {
        texts.extend(forms(&get(channel)).into_iter().map(|form| ((*channel).to_owned(), form)));
        if !OWN.contains(channel) {
            program = program.secret(&get(channel));
        }
    }
    let watcher = Watcher::start(&texts);
    let finished = program.run();
    (finished, watcher.finish())
}

/// What docker makes part of the build: build arguments, and proxies of its own configuration,
/// which it hands on as such. Both are in the image's provenance; nothing that we write has them.
const OWN: [&str; 2] = ["argument", "config"];

const CHANNELS: [&str; 10] =
    ["value", "env", "file", "github", "argument", "runtime", "oidc", "session", "proxy", "config"];

#[test]
fn every_channel_of_a_real_build() {
    let (work, plain, ecr) =
        (Workspace::new("canaries"), Repository::plain("canaries"), Repository::ecr("canaries"));
    let mounts = ["by_value", "by_env", "by_file"].map(|id| format!("--mount=type=secret,id={id}")).join(" ");
    work.write(
        "Dockerfile",
        &format!("ARG BASE\nFROM ${{BASE}}\nCOPY content.txt /\nRUN --network=none {mounts} cd /run/secrets && sha256sum by_value by_env by_file >/sums.txt\n"),
    );
    work.commit("secrets");
    let password = lab().get("BUILD_ONCE_LAB_REGISTRY_PASSWORD");
    let login = format!("{} {} REGISTRY_PASSWORD", plain.host, lab().get("BUILD_ONCE_LAB_REGISTRY_USER"));
    for repository in [&plain, &ecr] {
        work.write("content.txt", &repository.path);
        work.commit("for this registry");
        let program = work.program().repository(repository).secret(password);
        let program = program.input("logins", &login).env("REGISTRY_PASSWORD", password);
        let token = lab().get("BUILD_ONCE_LAB_ECR_PASSWORD");
        let more = [password, token].map(|secret| STANDARD.encode(secret)[..12].to_owned());
        let (built, seen) = run(&work, program, &CHANNELS, &more);
        let built = built.is("built");
        built.is_published(repository, &[&work.commit_tag()]);

        // The secrets have reached their step.
        let sums = work.docker(&["run", "--rm", built.output("image"), "cat", "/sums.txt"]);
        for channel in ["value", "env", "file"] {
            let sum =
                format!("{:x}", <sha2::Sha256 as sha2::Digest>::digest(canary(&work, channel).as_bytes()));
            assert!(sums.contains(&sum), "{channel} did not reach its step: {sums}");
        }

        // Processes: the program's own environment is what the runner gave it.
        let strange: Vec<&String> = seen
            .iter()
            .filter(|place| {
                let (what, program) = place.split_once(" of ").unwrap();
                let docker = program.starts_with("docker")
                    && match what.split_once(": ").unwrap() {
                        ("value", "BUILD_ONCE_SECRET_0") | ("env", "BUILD_ONCE_SECRET_1") => true,
                        ("proxy", name) => name == "HTTPS_PROXY",
                        ("argument", name) => name == "arguments",
                        _ => false,
                    };
                // D37: docker hands the proxy of its configuration to the steps, as a build argument.
                let step = program == "sh" && what.starts_with("config: ") && !what.ends_with("arguments");
                // git asks repositories through it. buildx asks git for the commit, and hands its own
                // environment on.
                let git = program.starts_with("git")
                    && ["proxy: HTTPS_PROXY", "value: BUILD_ONCE_SECRET_0", "env: BUILD_ONCE_SECRET_1"]
                        .contains(&what);
                !(docker || git || step || program == "build-once" && !what.ends_with("arguments"))
            })
            .collect();
        assert!(strange.is_empty(), "{strange:?}");
        assert!(
            seen.iter().any(|place| place.starts_with("value: BUILD_ONCE_SECRET_0 of docker")),
            "the watcher sees: {seen:?}"
        );

        // Files that were left, blobs that were pushed.
        let mut left = Vec::new();
        files(work.root(), &mut left);
        let pushed = everything(repository);
        assert!(pushed.iter().any(|(_, text)| text.contains("slsa")), "there is provenance to look at");
        assert!(pushed.len() > 6, "{}", pushed.len());
        for channel in CHANNELS {
            for form in forms(&canary(&work, channel)) {
                for (place, text) in left.iter().chain(&pushed) {
                    // buildx writes the provenance into its metadata file too, which the output `metadata` holds.
                    let own = OWN.contains(&channel)
                        && (place.ends_with("/metadata.json")
                            || place.ends_with("/output")
                            || pushed.iter().any(|(known, _)| known == place));
                    assert!(own || !text.contains(&form), "{channel} in {place}: {text}");
                }
            }
        }
        for secret in [password, lab().get("BUILD_ONCE_LAB_ECR_PASSWORD")] {
            for form in [secret.to_owned(), STANDARD.encode(secret)] {
                for (place, text) in left.iter().chain(&pushed) {
                    assert!(!text.contains(&form), "a password in {place}");
                }
            }
        }
        for channel in OWN {
            not_quoted(&built, &canary(&work, channel));
        }
    }
}

/// Only the argument of the build itself may hold a build argument.
#[test]
fn a_build_argument_is_in_no_other_command() {
    let (work, repository) = (Workspace::new("argument"), Repository::open("argument"));
    let text = canary(&work, "argument");
    let labelled: Vec<_> = forms(&text).into_iter().map(|form| (String::new(), form)).collect();
    let watcher = Watcher::start(&labelled);
    let args = format!("BASE={}\nARGUMENT={text}", lab().get("BUILD_ONCE_LAB_BASE_IMAGE"));
    let built = work.program().repository(&repository).input("build-args", &args).run().is("built");
    let seen = watcher.finish();
    let expected =
        |place: &String| place.ends_with("of build-once") || place.starts_with(": arguments of docker");
    assert!(seen.iter().all(expected), "{seen:?}");
    not_quoted(&built, &text);
}

/// In log, summary, plan and outputs but `metadata`; what tells the runner to hide it is read by the runner alone.
#[track_caller]
fn not_quoted(run: &Finished, text: &str) {
    let log: Vec<&str> = run.log.lines().filter(|line| !line.starts_with("::add-mask::")).collect();
    let log = log.join("\n");
    let outputs: Vec<&str> =
        run.outputs.iter().filter(|(name, _)| *name != "metadata").map(|(_, value)| value.as_str()).collect();
    let outputs = outputs.join("\n");
    let read = [&log, &run.summary, run.plan.as_ref().unwrap(), &outputs];
    for form in forms(text) {
        assert!(read.iter().all(|read| !read.contains(&form)), "{form} in {read:?}");
    }
}
