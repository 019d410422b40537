//! The words that inputs are made of, and the groups they stand in.

use std::path::PathBuf;
use std::time::Duration;

use crate::image::Platform;

/// What the run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Find the image, else build it.
    Build,
    /// Make the image available locally.
    Pull,
    /// Make one index of platforms that were built apart.
    Merge,
}

/// A switch the plan may decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// The plan decides.
    Auto,
    /// Asked for.
    On,
    /// Ruled out.
    Off,
}

/// What `mode: pull` does about an image that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnMissing {
    /// Build it, and say so.
    Build,
    /// Ask again until `wait-timeout`.
    Wait,
    Fail,
}

/// What the key covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyScope {
    /// What the reached instructions take, where that is certain; else the whole context.
    Auto,
    /// The whole context after `.dockerignore`.
    Context,
    /// The files that `key-files` names.
    Files,
}

/// When the cache is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheWrite {
    /// By the run's trust; a pull request does not write.
    Auto,
    /// A pull request writes its own too.
    Always,
    Never,
}

/// What an unreachable registry means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RegistryPolicy {
    /// Build locally and say so.
    Auto,
    /// Fail.
    Required,
}

/// How the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogStyle {
    /// Folded groups.
    Grouped,
    /// One flat log.
    Plain,
}

/// A login: the password stays in the environment until it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    /// The registry's host.
    pub host: String,
    /// The user's name there.
    pub user: String,
    /// The environment variable with the password.
    pub password_env: String,
}

#[derive(Clone, Debug)]
pub struct KeyInputs {
    /// What it covers.
    pub scope: KeyScope,
    /// Globs, for [`KeyScope::Files`].
    pub files: Vec<String>,
    /// Build arguments whose values do not count, by name.
    pub ignore_args: Vec<String>,
    /// More text that counts.
    pub extra: Option<String>,
    /// Longest an image may be used.
    pub max_age: Option<Duration>,
}

/// Drivers of a builder that is made. BuildKit inside the engine (`docker`) is never made, only
/// found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Driver {
    /// BuildKit in a container of this machine's engine.
    DockerContainer,
    /// BuildKit that runs elsewhere already.
    Remote,
    /// BuildKit in pods that are made for it.
    Kubernetes,
}

impl Driver {
    /// buildx's name of it.
    #[must_use]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::DockerContainer => "docker-container",
            Self::Remote => "remote",
            Self::Kubernetes => "kubernetes",
        }
    }
}

/// A node of a remote builder: where its BuildKit listens, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Endpoint {
    /// `tcp://HOST:PORT`, `unix://PATH`, `ssh://USER@HOST` and what else buildx dials.
    pub address: String,
    /// Platforms that it builds; without any, those it says itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
    /// Driver options of this node alone: `cacert`, `cert`, `key` (absolute paths),
    /// `servername`, `default-load`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<(String, String)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct BuilderInputs {
    /// An existing one, by name.
    pub name: Option<String>,
    /// Make one of this driver, whatever is at hand.
    pub driver: Option<Driver>,
    /// Options for a new one.
    pub driver_opts: Vec<String>,
    /// Nodes of a remote one.
    pub endpoints: Vec<Endpoint>,
    /// BuildKit's image for a new one.
    pub image: Option<String>,
    /// BuildKit's configuration for a new one.
    pub config: Option<PathBuf>,
    /// Leave a new one behind.
    pub keep: bool,
}

/// Inputs about what goes wrong.
#[derive(Clone, Debug)]
pub(crate) struct ReliabilityInputs {
    /// What an unreachable registry means.
    pub policy: RegistryPolicy,
    /// Further tries of a step that may work the next time.
    pub retries: u32,
    /// Time limit of the run.
    pub timeout: Option<Duration>,
    /// Longest time without progress; `None` is without a limit.
    pub stall_timeout: Option<Duration>,
}

/// Inputs about access.
#[derive(Clone, Debug)]
pub(crate) struct AccessInputs {
    /// Registry logins.
    pub logins: Vec<Login>,
    pub aws_region: Option<String>,
    /// Name of the SSM parameter that holds the repository's name; `{instance-id}` in it stands for that of this
    /// EC2 machine.
    pub ssm_parameter: Option<String>,
}

/// Inputs about the report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReportInputs {
    /// Write a job summary.
    pub summary: bool,
    /// How the log looks.
    pub log: LogStyle,
    /// Whether findings of the Dockerfile's checks are annotations.
    pub check_annotations: bool,
}
