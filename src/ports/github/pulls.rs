//! Pull requests and branches.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{GitHub, Slug};
use crate::error::{Error, Result};
use crate::failure::FailureKind;

#[derive(Deserialize)]
struct Pull {
    number: u64,
    state: String,
    closed_at: Option<String>,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "ref")]
    name: String,
}

/// Up to so many pull requests are asked for one by one; of more the list is read.
const FEW: usize = 20;
const RIGHT: &str = "pull-requests: read";

impl Pull {
    /// When it was closed, if GitHub says so; anything else is not closed.
    fn closed(&self) -> Option<u64> {
        let at = self.closed_at.as_deref().filter(|_| self.state == "closed")?;
        seconds(at)
    }
}

pub(super) fn is_absent(error: &Error) -> bool {
    error.causes.iter().any(|cause| cause.starts_with("404"))
}

/// Seconds since 1970 of a time as GitHub writes it.
pub(super) fn seconds(text: &str) -> Option<u64> {
    OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp().try_into().ok()
}

impl GitHub {
    /// Those of these pull requests that GitHub says are closed, with the time. One that it does not say that of (open,
    /// unknown, further back in the list than is read) is not among them.
    ///
    /// # Errors
    /// If an answer cannot be read.
    pub(crate) async fn closed_pulls(
        &self,
        slug: &Slug,
        numbers: &BTreeSet<u64>,
    ) -> Result<BTreeMap<u64, u64>> {
        let mut closed = BTreeMap::new();
        let Slug { owner, name } = slug;
        let mut left = numbers.clone();
        if left.len() > FEW {
            // A list that changes while it is read may skip one: that one is asked for by itself.
            let route = format!("/repos/{owner}/{name}/pulls?state=closed&sort=updated&direction=desc");
            let missing = |found: &[Pull]| {
                let found: BTreeSet<u64> = found.iter().map(|pull| pull.number).collect();
                numbers.difference(&found).count()
            };
            let list = self.pages(&route, RIGHT, |page: Vec<Pull>| page, |found| missing(found) <= FEW);
            for pull in list.await? {
                if let Some(at) = pull.closed().filter(|_| left.remove(&pull.number)) {
                    closed.insert(pull.number, at);
                }
            }
        }
        if left.len() > FEW {
            // Most of these are open: that alone keeps their names.
            let route = format!("/repos/{owner}/{name}/pulls?state=open&sort=created&direction=asc");
            let open = self.pages(&route, RIGHT, |page: Vec<Pull>| page, |_| false).await?;
            open.iter().filter(|pull| pull.state == "open").for_each(|pull| {
                left.remove(&pull.number);
            });
        }
        // More than that are judged by the next runs.
        for number in left.into_iter().take(5 * FEW) {
            let pull: Result<Pull> = self.get(&format!("/repos/{owner}/{name}/pulls/{number}"), RIGHT).await;
            match pull {
                Ok(pull) => {
                    closed.extend(pull.closed().filter(|_| pull.number == number).map(|at| (number, at)));
                }
                // Never a pull request of this repository, so not known to be closed; or the token does not see the
                // repository, and would keep every name for ever.
                Err(error) if is_absent(&error) => self.sees(slug).await?,
                Err(error) => return Err(error),
            }
        }
        Ok(closed)
    }

    /// Fails if the token does not see the repository: GitHub then says of everything in it that it does not exist.
    async fn sees(&self, slug: &Slug) -> Result<()> {
        #[derive(Deserialize)]
        struct Repository {}
        let Slug { owner, name } = slug;
        let found: Result<Repository> = self.get(&format!("/repos/{owner}/{name}"), "metadata: read").await;
        found.map(drop).map_err(|error| {
            if !is_absent(&error) {
                return error;
            }
            let what = format!("GitHub does not show {owner}/{name} to this token");
            Error::of(FailureKind::AuthDenied, what)
                .cause("it is not known which pull requests are closed")
                .hint("give a github-token that may read the repository, and look at GITHUB_REPOSITORY")
        })
    }

    /// All branches, in one answer: a list in pages may skip one that exists.
    ///
    /// # Errors
    /// If the answer cannot be read, or does not have the default branch.
    pub(crate) async fn branches(&self, slug: &Slug, default: Option<&str>) -> Result<BTreeSet<String>> {
        let Slug { owner, name } = slug;
        let route = format!("/repos/{owner}/{name}/git/matching-refs/heads");
        let found: Vec<Reference> = self.get(&route, "contents: read").await?;
        let prefix = "refs/heads/";
        let branches: BTreeSet<String> =
            found.iter().filter_map(|found| found.name.strip_prefix(prefix)).map(str::to_owned).collect();
        if branches.is_empty() || default.is_some_and(|default| !branches.contains(default)) {
            let what = format!("{owner}/{name} has no default branch in GitHub's list of branches");
            return Err(Error::of(FailureKind::BadAnswer, what).cause("the list is not believed"));
        }
        Ok(branches)
    }
}
