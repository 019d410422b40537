//! The adapters to the outside: each outside system has one module here, and no other code reaches it.

pub(crate) mod actions;
pub(crate) mod aws;
mod aws_errors;
mod aws_http;
pub(crate) mod buildx;
pub(crate) mod clock;
pub(crate) mod console;
pub(crate) mod disk;
pub(crate) mod docker;
pub(crate) mod docker_config;
pub(crate) mod ecr;
pub(crate) mod ecr_set_up;
pub(crate) mod engine;
pub(crate) mod exec;
pub(crate) mod fetch;
pub(crate) mod git;
pub(crate) mod github;
pub(crate) mod host;
mod http;
pub(crate) mod identity;
pub(crate) mod lineages;
pub(crate) mod local_cache;
pub(crate) mod metadata;
pub(crate) mod oidc;
mod once;
pub(crate) mod proxies;
pub(crate) mod random;
pub(crate) mod reach;
pub(crate) mod registry;
pub(crate) mod s3;
mod signed;
pub(crate) mod temporary;
pub(crate) mod tls;
pub(crate) mod trace;

use std::cell::OnceCell;
use std::collections::BTreeSet;

use crate::env::Env;
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::image::{Digest, ImageReference};
use crate::inputs::{ImageRequest, Mode, Request};
use crate::secret::SecretString;

/// The right to write outside this program. Code that gathers facts or decides has none, so it can only read;
/// `clippy.toml` names the code that may grant it.
#[derive(Clone, Copy, Debug)]
pub struct Writes(());

impl Writes {
    /// Grants the right, for the execution of a plan alone.
    #[must_use]
    pub const fn granted() -> Self {
        Self(())
    }
}

/// All adapters, set up for one run. Without [`Writes`] they only read.
pub(crate) struct Ports {
    /// The environment, for the paths and variables that other ports need.
    pub env: Env,
    /// The log.
    pub console: console::Console,
    pub aws: aws::Aws,
    /// The registries.
    pub registry: registry::Registry,
    /// The user's docker configuration.
    pub user_config: docker_config::UserDockerConfig,
    /// The engine's socket; `None` if only the docker CLI can reach the engine.
    engine: Option<engine::EngineSocket>,
    /// Starts processes.
    pub exec: exec::Exec,
    /// Logins and settings for remote repositories.
    pub remotes: git::Remotes,
    github_token: Option<SecretString>,
    retries: u32,
    /// True if the run asks no engine.
    without_engine: bool,
    github: OnceCell<Result<github::GitHub>>,
    first_parents: tokio::sync::OnceCell<Option<Vec<String>>>,
    digests: once::Once<ImageReference, Digest, registry::Resolve>,
    triggers: once::Once<(ImageReference, Vec<String>), Triggers, Error>,
}

/// The different lists of `ONBUILD` instructions of an image.
type Triggers = BTreeSet<Vec<String>>;

/// The folder in which docker keeps the certificates of registries. A test of a debug build can name another one.
fn certificates(env: &Env) -> &str {
    let elsewhere = env.get(crate::env::BUILD_ONCE_TEST_CERTIFICATES).filter(|_| cfg!(debug_assertions));
    elsewhere.unwrap_or(tls::FOLDER)
}

/// The debug log, if it is on.
fn trace(console: &console::Console) -> trace::Trace {
    if !console.has_debug() {
        return trace::Trace::default();
    }
    let console = console.clone();
    trace::Trace::to(move |text| console.debug(text))
}

/// Starts processes that only read, before the inputs of the images are known.
#[must_use]
pub(crate) fn reading_exec(env: &Env, console: &console::Console, cancel: exec::CancelSignal) -> exec::Exec {
    exec::Exec::new(env, cancel).traced(trace(console))
}

impl Ports {
    /// Sets the adapters up; no request is sent yet.
    #[must_use]
    pub(crate) fn new(
        request: &Request,
        env: &Env,
        console: console::Console,
        cancel: exec::CancelSignal,
    ) -> Self {
        let all_secrets = || request.images.iter().flat_map(ImageRequest::all_secrets);
        let passwords =
            request.settings.access.logins.iter().filter_map(|login| env.get(&login.password_env));
        let secrets = all_secrets().filter_map(|(_, value)| Some(value?.expose()));
        // Child processes do not get these as variables of docker's, such as `DOCKER_PASSWORD`.
        let withheld: Vec<&str> = passwords.chain(secrets).collect();
        let exec = exec::Exec::new(env, cancel).withholding(&withheld).traced(trace(&console));
        let proxies = proxies::Proxies::new(env);
        let aws = aws::Aws::new(request.settings.access.aws_region.clone(), &proxies);
        let user_config = docker_config::UserDockerConfig::load(env);
        let credentials = registry::Credentials::new(
            &request.settings.access.logins,
            env,
            aws.clone(),
            user_config.clone(),
            exec.clone(),
            console.clone(),
        );
        let registry = registry::Registry::new(
            credentials,
            request.settings.reliability.retries,
            proxies,
            certificates(env).into(),
            exec.clone(),
        );
        let remotes = git::Remotes::new(all_secrets(), env);
        Self {
            env: env.clone(),
            console,
            aws,
            registry,
            engine: engine::EngineSocket::find(env, &user_config),
            user_config,
            exec,
            remotes,
            github_token: request.settings.access.github_token.clone(),
            retries: request.settings.reliability.retries,
            without_engine: request.settings.mode == Mode::Plan,
            github: OnceCell::new(),
            first_parents: tokio::sync::OnceCell::new(),
            digests: once::Once::default(),
            triggers: once::Once::default(),
        }
    }

    /// Forgets what was learnt of the images that others are built on, because images have been deleted meanwhile.
    pub(crate) fn forget_bases(&self) {
        self.digests.clear();
        self.triggers.clear();
    }

    /// The digest of an image that others are built on; the same for all images of the run.
    ///
    /// # Errors
    /// As [`registry::Registry::resolve`].
    pub(crate) async fn digest(&self, base: &ImageReference) -> Result<Digest, registry::Resolve> {
        self.digests.get(base.clone(), async || self.registry.resolve(base).await).await
    }

    /// The `ONBUILD` instructions of an image that others are built on.
    ///
    /// # Errors
    /// As [`registry::Registry::triggers`].
    pub(crate) async fn triggers(
        &self,
        base: &ImageReference,
        platforms: &[String],
    ) -> Result<Triggers, Error> {
        let question = (base.clone(), platforms.to_vec());
        self.triggers.get(question, async || self.registry.triggers(base, platforms).await).await
    }

    /// The commits before the one that is checked out, as [`git::MOST_PARENTS`] says; all images of a run share one answer.
    pub(crate) async fn first_parents(&self) -> Option<&[String]> {
        self.first_parents.get_or_init(|| git::first_parents(&self.exec)).await.as_deref()
    }

    /// GitHub's API, with the input `github-token`; `None` without one. It is made when it is first asked for.
    ///
    /// # Errors
    /// If its address is not safe, or TLS cannot be set up.
    pub(crate) fn github(&self) -> Option<Result<&github::GitHub, Error>> {
        let token = self.github_token.clone()?;
        let proxies = || proxies::Proxies::new(&self.env);
        let github =
            self.github.get_or_init(|| github::GitHub::new(&self.env, Some(token), self.retries, &proxies()));
        Some(github.as_ref().map_err(Clone::clone))
    }

    /// docker with the user's own configuration, for reads.
    ///
    /// # Errors
    /// If docker is not on the `PATH`, and with `mode: plan`.
    pub(crate) fn docker(&self) -> Result<docker::Docker> {
        if self.without_engine {
            return Err(Error::of(FailureKind::ToolMissing, "mode plan asks no engine"));
        }
        docker::Docker::find(self.exec.clone(), &self.user_config, self.engine.clone())
    }

    /// docker with the user's own configuration, for writes too.
    ///
    /// # Errors
    /// As for [`Self::docker`].
    pub(crate) fn writing_docker(&self, writes: Writes) -> Result<docker::Docker> {
        docker::Docker::find(self.exec.writing(writes), &self.user_config, self.engine.clone())
    }
}
