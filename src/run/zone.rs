//! How far a run is trusted. Fail closed: an event that is not understood gets the lowest zone.

use serde_json::Value;

use crate::image::sanitise;

/// A zone of trust; who may read and write what follows from it (`plan::access`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Zone {
    /// The default branch, a protected branch, a tag.
    Trusted,
    /// The merge queue: approved, not merged.
    Queue,
    /// A pull request from a branch of the same repository.
    PullRequest(u64),
    /// A push to a branch without protection.
    Branch(String),
    /// Everything else: forks, Dependabot, comments, unknown events, a developer's machine.
    Fork,
}

impl Zone {
    /// The value of the `zone` output.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Queue => "queue",
            Self::PullRequest(_) | Self::Branch(_) => "pr",
            Self::Fork => "fork",
        }
    }

    /// What this zone's tags begin with; `None` if it never writes one.
    #[must_use]
    pub fn tag_prefix(&self) -> Option<String> {
        match self {
            Self::Trusted => Some(String::new()),
            Self::Queue => Some("queue-".to_owned()),
            Self::PullRequest(number) => Some(format!("pr-{number}-")),
            Self::Branch(branch) => Some(format!("br-{}-", sanitise(branch))),
            Self::Fork => None,
        }
    }
}

impl serde::Serialize for Zone {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What the zone is decided from: the environment's word on the ref, and the event.
pub(super) struct Signals<'a> {
    pub event_name: &'a str,
    pub git_ref: &'a str,
    pub ref_protected: bool,
    pub event: &'a Value,
}

/// The zone and the reason for it, in words.
pub(super) fn classify(signals: &Signals<'_>) -> (Zone, String) {
    match signals.event_name {
        "push" | "schedule" | "workflow_dispatch" | "repository_dispatch" | "release" => by_ref(signals),
        "merge_group" => (Zone::Queue, "the merge queue".to_owned()),
        "pull_request" => by_pull_request(&signals.event["pull_request"]),
        "" => (Zone::Fork, "no GitHub event: nothing shared is written".to_owned()),
        other => (Zone::Fork, format!("event {other} has the lowest trust")),
    }
}

/// Dependabot's branches hold what a stranger's package release contains.
/// GitHub treats its runs as a fork's: docs, "Dependabot on GitHub Actions".
const DEPENDABOT: &str = "dependabot[bot]";

fn by_ref(signals: &Signals<'_>) -> (Zone, String) {
    let event = signals.event_name;
    if signals.git_ref.starts_with("refs/tags/") {
        return (Zone::Trusted, format!("{event} of a tag"));
    }
    let Some(branch) = signals.git_ref.strip_prefix("refs/heads/") else {
        return (Zone::Fork, format!("{event} on something that is neither branch nor tag"));
    };
    if branch.starts_with("gh-readonly-queue/") {
        return (Zone::Queue, "the merge queue".to_owned());
    }
    if signals.event["repository"]["default_branch"].as_str() == Some(branch) {
        return (Zone::Trusted, format!("{event} on the default branch"));
    }
    if signals.ref_protected {
        return (Zone::Trusted, format!("{event} on a protected branch"));
    }
    if signals.event["sender"]["login"] == DEPENDABOT {
        return (Zone::Fork, format!("{event} by Dependabot"));
    }
    (Zone::Branch(branch.to_owned()), format!("{event} on a branch without protection"))
}

fn by_pull_request(pull_request: &Value) -> (Zone, String) {
    let fork = |why: &str| (Zone::Fork, why.to_owned());
    let (head, base) = (&pull_request["head"]["repo"], &pull_request["base"]["repo"]);
    let Some(number) = pull_request["number"].as_u64() else {
        return fork("a pull request without a number");
    };
    // Both must be there and agree: a deleted fork leaves `head.repo` null.
    let same = |field: &str| !head[field].is_null() && head[field] == base[field];
    if !(same("id") && same("full_name")) {
        return fork("a pull request from a fork");
    }
    // The author, not the actor: a re-run by a maintainer does not change whose code it is.
    if pull_request["user"]["login"] == DEPENDABOT {
        return fork("a pull request by Dependabot");
    }
    (Zone::PullRequest(number), format!("pull request {number} of the same repository"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn zone(event_name: &str, git_ref: &str, ref_protected: bool, event: &Value) -> Zone {
        classify(&Signals { event_name, git_ref, ref_protected, event }).0
    }

    #[test]
    fn refs() {
        let event = json!({"repository": {"default_branch": "main"}});
        let rows = [
            ("push", "refs/heads/main", false, Zone::Trusted),
            ("push", "refs/heads/release/1", true, Zone::Trusted),
            ("push", "refs/heads/pr-12", false, Zone::Branch("pr-12".into())),
            ("push", "refs/tags/v1", false, Zone::Trusted),
            ("push", "refs/heads/gh-readonly-queue/main/pr-1-abc", true, Zone::Queue),
            ("push", "refs/pull/1/merge", false, Zone::Fork),
            ("schedule", "refs/heads/main", false, Zone::Trusted),
            ("workflow_dispatch", "refs/heads/x", false, Zone::Branch("x".into())),
            ("merge_group", "refs/heads/gh-readonly-queue/main/pr-1-abc", false, Zone::Queue),
            ("issue_comment", "refs/heads/main", true, Zone::Fork),
            ("pull_request_target", "refs/heads/main", true, Zone::Fork),
            ("workflow_run", "refs/heads/main", true, Zone::Fork),
            ("delete", "refs/heads/main", true, Zone::Fork),
            ("", "refs/heads/main", true, Zone::Fork),
        ];
        for (name, git_ref, protected, expected) in rows {
            assert_eq!(zone(name, git_ref, protected, &event), expected, "{name} {git_ref}");
        }
    }

    #[test]
    fn a_branch_is_not_default_because_the_payload_says_nothing() {
        assert_eq!(zone("push", "refs/heads/main", false, &Value::Null), Zone::Branch("main".into()));
    }

    #[test]
    fn pull_requests() {
        let repo = |id: u64, name: &str| json!({"id": id, "full_name": name});
        let event = |head: Value, login: &str| json!({"pull_request": {"number": 12, "head": {"repo": head}, "base": {"repo": repo(1, "o/r")}, "user": {"login": login}}});
        let merge = "refs/pull/12/merge";
        let rows = [
            (event(repo(1, "o/r"), "ann"), Zone::PullRequest(12)),
            (event(repo(1, "o/r"), "dependabot[bot]"), Zone::Fork),
            (event(repo(2, "x/r"), "ann"), Zone::Fork),
            (event(repo(2, "o/r"), "ann"), Zone::Fork),
            (event(Value::Null, "ann"), Zone::Fork),
            (json!({}), Zone::Fork),
        ];
        for (event, expected) in rows {
            assert_eq!(zone("pull_request", merge, false, &event), expected, "{event}");
        }
    }
}
