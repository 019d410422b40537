//! Chooses the variables of this program's environment that child processes get.

use crate::env::Env;

/// The variables that child processes get. docker needs no others, such as the step's tokens and cloud credentials.
const ALLOWED: [&str; 30] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "TERM",
    "SHELL",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSH_AUTH_SOCK",
    "KUBECONFIG",
    "SOURCE_DATE_EPOCH",
    "SYSTEMROOT",
    "USERPROFILE",
    "PROGRAMDATA",
];
/// Not passed on: buildx would add labels with the commit to the image, and then no two commits could share an image.
const GIT_LABELS: &str = "BUILDX_GIT_LABELS";
/// Variables whose names begin so are passed on too.
const ALLOWED_PREFIXES: [&str; 3] = ["DOCKER_", "BUILDX_", "BUILDKIT_"];

/// Tells whether a variable is passed on only because of its prefix.
pub(super) fn by_prefix(name: &str) -> bool {
    ALLOWED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The variables of this environment that children get.
pub(super) fn allowed(env: &Env) -> Vec<(String, String)> {
    let allowed = |name: &str| ALLOWED.contains(&name) || by_prefix(name) && name != GIT_LABELS;
    env.iter()
        .filter(|(name, _)| allowed(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
