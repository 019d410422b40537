//! The inputs that all images of a run share.

use std::time::Duration;

use super::build::Call;
use super::builder;
use super::ecr;
use super::grammar;
use super::lists::InputText as _;
use super::logins::logins;
use super::problems::Problems;
use super::raw::RawInputs;
use super::runners::Runners;
use super::store::StoreInputs;
use super::types::{
    AccessInputs, BuilderInputs, LogStyle, Mode, OnMissing, OnOlder, RegistryPolicy, ReliabilityInputs,
    ReportInputs,
};
use crate::ecr::EcrInputs;
use crate::env::{self, Env};
use crate::image::Repository;
use crate::key::dockerfile::go_bool;
use crate::secret::SecretString;

/// What all images of a run share.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where images are shared. If the inputs name none, `facts::repository` looks for one.
    pub repository: Option<Repository>,
    /// Where pull requests and branches without protection write instead.
    pub(crate) pr_repository: Option<Repository>,
    pub mode: Mode,
    /// Whether the image is built or the Dockerfile checked.
    pub call: Call,
    /// What `mode: pull` does about an image that is not there.
    pub(crate) on_missing: OnMissing,
    /// What is done about a tag that stands for something newer.
    pub(crate) on_older: OnOlder,
    /// How long `on-missing: wait` waits.
    pub(crate) wait_timeout: Duration,
    pub(crate) builder: BuilderInputs,
    pub(crate) reliability: ReliabilityInputs,
    pub(crate) access: AccessInputs,
    /// What is asked of repositories in ECR.
    pub(crate) ecr: EcrInputs,
    pub(crate) report: ReportInputs,
    pub(crate) store: StoreInputs,
    /// Where jobs of a plan's matrix run.
    pub(crate) runners: Runners,
    /// What of the inputs of any image is left out, and why; each text once.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Reads them all. `mode` and `builds` are read by the caller, because they decide which inputs of an image count.
    pub(super) fn read(
        raw: &RawInputs,
        env: &Env,
        (mode, builds): (Mode, bool),
        repository: Option<Repository>,
        problems: &mut Problems,
    ) -> Self {
        let settings = Self {
            repository,
            pr_repository: problems.parse("pr-repository", raw.pr_repository.trimmed()),
            mode,
            call: call(problems, raw.call.trimmed().unwrap_or("build")),
            on_missing: on_missing(problems, raw, mode),
            on_older: problems.choice(
                "on-older",
                raw.on_older.trimmed().unwrap_or("skip"),
                &[("skip", OnOlder::Skip), ("fail", OnOlder::Fail), ("set", OnOlder::Set)],
            ),
            wait_timeout: problems.duration("wait-timeout", raw.wait_timeout.trimmed().unwrap_or("10m")),
            builder: builder::read(raw, builds, problems),
            reliability: reliability(raw, problems),
            access: AccessInputs {
                logins: logins(problems, raw.logins.items()),
                aws_region: problems.checked("aws-region", raw.aws_region.text(), grammar::region),
                ssm_parameter: raw.ssm_parameter.text(),
                github_token: raw.github_token.text().map(SecretString::from),
            },
            ecr: ecr::read(raw, problems),
            report: report(raw, env, problems),
            store: StoreInputs::read(raw, mode, problems),
            runners: Runners::read(&raw.runners.items(), problems),
            warnings: Vec::new(),
        };
        let repositories = settings.pr_repository.as_ref().zip(settings.repository.as_ref());
        if repositories.is_some_and(|(pr, main)| pr.is(main)) {
            problems.add("pr-repository", "is the same as repository: name another one, or leave it out");
        }
        settings
    }
}

/// The input `on-missing`. A merge builds nothing, so it waits where nothing else is asked for.
fn on_missing(problems: &mut Problems, raw: &RawInputs, mode: Mode) -> OnMissing {
    let build = if mode == Mode::Merge { OnMissing::Wait } else { OnMissing::Build };
    problems.choice(
        "on-missing",
        raw.on_missing.trimmed().unwrap_or("build"),
        &[("build", build), ("wait", OnMissing::Wait), ("fail", OnMissing::Fail)],
    )
}

fn reliability(raw: &RawInputs, problems: &mut Problems) -> ReliabilityInputs {
    let stall_timeout = match raw.stall_timeout.trimmed().unwrap_or("20m") {
        "off" => None,
        limit => Some(problems.duration("stall-timeout", limit)),
    };
    if stall_timeout.is_some_and(|limit| limit.is_zero()) {
        problems.add("stall-timeout", "must be at least 1s, or off");
    }
    ReliabilityInputs {
        policy: problems.choice(
            "registry-policy",
            raw.registry_policy.trimmed().unwrap_or("auto"),
            &[("auto", RegistryPolicy::Auto), ("required", RegistryPolicy::Required)],
        ),
        retries: problems.parse("retries", raw.retries.trimmed().or(Some("3"))).unwrap_or_default(),
        timeout: raw.timeout.trimmed().map(|timeout| problems.duration("timeout", timeout)),
        stall_timeout,
    }
}

fn report(raw: &RawInputs, env: &Env, problems: &mut Problems) -> ReportInputs {
    ReportInputs {
        summary: problems.boolean("summary", raw.summary.trimmed().unwrap_or("true")),
        log: problems.choice(
            "log",
            raw.log.trimmed().unwrap_or("grouped"),
            &[("grouped", LogStyle::Grouped), ("plain", LogStyle::Plain)],
        ),
        // docker/build-push-action's variable, read as that action reads it.
        check_annotations: env.get(env::DOCKER_BUILD_CHECKS_ANNOTATIONS).and_then(go_bool) != Some(false),
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
