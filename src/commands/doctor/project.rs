//! The settings of the GitHub repository.

use super::gather::Doctor;
use crate::doctor::github::{self, GitHubFacts};
use crate::doctor::{Check, Known};
use crate::env;
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::ports::clock::unix_seconds;
use crate::ports::github::{GitHub, Slug};
use crate::ports::reach::Reached;
use crate::secret::SecretString;

#[derive(Default)]
pub(super) struct ProjectAnswers {
    pub(super) checks: Vec<Check>,
    /// What GitHub answered, for the clock.
    pub(super) answer: Option<Reached>,
}

impl Doctor<'_> {
    fn github(&self) -> Result<(GitHub, Slug)> {
        let env = &self.ports.env;
        let none = || Error::of(FailureKind::AuthMissing, "GITHUB_REPOSITORY does not name a repository");
        let slug = env.get(env::GITHUB_REPOSITORY).and_then(Slug::parse).ok_or_else(none)?;
        let token = self.token.clone().map(SecretString::from);
        Ok((GitHub::new(env, token, 0, &self.proxies)?, slug))
    }

    /// Outside of GitHub nothing is asked.
    pub(super) async fn project(&self) -> ProjectAnswers {
        let env = &self.ports.env;
        if !env.in_github_actions() {
            return ProjectAnswers::default();
        }
        let self_hosted = env.is_self_hosted();
        let (github, slug) = match self.github() {
            Ok(found) => found,
            Err(error) => {
                return ProjectAnswers {
                    checks: vec![Check::unknown("GitHub's settings", &error)],
                    answer: None,
                };
            }
        };
        let what = "failed to ask GitHub for the repository's settings";
        let (project, rulesets) = tokio::join!(
            self.within(what, github.settings(&slug)),
            self.within(what, github.rulesets(&slug)),
        );
        let (protected, forks) = match &project {
            Ok(project) => tokio::join!(
                self.within(what, github.is_protected(&slug, &project.default_branch)),
                self.within(what, github.fork_policy(&slug, project.private)),
            ),
            Err(error) => (Err(error.clone()), Err(error.clone())),
        };
        // The clock of the last answer, which came just now.
        let told = github.clock().map(|theirs| Reached {
            host: "GitHub".to_owned(),
            status: 200,
            clocks: Some((theirs, unix_seconds())),
        });
        let checks = github::checks(&GitHubFacts { project, protected, rulesets, forks, self_hosted });
        ProjectAnswers { checks, answer: told }
    }

    /// Bytes of all entries of GitHub's cache service.
    pub(super) async fn used_cache(&self) -> Known<u64> {
        let (github, slug) = self.github()?;
        self.within("failed to ask GitHub for the size of its cache", github.cache_size(&slug)).await
    }
}
