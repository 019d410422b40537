//! What a run asks for, checked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::build::{BuildInputs, Call, with_file};
use super::builder;
use super::caches::CacheInputs;
use super::contexts::ContextSource;
use super::grammar;
use super::lists::{comma_items, items};
use super::merge::{self, Part};
use super::outputs::outputs;
use super::problems::Problems;
use super::raw::RawInputs;
use super::secrets::{Secret, SecretValues};
use super::types::{
    AccessInputs, BuilderInputs, KeyInputs, KeyScope, LogStyle, Login, Mode, OnMissing, RegistryPolicy,
    ReliabilityInputs, ReportInputs, Switch,
};
use super::user_tags::{self, LeftOutTag, UserTag};
use crate::env::{self, Env};
use crate::error::{Error, Result};
use crate::image::{Digest, ImageName, Repository, canonical_host};
use crate::key::dockerfile::go_bool;
use crate::run::RunContext;
use crate::secret::SecretString;

/// What one run asks for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub settings: Arc<Settings>,
    /// At least one.
    pub images: Vec<ImageRequest>,
}

/// What all images of a run share.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where images are shared; other sources are asked if there is none here.
    pub repository: Option<Repository>,
    /// Where pull requests and branches without protection write instead.
    pub(crate) pr_repository: Option<Repository>,
    /// What the run is for.
    pub mode: Mode,
    /// What is done with the Dockerfile.
    pub call: Call,
    /// What a missing image means to `mode: pull`.
    pub(crate) on_missing: OnMissing,
    /// How long to wait for it.
    pub(crate) wait_timeout: Duration,
    pub(crate) builder: BuilderInputs,
    /// What goes wrong.
    pub(crate) reliability: ReliabilityInputs,
    pub(crate) access: AccessInputs,
    pub(crate) report: ReportInputs,
    /// What of the inputs is left out, and why.
    pub warnings: Vec<String>,
}

/// What is asked for one image.
#[derive(Clone, Debug)]
pub struct ImageRequest {
    /// The same for all images of the run.
    pub settings: Arc<Settings>,
    /// What the image is called.
    pub image: ImageName,
    /// More tags to publish.
    pub tags: Vec<UserTag>,
    /// Those of the input `tags` that name a fact which this run does not have.
    pub(crate) left_out_tags: Vec<LeftOutTag>,
    /// Pull exactly this.
    pub digest: Option<Digest>,
    /// Make one index of these.
    pub(crate) parts: Vec<Part>,
    /// Whether to build although the image is there.
    pub rebuild: bool,
    /// Make it available locally.
    pub load: Switch,
    /// Publish what is built.
    pub push: Switch,
    pub build: BuildInputs,
    /// What the ids of secrets in `build` stand for.
    pub secrets: SecretValues,
    pub key: KeyInputs,
    /// The layer cache.
    pub cache: CacheInputs,
}

impl Request {
    /// The request of the action's inputs: those of each image. What images share is what the first one says.
    ///
    /// # Errors
    /// One error that names every bad input of an image; if there is no image, or two have one name.
    pub(crate) fn read(raw: &[RawInputs], env: &Env) -> Result<Self> {
        let mut images = raw.iter().map(|raw| ImageRequest::read(raw, env)).collect::<Result<Vec<_>>>()?;
        let settings = images.first().map(|image| Arc::clone(&image.settings));
        let settings = settings.ok_or_else(|| Error::input("no image is asked for"))?;
        let mut names = BTreeSet::new();
        for image in &mut images {
            image.settings = Arc::clone(&settings);
            // One name is one set of tags.
            if !names.insert(image.image.to_string()) {
                return Err(Error::input(format!("two images are called {}", image.image))
                    .hint("give each its own name"));
            }
        }
        Ok(Self { settings, images })
    }
}

impl ImageRequest {
    /// Checks everything; reads the environment for build-args without value, and the
    /// `-file` twins.
    ///
    /// # Errors
    /// One error that names every bad input.
    #[expect(clippy::too_many_lines, reason = "every input, in the order of their definition")]
    pub fn read(raw: &RawInputs, env: &Env) -> Result<Self> {
        let problems = &mut Problems::default();
        let list = |value: &Option<String>| value.as_deref().map(items).unwrap_or_default();
        let switch = [("auto", Switch::Auto), ("true", Switch::On), ("false", Switch::Off)];
        let mode = problems.choice(
            "mode",
            &word(raw.mode.as_ref(), "build"),
            &[("build", Mode::Build), ("pull", Mode::Pull), ("merge", Mode::Merge)],
        );
        let digest = problems.parse("digest", text(raw.digest.as_ref()).as_deref());
        if digest.is_some() && mode != Mode::Pull {
            problems.add("digest", "only goes with mode pull");
        }
        let rebuild = problems.boolean("rebuild", raw.rebuild.as_deref().unwrap_or("false"));
        if rebuild && mode != Mode::Build {
            problems.add("rebuild", "only goes with mode build");
        }
        let parts = merge::parts(problems, mode, &list(&raw.digests));
        let by_digest = mode == Mode::Merge || (digest.is_some() && mode == Mode::Pull);
        // What goes by digest has no checkout: a file or a context that is not there is no problem.
        let unseen = &mut Problems::default();
        let seen = if by_digest { unseen } else { &mut *problems };
        let tags = with_file(seen, "tags", raw.tags.as_deref(), raw.tags_file.as_deref());
        let outputs = outputs(seen, raw.outputs.as_deref());
        let mut secrets = SecretValues::default();
        let mut build = BuildInputs::read(raw, &outputs, env, &mut secrets, seen);
        if mode == Mode::Merge {
            merge::check(problems, raw, &outputs, &mut build);
        }
        let by_name = if outputs.by_digest { Vec::new() } else { outputs.names.clone() };
        let named: Vec<String> = tags.iter().flat_map(|line| comma_items(line)).collect();
        // One word names an image only where nothing else does.
        let (of_image, of_repository) = (text(raw.image.as_ref()), text(raw.repository.as_ref()));
        let short = of_image.is_some() || of_repository.is_some();
        let user_tag = |text: &String| if short { text.parse() } else { UserTag::full(text) };
        let tags: Vec<Result<UserTag, String>> =
            named.iter().map(user_tag).chain(by_name.iter().map(|name| UserTag::full(name))).collect();
        let tags: Vec<UserTag> =
            tags.into_iter().filter_map(|tag| tag.map_err(|why| problems.add("tags", why)).ok()).collect();
        let mut repository: Option<Repository> =
            problems.parse("repository", text(raw.repository.as_ref()).as_deref());
        if outputs.by_digest {
            repository =
                repository.or_else(|| problems.parse("outputs", outputs.names.first().map(String::as_str)));
        }
        let named =
            tags.iter().find_map(UserTag::repository).or(repository.as_ref().filter(|_| outputs.given));
        let image = text(raw.image.as_ref()).or_else(|| named?.path().rsplit('/').next().map(str::to_owned));
        if image.is_none() {
            problems.add("image", "is required: a name such as app-ci");
        }
        let image = problems.parse("image", image.as_deref());
        let asked = |problems: &mut Problems, input: &str, value: &Option<String>, of_outputs: bool| {
            match problems.choice(input, &word(value.as_ref(), "auto").to_ascii_lowercase(), &switch) {
                _ if of_outputs => Switch::On,
                // What `outputs` does not say is not done.
                Switch::Auto if outputs.given => Switch::Off,
                asked => asked,
            }
        };
        let load = asked(problems, "load", &raw.load, outputs.load);
        let push = asked(problems, "push", &raw.push, outputs.push);
        let cache = CacheInputs::read(raw, env, problems);
        let mut settings = Settings {
            repository,
            pr_repository: problems.parse("pr-repository", text(raw.pr_repository.as_ref()).as_deref()),
            mode,
            call: call(problems, &word(raw.call.as_ref(), "build")),
            on_missing: problems.choice(
                "on-missing",
                &word(raw.on_missing.as_ref(), "build"),
                &[("build", OnMissing::Build), ("wait", OnMissing::Wait), ("fail", OnMissing::Fail)],
            ),
            wait_timeout: problems.duration("wait-timeout", &word(raw.wait_timeout.as_ref(), "10m")),
            builder: builder::read(raw, problems),
            reliability: reliability(raw, problems),
            access: AccessInputs {
                logins: logins(problems, list(&raw.logins)),
                aws_region: problems.checked("aws-region", text(raw.aws_region.as_ref()), grammar::region),
                ssm_parameter: text(raw.ssm_parameter.as_ref()),
            },
            report: ReportInputs {
                summary: problems.boolean("summary", &word(raw.summary.as_ref(), "true")),
                log: problems.choice(
                    "log",
                    &word(raw.log.as_ref(), "grouped"),
                    &[("grouped", LogStyle::Grouped), ("plain", LogStyle::Plain)],
                ),
                check_annotations: env.get(env::DOCKER_BUILD_CHECKS_ANNOTATIONS).and_then(go_bool)
                    != Some(false),
            },
            warnings: Vec::new(),
        };
        settings.check(problems);
        let key = key(raw, problems);
        builder::check_platforms(&settings.builder, &build.platforms, problems);
        settings.warnings = problems.take_warnings();
        let inputs = Self {
            settings: Arc::new(settings),
            // The stand-in is never seen: a missing or bad name is a problem noted above.
            image: image
                .or_else(|| "invalid".parse().ok())
                .ok_or_else(|| crate::error::Error::input("input `image`"))?,
            tags,
            left_out_tags: Vec::new(),
            digest,
            parts,
            rebuild,
            load,
            push,
            build,
            secrets,
            key,
            cache,
        };
        inputs.check_combinations(problems);
        std::mem::take(problems).finish().map(|()| inputs)
    }

    /// Puts the run's facts into `tags`. `now`: seconds since 1970, UTC.
    ///
    /// # Errors
    /// If what comes of an item is no tag.
    pub(crate) fn expand_tags(&mut self, run: &RunContext, now: u64) -> Result<()> {
        let tags = std::mem::take(&mut self.tags);
        (self.tags, self.left_out_tags) = user_tags::expand(tags, run, now)?;
        Ok(())
    }

    /// Every secret that the builder gets, with its value if it is not in a file.
    pub(crate) fn all_secrets(&self) -> impl Iterator<Item = (&Secret, Option<&SecretString>)> {
        self.build.all_secrets().map(|secret| (secret, self.secrets.of(secret)))
    }

    fn check_combinations(&self, problems: &mut Problems) {
        let files = self.key.scope == KeyScope::Files;
        if files && self.key.files.is_empty() {
            problems.add("key-files", "key files needs at least one pattern");
        }
        if !files && !self.key.files.is_empty() {
            problems.add("key-files", "only goes with key files");
        }
        if !self.build.exclude.is_empty() && matches!(self.build.context, ContextSource::Remote(_)) {
            problems.add("exclude", "does not go with a context that is a git repository: put the patterns into its .dockerignore, or check it out and name the folder");
        }
        if self.key.max_age.is_some_and(|age| age.as_secs() < 60) {
            problems.add("max-age", "must be at least 1m");
        }
    }
}

impl Settings {
    fn check(&self, problems: &mut Problems) {
        if self.pr_repository.as_ref().zip(self.repository.as_ref()).is_some_and(|(pr, main)| pr.is(main)) {
            problems.add("pr-repository", "is the same as repository: name another one, or leave it out");
        }
        if self.reliability.stall_timeout.is_some_and(|limit| limit.is_zero()) {
            problems.add("stall-timeout", "must be at least 1s, or off");
        }
    }
}

/// The value without white space around it; `default` where there is none.
fn word(value: Option<&String>, default: &str) -> String {
    value.map_or(default, |value| value.trim()).to_owned()
}

/// The value without white space around it; nothing where that leaves nothing.
fn text(value: Option<&String>) -> Option<String> {
    value.map(|value| value.trim()).filter(|value| !value.is_empty()).map(str::to_owned)
}

fn key(raw: &RawInputs, problems: &mut Problems) -> KeyInputs {
    KeyInputs {
        scope: problems.choice(
            "key",
            &word(raw.key.as_ref(), "auto"),
            &[
                ("auto", KeyScope::Auto),
                // Its name before it was the default.
                ("copied", KeyScope::Auto),
                ("context", KeyScope::Context),
                ("files", KeyScope::Files),
            ],
        ),
        files: raw.key_files.as_deref().map(items).unwrap_or_default(),
        ignore_args: ignore_args(problems, raw.key_ignore_args.as_deref().unwrap_or_default()),
        extra: text(raw.key_extra.as_ref()),
        max_age: text(raw.max_age.as_ref()).map(|age| problems.duration("max-age", &age)),
    }
}

fn reliability(raw: &RawInputs, problems: &mut Problems) -> ReliabilityInputs {
    ReliabilityInputs {
        policy: problems.choice(
            "registry-policy",
            &word(raw.registry_policy.as_ref(), "auto"),
            &[("auto", RegistryPolicy::Auto), ("required", RegistryPolicy::Required)],
        ),
        retries: problems.parse("retries", Some(&word(raw.retries.as_ref(), "3"))).unwrap_or_default(),
        timeout: text(raw.timeout.as_ref()).map(|timeout| problems.duration("timeout", &timeout)),
        stall_timeout: Some(word(raw.stall_timeout.as_ref(), "20m"))
            .filter(|limit| limit != "off")
            .map(|limit| problems.duration("stall-timeout", &limit)),
    }
}

fn call(problems: &mut Problems, text: &str) -> Call {
    match text {
        "build" => Call::Build,
        "check" => Call::Check,
        _ => {
            let instead = format!("a step of its own does it: docker buildx build --call={text}");
            problems.add("call", format!("`{text}` is not one of build, check; {instead}"));
            Call::Build
        }
    }
}

/// Arguments that BuildKit obeys are never left out of a key.
fn ignore_args(problems: &mut Problems, text: &str) -> Vec<String> {
    let names = comma_items(text);
    for name in &names {
        if name.contains('=') || name.contains(char::is_whitespace) {
            problems.add("key-ignore-args", "takes names of build arguments, without values");
        } else if name.starts_with("BUILDKIT_") {
            problems.add("key-ignore-args", format!("`{name}` says how the build is done: it counts"));
        }
    }
    names
}

/// A registry's host as references name it; `docker login` takes it as a URL too.
fn login_host(given: &str) -> String {
    let host = given.split_once("://").map_or(given, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default().to_ascii_lowercase();
    if canonical_host(&host) == "docker.io" { "docker.io".to_owned() } else { host }
}

/// `HOST USER VARIABLE` a line.
fn logins(problems: &mut Problems, lines: Vec<String>) -> Vec<Login> {
    let mut logins = Vec::new();
    for line in lines {
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            [host, user, password_env] => logins.push(Login {
                host: login_host(host),
                user: (*user).to_owned(),
                password_env: (*password_env).to_owned(),
            }),
            words => problems.add(
                "logins",
                format!("a line has {} words instead of three: HOST USER VARIABLE", words.len()),
            ),
        }
    }
    logins
}

#[cfg(test)]
mod tests;
