//! The inputs that are handed to `docker buildx build`, apart from those that say where the result goes.

use std::path::{Path, PathBuf};

use super::attestation::Attestation;
use super::compression::Compression;
use super::contexts::{ContextSource, build_contexts, context};
use super::grammar;
use super::lists::{InputText as _, comma_items, items};
use super::outputs::{Outputs, attests};
use super::pairs::{last_of_each, named};
use super::problems::Problems;
use super::raw::RawInputs;
use super::secrets::{Secret, SecretValues, git_token, secrets};
use crate::budget;
use crate::env::{self, Env};
use crate::image::{Platform, is_own_label};
use crate::key::dockerignore::{EXCLUDE, Ignore};

/// What is done with the Dockerfile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Call {
    /// The image is found or built.
    #[default]
    Build,
    /// The checks of the Dockerfile are run, and nothing else (`--call=check`).
    Check,
}

/// Everything that is handed to `docker buildx build` and does not say where the result goes. Values of secrets are
/// elsewhere ([`SecretValues`]). A plan in JSON shows these fields.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct BuildInputs {
    /// The build context.
    pub context: ContextSource,
    /// The Dockerfile, relative to the working folder; `None` is `Dockerfile` in the context.
    pub file: Option<PathBuf>,
    /// The text of the Dockerfile, in place of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile_inline: Option<String>,
    /// Patterns that are added to the context's ignore file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Stage to build; `None` is the last one.
    pub target: Option<String>,
    /// Platforms that the key counts. Never empty: what is in the key is what is built, whatever the
    /// builder's own platform is.
    pub platforms: Vec<Platform>,
    /// No platform was asked for: `platforms` is this machine's.
    #[serde(skip)]
    pub implied_platform: bool,
    /// Build arguments with their values, in order, each name once. A plan shows the names alone.
    #[serde(serialize_with = "names_only")]
    pub build_args: Vec<(String, String)>,
    /// Named contexts, each a name and what it stands for.
    pub build_contexts: Vec<(String, String)>,
    pub labels: Vec<(String, String)>,
    /// Annotations; a name may begin with what it is attached to (`index:`, `manifest[linux/amd64]:`).
    pub annotations: Vec<(String, String)>,
    pub secrets: Vec<Secret>,
    /// The job's token, for a context that is a repository of its own server. No part of the key.
    #[serde(skip)]
    pub git_token: Option<Secret>,
    /// SSH agents or keys, each `default` or `ID=PATH`.
    pub ssh: Vec<String>,
    /// Entitlements, such as `network.host`.
    pub allow: Vec<String>,
    /// Network of `RUN` steps: `default`, `host` or `none`.
    pub network: Option<String>,
    /// Extra hosts, each `NAME:IP`.
    pub add_hosts: Vec<String>,
    /// Size of `/dev/shm`, such as `2g`.
    pub shm_size: Option<String>,
    /// Limits of `RUN` steps, such as `nofile=1024:1024`.
    pub ulimit: Vec<String>,
    /// Control group of `RUN` steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup_parent: Option<String>,
    /// Build without the layer cache.
    pub no_cache: bool,
    /// Stages that are built without the layer cache.
    pub no_cache_filters: Vec<String>,
    /// Look base images up again, whether or not the builder has them.
    pub pull: bool,
    /// What `--provenance` is given.
    pub provenance: Attestation,
    /// What `--sbom` is given.
    pub sbom: Attestation,
    /// Compression of new layers.
    pub compression: Compression,
    /// More arguments, before `${NAME}` is replaced in them. A plan shows the flags without values, which may be
    /// secrets.
    #[serde(serialize_with = "flags_only")]
    pub extra_args: Vec<String>,
}

/// The platforms that are asked for, by the input or by docker's own variable, each once in whatever spellings.
fn platforms(raw: &RawInputs, env: &Env, problems: &mut Problems) -> Option<Vec<Platform>> {
    let default = || Some(comma_items(env.get(env::DOCKER_DEFAULT_PLATFORM)?));
    let (input, asked) = match raw.platforms.comma_items() {
        asked if asked.is_empty() => (env::DOCKER_DEFAULT_PLATFORM, default()?),
        asked => ("platforms", asked),
    };
    if asked.is_empty() {
        return None;
    }
    let mut platforms: Vec<Platform> = Vec::new();
    for platform in problems.parse_all(input, asked) {
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    Some(platforms)
}

fn flags_only<S: serde::Serializer>(args: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    let flags = args.iter().filter(|arg| arg.starts_with('-'));
    serializer.collect_seq(flags.map(|arg| arg.split('=').next().unwrap_or_default()))
}

fn names_only<S: serde::Serializer>(pairs: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(pairs.iter().map(|(name, _)| name))
}

/// `dockerfile` beside `file`, which BuildKit reads if `file` is an absent `Dockerfile` (`dockerui.ReadEntrypoint`).
#[must_use]
pub(crate) fn lowercase_fallback(file: &std::path::Path) -> Option<PathBuf> {
    (file.file_name()? == "Dockerfile").then(|| file.with_file_name("dockerfile"))
}

impl BuildInputs {
    /// The same build without the layers that the builder has, and with cache mounts of its own: `namespace` is put before
    /// their ids (BuildKit, `BUILDKIT_CACHE_MOUNT_NS`). So it sees nothing that builds of another zone left there.
    #[must_use]
    pub fn apart(mut self, namespace: &str) -> Self {
        const NAMESPACE: &str = "BUILDKIT_CACHE_MOUNT_NS";
        let given = self.build_args.iter().rev().find(|(name, _)| name == NAMESPACE);
        let value = given.map_or_else(|| namespace.to_owned(), |(_, user)| format!("{namespace}-{user}"));
        self.build_args.push((NAMESPACE.to_owned(), value));
        self.no_cache = true;
        self
    }

    /// The Dockerfile's path as the build gets it.
    #[must_use]
    pub fn dockerfile(&self) -> PathBuf {
        let path = match (&self.file, &self.context) {
            _ if self.dockerfile_inline.is_some() => PathBuf::from("Dockerfile"),
            (Some(file), _) => file.clone(),
            (None, ContextSource::Folder(context)) => context.join("Dockerfile"),
            // It is relative to the repository, which BuildKit fetches.
            (None, ContextSource::Remote(_)) => PathBuf::from("Dockerfile"),
        };
        // Annotations of the run name files as the repository does, without `./`.
        let path: PathBuf = path.components().filter(|part| *part != std::path::Component::CurDir).collect();
        // `file: ./` leaves nothing, and messages need a name to show.
        if path.as_os_str().is_empty() { PathBuf::from(".") } else { path }
    }

    /// Whether the result is an index: several platforms, an attestation beside the image, or
    /// annotations of an index.
    #[must_use]
    pub fn makes_index(&self) -> bool {
        self.platforms.len() > 1 || self.attests() || self.annotates_index()
    }

    /// Which platform the engine of this machine takes out of an index: this machine's own if it was asked for, else the
    /// first one asked for. `None` if none was, and the engine takes its own.
    #[must_use]
    pub fn loaded_platform(&self) -> Option<&Platform> {
        let here = Platform::of_this_machine();
        let asked = Some(&self.platforms).filter(|_| !self.implied_platform)?;
        asked.iter().find(|platform| here.covers(platform)).or(asked.first())
    }

    /// The platform, if exactly one is asked for.
    #[must_use]
    pub fn only_platform(&self) -> Option<&Platform> {
        let first = self.platforms.first().filter(|_| !self.implied_platform)?;
        (self.platforms.len() == 1).then_some(first)
    }

    /// Whether there is an attestation beside the image.
    #[must_use]
    pub fn attests(&self) -> bool {
        self.provenance.is_on() || self.sbom.is_on()
    }

    /// Whether an annotation is attached to an index or to one of its entries: `index:NAME`, or among others as in
    /// `manifest,index-descriptor[linux/amd64]:NAME`.
    #[must_use]
    pub fn annotates_index(&self) -> bool {
        let levels = self.annotations.iter().filter_map(|(name, _)| Some(name.split_once(':')?.0));
        levels.flat_map(|levels| levels.split(',')).any(|level| {
            ["index", "index-descriptor", "manifest-descriptor"]
                .contains(&level.split('[').next().unwrap_or_default())
        })
    }

    /// Every secret that the builder gets.
    pub fn all_secrets(&self) -> impl Iterator<Item = &Secret> {
        self.secrets.iter().chain(&self.git_token)
    }

    /// Reads them all; values of secrets are put into `values`.
    pub(super) fn read(
        raw: &RawInputs,
        outputs: &Outputs,
        env: &Env,
        values: &mut SecretValues,
        problems: &mut Problems,
    ) -> Self {
        let platforms = platforms(raw, env, problems);
        let secrets = secrets(problems, raw, env, values);
        let context = context(problems, raw.context.trimmed().unwrap_or("."), env);
        let git_token = match &context {
            ContextSource::Remote(url) => {
                values.add_login(url);
                git_token(raw, url, &secrets, env, values)
            }
            ContextSource::Folder(_) => None,
        };
        let build_contexts = build_contexts(problems, raw.build_contexts.items(), env);
        for (_, url) in &build_contexts {
            values.add_login(url);
        }
        let attests = attests(problems, raw.attests.as_deref());
        if raw.file.trimmed().is_some() && raw.dockerfile_inline.trimmed().is_some() {
            problems.add("dockerfile-inline", "does not go with file: both are the Dockerfile");
        }
        if matches!(context, ContextSource::Remote(_)) && raw.dockerfile_inline.trimmed().is_some() {
            let why = "does not go with a context that is a git repository: check it out and name the folder";
            problems.add("dockerfile-inline", why);
        }
        let ssh = |text: &str| grammar::ssh(text, env);
        Self {
            context,
            file: raw.file.text().map(PathBuf::from),
            dockerfile_inline: raw.dockerfile_inline.clone().filter(|text| !text.trim().is_empty()),
            exclude: exclude(problems, raw.exclude.items()),
            target: raw.target.text(),
            implied_platform: platforms.is_none(),
            platforms: platforms.unwrap_or_else(|| vec![Platform::of_this_machine()]),
            build_args: build_args(problems, raw, env),
            build_contexts,
            labels: labels(problems, raw),
            annotations: annotations(problems, raw, outputs),
            secrets,
            git_token,
            ssh: problems.checked("ssh", raw.ssh.comma_items(), ssh),
            allow: problems.checked("allow", raw.allow.comma_items(), grammar::entitlement),
            network: problems.checked("network", raw.network.text(), grammar::network),
            add_hosts: problems.checked("add-hosts", raw.add_hosts.comma_items(), grammar::host),
            shm_size: problems.checked("shm-size", raw.shm_size.text(), grammar::size),
            ulimit: problems.checked("ulimit", raw.ulimit.items(), grammar::ulimit),
            cgroup_parent: raw.cgroup_parent.text(),
            no_cache: problems.boolean("no-cache", raw.no_cache.trimmed().unwrap_or("false")),
            no_cache_filters: raw.no_cache_filters.comma_items(),
            pull: problems.boolean("pull", raw.pull.trimmed().unwrap_or("false")),
            provenance: attestation(problems, "provenance", raw.provenance.text().or(attests.provenance)),
            sbom: attestation(problems, "sbom", raw.sbom.text().or(attests.sbom)),
            compression: compression(problems, raw.compression.trimmed(), &outputs.compression),
            extra_args: problems
                .ok("extra-args", shell_words::split(raw.extra_args.as_deref().unwrap_or_default())),
        }
    }
}

/// The compression of `outputs`, if it says one, in place of the input's default.
fn compression(problems: &mut Problems, input: Option<&str>, outputs: &str) -> Compression {
    let of_input: Compression = problems.parse("compression", input).unwrap_or_default();
    if outputs.is_empty() {
        return of_input;
    }
    let of_outputs = problems.parse("outputs", Some(outputs)).unwrap_or_default();
    if of_input.is_asked() && of_input != of_outputs {
        problems.add("outputs", "its compression is another one than that of the input compression");
    }
    of_outputs
}

fn labels(problems: &mut Problems, raw: &RawInputs) -> Vec<(String, String)> {
    let lines = with_file(problems, "labels", raw.labels.items(), raw.labels_file.trimmed());
    // A label without a value has the empty one, as with `docker build --label`.
    let with_value = |label: String| if label.contains('=') { label } else { label + "=" };
    let labels = named(problems, "labels", lines.into_iter().map(with_value).collect());
    reject_own(problems, "labels", &labels);
    labels
}

/// The annotations of the inputs and of `outputs`.
pub(super) fn annotations(
    problems: &mut Problems,
    raw: &RawInputs,
    outputs: &Outputs,
) -> Vec<(String, String)> {
    let mut lines =
        with_file(problems, "annotations", raw.annotations.items(), raw.annotations_file.trimmed());
    lines.extend(outputs.annotations.iter().cloned());
    let annotations = named(problems, "annotations", lines);
    check_annotations(problems, &annotations);
    annotations
}

fn attestation(problems: &mut Problems, input: &str, value: Option<String>) -> Attestation {
    value.map_or(Attestation::Off, |text| problems.ok(input, text.parse()))
}

/// The items of a list, and after them those of the file that the input of the same name with `-file` names.
pub(super) fn with_file(
    problems: &mut Problems,
    input: &str,
    mut list: Vec<String>,
    file: Option<&str>,
) -> Vec<String> {
    if let Some(path) = file {
        match budget::read_text(Path::new(path), budget::INPUT_FILE) {
            Ok(text) => list.extend(items(&text)),
            Err(error) => problems.add(&format!("{input}-file"), error),
        }
    }
    list
}

/// The patterns as they are, after noting those that no ignore file could hold.
fn exclude(problems: &mut Problems, patterns: Vec<String>) -> Vec<String> {
    for pattern in &patterns {
        if let Err(error) = Ignore::parse(pattern.as_bytes(), Path::new(EXCLUDE)) {
            problems.add("exclude", error);
        }
    }
    patterns
}

/// Rejects labels and annotations that build-once sets itself: if there were two values, it would depend on the tool
/// which one the image gets.
fn reject_own(problems: &mut Problems, input: &str, list: &[(String, String)]) {
    for (name, _) in list.iter().filter(|(name, _)| is_own_label(name)) {
        problems.add(input, format!("`{name}` is build-once's own"));
    }
}

/// Rejects annotations that buildx does not take or that build-once sets itself.
fn check_annotations(problems: &mut Problems, annotations: &[(String, String)]) {
    reject_own(problems, "annotations", annotations);
    for reason in annotations.iter().filter_map(|(name, _)| grammar::annotation(name).err()) {
        problems.add("annotations", reason);
    }
}

/// `NAME` alone takes the environment's value and is left out where there is none, as docker does.
fn build_args(problems: &mut Problems, raw: &RawInputs, env: &Env) -> Vec<(String, String)> {
    let lines = with_file(problems, "build-args", raw.build_args.items(), raw.build_args_file.trimmed());
    let mut args: Vec<(String, String)> = Vec::new();
    for line in lines {
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (line.as_str(), env.value(&line)),
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            // The value is not shown: it may be a secret put in the wrong input.
            problems.add("build-args", format!("`{name}` is not the name of a build argument"));
        } else if let Some(value) = value {
            args.push((name.to_owned(), value.to_owned()));
        }
    }
    last_of_each(args, |(name, _)| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: RawInputs, env: &Env) -> Result<BuildInputs, String> {
        let mut problems = Problems::default();
        let values = &mut SecretValues::default();
        let inputs = BuildInputs::read(&raw, &Outputs::default(), env, values, &mut problems);
        problems.finish().map(|()| inputs).map_err(|error| error.to_string())
    }

    #[test]
    fn a_build_arg_without_value_is_the_environments() {
        // D84: what is set and empty is an empty value.
        let env = Env::from([("FROM_ENV", "x y"), ("EMPTY", "")]);
        let list = "A=1=2\nFROM_ENV\nABSENT\nEMPTY\nA=3";
        let inputs = read(RawInputs { build_args: Some(list.into()), ..Default::default() }, &env).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(inputs.build_args, [pair("FROM_ENV", "x y"), pair("EMPTY", ""), pair("A", "3")]);
    }

    #[test]
    fn d60_a_label_without_a_value_is_empty() {
        let raw = RawInputs { labels: Some("a\nb=\nc=d=e".into()), ..Default::default() };
        let labels = read(raw, &Env::default()).unwrap().labels;
        assert_eq!(labels, [("a", ""), ("b", ""), ("c", "d=e")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    }
}
