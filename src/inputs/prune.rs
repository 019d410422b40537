//! The inputs of `prune`: flags of the command, inputs of `prune/action.yml`, and what they mean.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::caches::{self, CacheKind, CacheSpec};
use super::lists::InputText as _;
use super::problems::Problems;
use super::raw::{RawInputs, raw_inputs};
use crate::error::Result;

raw_inputs! { PruneInputs
    "What" {
        /// Repository to clean, as the main action's input names it. Without it the first of these that is set: BUILD_ONCE_REPOSITORY, ECR_CACHE_URL, the parameter that ssm-parameter names.
        repository;
        /// Second repository, of pull requests and branches without protection; cleaned too.
        pr_repository;
        /// Where names are removed: registry (images, and layer caches there), gha (entries of closed pull requests in GitHub's cache service), local (cache-dir), s3 (s3,bucket=…,region=…, as the main action's input cache has it).
        cache = "registry";
        /// Folder of this machine for cache local; without it build-once/layers in the user's cache folder.
        cache_dir;
        /// Remove what the plan says. Without it the plan is only shown.
        apply = "false";
    }
    "Limits" {
        /// Remove at most so many tags and images in one run; the rest is left to the next one.
        max_delete = "500";
        /// Go on where more than half of a repository's images would be removed.
        force = "false";
        /// Keep everything that was pushed or pulled less than this ago, such as 24h: a job may be using it. Layer caches of closed pull requests and of branches that are gone do not wait.
        min_age = "24h";
        /// Remove trusted images and layer caches that nothing pushed or pulled for so long. Without pull times, which ECR alone has, only those that keep-keys does not keep.
        unused = "30d";
        /// Remove tags of commits whose image nothing pushed or pulled for so long.
        commits = "90d";
        /// Remove the merge queue's images after so long.
        queue = "3d";
        /// Remove images and layer caches without a tag, made by build-once or BuildKit, that nothing refers to, after so long; off keeps them.
        untagged = "2d";
        /// Keep so many of the newest trusted layer caches, however old.
        keep_caches = "100";
        /// Keep so many of the newest trusted images, however old, in a registry without pull times.
        keep_keys = "1000";
        /// Folder that keeps manifests between runs, so that each is read once; keep it with actions/cache.
        manifest_cache;
    }
    "Access" {
        /// Registry logins, one a line: HOST USER VARIABLE, where the environment variable holds the password.
        logins;
        /// Token for GitHub's API; the job's own in the action. Needs pull-requests: read, contents: read; for gha actions: write; for ghcr.io packages: write.
        github_token;
        /// AWS region; without it the one in the repository's host name.
        aws_region;
        /// SSM parameter with the repository, read where no other source names one.
        ssm_parameter = "/github-runner/{instance-id}/ecr-cache-url";
    }
    "Report" {
        /// How many times a request is tried again after a failure that may pass.
        retries = "3";
        /// Write a job summary.
        summary = "true";
    }
}

/// The inputs of `prune`, checked.
#[derive(Clone, Debug)]
pub(crate) struct PruneRequest {
    pub(crate) apply: bool,
    pub(crate) force: bool,
    pub(crate) max_delete: usize,
    pub(crate) min_age: Duration,
    pub(crate) unused: Duration,
    pub(crate) commits: Duration,
    pub(crate) queue: Duration,
    /// `None`: manifests without a tag stay.
    pub(crate) untagged: Option<Duration>,
    pub(crate) keep_caches: usize,
    pub(crate) keep_keys: usize,
    pub(crate) manifest_cache: Option<PathBuf>,
    /// What is cleaned, each kind once.
    pub(crate) caches: Vec<CacheSpec>,
}

impl PruneRequest {
    /// The cache of this kind, if it is to be cleaned.
    #[must_use]
    pub(crate) fn cache(&self, kind: CacheKind) -> Option<&CacheSpec> {
        self.caches.iter().find(|cache| cache.kind == kind)
    }
}

impl PruneInputs {
    /// The main action's inputs that find the repository and log in.
    #[must_use]
    pub(crate) fn access(&self) -> RawInputs {
        RawInputs {
            image: Some("prune".to_owned()),
            repository: self.repository.clone(),
            pr_repository: self.pr_repository.clone(),
            logins: self.logins.clone(),
            github_token: self.github_token.clone(),
            aws_region: self.aws_region.clone(),
            ssm_parameter: self.ssm_parameter.clone(),
            cache_dir: self.cache_dir.clone(),
            retries: self.retries.clone(),
            ..RawInputs::default()
        }
    }

    /// Checks the inputs.
    ///
    /// # Errors
    /// Names every input that is wrong.
    pub(crate) fn read(&self) -> Result<PruneRequest> {
        let mut problems = Problems::default();
        let untagged = self.untagged.trimmed().unwrap_or("2d");
        let request = PruneRequest {
            apply: problems.boolean("apply", self.apply.trimmed().unwrap_or("false")),
            force: problems.boolean("force", self.force.trimmed().unwrap_or("false")),
            max_delete: problems
                .parse("max-delete", Some(self.max_delete.trimmed().unwrap_or("500")))
                .unwrap_or_default(),
            min_age: problems.duration("min-age", self.min_age.trimmed().unwrap_or("24h")),
            unused: problems.duration("unused", self.unused.trimmed().unwrap_or("30d")),
            commits: problems.duration("commits", self.commits.trimmed().unwrap_or("90d")),
            queue: problems.duration("queue", self.queue.trimmed().unwrap_or("3d")),
            untagged: (untagged != "off").then(|| problems.duration("untagged", untagged)),
            keep_caches: problems
                .parse("keep-caches", Some(self.keep_caches.trimmed().unwrap_or("100")))
                .unwrap_or_default(),
            keep_keys: problems
                .parse("keep-keys", Some(self.keep_keys.trimmed().unwrap_or("1000")))
                .unwrap_or_default(),
            manifest_cache: self.manifest_cache.trimmed().map(PathBuf::from),
            caches: self.caches(&mut problems),
        };
        problems.boolean("summary", self.summary.trimmed().unwrap_or("true"));
        problems.finish()?;
        Ok(request)
    }

    /// Whether a job summary is written; where the input is wrong too.
    #[must_use]
    pub(crate) fn with_summary(&self) -> bool {
        !self.summary.trimmed().unwrap_or("true").eq_ignore_ascii_case("false")
    }

    fn caches(&self, problems: &mut Problems) -> Vec<CacheSpec> {
        let caches = caches::kinds(self.cache.trimmed().unwrap_or("registry"), problems);
        for kind in caches.iter().map(|cache| cache.kind) {
            match kind {
                CacheKind::Registry | CacheKind::Gha | CacheKind::Local | CacheKind::S3 => {}
                CacheKind::Inline => problems.add("cache", "inline is in the image and goes with it"),
                CacheKind::Azblob => {
                    let why = "azblob is cleaned by a rule for old blobs on the container's own prefix";
                    problems.add("cache", why);
                }
            }
        }
        caches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_declared_ones() {
        let request = PruneInputs::default().read().unwrap();
        let declared: PruneInputs = {
            use clap::{Args as _, FromArgMatches as _};
            let command = PruneInputs::augment_args(clap::Command::new("x"));
            PruneInputs::from_arg_matches(&command.try_get_matches_from(["x"]).unwrap()).unwrap()
        };
        let declared = declared.read().unwrap();
        assert_eq!(format!("{request:?}"), format!("{declared:?}"));
        assert!(!request.apply && request.max_delete == 500 && request.min_age == Duration::from_hours(24));
        assert!(request.caches.len() == 1 && request.cache(CacheKind::Registry).is_some());
    }

    #[test]
    fn every_wrong_input_is_named() {
        let wrong = |text: &str| Some(text.to_owned());
        let inputs = PruneInputs {
            apply: wrong("yes"),
            max_delete: wrong("-1"),
            unused: wrong("30"),
            cache: wrong("registry,s3,azblob,account_url=https://a,disk"),
            ..PruneInputs::default()
        };
        let text = inputs.read().unwrap_err().to_string();
        for name in ["`apply`", "`max-delete`", "`unused`", "s3 needs bucket", "azblob", "`disk`"] {
            assert!(text.contains(name), "{name}: {text}");
        }
        let off = PruneInputs { untagged: wrong("off"), ..PruneInputs::default() };
        assert_eq!(off.read().unwrap().untagged, None);
    }
}
