//! The words that inputs are made of, and the groups they stand in: the values of `mode`, `load`, `driver` and the
//! like as enums, and the inputs about the builder, the key, access, and so on as one struct each.

use std::path::PathBuf;
use std::time::Duration;

use crate::image::Platform;
use crate::secret::SecretString;
use crate::texts::words;

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
    /// Say which images are missing, and what jobs would build them. It asks no engine.
    Plan,
}

/// The inputs `load` and `push`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// The plan decides.
    Auto,
    /// It must be done; the run fails where it cannot be.
    On,
    /// It must not be done.
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

/// What is done about a tag of `tags` that stands for a later commit or version than this run's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnOlder {
    /// Leave it, and say so.
    #[default]
    Skip,
    Fail,
    /// Set it back.
    Set,
}

/// Which files the key covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyScope {
    /// Those that the instructions of the stages that are built can take, where that is certain; else the whole context.
    Auto,
    /// The whole context after `.dockerignore`.
    Context,
    /// The files that `key-files` names.
    Files,
}

/// When the layer cache is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheWrite {
    /// By the run's trust; a pull request does not write.
    Auto,
    /// A pull request writes its own too.
    Always,
    Never,
}

/// What is done where a registry cannot be reached.
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
    /// With the groups that GitHub's log folds.
    Grouped,
    /// Without groups.
    Plain,
}

/// A login to a registry: the password stays in the environment until it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    /// The registry's host.
    pub host: String,
    /// The user's name there.
    pub user: String,
    /// The environment variable with the password.
    pub password_env: String,
}

/// Inputs about the build key.
#[derive(Clone, Debug)]
pub struct KeyInputs {
    pub scope: KeyScope,
    /// Globs, for [`KeyScope::Files`].
    pub files: Vec<String>,
    /// Build arguments whose values do not count, by name.
    pub ignore_args: Vec<String>,
    /// More text that counts.
    pub extra: Option<String>,
    /// Length of the calendar period whose name counts, so that no image is used for longer.
    pub max_age: Option<Duration>,
}

words! {
    /// Drivers of a builder that is made. BuildKit inside the engine (`docker`) is never made, only
    /// found.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
    #[serde(rename_all = "kebab-case")]
    pub(crate) enum Driver {
        /// BuildKit in a container of this machine's engine.
        DockerContainer = "docker-container",
        /// BuildKit that runs elsewhere already.
        Remote = "remote",
        /// BuildKit in pods of a cluster that buildx makes for it.
        Kubernetes = "kubernetes",
    }
    /// What buildx calls it.
    pub(crate) const fn name;
}

/// A node of a remote builder: where its BuildKit listens, and what it builds for.
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

/// Inputs about the builder that is used, or made.
#[derive(Clone, Debug, Default)]
pub(crate) struct BuilderInputs {
    /// Use this existing builder.
    pub name: Option<String>,
    /// Make a builder of this driver, whatever builders there are.
    pub driver: Option<Driver>,
    /// Options for the new builder, each `NAME=value`.
    pub driver_opts: Vec<String>,
    /// Nodes of a remote builder.
    pub endpoints: Vec<Endpoint>,
    /// BuildKit's image for the new builder.
    pub image: Option<String>,
    /// BuildKit's configuration file for the new builder.
    pub config: Option<PathBuf>,
    /// Do not remove the new builder at the end: the next trusted run uses it again.
    pub keep: bool,
}

/// Inputs about what is done when something goes wrong.
#[derive(Clone, Debug)]
pub(crate) struct ReliabilityInputs {
    pub policy: RegistryPolicy,
    /// How many times a step is tried again after a failure that may pass.
    pub retries: u32,
    /// Time limit of the run; `None` is without a limit.
    pub timeout: Option<Duration>,
    /// Longest time that a builder may go without progress; `None` is without a limit.
    pub stall_timeout: Option<Duration>,
}

/// Inputs about access to registries and AWS.
#[derive(Clone, Debug)]
pub(crate) struct AccessInputs {
    pub logins: Vec<Login>,
    /// `None` is the region in the repository's host name.
    pub aws_region: Option<String>,
    /// Name of the SSM parameter that holds the repository's name; `{instance-id}` in it stands for that of this
    /// EC2 machine.
    pub ssm_parameter: Option<String>,
    /// For questions to GitHub's API.
    pub github_token: Option<SecretString>,
}

/// Inputs about the report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReportInputs {
    /// Write a job summary.
    pub summary: bool,
    /// How the log looks.
    pub log: LogStyle,
    /// Whether findings of the Dockerfile's checks are shown as annotations of the run.
    pub check_annotations: bool,
}
