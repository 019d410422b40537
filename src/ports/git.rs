//! Commits, from the git CLI.

use std::time::Duration;

use crate::env::{self, Env};
use crate::ports::exec::{Effect, Exec, Invocation};
use crate::run::{Commit, RunContext};

const QUICK: Duration = Duration::from_secs(5);

/// Adds commit and branch to a run that no event describes. Without git, or outside a
/// repository, the run goes on without.
pub async fn complete(run: &mut RunContext, exec: &Exec, env: &Env) {
    let head = ask(exec, env, &["rev-parse", "--verify", "HEAD"]).await;
    run.commit = head.map(|head| Commit { head, merge: None });
    run.branch = ask(exec, env, &["symbolic-ref", "--short", "HEAD"]).await;
}

/// The commits before the one that is checked out, nearest first, as far as the clone goes back.
pub async fn first_parents(exec: &Exec, env: &Env, most: usize) -> Vec<String> {
    let count = format!("--max-count={most}");
    let list = ask(exec, env, &["rev-list", "--first-parent", "--skip=1", &count, "HEAD"]).await;
    list.unwrap_or_default().lines().map(str::to_owned).collect()
}

/// What git says, if it says anything.
async fn ask(exec: &Exec, env: &Env, arguments: &[&str]) -> Option<String> {
    let git = which::which_in("git", env.get(env::PATH), ".").ok()?;
    let answer = exec.output(&Invocation::new(&git, Effect::Read).args(arguments), QUICK).await.ok()?;
    let text = answer.status.success().then(|| answer.stdout_text().trim().to_owned())?;
    (!text.is_empty()).then_some(text)
}
