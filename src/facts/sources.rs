//! What lies outside the context and outside registries: URLs and git repositories, each looked up once and held
//! to what it was then.

use futures_util::future::try_join_all;

use crate::error::{Error, FailureClass, Result};
use crate::key::dockerfile::{self, Analysis, Place, RemoteSource};
use crate::ports::buildx::SourcePin;
use crate::ports::{Ports, fetch, git};

/// `ADD` of URLs and repositories: each with its content, and whether it had to be looked up.
pub(super) async fn added(ports: &Ports, analysis: &Analysis, file: &str) -> Result<Vec<(SourcePin, bool)>> {
    try_join_all(analysis.remote.iter().map(async |source| one(ports, source, file).await)).await
}

async fn one(ports: &Ports, source: &RemoteSource, file: &str) -> Result<(SourcePin, bool)> {
    let RemoteSource { url, line, pin } = source;
    let pinned = |content: String, moves| Ok((SourcePin { url: url.clone(), content }, moves));
    let failed = |error: Error, hint: &str| {
        let what = format!("{file}:{line}: what {url} holds is not known");
        let class = if error.class == FailureClass::Input { FailureClass::Build } else { error.class };
        Error::new(class, what).cause(error.headline()).hint(hint).at(file, *line)
    };
    match pin {
        dockerfile::Pin::Fixed(content) => pinned(content.clone(), false),
        dockerfile::Pin::Open { git: false } => match fetch::checksum(url).await {
            Ok(digest) => pinned(digest.to_string(), true),
            Err(error) => Err(failed(error, "add --checksum=sha256:… to the ADD instruction")),
        },
        dockerfile::Pin::Open { git: true } => match commit(ports, url).await {
            Ok(commit) => pinned(commit, true),
            Err(error) => Err(failed(error, "name a commit: URL#<40 hex digits>")),
        },
        dockerfile::Pin::Unknown { variable } => Err(Error::new(
            FailureClass::Input,
            format!(
                "{file}:{line}: the source of ADD depends on {variable}, which only the base image knows"
            ),
        )
        .hint("give the variable in build-args, or write the source out")
        .at(file, *line)),
    }
}

/// The commit a repository's URL stands for now.
pub(super) async fn commit(ports: &Ports, url: &str) -> Result<String> {
    if let Some(commit) = dockerfile::commit(url) {
        return Ok(commit.to_owned());
    }
    let (repository, fragment) = url.split_once('#').unwrap_or((url, ""));
    if repository.contains('?') {
        return Err(Error::input(format!("{repository}: its query is not understood")));
    }
    let name = fragment.split(':').next().unwrap_or_default();
    git::resolve(&ports.exec, &with_protocol(repository), name).await
}

/// Whether a build context is a repository: `github.com/…` without protocol is one too.
pub(super) fn is_repository(value: &str) -> bool {
    value.starts_with("github.com/") || dockerfile::place(value) == Place::Git
}

/// A repository's URL with its reference replaced by a commit.
pub(super) fn at_commit(url: &str, commit: &str) -> String {
    if dockerfile::commit(url).is_some() {
        return url.to_owned();
    }
    let (repository, fragment) = url.split_once('#').unwrap_or((url, ""));
    let folder = fragment.split_once(':').map(|(_, folder)| format!(":{folder}")).unwrap_or_default();
    format!("{repository}#{commit}{folder}")
}

/// What a context that is a repository holds: its commit, and the folder in it.
pub(super) fn content(url: &str, commit: &str) -> String {
    let folder = url.split_once('#').and_then(|(_, fragment)| fragment.split_once(':'));
    folder.map_or_else(|| commit.to_owned(), |(_, folder)| format!("{commit}:{folder}"))
}

/// The Dockerfile of a context that is a repository.
pub(super) async fn dockerfile(ports: &Ports, url: &str, commit: &str, file: &str) -> Result<Vec<u8>> {
    let (repository, fragment) = url.split_once('#').unwrap_or((url, ""));
    let folder =
        fragment.split_once(':').map(|(_, folder)| folder.trim_matches('/')).filter(|f| !f.is_empty());
    let path = folder.map_or_else(|| file.to_owned(), |folder| format!("{folder}/{file}"));
    git::file(&ports.exec, &with_protocol(repository), commit, &path).await
}

fn with_protocol(repository: &str) -> String {
    if repository.starts_with("github.com/") {
        format!("https://{repository}")
    } else {
        repository.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_gives_way_to_its_commit() {
        assert_eq!(at_commit("https://h/r.git", "c0"), "https://h/r.git#c0");
        assert_eq!(at_commit("https://h/r.git#main:sub/x", "c0"), "https://h/r.git#c0:sub/x");
        assert_eq!(content("https://h/r.git#main:sub", "c0"), "c0:sub");
        assert!(is_repository("github.com/o/r") && is_repository("git@h:o/r.git"));
        assert!(!is_repository("./x") && !is_repository("https://h/x.tar.gz"));
    }
}
