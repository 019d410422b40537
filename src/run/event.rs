//! Reads the run's facts from GitHub's variables and the event file.

use serde_json::Value;

use super::classify::{Signals, classify};
use super::lean;
use crate::env::{self, Env};
use crate::error::{Error, Result};
use crate::image::{Mark, version_of};
use crate::zone::Zone;

/// The commit the run is about.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Commit {
    /// Names the commit tag: a pull request's head commit, else the commit itself.
    pub head: String,
    /// The merge commit that GitHub checked out, if it is another one.
    #[serde(default)]
    pub merge: Option<String>,
}

/// The pull request the run is about.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PullRequest {
    pub number: u64,
    /// The branch that it will be merged into.
    pub base: Option<String>,
}

/// Facts about the run, from the environment and the event file alone. The plan's JSON shows those that tell a reader what
/// the run may do and why; it skips the others, which only give names and labels their parts.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RunContext {
    /// The event's name; `None` outside GitHub.
    pub event: Option<String>,
    /// `owner/name`.
    pub repository: Option<String>,
    /// The mark of the GitHub repository in shared names; `None` if the repository is not known.
    #[serde(skip)]
    pub mark: Option<Mark>,
    /// The GitHub server, such as `https://github.com`.
    #[serde(skip)]
    pub server: Option<String>,
    /// The branch of `GITHUB_REF`; `None` for tags and pull requests, and the base for `pull_request_target`.
    pub branch: Option<String>,
    /// The repository's default branch.
    pub default_branch: Option<String>,
    /// The commit, if it is known.
    pub commit: Option<Commit>,
    /// Commits whose images this one's can be compared with, nearest first.
    pub earlier: Vec<String>,
    /// The pull request, in a run of one.
    pub pull_request: Option<PullRequest>,
    /// The branch that the merge queue's commit will be merged into.
    pub queue_base: Option<String>,
    /// How far the run is trusted.
    pub zone: Zone,
    /// Why the run has that zone.
    pub zone_reason: String,
    /// True if the run is of a git tag: it may write images, and no caches.
    pub is_tag: bool,
    /// The git tag that the run is of.
    #[serde(skip)]
    pub git_tag: Option<String>,
    /// When the commit was made, by the clock of who committed: seconds since 1970, UTC.
    #[serde(skip)]
    pub commit_time: Option<u64>,
    /// GitHub's number of the run; each attempt has the same.
    #[serde(skip)]
    pub run_id: Option<String>,
    /// The run's page.
    pub url: Option<String>,
    /// Run, attempt and job, for names that people see. Legs of a matrix share it: a builder's name gets a random part
    /// too.
    pub unique: String,
}

impl RunContext {
    /// Reads the environment and the event file's text.
    ///
    /// # Errors
    /// If the event file is not JSON: a zone is not guessed.
    pub fn read(env: &Env, event_file: Option<&str>) -> Result<Self> {
        let unreadable = |error| Error::input("failed to read the event file").because(&error);
        let event = event_file.map(lean::parse).transpose().map_err(unreadable)?.unwrap_or_default();
        let event_name =
            if env.in_github_actions() { env.get(env::GITHUB_EVENT_NAME).unwrap_or_default() } else { "" };
        let git_ref = env.get(env::GITHUB_REF).unwrap_or_default();
        let (zone, zone_reason) = classify(&Signals {
            event_name,
            git_ref,
            ref_protected: env.get(env::GITHUB_REF_PROTECTED) == Some("true"),
            repository: env.get(env::GITHUB_REPOSITORY),
            repository_id: env.get(env::GITHUB_REPOSITORY_ID),
            event: &event,
        });
        let owned = |name| env.get(name).map(str::to_owned);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Ok(Self {
            event: (!event_name.is_empty()).then(|| event_name.to_owned()),
            mark: Mark::of(
                env.get(env::GITHUB_SERVER_URL),
                env.get(env::GITHUB_REPOSITORY_ID),
                env.get(env::GITHUB_REPOSITORY),
            ),
            server: owned(env::GITHUB_SERVER_URL),
            branch: git_ref.strip_prefix("refs/heads/").map(str::to_owned),
            default_branch: text(&event["repository"]["default_branch"]),
            commit: commit(env, &event),
            earlier: earlier(&event),
            pull_request: event["pull_request"]["number"]
                .as_u64()
                .map(|number| PullRequest { number, base: text(&event["pull_request"]["base"]["ref"]) }),
            // In a merge queue the base stands in the event alone, as a full ref.
            queue_base: text(&event["merge_group"]["base_ref"])
                .map(|base| base.strip_prefix("refs/heads/").unwrap_or(&base).to_owned()),
            zone,
            zone_reason,
            is_tag: git_ref.starts_with("refs/tags/"),
            commit_time: commit_time(&event),
            git_tag: git_ref.strip_prefix("refs/tags/").map(str::to_owned),
            run_id: owned(env::GITHUB_RUN_ID),
            url: page(env),
            unique: unique(env),
            repository: owned(env::GITHUB_REPOSITORY),
        })
    }

    /// The version in the name of the run's git tag, with or without `v` in front.
    #[must_use]
    pub(crate) fn version(&self) -> Option<semver::Version> {
        let tag = self.git_tag.as_deref()?;
        version_of(tag)
    }

    /// The branch that a tag may be named after: that of a push, a schedule or a dispatch. The branch of a merge queue
    /// is deleted after the run, and that of a pull request is not its own.
    #[must_use]
    pub(crate) fn tag_branch(&self) -> Option<&str> {
        let own = self.pull_request.is_none() && self.queue_base.is_none() && self.zone != Zone::Queue;
        self.branch.as_deref().filter(|_| own)
    }

    /// The branches whose caches this run may read: its own, the base of the pull request or queue, the default branch;
    /// each once.
    #[must_use]
    pub fn cache_branches(&self) -> Vec<&str> {
        let base = self.pull_request.as_ref().and_then(|pull_request| pull_request.base.as_deref());
        let base = base.or(self.queue_base.as_deref());
        // The queue makes a branch for each run and deletes it.
        let own = self.branch.as_deref().filter(|_| self.zone != Zone::Queue);
        let mut branches: Vec<&str> = Vec::new();
        for branch in [own, base, self.default_branch.as_deref()].into_iter().flatten() {
            if !branches.contains(&branch) {
                branches.push(branch);
            }
        }
        branches
    }
}

/// Run, attempt and job; without those that are not set.
fn unique(env: &Env) -> String {
    let parts = [env::GITHUB_RUN_ID, env::GITHUB_RUN_ATTEMPT, env::GITHUB_JOB].map(|name| env.get(name));
    parts.into_iter().flatten().collect::<Vec<_>>().join("-")
}

/// The address of the run's page.
fn page(env: &Env) -> Option<String> {
    let (repository, id) = env.get(env::GITHUB_REPOSITORY).zip(env.get(env::GITHUB_RUN_ID))?;
    let server = env.get(env::GITHUB_SERVER_URL).unwrap_or("https://github.com");
    Some(format!("{server}/{repository}/actions/runs/{id}"))
}

/// A full Git object name, SHA-1 or SHA-256.
fn object_name(text: &str) -> Option<String> {
    let good = matches!(text.len(), 40 | 64) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    good.then(|| text.to_owned())
}

fn commit(env: &Env, event: &Value) -> Option<Commit> {
    let sha = env.get(env::GITHUB_SHA).and_then(object_name);
    // GITHUB_SHA of a pull request is the merge commit, which no later run names; of `pull_request_target`, where nothing
    // is built, it is the base's, which the run checks out.
    let of_merge = env.get(env::GITHUB_EVENT_NAME) != Some("pull_request_target");
    match event["pull_request"]["head"]["sha"].as_str().and_then(object_name) {
        Some(head) => Some(Commit { merge: sha.filter(|sha| of_merge && *sha != head), head }),
        None => sha.map(|head| Commit { head, merge: None }),
    }
}

/// When the commit of a push or of a merge queue was made.
fn commit_time(event: &Value) -> Option<u64> {
    use time::format_description::well_known::Rfc3339;
    let heads = [&event["merge_group"]["head_commit"], &event["head_commit"]];
    let text = heads.iter().find_map(|head| head["timestamp"].as_str())?;
    let time = time::OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(time.unix_timestamp()).ok()
}

/// The branch's commit before this event, then the commit that it will be merged onto.
fn earlier(event: &Value) -> Vec<String> {
    let named = [&event["before"], &event["pull_request"]["base"]["sha"], &event["merge_group"]["base_sha"]];
    let mut commits: Vec<String> = named.iter().filter_map(|sha| object_name(sha.as_str()?)).collect();
    // For a new branch, `before` is all zeros.
    commits.retain(|sha| sha.bytes().any(|b| b != b'0'));
    commits.dedup();
    commits
}

#[cfg(test)]
mod tests {
    use super::*;

    const MERGE: &str = "1111111111111111111111111111111111111111";
    const HEAD: &str = "2222222222222222222222222222222222222222";

    #[test]
    fn a_pull_request_is_named_by_its_head_commit() {
        let env = Env::from([
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_EVENT_NAME", "pull_request"),
            ("GITHUB_SHA", MERGE),
            ("GITHUB_REF", "refs/pull/7/merge"),
            ("GITHUB_REPOSITORY", "o/r"),
            ("GITHUB_RUN_ID", "5"),
        ]);
        let event = format!(
            r#"{{"repository":{{"default_branch":"main"}},"pull_request":{{"number":7,"user":{{"login":"a"}},
            "head":{{"sha":"{HEAD}","repo":{{"id":1,"full_name":"o/r"}}}},"base":{{"ref":"dev","repo":{{"id":1,"full_name":"o/r"}}}}}}}}"#
        );
        let run = RunContext::read(&env, Some(&event)).unwrap();
        assert_eq!(run.commit, Some(Commit { head: HEAD.into(), merge: Some(MERGE.into()) }));
        assert_eq!(run.zone, Zone::PullRequest(7));
        assert_eq!(run.cache_branches(), ["dev", "main"]);
        assert_eq!(run.url.as_deref(), Some("https://github.com/o/r/actions/runs/5"));
        // A run of `pull_request_target` has the base checked out, which is no merge.
        let env = Env::from([
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_EVENT_NAME", "pull_request_target"),
            ("GITHUB_SHA", MERGE),
            ("GITHUB_REF", "refs/heads/dev"),
        ]);
        let run = RunContext::read(&env, Some(&event)).unwrap();
        assert_eq!(run.commit, Some(Commit { head: HEAD.into(), merge: None }));
    }

    #[test]
    fn a_push_is_of_the_commit_that_the_environment_names() {
        let read = |sha: &'static str| {
            let env = Env::from([
                ("GITHUB_ACTIONS", "true"),
                ("GITHUB_EVENT_NAME", "push"),
                ("GITHUB_REF", "refs/heads/main"),
                ("GITHUB_SHA", sha),
            ]);
            let event = format!(
                r#"{{"ref":"refs/heads/main","after":"{HEAD}","repository":{{"default_branch":"main"}}}}"#
            );
            RunContext::read(&env, Some(&event)).unwrap()
        };
        assert_eq!(read(MERGE).commit, Some(Commit { head: MERGE.into(), merge: None }));
        assert_eq!((read(MERGE).zone, read("junk").zone), (Zone::Trusted, Zone::Trusted));
        assert_eq!(read("junk").commit, None);
    }

    #[test]
    fn earlier_commits_come_from_the_event() {
        let zero = "0".repeat(40);
        let earlier = |event: &str| {
            let env = Env::from([("GITHUB_ACTIONS", "true"), ("GITHUB_EVENT_NAME", "push")]);
            RunContext::read(&env, Some(event)).unwrap().earlier
        };
        assert_eq!(earlier(&format!(r#"{{"before":"{HEAD}"}}"#)), [HEAD]);
        assert_eq!(earlier(&format!(r#"{{"before":"{zero}"}}"#)), [""; 0]);
        let synchronize = format!(r#"{{"before":"{HEAD}","pull_request":{{"base":{{"sha":"{MERGE}"}}}}}}"#);
        assert_eq!(earlier(&synchronize), [HEAD, MERGE]);
        assert_eq!(earlier(&format!(r#"{{"merge_group":{{"base_sha":"{MERGE}"}}}}"#)), [MERGE]);
    }

    #[test]
    fn the_queue_builds_on_its_base() {
        let env = Env::from([
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_EVENT_NAME", "merge_group"),
            ("GITHUB_REF", "refs/heads/gh-readonly-queue/dev/pr-1-abc"),
        ]);
        let event = r#"{"repository":{"default_branch":"main"},"merge_group":{"head_ref":"refs/heads/gh-readonly-queue/dev/pr-1-abc","base_ref":"refs/heads/dev"}}"#;
        assert_eq!(RunContext::read(&env, Some(event)).unwrap().cache_branches(), ["dev", "main"]);
    }

    #[test]
    fn outside_github_nothing_is_trusted() {
        let env = Env::from([("GITHUB_EVENT_NAME", "push"), ("GITHUB_REF", "refs/heads/main")]);
        let run = RunContext::read(&env, Some(r#"{"repository":{"default_branch":"main"}}"#)).unwrap();
        assert_eq!(run.zone, Zone::Fork);
        assert_eq!(run.event, None);
    }

    #[test]
    fn a_broken_event_is_an_error() {
        assert!(RunContext::read(&Env::default(), Some("{")).is_err());
    }
}
