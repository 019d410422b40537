//! The commit at hand outside a workflow, from the git CLI.

use std::time::Duration;

use crate::env::{self, Env};
use crate::ports::exec::{Effect, Exec, Invocation};
use crate::run::{Commit, RunContext};

const QUICK: Duration = Duration::from_secs(5);

/// Adds commit and branch to a run that no event describes. Without git, or outside a
/// repository, the run goes on without.
pub async fn complete(run: &mut RunContext, exec: &Exec, env: &Env) {
    let Ok(git) = which::which_in("git", env.get(env::PATH), ".") else { return };
    let ask = async |arguments: &[&str]| {
        let answer = exec.output(&Invocation::new(&git, Effect::Read).args(arguments), QUICK).await.ok()?;
        let text = answer.status.success().then(|| answer.stdout_text().trim().to_owned())?;
        (!text.is_empty()).then_some(text)
    };
    let head = ask(&["rev-parse", "--verify", "HEAD"]).await;
    run.commit = head.map(|head| Commit { head, merge: None });
    run.branch = ask(&["symbolic-ref", "--short", "HEAD"]).await;
}
