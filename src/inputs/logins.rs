//! The input `logins`: the registries that the run logs in to.

use super::problems::Problems;
use super::types::Login;
use crate::image::canonical_host;

/// A registry's host as image references name it: `docker.io` of `https://index.docker.io/v1/`. `docker login` takes
/// URLs too.
fn login_host(text: &str) -> String {
    let host = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default().to_ascii_lowercase();
    if canonical_host(&host) == "docker.io" { "docker.io".to_owned() } else { host }
}

/// Reads the lines, each `HOST USER VARIABLE`.
pub(super) fn logins(problems: &mut Problems, lines: Vec<String>) -> Vec<Login> {
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
