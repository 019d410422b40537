//! What lies outside the context and outside registries: URLs and git repositories, each looked up once and held
//! to what it was then.

use futures_util::future::try_join_all;
use tokio::sync::Semaphore;

use crate::budget::REQUESTS;
use crate::buildkit::{Hold, SourcePin};
use crate::error::{Error, Result};
use crate::failure::FailureClass;
use crate::failure::FailureKind;
use crate::key::dockerfile::{self, Analysis, GitRef, RemoteSource};
use crate::ports::git::Found;
use crate::ports::proxies::Proxies;
use crate::ports::{Ports, fetch, git};

/// `ADD` of URLs and repositories: each with its content, and whether it had to be looked up.
pub(super) async fn added(ports: &Ports, analysis: &Analysis, file: &str) -> Result<Vec<(SourcePin, bool)>> {
    let places = Semaphore::new(REQUESTS);
    let look_up = async |source| {
        let _place = places.acquire().await;
        one(ports, source, file).await
    };
    try_join_all(analysis.remote.iter().map(look_up)).await
}

async fn one(ports: &Ports, source: &RemoteSource, file: &str) -> Result<(SourcePin, bool)> {
    let RemoteSource { url, line, pin } = source;
    let pinned = |content: String| SourcePin { url: url.clone(), content, hold: Hold::Content };
    let failed = |error: Error, hint: &str| {
        let what = format!("{file}:{line}: what {url} holds is not known");
        let hint = error.hint.clone().unwrap_or_else(|| hint.to_owned());
        let error = if error.class == FailureClass::Input {
            error.of_kind(FailureKind::DockerfileError)
        } else {
            error
        };
        error.within(what).hint(hint).at(file, *line)
    };
    match pin {
        dockerfile::Pin::Fixed(content) => Ok((pinned(content.clone()), false)),
        dockerfile::Pin::File => match fetch::checksum(url, Proxies::new(&ports.env)).await {
            Ok(digest) => Ok((pinned(digest.to_string()), true)),
            Err(error) => Err(failed(error, "add --checksum=sha256:… to the ADD instruction")),
        },
        dockerfile::Pin::Repository(git) => match Repository::look_up(ports, url, git.clone(), false).await {
            Ok(repository) => Ok((repository.pin(), true)),
            Err(error) => Err(failed(error, "name a commit: URL#<40 hex digits>")),
        },
        dockerfile::Pin::Unknown { variable } => Err(Error::of(
            FailureKind::BadInput,
            format!(
                "{file}:{line}: the source of ADD depends on {variable}, which only the base image knows"
            ),
        )
        .hint("give the variable in build-args, or write the source out")
        .at(file, *line)),
    }
}

/// The repository that is the context. Its `.git` is kept where BuildKit's own build argument says so.
pub(super) async fn context(ports: &Ports, url: &str, args: &[(String, String)]) -> Result<Repository> {
    let keeps = args.iter().rev().find(|(name, _)| name == "BUILDKIT_CONTEXT_KEEP_GIT_DIR");
    let keeps = keeps.and_then(|(_, value)| dockerfile::go_bool(value)).unwrap_or(false);
    named(ports, "context: what the repository holds is not known", url, keeps).await
}

/// A build context that is a repository.
pub(super) async fn build_context(ports: &Ports, name: &str, url: &str) -> Result<Repository> {
    named(ports, &format!("build-contexts: what `{name}` holds is not known"), url, false).await
}

async fn named(ports: &Ports, what: &str, url: &str, keeps: bool) -> Result<Repository> {
    let git = GitRef::parse(url).unwrap_or_else(|| Err("it names no repository".to_owned()));
    let git = git.map_err(|reason| Error::input(what).cause(format!("{url}: {reason}")))?;
    Repository::look_up(ports, url, git, keeps).await.map_err(|error| {
        let hint = error.hint.clone().unwrap_or_else(|| "name a commit: URL#<40 hex digits>".to_owned());
        error.within(what).hint(hint)
    })
}

/// What is said of a source that was looked up.
pub(super) fn said(source: &SourcePin) -> String {
    let content = &source.content;
    match source.hold {
        Hold::Content | Hold::Name => format!(
            "is looked up for every key and held to {content}; fixed in the Dockerfile, it would not be"
        ),
        Hold::Nothing => format!(
            "is {content} now, and BuildKit cannot hold an annotated tag whose .git is kept: do not move the tag while the image is built"
        ),
    }
}

/// A git repository as it is now.
#[derive(Debug)]
pub(super) struct Repository {
    /// As it is written.
    url: String,
    git: GitRef,
    found: Found,
    /// `.git` is kept.
    keeps: bool,
}

impl Repository {
    /// Asks the repository what its reference stands for, unless the URL says so. `keeps`: `.git` is kept whatever
    /// the URL says.
    pub(super) async fn look_up(ports: &Ports, url: &str, git: GitRef, keeps: bool) -> Result<Self> {
        let found = match git.fixed() {
            Some(id) => Found { object: id.to_owned(), commit: id.to_owned() },
            None => git::resolve(&ports.exec, &ports.remotes, &git.url(), &git.reference).await?,
        };
        let keeps = keeps || git.keep_git_dir == Some(true);
        let repository = Self { url: url.to_owned(), git, found, keeps };
        match &repository.git.checksum {
            Some(start) if repository.named_by(start).is_none() => {
                let found = &repository.found.object;
                Err(Error::input(format!("its checksum is {start}, and the reference stands for {found}")))
            }
            _ => Ok(repository),
        }
    }

    /// The object that a checksum, or its beginning, means.
    fn named_by(&self, checksum: &str) -> Option<&str> {
        [&self.found.object, &self.found.commit]
            .into_iter()
            .find(|id| id.starts_with(checksum))
            .map(String::as_str)
    }

    /// As it is written.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// How the build is held to what was found.
    pub(super) fn pin(&self) -> SourcePin {
        let named = self.git.checksum.as_deref().and_then(|start| self.named_by(start));
        let (content, hold) = match named {
            _ if self.keeps && self.found.object != self.found.commit => {
                (self.found.object.as_str(), Hold::Nothing)
            }
            _ if self.keeps => (self.found.commit.as_str(), Hold::Name),
            Some(id) if id != self.found.commit => (id, Hold::Name),
            _ => (self.found.commit.as_str(), Hold::Content),
        };
        SourcePin { url: self.url.clone(), content: content.to_owned(), hold }
    }

    /// The URL that the build gets, and the pin that holds it if that is not the URL itself.
    pub(super) fn held(&self) -> (String, Option<SourcePin>) {
        if self.git.fixed().is_some() {
            return (self.url.clone(), None);
        }
        match self.pin() {
            pin if pin.hold == Hold::Content => (self.git.at(&self.found.commit), None),
            pin => (self.url.clone(), Some(pin)),
        }
    }

    /// What it holds, as a context: equal where the folder that the build gets is.
    pub(super) fn content(&self) -> String {
        let mut text = if self.keeps { &self.found.object } else { &self.found.commit }.clone();
        if !self.git.folder.is_empty() {
            text.extend([":", &self.git.folder]);
        }
        if self.keeps {
            // Its configuration has the URL, its references the name.
            text.extend([" with .git of ", &self.git.without_user(), "#", &self.git.reference]);
        }
        if self.git.submodules == Some(false) {
            text.push_str(" without submodules");
        }
        if self.git.commit_times {
            text.push_str(" with the times of commits");
        }
        text
    }

    /// The file `file` of its folder.
    pub(super) async fn file(&self, ports: &Ports, file: &str) -> Result<Vec<u8>> {
        let folder = self.git.folder.trim_matches('/');
        let path = if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") };
        git::file(&ports.exec, &ports.remotes, &self.git.url(), &self.found.commit, &path).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(url: &str, object: &str, commit: &str) -> Repository {
        let git = GitRef::parse(url).unwrap().unwrap();
        let keeps = git.keep_git_dir == Some(true);
        let found = Found { object: object.to_owned(), commit: commit.to_owned() };
        Repository { url: url.to_owned(), git, found, keeps }
    }

    #[test]
    fn a_reference_gives_way_to_its_commit() {
        let held = |url: &str| repository(url, "c0", "c0").held();
        assert_eq!(held("https://h/r.git"), ("https://h/r.git#c0".to_owned(), None));
        assert_eq!(held("https://h/r.git#main:sub/x").0, "https://h/r.git#c0:sub/x");
        assert_eq!(
            held("https://h/r.git?branch=x&subdir=s&submodules=0").0,
            "https://h/r.git?submodules=false#c0:s"
        );
        assert_eq!(repository("https://h/r.git#main:sub", "t0", "c0").content(), "c0:sub");
        assert_eq!(repository("https://h/r.git?submodules=0", "c0", "c0").content(), "c0 without submodules");
    }

    /// D71
    #[test]
    fn d71_a_reference_whose_git_folder_is_kept_stays() {
        let url = "https://u:p@h/r.git?keep-git-dir=1#v1";
        let pin = |hold, content: &str| SourcePin { url: url.to_owned(), content: content.to_owned(), hold };
        assert_eq!(repository(url, "c0", "c0").held(), (url.to_owned(), Some(pin(Hold::Name, "c0"))));
        let annotated = repository(url, "t0", "c0");
        assert_eq!(annotated.held(), (url.to_owned(), Some(pin(Hold::Nothing, "t0"))));
        assert_eq!(annotated.content(), "t0 with .git of https://h/r.git#v1");
        // A checksum that names the tag's object must find it.
        let checked = "https://h/r.git?checksum=t0#v1";
        assert_eq!(repository(checked, "t0", "c0").pin().hold, Hold::Name);
        assert_eq!(repository("https://h/r.git?checksum=c0#v1", "t0", "c0").pin().hold, Hold::Content);
    }
}
