//! How commits stand to each other and to a branch.

use serde::Deserialize;

use super::{GitHub, Slug};
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::run::{Ancestry, OnBranch};

/// The permission that the questions need.
const RIGHT: &str = "contents: read";

/// GitHub's comparison of two commits (`GET /repos/{owner}/{repo}/compare/{base}...{head}`).
#[derive(Deserialize)]
struct Comparison {
    status: String,
}

#[derive(Deserialize)]
struct Commit {
    sha: String,
}

impl GitHub {
    /// How `theirs` stands to `ours`.
    ///
    /// # Errors
    /// If GitHub does not know both, or does not say.
    pub(crate) async fn ancestry(&self, slug: &Slug, theirs: &str, ours: &str) -> Result<Ancestry> {
        match self.compared(slug, theirs, ours).await?.as_str() {
            "identical" => Ok(Ancestry::Same),
            "ahead" => Ok(Ancestry::Before),
            "behind" => Ok(Ancestry::After),
            "diverged" => Ok(Ancestry::Apart),
            other => {
                let what = format!("failed to compare the commits {theirs} and {ours}");
                Err(Error::of(FailureKind::BadAnswer, what).cause(format!("GitHub calls them `{other}`")))
            }
        }
    }

    /// Where the commit is on the branch, with at most `most` commits after it.
    ///
    /// # Errors
    /// As for [`Self::ancestry`].
    pub(crate) async fn on_branch(
        &self,
        slug: &Slug,
        commit: &str,
        branch: &str,
        most: usize,
    ) -> Result<OnBranch> {
        let Slug { owner, name } = slug;
        let branch = escaped(branch);
        let route = format!("/repos/{owner}/{name}/commits?sha={branch}&per_page={most}");
        let newest: Vec<Commit> = self.get(&route, RIGHT).await?;
        let mut newest: Vec<String> = newest.into_iter().map(|commit| commit.sha).collect();
        if let Some(at) = newest.iter().position(|sha| sha == commit) {
            newest.truncate(at);
            return Ok(OnBranch::Before(newest));
        }
        // It is further back, or not there.
        match self.compared(slug, commit, &branch).await?.as_str() {
            "ahead" => Ok(OnBranch::Before(newest)),
            _ => Ok(OnBranch::Left),
        }
    }

    /// GitHub's word for how `head` stands to `base`. The first page of the answer has all files that differ, a later one
    /// has none.
    async fn compared(&self, slug: &Slug, base: &str, head: &str) -> Result<String> {
        let Slug { owner, name } = slug;
        let route = format!("/repos/{owner}/{name}/compare/{base}...{head}?per_page=1&page=2");
        Ok(self.get::<Comparison>(&route, RIGHT).await?.status)
    }
}

/// A branch's name as a part of an address (RFC 3986, "unreserved"); its `/` may stay.
fn escaped(branch: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'/');
    branch.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_stays_one_part_of_the_address() {
        assert_eq!(escaped("feature/x-1_2.3"), "feature/x-1_2.3");
        assert_eq!(escaped("a#b?c&d%e é"), "a%23b%3Fc%26d%25e%20%C3%A9");
    }
}
