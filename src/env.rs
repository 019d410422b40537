//! One snapshot of the process environment, and the name of every variable the program reads.

use std::collections::BTreeMap;

/// The action's repository on GitHub; `dist/install.sh` has the shell's copy.
pub(crate) const SLUG: &str = "build-once/build-once";

/// The environment of the process. Values that are not UTF-8 are left out: no variable that the program reads may hold
/// one.
#[derive(Clone, Debug, Default)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// Reads the environment. No other code does.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the only caller of std::env")]
    pub fn capture() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        )
    }

    /// The variable's value, which may be empty.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The variable's value; unset and empty are the same.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.value(name).filter(|value| !value.is_empty())
    }

    /// Tells whether the variable holds `true` or `1`.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1"))
    }

    /// Every variable, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The passwords in proxies' URLs (`http://user:password@host`), as written and decoded: a client may quote its proxy
    /// in an error.
    pub fn proxy_passwords(&self) -> impl Iterator<Item = String> {
        let proxies = self.iter().filter(|(name, _)| name.to_ascii_uppercase().ends_with("_PROXY"));
        let password = |(_, url): (&str, &str)| {
            let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next()?;
            let (_, password) = authority.rsplit_once('@')?.0.split_once(':')?;
            Some(password.to_owned()).filter(|password| !password.is_empty())
        };
        proxies
            .filter_map(password)
            .flat_map(|password| [percent_decoded(&password), Some(password)])
            .flatten()
    }

    /// Tells whether the process runs as a step of a GitHub workflow.
    #[must_use]
    pub fn in_github_actions(&self) -> bool {
        self.flag(GITHUB_ACTIONS)
    }

    /// Tells whether the runner's machine outlives the job, as a self-hosted one does.
    #[must_use]
    pub(crate) fn is_self_hosted(&self) -> bool {
        self.get(RUNNER_ENVIRONMENT) == Some("self-hosted")
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Env {
    fn from(pairs: [(&str, &str); N]) -> Self {
        pairs.into_iter().collect()
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Env {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $($(#[$doc])* pub(crate) const $name: &str = stringify!($name);)*
    };
}

// https://docs.github.com/en/actions/reference/workflows-and-actions/variables
names! {
    /// `true` in every workflow step.
    GITHUB_ACTIONS;
    /// The name of the event that started the run.
    GITHUB_EVENT_NAME;
    /// The file with the event's payload.
    GITHUB_EVENT_PATH;
    /// `owner/name` of the repository the workflow runs in.
    GITHUB_REPOSITORY;
    /// The repository's number, which stays when the repository gets a new name.
    GITHUB_REPOSITORY_ID;
    /// The fully formed ref that started the run.
    GITHUB_REF;
    /// The short name of that ref: `main`, `v1`, `12/merge`.
    GITHUB_REF_NAME;
    /// `true` if branch protection or a ruleset covers the ref.
    GITHUB_REF_PROTECTED;
    /// The commit that started the run; for pull requests the merge commit.
    GITHUB_SHA;
    /// Unique number of the run; the same on a re-run.
    GITHUB_RUN_ID;
    /// The run's number in its workflow.
    GITHUB_RUN_NUMBER;
    /// 1 on the first attempt of a run.
    GITHUB_RUN_ATTEMPT;
    /// The job's identifier in the workflow file.
    GITHUB_JOB;
    /// The server, for links and for the run's own repository.
    GITHUB_SERVER_URL;
    /// GitHub's API, `https://api.github.com` or that of the run's own server.
    GITHUB_API_URL;
    /// The place where a debug build panics on purpose, for the tests.
    BUILD_ONCE_TEST_PANIC;
    /// The folder where a debug build looks for the certificates of registries, for the tests.
    BUILD_ONCE_TEST_CERTIFICATES;
    /// The registry that a debug build takes for GitHub's, for the tests.
    BUILD_ONCE_TEST_PACKAGES;
    /// How many seconds a debug build waits for ECR's preview of a lifecycle policy, for the tests.
    BUILD_ONCE_TEST_PREVIEW;
    /// The file step outputs are appended to.
    GITHUB_OUTPUT;
    /// The file the job summary is appended to.
    GITHUB_STEP_SUMMARY;
    /// Where the job asks for its OIDC token; unset without `id-token: write`.
    ACTIONS_ID_TOKEN_REQUEST_URL;
    /// The token for that question.
    ACTIONS_ID_TOKEN_REQUEST_TOKEN;
    /// An endpoint in place of AWS's own, for every service, and for IAM alone.
    AWS_ENDPOINT_URL;
    AWS_ENDPOINT_URL_IAM;
    /// The program that `dist/install.sh` runs in place of a release.
    BUILD_ONCE_BIN;
    /// A mirror of the releases.
    BUILD_ONCE_DOWNLOAD_URL;
    /// A folder emptied at the start and the end of each job.
    RUNNER_TEMP;
    /// `github-hosted` or `self-hosted`.
    RUNNER_ENVIRONMENT;
    /// `1` when the run was started with debug logging.
    RUNNER_DEBUG;
    /// The image repository, where the input `repository` names none; the runner's owner sets it.
    BUILD_ONCE_REPOSITORY;
    /// As `BUILD_ONCE_REPOSITORY`, by the name that older set-ups of runners use.
    ECR_CACHE_URL;
    /// Docker's switch for annotations of the Dockerfile's checks.
    DOCKER_BUILD_CHECKS_ANNOTATIONS;
    /// `true` if the instance metadata service must not be asked, as for the AWS tools.
    AWS_EC2_METADATA_DISABLED;
    /// Build arguments from the runner's owner.
    BUILD_ONCE_EXTRA_ARGS;
    /// Cache sources from the runner's owner.
    BUILD_ONCE_CACHE_FROM;
    /// Cache destinations from the runner's owner.
    BUILD_ONCE_CACHE_TO;
    /// The folder docker's client configuration is in.
    DOCKER_CONFIG;
    /// The platform that buildx builds for if no flag names one.
    DOCKER_DEFAULT_PLATFORM;
    /// The time of a reproducible build, in seconds since 1970; buildx makes it a build argument.
    SOURCE_DATE_EPOCH;
    /// The folder buildx keeps its builders in.
    BUILDX_CONFIG;
    /// The builder that buildx uses if no flag names one.
    BUILDX_BUILDER;
    /// The engine's address.
    DOCKER_HOST;
    /// The context that the docker CLI uses; without it, that of its configuration.
    DOCKER_CONTEXT;
    /// The docker CLI uses TLS.
    DOCKER_TLS_VERIFY;
    /// The version of the engine's API that the docker CLI uses.
    DOCKER_API_VERSION;
    /// Headers that the docker CLI sends to the engine.
    DOCKER_CUSTOM_HEADERS;
    /// The folder for a user's caches.
    XDG_CACHE_HOME;
    /// The token of GitHub's cache service, which the runner gives to JavaScript actions alone.
    ACTIONS_RUNTIME_TOKEN;
    /// The cache service's address, version 2.
    ACTIONS_RESULTS_URL;
    /// The cache service's address, version 1.
    ACTIONS_CACHE_URL;
    /// `true` if version 2 is to be used.
    ACTIONS_CACHE_SERVICE_V2;
    /// What the run may do with the cache service: none, read, write or write-only
    /// (actions/runner#4538).
    ACTIONS_CACHE_MODE;
    /// The user's home.
    HOME;
    /// The folder for temporary files.
    TMPDIR;
}

/// Decodes `%2F` and the like; `None` if the text has none, or the result is not UTF-8.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let hex = (first == b'%').then(|| after.get(..2)).flatten();
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).ok().filter(|plain| plain != text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_proxies_are_found_as_written_and_decoded() {
        let env = Env::from([
            ("HTTPS_PROXY", "http://ann:p%40ss@proxy.example:3128/"),
            ("http_proxy", "ann:plain@proxy.example"),
            ("NO_PROXY", "a@b,:c"),
            ("ALL_PROXY", "http://proxy.example"),
            ("OTHER", "http://a:b@c"),
        ]);
        let found: Vec<String> = env.proxy_passwords().collect();
        assert_eq!(found, ["p@ss", "p%40ss", "plain"]);
    }
}
