//! Talks to the local engine: reads on the way of a hit by its socket, everything else through the docker CLI.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind::NotFound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::budget::{ENGINE_QUESTION, LISTED, more_than};
use crate::buildkit::failure::classify;
use crate::buildkit::{Engine, LocalImage};
use crate::error::{Error, Result};
use crate::failure::{FailureClass, FailureKind};
use crate::image::{ImageReference, Platform, triggers};
use crate::ports::docker_config::{Credential, PrivateDockerConfig, UserDockerConfig};
use crate::ports::engine::{Answer, EngineSocket, image_path};
use crate::ports::exec::{Completed, Effect, Exec, ExecError, Invocation, from_exec, last_line};

mod store;

/// How long a question to the engine may take.
const QUESTION: Duration = Duration::from_secs(30);
/// How often a list is asked for.
const LISTS: usize = 3;
/// How long a pull may take: a large image on a slow line.
const PULL_IMAGE: Duration = Duration::from_hours(2);

/// The docker CLI.
#[derive(Clone, Debug)]
pub(crate) struct Docker {
    /// `None` if this machine has buildx without docker.
    program: Option<PathBuf>,
    /// The plug-in; `None` if docker must find it.
    buildx: Option<PathBuf>,
    exec: Exec,
    /// The engine's socket; `None` if only the CLI can reach the engine.
    engine: Option<EngineSocket>,
    /// The configuration of this run alone, with its credentials.
    logins: Option<Arc<PrivateDockerConfig>>,
}

impl Docker {
    /// Finds docker on the `PATH`, and the buildx plug-in where docker looks for it. buildx without docker can build by a
    /// remote builder; commands of docker itself then fail.
    ///
    /// # Errors
    /// If neither is there.
    pub(crate) fn find(exec: Exec, config: &UserDockerConfig, engine: Option<EngineSocket>) -> Result<Self> {
        let (program, plugin) = (exec.find("docker"), config.plugin("buildx"));
        let alone = || exec.find("buildx").or_else(|| exec.find("docker-buildx"));
        let buildx = if program.is_some() { plugin } else { plugin.or_else(alone) };
        if program.is_none() && buildx.is_none() {
            return Err(Error::of(FailureKind::ToolMissing, "failed to find docker on the PATH")
                .hint("install docker with the buildx plug-in on this runner"));
        }
        // Without the CLI its errors tell what is missing.
        let engine = engine.filter(|_| program.is_some());
        Ok(Self { program, buildx, exec, engine, logins: None })
    }

    /// A docker that is not there: every command fails.
    #[must_use]
    pub(crate) const fn absent(exec: Exec) -> Self {
        Self { program: None, buildx: None, exec, engine: None, logins: None }
    }

    /// The same docker, started by `exec`.
    #[must_use]
    pub(crate) fn with_exec(&self, exec: Exec) -> Self {
        Self { exec, ..self.clone() }
    }

    /// The same docker with a configuration of this run's own, which lives as long as any docker
    /// that uses it.
    #[must_use]
    pub(crate) fn with_logins(&self, logins: Arc<PrivateDockerConfig>) -> Self {
        Self { exec: logins.exec(&self.exec), logins: Some(logins), ..self.clone() }
    }

    /// The same docker, which asks the engine by the CLI alone.
    #[must_use]
    pub(crate) fn by_cli(&self) -> Self {
        Self { engine: None, ..self.clone() }
    }

    /// Replaces the credentials in the run's own configuration, if there is one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn renew_logins(&self, credentials: &BTreeMap<String, Credential>) -> Result<()> {
        self.logins.as_ref().map_or(Ok(()), |logins| logins.renew(credentials))
    }

    /// Starts docker's processes.
    #[must_use]
    pub(crate) const fn exec(&self) -> &Exec {
        &self.exec
    }

    /// A docker command.
    #[must_use]
    pub(crate) fn command(&self, effect: Effect) -> Invocation {
        Invocation::new(self.program.as_deref().unwrap_or(Path::new("docker")), effect)
    }

    /// A buildx command. If the plug-in is known, it is started by itself, which is faster: docker would start it twice, for
    /// its metadata and for the command, and look at every other plug-in first.
    #[must_use]
    pub(crate) fn buildx(&self, effect: Effect) -> Invocation {
        match &self.buildx {
            Some(plugin) => Invocation::new(plugin, effect),
            None => self.command(effect).arg("buildx"),
        }
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// If it cannot be started, is cancelled or takes too long.
    pub(crate) async fn run(&self, invocation: &Invocation, limit: Duration) -> Result<Completed> {
        self.exec.output(invocation, limit).await.map_err(|error| self.failed(error))
    }

    /// The error of a command that did not run to its end.
    fn failed(&self, error: ExecError) -> Error {
        match (&self.program, &self.buildx, &error) {
            (None, Some(buildx), ExecError::Start { source, .. }) if source.kind() == NotFound => {
                Error::of(FailureKind::ToolMissing, "failed to find docker on the PATH")
                    .cause(format!("{} is there alone, which builds by a remote builder", buildx.display()))
                    .hint(
                        "install docker; or push to a repository, leave load out, and name a remote builder: \
                         driver: remote and endpoints",
                    )
            }
            _ => from_exec(error),
        }
    }

    /// Asks the engine's socket, if there is one.
    async fn ask<T>(
        &self,
        path: &str,
        limit: Duration,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Answer<T>> {
        match &self.engine {
            Some(engine) => engine.get(&self.exec, path, limit, read).await,
            None => Ok(Answer::Unknown),
        }
    }

    /// Asks the engine's socket for an image by name or id.
    async fn ask_for_image(&self, name: &str) -> Result<Answer<Value>> {
        match image_path(name) {
            Some(path) => {
                self.ask(&path, ENGINE_QUESTION, |image| image["Id"].is_string().then(|| image.clone())).await
            }
            None => Ok(Answer::Unknown),
        }
    }

    /// What the engine tells of an image of its store, by name or id; `None` if there is none.
    ///
    /// # Errors
    /// If the engine does not answer.
    async fn image(&self, name: &str) -> Result<Option<Value>> {
        match self.ask_for_image(name).await? {
            Answer::Found(image) => return Ok(Some(image)),
            Answer::Missing => return Ok(None),
            Answer::Unknown => {}
        }
        let inspect = self.command(Effect::Read).args(["image", "inspect", name]);
        let done = self.run(&inspect, QUESTION).await?;
        if done.status.success() {
            let images: Option<[Value; 1]> = serde_json::from_slice(&done.stdout).ok();
            return Ok(images.map(|[image]| image));
        }
        if done.stderr_text().to_ascii_lowercase().contains("no such image") {
            return Ok(None);
        }
        Err(engine_error("failed to look at an image of the engine's", &done))
    }

    /// An image of the engine's store by name or id.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn inspect(&self, name: &str) -> Result<Option<LocalImage>> {
        Ok(self.image(name).await?.and_then(|image| LocalImage::read(name, &image)))
    }

    /// A label of an image of the engine's store.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn label(&self, name: &str, label: &str) -> Result<Option<String>> {
        let image = self.image(name).await?.unwrap_or_default();
        Ok(image["Config"]["Labels"][label].as_str().map(str::to_owned))
    }

    /// The `ONBUILD` instructions of an image of the engine's store; `None` if there is no such image.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn triggers(&self, name: &str) -> Result<Option<Vec<String>>> {
        let image = self.image(name).await?.unwrap_or_default();
        Ok(image["Config"].is_object().then(|| triggers(&image["Config"])))
    }

    /// Fetches an image by digest; of an index the one for `platform`, else for the engine's own.
    ///
    /// # Errors
    /// With the engine's message.
    pub(crate) async fn pull(
        &self,
        reference: &ImageReference,
        platform: Option<&Platform>,
        mut line: impl FnMut(&[u8]),
    ) -> Result<()> {
        let platform = platform.map(|platform| format!("--platform={platform}"));
        let pull = self.command(Effect::Write).arg("pull").args(platform).arg(reference.to_string());
        let mut last = String::new();
        let keep = |_, text: &[u8]| {
            String::from_utf8_lossy(text).trim().clone_into(&mut last);
            line(text);
        };
        let streamed = self.exec.stream(&pull, None, keep, async || false);
        let status = tokio::time::timeout(PULL_IMAGE, streamed)
            .await
            .map_err(|_| Error::of(FailureKind::Hang, format!("the pull of {reference} did not end")))?
            .map_err(|error| self.failed(error))?;
        if status.success() {
            return Ok(());
        }
        Err(classify(&format!("failed to pull {reference}"), &last))
    }

    /// Gives an image of the engine's store another name.
    ///
    /// # Errors
    /// With the engine's message.
    pub(crate) async fn tag(&self, image: &str, name: &str) -> Result<()> {
        let done = self.run(&self.command(Effect::Write).args(["tag", image, name]), QUESTION).await?;
        if done.status.success() {
            Ok(())
        } else {
            Err(engine_error(&format!("failed to tag the image as {name}"), &done))
        }
    }

    async fn listed<T: FromIterator<String>>(&self, command: &[&str], what: &str) -> Result<T> {
        let done = self.list(&self.command(Effect::Read).args(command), QUESTION, what).await?;
        listed(&done.stdout, what)
    }

    /// Runs a command that lists what the engine has, up to three times: the engine refuses a list if another job
    /// removes meanwhile what is in it.
    ///
    /// # Errors
    /// With the engine's message.
    async fn list(&self, command: &Invocation, limit: Duration, what: &str) -> Result<Completed> {
        let mut lists = 0;
        loop {
            let done = self.run(command, limit).await?;
            lists += 1;
            if done.status.success() {
                return Ok(done);
            }
            let said = done.stderr_text().to_ascii_lowercase();
            let is_gone = ["not found", "does not exist", "no such"].iter().any(|gone| said.contains(gone));
            if lists == LISTS || !is_gone {
                return Err(engine_error(what, &done));
            }
        }
    }

    /// Names of all containers, running or not, whose name begins so.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn containers(&self, prefix: &str) -> Result<Vec<String>> {
        let what = "failed to list the engine's containers";
        let filter = format!("name=^/{prefix}");
        self.listed(&["container", "ls", "--all", "--format", "{{.Names}}", "--filter", &filter], what).await
    }

    /// Names of all volumes whose name begins so.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn volumes(&self, prefix: &str) -> Result<BTreeSet<String>> {
        let what = "failed to list the engine's volumes";
        let filter = format!("name=^{prefix}");
        self.listed(&["volume", "ls", "--quiet", "--filter", &filter], what).await
    }

    /// Makes a volume; one that is there stays as it is.
    ///
    /// # Errors
    /// With the engine's message.
    pub(crate) async fn create_volume(&self, name: &str) -> Result<()> {
        let done = self.run(&self.command(Effect::Write).args(["volume", "create", name]), QUESTION).await?;
        if done.status.success() {
            Ok(())
        } else {
            Err(engine_error(&format!("failed to make the volume {name}"), &done))
        }
    }

    /// Removes a container and the volume of a builder that was in it.
    ///
    /// # Errors
    /// With the engine's message.
    pub(crate) async fn remove_builder_container(&self, name: &str) -> Result<()> {
        let remove = ["container", "rm", "--force", "--volumes", name];
        let done = self.run(&self.command(Effect::Write).args(remove), QUESTION).await?;
        if !done.status.success() {
            return Err(engine_error(&format!("failed to remove the container {name}"), &done));
        }
        let volume = format!("{name}_state");
        let remove = ["volume", "rm", "--force", &volume];
        let done = self.run(&self.command(Effect::Write).args(remove), QUESTION).await?;
        if done.status.success() {
            Ok(())
        } else {
            Err(engine_error(&format!("failed to remove the volume {volume}"), &done))
        }
    }

    /// Tells whether the kernel has killed a process of the container for want of memory: the container's limit in bytes, 0
    /// for none; `None` if it has not, or if that is not known.
    pub(crate) async fn killed_for_memory(&self, container: &str) -> Option<u64> {
        let format =
            ["container", "inspect", "--format", "{{.State.OOMKilled}} {{.HostConfig.Memory}}", container];
        let done = self.run(&self.command(Effect::Read).args(format), QUESTION).await.ok()?;
        let text = done.stdout_text();
        let (killed, limit) = text.trim().split_once(' ')?;
        if killed == "true" { limit.parse().ok() } else { None }
    }

    /// The engine's version and abilities.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn engine(&self) -> Result<Engine> {
        if let Answer::Found(engine) = self.ask("/info", ENGINE_QUESTION, Engine::read).await? {
            return Ok(engine);
        }
        let info = self.command(Effect::Read).args(["info", "--format", "{{json .}}"]);
        let done = self.run(&info, QUESTION).await?;
        if let Some(engine) = Engine::parse(&done.stdout).filter(|_| done.status.success()) {
            return Ok(engine);
        }
        let facts: Value = serde_json::from_slice(&done.stdout).unwrap_or_default();
        // docker prints the engine's error as a member of its facts.
        let said = facts["ServerErrors"][0].as_str().map(str::to_owned);
        let error = Error::of(FailureKind::ToolMissing, "failed to reach the docker engine");
        Err(error
            .cause(said.unwrap_or_else(|| last_line(&done)))
            .hint("start the docker engine, or point DOCKER_HOST at one"))
    }
}

/// The names that docker listed, one a line. `what` begins the error if there are too many.
///
/// # Errors
/// If there are more than [`LISTED`].
pub fn listed<T: FromIterator<String>>(answer: &[u8], what: &str) -> Result<T> {
    let text = String::from_utf8_lossy(answer);
    if text.lines().count() > LISTED {
        let error = Error::new(FailureClass::Unavailable, what).cause(more_than(LISTED, "names"));
        return Err(error.hint("remove what old builders left: docker buildx rm, docker volume prune"));
    }
    Ok(text.lines().map(str::to_owned).collect())
}

fn engine_error(what: &str, done: &Completed) -> Error {
    classify(what, &last_line(done))
}
