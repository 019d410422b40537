//! Asks the git CLI for commits: of the working folder's repository, and of remote ones that a Dockerfile or context names.

mod remotes;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::buildkit::failure::classify;
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::inputs::http_login;
use crate::ports::exec::{Effect, Exec, Invocation};
use crate::ports::exec::{from_exec, last_line};
use crate::ports::temporary::{GIT, PrivateFolder};
use crate::run::{Ancestry, Commit, OnBranch, RunContext};
use crate::secret::SecretString;
use crate::shown;

pub(crate) use remotes::Remotes;

/// How long a question about the working folder's repository may take.
const LOCAL: Duration = Duration::from_secs(5);

/// Adds commit and branch to a run without an event. Without git, or outside a repository, it has none.
pub(crate) async fn complete(run: &mut RunContext, exec: &Exec) {
    let head = ask(exec, &["rev-parse", "--verify", "HEAD"]).await;
    run.commit = head.map(|head| Commit { head, merge: None });
    run.branch = ask(exec, &["symbolic-ref", "--short", "HEAD"]).await;
}

/// A question about the working folder's repository. The folder may be another user's, as in the container of a job, so git
/// must be told that it is safe. It is: git only reads, and starts no program that the repository's configuration names.
fn own(git: &Path) -> Invocation {
    let settings = ["-c", "safe.directory=*", "-c", "core.fsmonitor=false"];
    Invocation::new(git, Effect::Read).args(settings)
}

/// The most commits that [`first_parents`] lists.
pub(crate) const MOST_PARENTS: usize = 4;

/// The commits before the one that is checked out, nearest first, at most [`MOST_PARENTS`], as far as the clone goes back;
/// empty without a repository. `None` if git refuses to answer.
pub(super) async fn first_parents(exec: &Exec) -> Option<Vec<String>> {
    let Some(git) = exec.find("git") else { return Some(Vec::new()) };
    let count = format!("--max-count={MOST_PARENTS}");
    let list = ["rev-list", "--first-parent", "--skip=1", &count, "HEAD"];
    let answer = exec.output(&own(&git).args(list), LOCAL).await.ok()?;
    if answer.status.success() {
        return Some(answer.stdout_text().lines().map(str::to_owned).collect());
    }
    // There is no repository, or no commit in it.
    let message = answer.stderr_text().to_lowercase();
    (message.contains("not a git repository") || message.contains("unknown revision")).then(Vec::new)
}

/// How `theirs` stands to `ours` in the history of the checkout; `None` if it does not go back so far.
pub(crate) async fn ancestry(exec: &Exec, theirs: &str, ours: &str) -> Option<Ancestry> {
    if theirs == ours {
        return Some(Ancestry::Same);
    }
    if is_ancestor(exec, theirs, ours).await? {
        return Some(Ancestry::Before);
    }
    if is_ancestor(exec, ours, theirs).await? {
        return Some(Ancestry::After);
    }
    // In a shallow clone a path between them may be cut off.
    whole(exec).await.then_some(Ancestry::Apart)
}

/// Where the commit is on the branch, as the checkout knows that; `None` if it does not know it whole.
pub(crate) async fn on_branch(exec: &Exec, commit: &str, branch: &str, most: usize) -> Option<OnBranch> {
    let tip = format!("refs/remotes/origin/{branch}");
    if !whole(exec).await {
        return None;
    }
    if !is_ancestor(exec, commit, &tip).await? {
        return Some(OnBranch::Left);
    }
    let (count, range) = (format!("--max-count={most}"), format!("{commit}..{tip}"));
    let git = exec.find("git")?;
    let list = own(&git).args(["rev-list", &count, &range, "--"]);
    let answer = exec.output(&list, LOCAL).await.ok()?;
    let listed = || answer.stdout_text().lines().map(str::to_owned).collect();
    answer.status.success().then(|| OnBranch::Before(listed()))
}

/// When a commit was made, by the clock of who committed: seconds since 1970, UTC.
pub(crate) async fn commit_time(exec: &Exec, commit: &str) -> Option<u64> {
    ask(exec, &["show", "--no-patch", "--no-show-signature", "--format=%ct", commit, "--"])
        .await?
        .parse()
        .ok()
}

/// Whether the clone has its whole history.
async fn whole(exec: &Exec) -> bool {
    ask(exec, &["rev-parse", "--is-shallow-repository"]).await.as_deref() == Some("false")
}

/// `None` if git does not know one of them.
async fn is_ancestor(exec: &Exec, earlier: &str, later: &str) -> Option<bool> {
    let git = exec.find("git")?;
    let answer =
        exec.output(&own(&git).args(["merge-base", "--is-ancestor", earlier, later]), LOCAL).await.ok()?;
    match answer.status.code() {
        Some(0) => Some(true),
        Some(1) => Some(false),
        _ => None,
    }
}

/// The paths among `paths`, below `folder`, that git does not know; none without a repository. A folder is known if anything
/// in it is.
pub(crate) async fn untracked(exec: &Exec, folder: &Path, paths: &[&str]) -> BTreeSet<String> {
    let Some(git) = exec.find("git").filter(|_| !paths.is_empty()) else { return BTreeSet::new() };
    let list = own(&git).arg("-C").arg(folder).args(["ls-files", "-z", "--"]);
    let list = list.args(paths.iter().map(|path| format!(":(literal){path}")));
    let Ok(answer) = exec.output(&list, LOCAL).await else { return BTreeSet::new() };
    if !answer.status.success() {
        return BTreeSet::new();
    }
    let text = answer.stdout_text();
    let known: Vec<&str> = text.split('\0').filter(|path| !path.is_empty()).collect();
    let is_known = |path: &str| {
        known.iter().any(|known| *known == path || (path.ends_with('/') && known.starts_with(path)))
    };
    paths.iter().filter(|path| !is_known(path)).map(|path| (*path).to_owned()).collect()
}

/// Git's answer to a question about the working folder's repository; `None` if it has none.
async fn ask(exec: &Exec, arguments: &[&str]) -> Option<String> {
    let git = exec.find("git")?;
    let answer = exec.output(&own(&git).args(arguments), LOCAL).await.ok()?;
    let text = answer.status.success().then(|| answer.stdout_text().trim().to_owned())?;
    (!text.is_empty()).then_some(text)
}

/// How long a remote repository may take to answer.
const REMOTE: Duration = Duration::from_mins(1);

/// The URL for git's arguments, without a password, because other processes can read arguments. The login is in a variable.
fn address(url: &str) -> Cow<'_, str> {
    if http_login(url).is_some() { shown::without_users(url) } else { Cow::Borrowed(url) }
}

/// A command that talks to a remote repository and never asks for a password.
async fn remote(
    exec: &Exec,
    folder: Option<&Path>,
    variables: Vec<(String, SecretString)>,
    arguments: &[&str],
) -> Result<Vec<u8>> {
    let git = exec.find("git").ok_or_else(|| {
        Error::of(FailureKind::ToolMissing, "failed to find git on the PATH")
            .hint("install git on this runner")
    })?;
    let mut ask = Invocation::new(&git, Effect::Read).env("GIT_TERMINAL_PROMPT", "0".to_owned().into());
    if let Some(folder) = folder {
        ask = ask.arg("-C").arg(folder);
    }
    for (name, value) in variables {
        ask = ask.env(name, value);
    }
    let done = exec.output(&ask.args(arguments), REMOTE).await.map_err(from_exec)?;
    if done.status.success() {
        return Ok(done.stdout);
    }
    let what = format!("git {} failed", arguments.first().copied().unwrap_or_default());
    let error = classify(&what, &last_line(&done));
    Err(match error.kind {
        None | Some(FailureKind::Unknown) => error.of_kind(FailureKind::GitSource),
        Some(kind) => error.hint(kind.hint_of_host()),
    })
}

/// The object and the commit that a name means in a git repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The object that has the name: a commit, or an annotated tag.
    pub object: String,
    pub commit: String,
}

/// Asks a remote repository which object a branch, a tag or another name means; without a name, its default branch.
///
/// # Errors
/// If the repository does not answer or has no such name, or the name is that of a branch and of a tag.
pub(crate) async fn resolve(exec: &Exec, remotes: &Remotes, url: &str, name: &str) -> Result<Found> {
    let asked = if name.is_empty() { "HEAD" } else { name };
    let peeled = format!("{asked}^{{}}");
    let at = address(url);
    let ask = ["ls-remote", "--", &at, asked, &peeled];
    let listed = remote(exec, None, remotes.variables(url), &ask).await?;
    pick(&String::from_utf8_lossy(&listed), name)
}

/// Picks the reference that a name means from `listed`, an answer of `git ls-remote` (`<id>\t<reference>` a line), in
/// BuildKit's order (`source/git/source.go`): `refs/NAME`, then branch and tag. Of a branch and a tag with one name,
/// BuildKit from 0.26 on takes the branch, an older one the tag; so such a name is refused.
///
/// # Errors
/// If the answer has no such name, or it is that of a branch and of a tag with other commits.
pub fn pick(listed: &str, name: &str) -> Result<Found> {
    let lines: Vec<(&str, &str)> = listed.lines().filter_map(|line| line.split_once('\t')).collect();
    let find = |full: &str| {
        let id = |full: &str| lines.iter().find(|(_, known)| *known == full).map(|(id, _)| (*id).to_owned());
        let object = id(full)?;
        // `git ls-remote` lists the commit of an annotated tag with `^{}` after the tag's name.
        let commit = id(&format!("{full}^{{}}")).unwrap_or_else(|| object.clone());
        Some(Found { object, commit })
    };
    if name.is_empty() {
        return find("HEAD").ok_or_else(|| Error::input("the repository has no default branch"));
    }
    let full = |prefix: &str| find(&format!("{prefix}{}", name.strip_prefix(prefix).unwrap_or(name)));
    match (full("refs/"), full("refs/heads/"), full("refs/tags/")) {
        (Some(found), ..) => Ok(found),
        (None, Some(branch), Some(tag)) if branch.commit != tag.commit => {
            Err(Error::input(format!("`{name}` is a branch and a tag, of two commits"))
                .hint(format!("write refs/heads/{name} or refs/tags/{name}")))
        }
        (None, Some(branch), _) => Ok(branch),
        (None, None, Some(tag)) => Ok(tag),
        (None, None, None) => Err(Error::input(format!("the repository has no branch or tag `{name}`"))),
    }
}

/// Reads one file of a commit of a remote repository, without the rest of the commit.
///
/// # Errors
/// If the repository does not answer, or the commit has no such file.
pub(crate) async fn file(
    exec: &Exec,
    remotes: &Remotes,
    url: &str,
    commit: &str,
    path: &str,
) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Error::of_io("failed to make a temporary folder", &error);
    let folder = PrivateFolder::new(GIT, &std::env::temp_dir()).map_err(failed)?;
    let at = Some(folder.path());
    let login = || remotes.variables(url);
    let address = address(url);
    remote(exec, at, Vec::new(), &["init", "--quiet", "--bare"]).await?;
    let shallow = ["fetch", "--quiet", "--depth=1", "--no-tags", "--", &address, commit];
    if remote(exec, at, login(), &shallow).await.is_err() {
        // A plain web server cannot send a part of a history, and some servers send no commit by its id.
        remote(exec, at, login(), &["fetch", "--quiet", "--", &address, "+refs/*:refs/*"]).await?;
    }
    remote(exec, at, Vec::new(), &["cat-file", "blob", &format!("{commit}:{path}")]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d56_names_in_buildkits_order() {
        let listed = "aa\tHEAD\nbb\trefs/heads/x\nbb\trefs/tags/x\nbb\trefs/tags/x/y\ncc\trefs/heads/z\n\
                      dd\trefs/tags/v1\nee\trefs/tags/v1^{}\nff\trefs/pull/1/head\n11\trefs/heads/both\n\
                      22\trefs/tags/both\n33\trefs/heads/heads/z\n";
        for (name, object, commit) in [
            ("", "aa", "aa"),
            ("x", "bb", "bb"),
            ("v1", "dd", "ee"),
            ("refs/tags/v1", "dd", "ee"),
            ("tags/v1", "dd", "ee"),
            ("refs/tags/both", "22", "22"),
            ("refs/heads/both", "11", "11"),
            ("heads/z", "cc", "cc"),
            ("pull/1/head", "ff", "ff"),
        ] {
            let want = Found { object: object.to_owned(), commit: commit.to_owned() };
            assert_eq!(pick(listed, name).unwrap(), want, "{name}");
        }
        assert!(pick(listed, "nope").is_err() && pick(listed, "HEAD").is_err() && pick("", "").is_err());
        let both = pick(listed, "both").unwrap_err();
        assert!(both.to_string().contains("`both` is a branch and a tag"), "{both}");
        assert_eq!(both.hint.as_deref(), Some("write refs/heads/both or refs/tags/both"));
    }
}
