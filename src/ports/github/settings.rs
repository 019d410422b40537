//! The settings of a repository that decide whose code runs with which trust. Reads alone.

use futures_util::future::try_join_all;
use reqwest::Url;
use serde::Deserialize;

use super::{GitHub, Slug};
use crate::error::Result;

/// The repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct ProjectSettings {
    pub default_branch: String,
    pub private: bool,
}

/// A ruleset that protects branches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ruleset {
    pub name: String,
    /// Patterns of refs: `~DEFAULT_BRANCH`, `~ALL`, `refs/heads/release/*`.
    pub include: Vec<String>,
}

/// What GitHub does with pull requests from forks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ForkPolicy {
    /// Public: whose first run waits for an approval.
    Public { approval: String },
    /// Private: whether forks' runs are started, and what they get.
    Private { runs: bool, write_tokens: bool, secrets: bool },
}

/// Most rulesets whose conditions are read: each costs a request.
const RULESETS: usize = 20;
const METADATA: &str = "metadata: read";
const ADMINISTRATION: &str = "administration: read (a job's own token cannot have it)";

#[derive(Deserialize)]
struct Branch {
    protected: bool,
}

#[derive(Deserialize)]
struct Listed {
    id: u64,
    #[serde(default)]
    target: String,
    #[serde(default)]
    enforcement: String,
}

#[derive(Deserialize)]
struct Detail {
    name: String,
    #[serde(default)]
    conditions: Conditions,
}

#[derive(Default, Deserialize)]
struct Conditions {
    #[serde(default)]
    ref_name: RefName,
}

#[derive(Default, Deserialize)]
struct RefName {
    #[serde(default)]
    include: Vec<String>,
}

#[derive(Deserialize)]
struct Approval {
    approval_policy: String,
}

#[derive(Deserialize)]
struct PrivateForks {
    run_workflows_from_fork_pull_requests: bool,
    send_write_tokens_to_workflows: bool,
    send_secrets_and_variables: bool,
}

#[derive(Deserialize)]
struct Usage {
    active_caches_size_in_bytes: u64,
}

/// A name as one part of a path.
fn part(name: &str) -> String {
    let mut url = Url::parse("http://path.invalid/").ok();
    if let Some(mut parts) = url.as_mut().and_then(|url| url.path_segments_mut().ok()) {
        parts.clear().push(name);
    }
    url.map(|url| url.path().trim_start_matches('/').to_owned()).unwrap_or_default()
}

impl GitHub {
    /// The repository's default branch and visibility.
    ///
    /// # Errors
    /// If the answer cannot be read.
    pub(crate) async fn settings(&self, slug: &Slug) -> Result<ProjectSettings> {
        self.get(&format!("/repos/{}/{}", slug.owner, slug.name), METADATA).await
    }

    /// Whether a branch protection or a ruleset covers the branch.
    ///
    /// # Errors
    /// If the answer cannot be read.
    pub(crate) async fn is_protected(&self, slug: &Slug, branch: &str) -> Result<bool> {
        let route = format!("/repos/{}/{}/branches/{}", slug.owner, slug.name, part(branch));
        let branch: Branch = self.get(&route, "contents: read").await?;
        Ok(branch.protected)
    }

    /// The active rulesets over branches, those of the organisation too.
    ///
    /// # Errors
    /// If an answer cannot be read.
    pub(crate) async fn rulesets(&self, slug: &Slug) -> Result<Vec<Ruleset>> {
        let route = format!("/repos/{}/{}/rulesets", slug.owner, slug.name);
        let all = format!("{route}?includes_parents=true");
        let listed = self.pages(&all, METADATA, |page: Vec<Listed>| page, |_| false).await?;
        let active = listed.iter().filter(|rule| rule.target == "branch" && rule.enforcement == "active");
        let details = active.take(RULESETS).map(async |rule| {
            let route = format!("{route}/{}?includes_parents=true", rule.id);
            let Detail { name, conditions } = self.get(&route, METADATA).await?;
            Ok(Ruleset { name, include: conditions.ref_name.include })
        });
        try_join_all(details).await
    }

    /// What happens with pull requests from forks.
    ///
    /// # Errors
    /// If the answer cannot be read: a job's own token may not ask.
    pub(crate) async fn fork_policy(&self, slug: &Slug, private: bool) -> Result<ForkPolicy> {
        let route = format!("/repos/{}/{}/actions/permissions", slug.owner, slug.name);
        if private {
            let route = format!("{route}/fork-pr-workflows-private-repos");
            let found: PrivateForks = self.get(&route, ADMINISTRATION).await?;
            return Ok(ForkPolicy::Private {
                runs: found.run_workflows_from_fork_pull_requests,
                write_tokens: found.send_write_tokens_to_workflows,
                secrets: found.send_secrets_and_variables,
            });
        }
        let found: Approval =
            self.get(&format!("{route}/fork-pr-contributor-approval"), ADMINISTRATION).await?;
        Ok(ForkPolicy::Public { approval: found.approval_policy })
    }

    /// Bytes of all entries of the cache service.
    ///
    /// # Errors
    /// If the answer cannot be read.
    pub(crate) async fn cache_size(&self, slug: &Slug) -> Result<u64> {
        let route = format!("/repos/{}/{}/actions/cache/usage", slug.owner, slug.name);
        let usage: Usage = self.get(&route, "actions: read").await?;
        Ok(usage.active_caches_size_in_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_one_part_of_the_path() {
        for (name, wanted) in [("main", "main"), ("a/b", "a%2Fb"), ("../x", "..%2Fx"), ("a?b#c", "a%3Fb%23c")]
        {
            assert_eq!(part(name), wanted);
        }
    }
}
