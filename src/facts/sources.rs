//! Sources that are neither local files nor images: URLs and git repositories. Each is looked up once, and the
//! build is held to what was found.

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

/// The source of an `ADD` with its content.
#[derive(Debug)]
pub(super) struct AddedSource {
    pub pin: SourcePin,
    /// The Dockerfile does not fix the content, so the build must be held to it.
    pub looked_up: bool,
}

/// Finds the content of each URL and repository that the Dockerfile adds.
pub(super) async fn look_up_added(
    ports: &Ports,
    analysis: &Analysis,
    file: &str,
) -> Result<Vec<AddedSource>> {
    let slots = Semaphore::new(REQUESTS);
    let look_up = async |source| {
        let _slot = slots.acquire().await;
        look_up_source(ports, source, file).await
    };
    try_join_all(analysis.remote.iter().map(look_up)).await
}

async fn look_up_source(ports: &Ports, source: &RemoteSource, file: &str) -> Result<AddedSource> {
    let RemoteSource { url, line, pin } = source;
    let added = |content: String, looked_up| AddedSource {
        pin: SourcePin { url: url.clone(), content, hold: Hold::Content },
        looked_up,
    };
    let failed = |error: Error, hint: &str| {
        let what = format!("{file}:{line}: what {url} holds is not known");
        let hint = error.hint.clone().unwrap_or_else(|| hint.to_owned());
        // The reference stands in the Dockerfile, not in an input.
        let error = if error.class == FailureClass::Input {
            error.of_kind(FailureKind::DockerfileError)
        } else {
            error
        };
        error.within(what).hint(hint).at(file, *line)
    };
    match pin {
        dockerfile::Pin::Fixed(content) => Ok(added(content.clone(), false)),
        dockerfile::Pin::File => match fetch::checksum(url, Proxies::new(&ports.env)).await {
            Ok(digest) => Ok(added(digest.to_string(), true)),
            Err(error) => Err(failed(error, "add --checksum=sha256:… to the ADD instruction")),
        },
        dockerfile::Pin::Repository(git) => match GitSource::look_up(ports, url, git.clone(), false).await {
            Ok(source) => Ok(AddedSource { pin: source.pin(), looked_up: true }),
            Err(error) => Err(failed(error, "name a commit: URL#<40 hex digits>")),
        },
        dockerfile::Pin::Unknown { variable } => Err(Error::of(
            // The argument can be given as an input, unlike what the Dockerfile names.
            FailureKind::BadInput,
            format!(
                "{file}:{line}: the source of ADD depends on {variable}, which only the base image knows"
            ),
        )
        .hint("give the variable in build-args, or write the source out")
        .at(file, *line)),
    }
}

/// Looks up the main context. BuildKit keeps its `.git` if the build argument `BUILDKIT_CONTEXT_KEEP_GIT_DIR` is true.
pub(super) async fn look_up_main_context(
    ports: &Ports,
    url: &str,
    args: &[(String, String)],
) -> Result<GitSource> {
    let keeps_git = args.iter().rev().find(|(name, _)| name == "BUILDKIT_CONTEXT_KEEP_GIT_DIR");
    let keeps_git = keeps_git.and_then(|(_, value)| dockerfile::go_bool(value)).unwrap_or(false);
    look_up_context(ports, "context: what the repository holds is not known", url, keeps_git).await
}

/// Looks up the named build context `name`.
pub(super) async fn look_up_build_context(ports: &Ports, name: &str, url: &str) -> Result<GitSource> {
    look_up_context(ports, &format!("build-contexts: what `{name}` holds is not known"), url, false).await
}

async fn look_up_context(ports: &Ports, failure: &str, url: &str, keeps_git: bool) -> Result<GitSource> {
    let git = GitRef::parse(url).unwrap_or_else(|| Err("it names no repository".to_owned()));
    let git = git.map_err(|reason| Error::input(failure).cause(format!("{url}: {reason}")))?;
    GitSource::look_up(ports, url, git, keeps_git).await.map_err(|error| {
        let hint = error.hint.clone().unwrap_or_else(|| "name a commit: URL#<40 hex digits>".to_owned());
        error.within(failure).hint(hint)
    })
}

/// Words the note in the log about a source that was looked up, as a clause.
pub(super) fn note(source: &SourcePin) -> String {
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

/// A git repository that the build gets, with what its reference stood for when it was looked up.
#[derive(Debug)]
pub(super) struct GitSource {
    /// As the user wrote it.
    url: String,
    git: GitRef,
    found: Found,
    /// The build gets `.git` too.
    keeps_git: bool,
}

impl GitSource {
    /// Asks the repository what its reference stands for, unless the URL names a commit. `keeps_git`: `.git` is
    /// kept whatever the URL says.
    pub(super) async fn look_up(ports: &Ports, url: &str, git: GitRef, keeps_git: bool) -> Result<Self> {
        let found = match git.fixed() {
            Some(id) => Found { object: id.to_owned(), commit: id.to_owned() },
            None => git::resolve(&ports.exec, &ports.remotes, &git.url(), &git.reference).await?,
        };
        let keeps_git = keeps_git || git.keep_git_dir == Some(true);
        let source = Self { url: url.to_owned(), git, found, keeps_git };
        match &source.git.checksum {
            Some(start) if source.object_of(start).is_none() => {
                let found = &source.found.object;
                Err(Error::input(format!("its checksum is {start}, and the reference stands for {found}")))
            }
            _ => Ok(source),
        }
    }

    /// The found object whose id begins with `checksum`.
    fn object_of(&self, checksum: &str) -> Option<&str> {
        let ids = [&self.found.object, &self.found.commit];
        ids.into_iter().find(|id| id.starts_with(checksum)).map(String::as_str)
    }

    /// The URL as the user wrote it.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Chooses how BuildKit is held to what was found.
    pub(super) fn pin(&self) -> SourcePin {
        let Found { object, commit } = &self.found;
        let checksum = self.git.checksum.as_deref().and_then(|start| self.object_of(start));
        let (content, hold) = if self.keeps_git && object != commit {
            // An annotated tag: BuildKit cannot compare it.
            (object.as_str(), Hold::Nothing)
        } else if self.keeps_git {
            // `.git` holds the name, so the name stays.
            (commit.as_str(), Hold::Name)
        } else if let Some(tag) = checksum.filter(|id| id != commit) {
            // The given checksum is the annotated tag's: at a commit, BuildKit would not find it.
            (tag, Hold::Name)
        } else {
            (commit.as_str(), Hold::Content)
        };
        SourcePin { url: self.url.clone(), content: content.to_owned(), hold }
    }

    /// The URL that the build gets, and a pin where the URL alone does not fix the content.
    pub(super) fn held(&self) -> (String, Option<SourcePin>) {
        if self.git.fixed().is_some() {
            return (self.url.clone(), None);
        }
        match self.pin() {
            pin if pin.hold == Hold::Content => (self.git.at(&self.found.commit), None),
            pin => (self.url.clone(), Some(pin)),
        }
    }

    /// The value of a context in the key. If two are equal, the build gets equal folders.
    pub(super) fn content(&self) -> String {
        let mut text = if self.keeps_git { &self.found.object } else { &self.found.commit }.clone();
        if !self.git.folder.is_empty() {
            text.extend([":", &self.git.folder]);
        }
        if self.keeps_git {
            // `.git/config` has the URL, and the references in `.git` have the name.
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

    /// Reads a file of the folder that the build gets.
    pub(super) async fn file(&self, ports: &Ports, file: &str) -> Result<Vec<u8>> {
        let folder = self.git.folder.trim_matches('/');
        let path = if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") };
        git::file(&ports.exec, &ports.remotes, &self.git.url(), &self.found.commit, &path).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(url: &str, object: &str, commit: &str) -> GitSource {
        let git = GitRef::parse(url).unwrap().unwrap();
        let keeps_git = git.keep_git_dir == Some(true);
        let found = Found { object: object.to_owned(), commit: commit.to_owned() };
        GitSource { url: url.to_owned(), git, found, keeps_git }
    }

    #[test]
    fn a_reference_gives_way_to_its_commit() {
        let held = |url: &str| source(url, "c0", "c0").held();
        assert_eq!(held("https://h/r.git"), ("https://h/r.git#c0".to_owned(), None));
        assert_eq!(held("https://h/r.git#main:sub/x").0, "https://h/r.git#c0:sub/x");
        assert_eq!(
            held("https://h/r.git?branch=x&subdir=s&submodules=0").0,
            "https://h/r.git?submodules=false#c0:s"
        );
        assert_eq!(source("https://h/r.git#main:sub", "t0", "c0").content(), "c0:sub");
        assert_eq!(source("https://h/r.git?submodules=0", "c0", "c0").content(), "c0 without submodules");
    }

    /// D71
    #[test]
    fn d71_a_reference_whose_git_folder_is_kept_stays() {
        let url = "https://u:p@h/r.git?keep-git-dir=1#v1";
        let pin = |hold, content: &str| SourcePin { url: url.to_owned(), content: content.to_owned(), hold };
        assert_eq!(source(url, "c0", "c0").held(), (url.to_owned(), Some(pin(Hold::Name, "c0"))));
        let annotated = source(url, "t0", "c0");
        assert_eq!(annotated.held(), (url.to_owned(), Some(pin(Hold::Nothing, "t0"))));
        assert_eq!(annotated.content(), "t0 with .git of https://h/r.git#v1");
        // A checksum that names the tag's object must find it.
        let checked = "https://h/r.git?checksum=t0#v1";
        assert_eq!(source(checked, "t0", "c0").pin().hold, Hold::Name);
        assert_eq!(source("https://h/r.git?checksum=c0#v1", "t0", "c0").pin().hold, Hold::Content);
    }
}
