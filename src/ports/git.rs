//! Commits, from the git CLI.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::error::{Error, FailureClass, Result};
use crate::ports::docker::{from_exec, last_line};
use crate::ports::exec::{Effect, Exec, Invocation};
use crate::run::{Commit, RunContext};

const QUICK: Duration = Duration::from_secs(5);

/// Adds commit and branch to a run that no event describes. Without git, or outside a
/// repository, the run goes on without.
pub async fn complete(run: &mut RunContext, exec: &Exec) {
    let head = ask(exec, &["rev-parse", "--verify", "HEAD"]).await;
    run.commit = head.map(|head| Commit { head, merge: None });
    run.branch = ask(exec, &["symbolic-ref", "--short", "HEAD"]).await;
}

/// The commits before the one that is checked out, nearest first, as far as the clone goes back.
pub async fn first_parents(exec: &Exec, most: usize) -> Vec<String> {
    let count = format!("--max-count={most}");
    let list = ask(exec, &["rev-list", "--first-parent", "--skip=1", &count, "HEAD"]).await;
    list.unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Those of these paths below `folder` that git does not know; none where there is no repository. A folder is known
/// if anything in it is.
pub async fn untracked(exec: &Exec, folder: &Path, paths: &[&str]) -> BTreeSet<String> {
    let Some(git) = exec.find("git").filter(|_| !paths.is_empty()) else { return BTreeSet::new() };
    let list = Invocation::new(&git, Effect::Read).arg("-C").arg(folder).args(["ls-files", "-z", "--"]);
    let list = list.args(paths.iter().map(|path| format!(":(literal){path}")));
    let Ok(answer) = exec.output(&list, QUICK).await else { return BTreeSet::new() };
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

/// What git says, if it says anything.
async fn ask(exec: &Exec, arguments: &[&str]) -> Option<String> {
    let git = exec.find("git")?;
    let answer = exec.output(&Invocation::new(&git, Effect::Read).args(arguments), QUICK).await.ok()?;
    let text = answer.status.success().then(|| answer.stdout_text().trim().to_owned())?;
    (!text.is_empty()).then_some(text)
}

/// Longest a remote repository may take to answer.
const REMOTE: Duration = Duration::from_mins(1);

/// A command that talks to a remote repository and never asks for a password.
async fn remote(exec: &Exec, folder: Option<&Path>, arguments: &[&str]) -> Result<Vec<u8>> {
    let git = exec.find("git").ok_or_else(|| {
        Error::new(FailureClass::Unsupported, "failed to find git on the PATH")
            .hint("install git on this runner")
    })?;
    let mut ask = Invocation::new(&git, Effect::Read).env("GIT_TERMINAL_PROMPT", "0".to_owned().into());
    if let Some(folder) = folder {
        ask = ask.arg("-C").arg(folder);
    }
    let done = exec.output(&ask.args(arguments), REMOTE).await.map_err(from_exec)?;
    if done.status.success() {
        return Ok(done.stdout);
    }
    let what = format!("git {} failed", arguments.first().copied().unwrap_or_default());
    Err(Error::new(FailureClass::Unavailable, what).cause(last_line(&done)))
}

/// The commit that a branch, tag or other name stands for in a remote repository; its default branch's
/// without one. Branches win over tags of the same name, as in BuildKit (`source/git/source.go`).
///
/// # Errors
/// If the repository does not answer, or has no such name.
pub async fn resolve(exec: &Exec, url: &str, name: &str) -> Result<String> {
    let name = if name.is_empty() { "HEAD" } else { name };
    let peeled = format!("{name}^{{}}");
    let listed = remote(exec, None, &["ls-remote", "--", url, name, &peeled]).await?;
    let text = String::from_utf8_lossy(&listed);
    pick(&text, name).ok_or_else(|| Error::input(format!("{url} has no branch or tag {name}")))
}

fn pick(listed: &str, name: &str) -> Option<String> {
    let short = name.strip_prefix("refs/").unwrap_or(name);
    let wanted = [
        format!("refs/heads/{name}"),
        format!("refs/tags/{name}^{{}}"),
        format!("refs/tags/{name}"),
        format!("refs/{short}^{{}}"),
        format!("refs/{short}"),
        name.to_owned(),
    ];
    let lines: Vec<(&str, &str)> = listed.lines().filter_map(|line| line.split_once('\t')).collect();
    wanted
        .iter()
        .find_map(|wanted| lines.iter().find(|(_, known)| known == wanted))
        .map(|(sha, _)| (*sha).to_owned())
}

/// Of the folders that hold a part of a remote repository for a moment.
pub const PREFIX: &str = "build-once-git-";

/// One file of a commit of a remote repository, without the rest of it.
///
/// # Errors
/// If the repository does not answer, or the commit has no such file.
pub async fn file(exec: &Exec, url: &str, commit: &str, path: &str) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| {
        Error::new(FailureClass::Resource, "failed to make a temporary folder").because(&error)
    };
    let folder = tempfile::Builder::new().prefix(PREFIX).tempdir().map_err(failed)?;
    let at = Some(folder.path());
    remote(exec, at, &["init", "--quiet", "--bare"]).await?;
    let shallow = ["fetch", "--quiet", "--depth=1", "--no-tags", "--", url, commit];
    if remote(exec, at, &shallow).await.is_err() {
        // A plain web server gives no part of a history, and may give no commit by its name.
        remote(exec, at, &["fetch", "--quiet", "--", url, "+refs/*:refs/*"]).await?;
    }
    remote(exec, at, &["cat-file", "blob", &format!("{commit}:{path}")]).await
}

#[cfg(test)]
mod tests {
    use super::pick;

    #[test]
    fn a_branch_wins_over_a_tag_and_a_tag_is_its_commit() {
        let listed = "aa\tHEAD\nbb\trefs/heads/x\ncc\trefs/tags/x\ndd\trefs/tags/v1\nee\trefs/tags/v1^{}\nff\trefs/pull/1/head\n";
        let pick = |name| pick(listed, name);
        assert_eq!(pick("x").as_deref(), Some("bb"));
        assert_eq!(pick("v1").as_deref(), Some("ee"));
        assert_eq!(pick("refs/tags/x").as_deref(), Some("cc"));
        assert_eq!(pick("pull/1/head").as_deref(), Some("ff"));
        assert_eq!(pick("HEAD").as_deref(), Some("aa"));
        assert_eq!(pick("nope"), None);
    }
}
