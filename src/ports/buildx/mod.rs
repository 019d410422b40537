//! Runs `docker buildx`: builds, makes builders. The arguments and answers are parsed in `buildkit`.

use std::cell::RefCell;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use crate::budget;
use crate::buildkit::failure::{classify, classify_at, classify_boot};
use crate::buildkit::{
    BuildMetadata, BuildSpec, Builder, BuildxVersion, Finding, NewBuilder, Progress, ProgressSummary,
    builder, checks, policy,
};
use crate::error::{Error, Result};
use crate::failure::{FailureClass, FailureKind};
use crate::inputs::{Driver, SecretValues};
use crate::ports::docker::Docker;
use crate::ports::exec::{Effect, ExecError, Invocation, Stream, from_exec, last_line};
use crate::secret::SecretString;

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

    /// Builds. Lines for people go to `log` as they come. `secrets` and `variables` are for this child alone.
    ///
    /// # Errors
    /// The classified failure; what the progress stream told until then is returned beside it.
    pub(crate) async fn build(
        &self,
        spec: &BuildSpec,
        version: &BuildxVersion,
        metadata: &std::path::Path,
        secrets: &SecretValues,
        variables: Vec<(&'static str, SecretString)>,
        mut log: impl FnMut(&[u8]),
    ) -> (Result<BuildMetadata>, ProgressSummary) {
        let progress = RefCell::new(Progress::new(version.has_rawjson()));
        let files = private_dockerfile(spec, metadata)
            .and_then(|with_ignore| Ok((with_ignore, private_policy(spec, metadata)?)));
        let (with_ignore, policy) = match files {
            Ok(files) => files,
            Err(error) => return (Err(error), progress.into_inner().into_summary()),
        };
        let args = with_ignore.as_ref().unwrap_or(spec).args(version, metadata);
        let mut build = self.command(Effect::Write).args(args);
        for (name, value) in spec.secret_env(secrets) {
            build = build.env(name, value);
        }
        let no_git = spec.needs_no_git() && !self.docker.exec().has_env("BUILDX_GIT_");
        let no_git = no_git.then(|| ("BUILDX_GIT_INFO", "false".to_owned().into()));
        let policy_file = policy.as_ref().map(|policy| policy.path().display().to_string().into());
        let policy_file = policy_file.map(|path| (policy::VARIABLE, path));
        for (name, value) in variables.into_iter().chain(no_git).chain(policy_file) {
            build = build.env(name, value);
        }
        let line = |stream, line: &[u8]| match stream {
            Stream::Stderr => progress.borrow_mut().line(line, &mut log),
            Stream::Stdout => log(line),
        };
        // A step may be silent for any time, if the builder still answers.
        let is_stalled = async || progress.borrow().waits() || !self.answers(spec.builder.as_deref()).await;
        let status = self.docker.exec().stream(&build, self.stall, line, is_stalled).await;
        let mut progress = progress.into_inner();
        progress.finish(&mut log);
        let result = match status {
            Ok(status) if status.success() => BuildMetadata::read(metadata),
            Ok(status) => Err(failed(&progress, status, spec)),
            Err(ExecError::Stalled { limit, .. }) => Err(hung(&progress, limit)),
            Err(error) => Err(from_exec(error)),
        };
        let mut summary = progress.into_summary();
        if result.is_ok() {
            // A failure on the way, such as a cache that is not there, did not matter.
            summary.failed = None;
        }
        (result, summary)
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
        if !version.has_checks() {
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
        let check = spec.secret_env(secrets).fold(check, |check, (name, value)| check.env(name, value));
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

/// Writes the source policy; `None` if the build needs none. The file is removed when dropped, because the policy names
/// sources by their whole URL, in which a password may be.
fn private_policy(spec: &BuildSpec, metadata: &std::path::Path) -> Result<Option<tempfile::NamedTempFile>> {
    use std::io::Write as _;
    if spec.sources.is_empty() && spec.images.is_empty() {
        return Ok(None);
    }
    let write = || {
        let folder = metadata.parent().unwrap_or(std::path::Path::new("."));
        let mut file =
            tempfile::Builder::new().prefix("source-policy-").suffix(".json").tempfile_in(folder)?;
        file.write_all(policy::policy(&spec.sources, &spec.images).to_string().as_bytes())?;
        Ok(file)
    };
    write().map(Some).map_err(|error: std::io::Error| {
        Error::new(FailureClass::Resource, "failed to write the source policy").because(&error)
    })
}

/// Makes the same build with a copy of the Dockerfile and this run's ignore file beside it, because BuildKit prefers
/// `<Dockerfile>.dockerignore` to the context's own. The copy keeps the file's name, which messages show. `None` if the
/// build uses the user's files as they are.
fn private_dockerfile(spec: &BuildSpec, metadata: &std::path::Path) -> Result<Option<BuildSpec>> {
    let Some(ignore) = &spec.ignore else { return Ok(None) };
    let failed = |error: std::io::Error| {
        Error::new(FailureClass::Resource, "failed to write the ignore file of the input exclude")
            .because(&error)
    };
    let given = spec.build.dockerfile();
    let folder = metadata.with_file_name("dockerfile");
    let mut file = folder.join(given.file_name().unwrap_or_default());
    fs_err::create_dir_all(&folder).map_err(failed)?;
    // Not copied with its permissions, which may forbid that a second attempt writes it again.
    budget::read_file(&given, budget::DOCKERFILE)
        .and_then(|text| fs_err::write(&file, text))
        .map_err(failed)?;
    let mut copied = spec.clone();
    copied.build.file = Some(file.clone());
    file.as_mut_os_string().push(".dockerignore");
    fs_err::write(&file, ignore).map_err(failed)?;
    Ok(Some(copied))
}

/// The error of a failed build, from buildx's last messages and the vertex that failed.
fn failed(progress: &Progress, status: ExitStatus, spec: &BuildSpec) -> Error {
    const WHAT: &str = "the build failed";
    let error = match (progress.error(), status.signal()) {
        (Some(text), _) => classify_at(WHAT, &text, progress.failed_phase()),
        // This program never sends SIGKILL to a build that it still waits for.
        (None, Some(9)) => classify(WHAT, "docker buildx was ended by a signal: killed"),
        (None, Some(signal)) => classify(WHAT, &format!("docker buildx was ended by signal {signal}")),
        (None, None) => classify(WHAT, "docker buildx said nothing"),
    };
    match progress.failed_at() {
        Some((file, line)) => error.at(as_given(&file, spec), line),
        None => error,
    }
}

/// The error of a build in which nothing moved for `limit`.
fn hung(progress: &Progress, limit: Duration) -> Error {
    let silent = if progress.waits() { "" } else { ", and the builder does not answer" };
    Error::of(FailureKind::Hang, "the build hangs")
        .cause(format!("nothing moved for {}s while {}{silent}", limit.as_secs(), progress.doing()))
        .hint(FailureKind::Hang.hint())
}

/// The Dockerfile's path as the user gave it, for the name in a message of BuildKit's, which has only the last part.
fn as_given(file: &str, spec: &BuildSpec) -> String {
    let given = spec.build.dockerfile();
    if given.file_name().is_some_and(|name| name == file) {
        given.display().to_string()
    } else {
        file.to_owned()
    }
}
