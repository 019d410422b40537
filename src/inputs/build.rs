//! The inputs that shape the build itself.

use std::path::{Path, PathBuf};

use super::attestation::Attestation;
use super::compression::Compression;
use super::contexts::{ContextSource, build_contexts, context};
use super::grammar;
use super::lists::{comma_items, items};
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
    /// Its checks are run, and nothing else.
    Check,
}

/// Everything handed to `docker buildx build` that is not about results.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct BuildInputs {
    /// The build context.
    pub context: ContextSource,
    /// The Dockerfile, relative to the working folder; `None` is `Dockerfile` in the context.
    pub file: Option<PathBuf>,
    /// Patterns that are added to the context's ignore file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Stage to build.
    pub target: Option<String>,
    /// Platforms that the key counts. Never empty: what is in the key is what is built, whatever the
    /// builder's own platform is.
    pub platforms: Vec<Platform>,
    /// No platform was asked for: it is this machine's.
    #[serde(skip)]
    pub implied_platform: bool,
    /// Build arguments with their values, in order; the last of one name counts. A plan shows
    /// their names.
    #[serde(serialize_with = "names_only")]
    pub build_args: Vec<(String, String)>,
    /// Named contexts.
    pub build_contexts: Vec<(String, String)>,
    pub labels: Vec<(String, String)>,
    /// Annotations, with the type prefix if there was one.
    pub annotations: Vec<(String, String)>,
    pub secrets: Vec<Secret>,
    /// The job's token, for a context that is a repository of its own server. No part of the key.
    #[serde(skip)]
    pub git_token: Option<Secret>,
    /// SSH agents.
    pub ssh: Vec<String>,
    /// Entitlements.
    pub allow: Vec<String>,
    /// Network mode.
    pub network: Option<String>,
    /// Extra hosts.
    pub add_hosts: Vec<String>,
    /// Size of `/dev/shm`.
    pub shm_size: Option<String>,
    /// Limits.
    pub ulimit: Vec<String>,
    /// Control group of `RUN` steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup_parent: Option<String>,
    /// No layer cache.
    pub no_cache: bool,
    /// No layer cache for these stages.
    pub no_cache_filters: Vec<String>,
    /// Fetch bases again.
    pub pull: bool,
    /// What `--provenance` is given.
    pub provenance: Attestation,
    /// What `--sbom` is given.
    pub sbom: Attestation,
    /// Compression of new layers.
    pub compression: Compression,
    /// More arguments, before expansion. A plan shows the flags alone: what is expanded may be a secret.
    #[serde(serialize_with = "flags_only")]
    pub extra_args: Vec<String>,
}

/// Those that are asked for.
fn platforms(raw: &RawInputs, env: &Env, problems: &mut Problems) -> Option<Vec<Platform>> {
    let asked = raw.platforms.as_deref().map(comma_items).unwrap_or_default();
    if !asked.is_empty() {
        return Some(problems.parse_all("platforms", asked));
    }
    let default = env.get(env::DOCKER_DEFAULT_PLATFORM).filter(|text| !text.trim().is_empty());
    default.map(|text| problems.parse_all(env::DOCKER_DEFAULT_PLATFORM, comma_items(text)))
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
    /// The same without layers that the builder has, and with cache mounts under a name of their own (BuildKit
    /// `BUILDKIT_CACHE_MOUNT_NS`).
    #[must_use]
    pub fn apart(mut self, namespace: &str) -> Self {
        const NAMESPACE: &str = "BUILDKIT_CACHE_MOUNT_NS";
        let given = self.build_args.iter().rev().find(|(name, _)| name == NAMESPACE);
        let value = given.map_or_else(|| namespace.to_owned(), |(_, own)| format!("{namespace}-{own}"));
        self.build_args.push((NAMESPACE.to_owned(), value));
        self.no_cache = true;
        self
    }

    /// The Dockerfile's path as the build gets it.
    #[must_use]
    pub fn dockerfile(&self) -> PathBuf {
        let path = match (&self.file, &self.context) {
            (Some(file), _) => file.clone(),
            (None, ContextSource::Folder(context)) => context.join("Dockerfile"),
            // A repository's own folder.
            (None, ContextSource::Remote(_)) => PathBuf::from("Dockerfile"),
        };
        // Without `./`: annotations name files as the repository does.
        let path: PathBuf = path.components().filter(|part| *part != std::path::Component::CurDir).collect();
        // The working folder itself, which is no file: it still has a name.
        if path.as_os_str().is_empty() { PathBuf::from(".") } else { path }
    }

    /// Whether the result is an index: several platforms, an attestation beside the image, or
    /// annotations of an index.
    #[must_use]
    pub fn makes_index(&self) -> bool {
        self.platforms.len() > 1 || self.attests() || self.annotates_index()
    }

    /// The platform that an engine on this machine is to fetch of an index, where one was asked for: this
    /// machine's own if it is among them.
    #[must_use]
    pub fn loaded_platform(&self) -> Option<&Platform> {
        let here = Platform::of_this_machine();
        let asked = Some(&self.platforms).filter(|_| !self.implied_platform)?;
        asked.iter().find(|platform| here.covers(platform)).or(asked.first())
    }

    /// Whether there is an attestation beside the image.
    #[must_use]
    pub fn attests(&self) -> bool {
        self.provenance.is_on() || self.sbom.is_on()
    }

    /// Whether an annotation is for the index, `[TYPE,…:]NAME`.
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

    /// Values of secrets are put into `values`.
    pub(super) fn read(
        raw: &RawInputs,
        outputs: &Outputs,
        env: &Env,
        values: &mut SecretValues,
        problems: &mut Problems,
    ) -> Self {
        let text = |value: &Option<String>| {
            value.as_deref().map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned)
        };
        let list = |value: &Option<String>| value.as_deref().map(items).unwrap_or_default();
        let commas = |value: &Option<String>| value.as_deref().map(comma_items).unwrap_or_default();
        let build_args_list =
            with_file(problems, "build-args", raw.build_args.as_deref(), raw.build_args_file.as_deref());
        let labels_list = with_file(problems, "labels", raw.labels.as_deref(), raw.labels_file.as_deref());
        let labels = named(problems, "labels", labels_list.into_iter().map(with_value).collect());
        reject_own(problems, "labels", &labels);
        let mut annotations_list =
            with_file(problems, "annotations", raw.annotations.as_deref(), raw.annotations_file.as_deref());
        annotations_list.extend(outputs.annotations.iter().cloned());
        let annotations = named(problems, "annotations", annotations_list);
        check_annotations(problems, &annotations);
        let platforms = platforms(raw, env, problems);
        let secrets = secrets(problems, raw, env, values);
        let context = context(problems, raw.context.as_deref().unwrap_or("."), env);
        let git_token = match &context {
            ContextSource::Remote(url) => {
                values.add_login(url);
                git_token(raw, url, &secrets, env, values)
            }
            ContextSource::Folder(_) => None,
        };
        let build_contexts = build_contexts(problems, list(&raw.build_contexts), env);
        for (_, url) in &build_contexts {
            values.add_login(url);
        }
        let [attested_provenance, attested_sbom] = attests(problems, raw.attests.as_deref());
        let ssh = |text: &str| grammar::ssh(text, env);
        Self {
            context,
            file: text(&raw.file).map(PathBuf::from),
            exclude: exclude(problems, list(&raw.exclude)),
            target: text(&raw.target),
            implied_platform: platforms.is_none(),
            platforms: platforms.unwrap_or_else(|| vec![Platform::of_this_machine()]),
            build_args: build_args(problems, build_args_list, env),
            build_contexts,
            labels,
            annotations,
            secrets,
            git_token,
            ssh: problems.checked("ssh", commas(&raw.ssh), ssh),
            allow: problems.checked("allow", commas(&raw.allow), grammar::entitlement),
            network: problems.checked("network", text(&raw.network), grammar::network),
            add_hosts: problems.checked("add-hosts", commas(&raw.add_hosts), grammar::host),
            shm_size: problems.checked("shm-size", text(&raw.shm_size), grammar::size),
            ulimit: problems.checked("ulimit", list(&raw.ulimit), grammar::ulimit),
            cgroup_parent: text(&raw.cgroup_parent),
            no_cache: problems.boolean("no-cache", raw.no_cache.as_deref().unwrap_or("false")),
            no_cache_filters: commas(&raw.no_cache_filters),
            pull: problems.boolean("pull", raw.pull.as_deref().unwrap_or("false")),
            provenance: attestation(problems, "provenance", text(&raw.provenance).or(attested_provenance)),
            sbom: attestation(problems, "sbom", text(&raw.sbom).or(attested_sbom)),
            compression: compression(problems, raw.compression.as_deref(), &outputs.compression),
            extra_args: problems
                .ok("extra-args", shell_words::split(raw.extra_args.as_deref().unwrap_or_default())),
        }
    }
}

/// That of `outputs` takes the place of the default.
fn compression(problems: &mut Problems, text: Option<&str>, outputs: &str) -> Compression {
    let own: Compression = problems.parse("compression", text).unwrap_or_default();
    if outputs.is_empty() {
        return own;
    }
    let other = problems.parse("outputs", Some(outputs)).unwrap_or_default();
    if own.is_asked() && own != other {
        problems.add("outputs", "its compression is another one than that of the input compression");
    }
    other
}

/// A label without a value has the empty one, as with `docker build --label`.
fn with_value(label: String) -> String {
    if label.contains('=') { label } else { label + "=" }
}

fn attestation(problems: &mut Problems, input: &str, value: Option<String>) -> Attestation {
    value.map_or(Attestation::Off, |text| problems.ok(input, text.parse()))
}

/// A list and its `-file` twin, one after the other.
pub(super) fn with_file(
    problems: &mut Problems,
    input: &str,
    value: Option<&str>,
    file: Option<&str>,
) -> Vec<String> {
    let mut list = value.map(items).unwrap_or_default();
    if let Some(path) = file {
        match budget::read_text(Path::new(path.trim()), budget::INPUT_FILE) {
            Ok(text) => list.extend(items(&text)),
            Err(error) => problems.add(&format!("{input}-file"), error),
        }
    }
    list
}

fn exclude(problems: &mut Problems, patterns: Vec<String>) -> Vec<String> {
    for pattern in &patterns {
        if let Err(error) = Ignore::parse(pattern.as_bytes(), Path::new(EXCLUDE)) {
            problems.add("exclude", error);
        }
    }
    patterns
}

/// Rejects labels and annotations that build-once sets itself: of two values the tools would choose one.
fn reject_own(problems: &mut Problems, input: &str, list: &[(String, String)]) {
    for (name, _) in list.iter().filter(|(name, _)| is_own_label(name)) {
        problems.add(input, format!("`{name}` is build-once's own"));
    }
}

/// Rejects annotations that buildx does not take or that build-once sets itself.
pub(super) fn check_annotations(problems: &mut Problems, annotations: &[(String, String)]) {
    reject_own(problems, "annotations", annotations);
    for reason in annotations.iter().filter_map(|(name, _)| grammar::annotation(name).err()) {
        problems.add("annotations", reason);
    }
}

/// `NAME` alone takes the environment's value and is left out where there is none, as docker does.
fn build_args(problems: &mut Problems, list: Vec<String>, env: &Env) -> Vec<(String, String)> {
    let mut args: Vec<(String, String)> = Vec::new();
    for item in list {
        let pair = match item.split_once('=') {
            Some((name, value)) => Some((name.to_owned(), value.to_owned())),
            None => env.value(&item).map(|value| (item.clone(), value.to_owned())),
        };
        let name = item.split('=').next().unwrap_or_default();
        if name.is_empty() || name.contains(char::is_whitespace) {
            // The value is not shown: it may be a secret put in the wrong input.
            problems.add("build-args", format!("`{name}` is not the name of a build argument"));
        } else if let Some((name, value)) = pair {
            args.push((name, value));
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
