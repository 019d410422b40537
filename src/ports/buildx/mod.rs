//! Runs `docker buildx`: builds, makes builders. The arguments and answers are parsed in `buildkit`.

mod bake;
mod built;
mod command;

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use crate::buildkit::failure::{classify, classify_boot};
use crate::buildkit::{
    BuildSpec, Builder, BuildxVersion, Feature, Finding, NewBuilder, Progress, builder, checks, policy,
};
use crate::error::{Error, Result};
use crate::failure::{FailureClass, FailureKind};
use crate::inputs::{Driver, SecretValues};
use crate::ports::docker::Docker;
use crate::ports::exec::{Effect, ExecError, Invocation, Stream, from_exec, last_line};
use crate::secret::SecretString;

pub(crate) use built::Built;
use built::{failed, hung};
use command::{Command, OF_BAKE, OF_SEVERAL};

/// A build with the values of its secrets.
#[derive(Clone, Copy)]
pub(crate) struct Build<'a> {
    pub spec: &'a BuildSpec,
    /// The secrets of an image of the run, by its name.
    pub secrets: &'a dyn Fn(&str) -> Option<&'a SecretValues>,
    /// The file for buildx's metadata of this image.
    pub metadata: &'a Path,
}

/// The buildx plug-in of a docker CLI.
#[derive(Clone, Debug)]
pub(crate) struct Buildx {
    docker: Docker,
    /// How long a builder may be silent while it boots, pushes or packs.
    stall: Option<Duration>,
}

/// How long a question to buildx may take.
const QUESTION: Duration = Duration::from_secs(30);
/// How long a builder may take to boot, the pull of its image included.
const BOOT_BUILDER: Duration = Duration::from_mins(5);

impl Buildx {
    /// The plug-in of this docker.
    #[must_use]
    pub(crate) const fn new(docker: Docker) -> Self {
        Self { docker, stall: None }
    }

    /// The same with a limit of silence: for builders that boot, and for builds in which no step of the Dockerfile runs. A step
    /// may be silent for any time.
    #[must_use]
    pub(crate) const fn with_stall(mut self, stall: Option<Duration>) -> Self {
        self.stall = stall;
        self
    }

    fn command(&self, effect: Effect) -> Invocation {
        self.docker.buildx(effect)
    }

    /// buildx's version.
    ///
    /// # Errors
    /// If docker has no buildx.
    pub(crate) async fn version(&self) -> Result<BuildxVersion> {
        let done = self.docker.run(&self.command(Effect::Read).arg("version"), QUESTION).await?;
        if !done.status.success() {
            return Err(Error::of(FailureKind::ToolMissing, "failed to find docker buildx")
                .cause(last_line(&done))
                .hint("install the docker-buildx plug-in; on hosted runners it is there"));
        }
        let text = done.stdout_text();
        BuildxVersion::parse(&text).ok_or_else(|| {
            Error::of(FailureKind::ToolTooOld, "failed to read the version of docker buildx")
                .cause(text.trim().to_owned())
        })
    }

    /// The builder with this name, or the current one.
    ///
    /// # Errors
    /// If there is none, or it does not answer.
    pub(crate) async fn builder(&self, name: Option<&str>) -> Result<Builder> {
        let done = self.docker.run(&self.command(Effect::Read).arg("inspect").args(name), QUESTION).await?;
        if !done.status.success() {
            let what = name.map_or_else(
                || "failed to look at the builder".to_owned(),
                |n| format!("failed to look at the builder {n}"),
            );
            return Err(Error::of(FailureKind::UnsupportedDriver, what)
                .cause(last_line(&done))
                .hint("docker buildx ls shows the builders there are"));
        }
        Builder::parse(&done.stdout_text())
            .ok_or_else(|| Error::of(FailureKind::ToolTooOld, "failed to read docker buildx inspect"))
    }

    /// Tells whether a builder answers; false only if it is certain that none of its nodes does.
    async fn answers(&self, name: Option<&str>) -> bool {
        match self.docker.run(&self.command(Effect::Read).arg("inspect").args(name), QUESTION).await {
            Ok(done) => !builder::is_silent(&done.stdout_text()),
            Err(error) => !error.is(FailureKind::Hang),
        }
    }

    /// Makes a builder and boots it. `shared`: its name stands for its settings, and another run
    /// may make it at the same moment.
    ///
    /// # Errors
    /// If it does not boot; what was made of it is removed.
    pub(crate) async fn create_builder(&self, new: &NewBuilder, shared: bool) -> Result<()> {
        let mut result = Ok(());
        for command in new.commands() {
            result = self.step_of_creation(self.command(Effect::Write).args(command)).await;
            if result.is_err() {
                break;
            }
        }
        if shared && result.as_ref().is_err_and(|error| error.class != FailureClass::Interrupted) {
            // Another process may have been first: then the builder boots, or has booted.
            let boot = self.command(Effect::Write).args(["inspect", "--bootstrap", &new.name]);
            if self.step_of_creation(boot).await.is_ok() {
                return Ok(());
            }
        }
        if result.is_err() {
            // buildx may have noted the builder before its boot failed.
            self.remove_builder(&new.name).await.ok();
        }
        result.map_err(|error| match (error.class, new.driver) {
            // These have a hint of their own.
            (FailureClass::Interrupted | FailureClass::Input, _) | (_, Driver::DockerContainer) => error,
            (_, Driver::Remote) => error
                .hint("is BuildKit up at every address in the input endpoints, and the certificate right?"),
            (_, Driver::Kubernetes) => {
                error.hint("check the cluster's context (KUBECONFIG), its rights, and the input driver-opts")
            }
        })
    }

    /// Runs one of the commands that make a builder.
    async fn step_of_creation(&self, command: Invocation) -> Result<()> {
        let done = self
            .docker
            .run(&command, self.stall.map_or(BOOT_BUILDER, |stall| stall.min(BOOT_BUILDER)))
            .await?;
        if done.status.success() {
            return Ok(());
        }
        Err(classify_boot(&last_line(&done)))
    }

    /// Removes a builder, also after a cancellation.
    ///
    /// # Errors
    /// With buildx's message.
    pub(crate) async fn remove_builder(&self, name: &str) -> Result<()> {
        let docker = self.docker.with_exec(self.docker.exec().uncancellable());
        let done = docker.run(&self.command(Effect::Write).args(["rm", "--force", name]), QUESTION).await?;
        if done.status.success() {
            Ok(())
        } else {
            Err(classify("failed to remove the builder", &last_line(&done)))
        }
    }

    /// Starts a process that removes the builder and outlives this program, when there is no time to wait.
    pub(crate) fn abandon_builder(&self, name: &str) {
        // If that fails too, the next run removes the builder.
        self.docker.exec().detach(&self.command(Effect::Write).args(["rm", "--force", name])).ok();
    }

    /// Builds, several images in one go. Lines for people go to `log` as they come. `variables` are for this child alone.
    pub(crate) async fn build(
        &self,
        builds: &[Build<'_>],
        version: &BuildxVersion,
        variables: Vec<(&'static str, SecretString)>,
        mut log: impl FnMut(&[u8]),
    ) -> Built {
        let mut command = match Command::new(builds, version) {
            Ok(command) => command,
            Err(error) => return Built::not_begun(error, builds.len()),
        };
        let progress =
            RefCell::new(Progress::new(version.has(Feature::RawJson)).of_targets(command.targets()));
        let mut build = self.command(Effect::Write).args(std::mem::take(&mut command.args));
        for (name, value) in command.secrets.drain(..) {
            build = build.env(name, value);
        }
        let needs_no_git =
            builds.iter().flat_map(|build| build.spec.with_linked()).all(BuildSpec::needs_no_git);
        let no_git = needs_no_git && !self.docker.exec().has_env("BUILDX_GIT_");
        let no_git = no_git.then(|| ("BUILDX_GIT_INFO", "false".to_owned().into()));
        let policy_file = command.policy.as_ref().map(|policy| policy.path().display().to_string().into());
        let policy_file = policy_file.map(|path| (policy::VARIABLE, path));
        let of_bake =
            command.bake.iter().flat_map(|_| OF_BAKE).chain((builds.len() > 1).then_some(OF_SEVERAL));
        let of_bake = of_bake.map(|(name, value)| (name, value.to_owned().into()));
        for (name, value) in variables.into_iter().chain(no_git).chain(policy_file).chain(of_bake) {
            build = build.env(name, value);
        }
        let line = |stream, line: &[u8]| match stream {
            Stream::Stderr => progress.borrow_mut().line(line, &mut log),
            Stream::Stdout => log(line),
        };
        let builder = builds.first().and_then(|build| build.spec.builder.as_deref());
        // A step may be silent for any time, if the builder still answers.
        let is_stalled = async || progress.borrow().waits() || !self.answers(builder).await;
        let status = self.docker.exec().stream(&build, self.stall, line, is_stalled).await;
        let mut progress = progress.into_inner();
        progress.finish(&mut log);
        let result = match status {
            Ok(status) if status.success() => command.metadata(builds),
            Ok(status) => Err(failed(&progress, status, builds)),
            Err(ExecError::Stalled { limit, .. }) => Err(hung(&progress, limit)),
            Err(error) => Err(from_exec(error)),
        };
        Built::of(result, progress, builds)
    }

    /// Runs the checks of the Dockerfile, and nothing else.
    ///
    /// # Errors
    /// If they cannot be run, or the Dockerfile cannot be read to its end.
    pub(crate) async fn check(
        &self,
        spec: &BuildSpec,
        version: &BuildxVersion,
        secrets: &SecretValues,
    ) -> Result<Vec<Finding>> {
        const WHAT: &str = "the Dockerfile's checks could not be run";
        if !version.has(Feature::Checks) {
            return Err(Error::new(FailureClass::Unsupported, WHAT)
                .cause("docker buildx is older than 0.15")
                .hint("update docker buildx, or leave the input call out"));
        }
        // The arguments of a build name a file for metadata; a check writes none.
        let unwritten = std::env::temp_dir().join("unused");
        let mut args = spec.args(version, &unwritten);
        // After `build`.
        args.insert(1, "--call=check,format=json".to_owned());
        let check = self.command(Effect::Read).args(args);
        let check = spec.secret_env(0, secrets).fold(check, |check, (name, value)| check.env(name, value));
        let done = self.docker.run(&check, BOOT_BUILDER).await?;
        let (found, broken) = match checks::parse(&done.stdout) {
            Ok(read) => read,
            Err(_) if done.status.success() => {
                return Err(
                    Error::new(FailureClass::Unsupported, WHAT).cause("docker buildx printed no JSON")
                );
            }
            Err(_) => return Err(classify(WHAT, &last_line(&done))),
        };
        match broken {
            None => Ok(found),
            Some(broken) => {
                let error = Error::new(FailureClass::Build, WHAT).cause(broken.text);
                let file = spec.build.dockerfile().display().to_string();
                Err(broken.line.map_or_else(|| error.clone(), |line| error.clone().at(file, line)))
            }
        }
    }
}
