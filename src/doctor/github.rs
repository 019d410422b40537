//! The settings of the GitHub repository that decide whose code runs with which trust.

use super::{Check, Known};
use crate::ports::github::{ForkPolicy, ProjectSettings, Ruleset};

pub(crate) struct GitHubFacts {
    pub project: Known<ProjectSettings>,
    /// Whether a branch protection or a ruleset covers the default branch.
    pub protected: Known<bool>,
    pub rulesets: Known<Vec<Ruleset>>,
    pub forks: Known<ForkPolicy>,
    /// This job runs on a machine of the owner's.
    pub self_hosted: bool,
}

pub(crate) fn checks(facts: &GitHubFacts) -> Vec<Check> {
    vec![default_branch(facts), trusted_branches(facts), forks(facts)]
}

fn default_branch(facts: &GitHubFacts) -> Check {
    let name = "protection of the default branch";
    let branch = facts.project.as_ref().map(|project| project.default_branch.as_str());
    match (&facts.protected, branch) {
        (Ok(true), Ok(branch)) => Check::ok(name, format!("{branch} is protected")),
        (Ok(false), Ok(branch)) => Check::warn(
            name,
            format!(
                "{branch} is trusted, and everyone who may push to the repository may push to it without a review"
            ),
            "Settings, Rules, Rulesets: require a pull request for the default branch",
        ),
        (Err(error), _) | (_, Err(error)) => Check::unknown(name, error),
    }
}

/// A protected branch is in the trusted zone, so a rule over all branches puts every branch there.
fn trusted_branches(facts: &GitHubFacts) -> Check {
    let name = "branches in the trusted zone";
    let rulesets = match &facts.rulesets {
        Ok(rulesets) => rulesets,
        Err(error) => return Check::unknown(name, error),
    };
    if let Some(ruleset) =
        rulesets.iter().find(|ruleset| ruleset.include.iter().any(|pattern| is_all(pattern)))
    {
        return Check::warn(
            name,
            format!(
                "the ruleset {} covers every branch, so the push of any branch counts as trusted",
                ruleset.name
            ),
            "narrow the ruleset to the branches that are reviewed (~DEFAULT_BRANCH, refs/heads/release/*), or give pushes of other branches push: false",
        );
    }
    let patterns: Vec<&str> =
        rulesets.iter().flat_map(|ruleset| &ruleset.include).map(String::as_str).collect();
    let and = if patterns.is_empty() {
        String::new()
    } else {
        format!(" and what rulesets cover: {}", patterns.join(", "))
    };
    Check::ok(name, format!("the default branch{and}"))
}

/// Patterns that every branch matches.
fn is_all(pattern: &str) -> bool {
    let rest = pattern.strip_prefix("refs/heads/").unwrap_or(pattern);
    pattern == "~ALL" || (!rest.is_empty() && rest.chars().all(|c| matches!(c, '*' | '/')))
}

fn forks(facts: &GitHubFacts) -> Check {
    let name = "pull requests from forks";
    let own = facts.self_hosted && facts.project.as_ref().is_ok_and(|project| !project.private);
    match &facts.forks {
        _ if own && !matches!(facts.forks, Ok(ForkPolicy::Public { .. })) => Check::warn(
            name,
            "the repository is public and this runner is self-hosted: a stranger's code may run on it",
            "Settings, Actions, General: require approval for all external contributors; or use ephemeral runners",
        ),
        Ok(ForkPolicy::Public { approval }) if approval == "all_external_contributors" => {
            Check::ok(name, "every run of a stranger's waits for an approval")
        }
        Ok(ForkPolicy::Public { approval }) if own => Check::warn(
            name,
            format!("this runner is self-hosted, and {} run without an approval", who(approval)),
            "Settings, Actions, General: require approval for all external contributors",
        ),
        Ok(ForkPolicy::Public { approval }) => Check::ok(
            name,
            format!(
                "{} run without an approval, without secrets and without a token to write",
                who(approval)
            ),
        ),
        Ok(ForkPolicy::Private { runs: false, .. }) => Check::ok(name, "GitHub runs nothing for them"),
        Ok(ForkPolicy::Private { write_tokens: false, secrets: false, .. }) => {
            Check::ok(name, "they run without secrets and without a token to write")
        }
        Ok(ForkPolicy::Private { write_tokens, .. }) => {
            let what = if *write_tokens { "a token that may write" } else { "the repository's secrets" };
            Check::fail(
                name,
                format!(
                    "GitHub gives runs of forks {what}: build-once counts them as forks, and their steps can publish all the same"
                ),
                "Settings, Actions, General, Fork pull request workflows: send neither write tokens nor secrets",
            )
        }
        Err(error) => Check::unknown(name, error),
    }
}

fn who(approval: &str) -> &'static str {
    match approval {
        "first_time_contributors_new_to_github" => "all but accounts that are new to GitHub",
        "first_time_contributors" => "all who had a change merged before",
        _ => "strangers",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{self, Fail, Ok as Good, Warn};
    use crate::error::Error;
    use crate::failure::FailureKind;

    fn facts() -> GitHubFacts {
        GitHubFacts {
            project: Ok(ProjectSettings { default_branch: "main".into(), private: false }),
            protected: Ok(true),
            rulesets: Ok(vec![Ruleset { name: "main".into(), include: vec!["~DEFAULT_BRANCH".into()] }]),
            forks: Ok(ForkPolicy::Public { approval: "all_external_contributors".into() }),
            self_hosted: false,
        }
    }

    fn verdicts(change: impl FnOnce(&mut GitHubFacts)) -> Vec<Verdict> {
        let mut facts = facts();
        change(&mut facts);
        checks(&facts).iter().map(|check| check.verdict).collect()
    }

    fn denied() -> Error {
        Error::of(FailureKind::AuthDenied, "failed to ask").hint("allow administration: read")
    }

    #[test]
    fn a_good_project() {
        assert_eq!(verdicts(|_| {}), [Good, Good, Good]);
    }

    #[test]
    fn each_setting_in_turn() {
        assert_eq!(verdicts(|facts| facts.protected = Ok(false)), [Warn, Good, Good]);
        assert_eq!(verdicts(|facts| facts.protected = Err(denied())), [Warn, Good, Good]);
        assert_eq!(verdicts(|facts| facts.project = Err(denied())), [Warn, Good, Good]);
        assert_eq!(verdicts(|facts| facts.rulesets = Err(denied())), [Good, Warn, Good]);
        for pattern in ["~ALL", "refs/heads/**/*", "refs/heads/*", "**"] {
            let all = Ruleset { name: "x".into(), include: vec![pattern.into()] };
            assert_eq!(verdicts(|facts| facts.rulesets = Ok(vec![all])), [Good, Warn, Good], "{pattern}");
        }
        assert_eq!(verdicts(|facts| facts.rulesets = Ok(Vec::new())), [Good, Good, Good]);
    }

    #[test]
    fn what_forks_get() {
        let of = |forks: Known<ForkPolicy>, self_hosted: bool| {
            verdicts(|facts| (facts.forks, facts.self_hosted) = (forks, self_hosted))[2]
        };
        let public = |approval: &str| Ok(ForkPolicy::Public { approval: approval.into() });
        let private = |runs, write_tokens, secrets| Ok(ForkPolicy::Private { runs, write_tokens, secrets });
        assert_eq!(of(public("first_time_contributors"), false), Good);
        assert_eq!(of(public("first_time_contributors"), true), Warn);
        assert_eq!(of(public("all_external_contributors"), true), Good);
        assert_eq!(of(Err(denied()), false), Warn);
        assert_eq!(of(Err(denied()), true), Warn);
        assert_eq!(of(private(false, true, true), false), Good);
        assert_eq!(of(private(true, false, false), false), Good);
        assert_eq!(of(private(true, true, false), false), Fail);
        assert_eq!(of(private(true, false, true), false), Fail);
    }
}
