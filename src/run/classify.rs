//! Decides the zone from the event. An event that is unknown or contradicts itself gets the lowest zone, [`Zone::Fork`].

use serde_json::Value;

use crate::guards::Guard;
use crate::zone::Zone;

/// The values of the environment and the event file that decide the zone.
pub(super) struct Signals<'a> {
    /// `push`, `pull_request`; empty outside GitHub.
    pub event_name: &'a str,
    /// `refs/heads/main`, `refs/tags/v1`, `refs/pull/12/merge`.
    pub git_ref: &'a str,
    pub ref_protected: bool,
    /// `owner/name` of the run's repository.
    pub repository: Option<&'a str>,
    /// The number of the run's repository.
    pub repository_id: Option<&'a str>,
    /// The event file, without its lists.
    pub event: &'a Value,
}

/// Decides the zone, with the reason as a sentence.
pub(super) fn classify(signals: &Signals<'_>) -> (Zone, String) {
    if signals.event_name.is_empty() {
        return (Zone::Fork, "no GitHub event: nothing shared is written".to_owned());
    }
    if let Some(why) = contradiction(signals).filter(|_| Guard::EventAgrees.holds()) {
        return (Zone::Fork, why);
    }
    match signals.event_name {
        "push" | "schedule" | "workflow_dispatch" | "repository_dispatch" | "release" => by_ref(signals),
        "merge_group" => (Zone::Queue, "the merge queue".to_owned()),
        "pull_request" => by_pull_request(signals.event),
        _ if !Guard::UnknownEvent.holds() => by_ref(signals),
        other => (Zone::Fork, format!("event {other} has the lowest trust")),
    }
}

/// Objects that only certain events have by GitHub's webhook schemas (npm `@octokit/webhooks-schemas`), each with the
/// event that has it, if this module knows that event.
const EVENT_OBJECTS: [(&str, &str); 10] = [
    ("pull_request", "pull_request"),
    ("merge_group", "merge_group"),
    ("release", "release"),
    ("client_payload", "repository_dispatch"),
    ("workflow_run", ""),
    ("comment", ""),
    ("issue", ""),
    ("check_run", ""),
    ("check_suite", ""),
    ("deployment", ""),
];

/// Finds a contradiction between the environment and the event file. It is one too if the file lacks the object of the
/// repository, or the ref of an event that has one. A file without the repository's number or name, or without a pull
/// request's number, contradicts nothing: GitHub writes them always, and what they decide later is denied without them.
fn contradiction(signals: &Signals<'_>) -> Option<String> {
    let Signals { event_name, git_ref, event, .. } = signals;
    let known = ["push", "schedule", "workflow_dispatch", "repository_dispatch", "release", "merge_group"];
    if known.contains(event_name) || *event_name == "pull_request" {
        let foreign = EVENT_OBJECTS.iter().find(|(object, of)| !event[object].is_null() && of != event_name);
        if let Some((object, _)) = foreign {
            return Some(format!("the event file is not that of {event_name}: it has a {object}"));
        }
    }
    if !event["repository"].is_object() {
        return Some("the event file does not say of which repository it is".to_owned());
    }
    if let Some((field, run)) = other_repository(signals) {
        return Some(format!("the event file is of another repository: its {field} is not {run}"));
    }
    let text = |value: &'_ Value| value.as_str().map(str::to_owned);
    // The ref that the event names.
    let named = match *event_name {
        "push" => text(&event["ref"]),
        "workflow_dispatch" => text(&event["ref"]).map(|name| full("refs/heads/", &name, git_ref)),
        "repository_dispatch" => text(&event["branch"]).map(|name| full("refs/heads/", &name, git_ref)),
        "release" => text(&event["release"]["tag_name"]).map(|name| format!("refs/tags/{name}")),
        "merge_group" => text(&event["merge_group"]["head_ref"]),
        "pull_request" => return other_pull_request(event, git_ref),
        _ => None,
    };
    let Some(named) = named else {
        let must_name_one = known.contains(event_name) && *event_name != "schedule";
        return must_name_one.then(|| format!("the event file of {event_name} names no ref"));
    };
    if named == *git_ref {
        return None;
    }
    // Two names that differ in invisible characters would look the same.
    let (named, own) = (named.escape_debug(), git_ref.escape_debug());
    Some(format!("the event file is of another ref: {named} is not {own}"))
}

/// Makes a full ref of the kind (`refs/heads/`), because an API client may have dispatched with a short one. A name that is
/// `git_ref` is full already, perhaps of another kind.
fn full(kind: &str, name: &str, git_ref: &str) -> String {
    if name == git_ref {
        name.to_owned()
    } else {
        format!("{kind}{}", name.strip_prefix(kind).unwrap_or(name))
    }
}

/// Finds the field in which the event's repository differs from the run's, with the run's value.
fn other_repository<'a>(signals: &Signals<'a>) -> Option<(&'static str, &'a str)> {
    let in_event = &signals.event["repository"];
    let id = signals.repository_id.filter(|id| identity(&in_event["id"]).is_some_and(|other| other != **id));
    let name = signals
        .repository
        .filter(|name| in_event["full_name"].as_str().is_some_and(|other| !other.eq_ignore_ascii_case(name)));
    id.map(|id| ("id", id)).or_else(|| name.map(|name| ("full_name", name)))
}

/// Finds a contradiction between a pull request's number and ref. A merged one runs on its base (GitHub docs, "github
/// context": `ref`).
fn other_pull_request(event: &Value, git_ref: &str) -> Option<String> {
    let request = &event["pull_request"];
    let number = request["number"].as_u64();
    if !event["number"].is_null() && event["number"].as_u64() != number {
        return Some("the event file names two pull requests".to_owned());
    }
    let number = number?;
    let base = request["base"]["ref"].as_str().unwrap_or_default();
    let fits = [format!("refs/pull/{number}/merge"), format!("refs/pull/{number}/head")]
        .iter()
        .any(|own| own == git_ref)
        || (request["merged"] == true && git_ref == format!("refs/heads/{base}"));
    (!fits).then(|| format!("the event file is of another ref: pull request {number} is not {git_ref}"))
}

/// Reads one of GitHub's numbers, which JSON has as a number or a string.
fn identity(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// Dependabot's changes bring in packages of strangers, so GitHub treats its runs as a fork's (docs, "Dependabot on GitHub
/// Actions").
const DEPENDABOT: [&str; 2] = ["dependabot[bot]", "dependabot-preview[bot]"];

fn is_dependabot(login: &Value) -> bool {
    login.as_str().is_some_and(|login| DEPENDABOT.contains(&login))
}

/// The account that pushes the merge queue's branches.
const QUEUE_PUSHER: &str = "github-merge-queue[bot]";

/// The zone of an event that runs on a branch or a tag.
fn by_ref(signals: &Signals<'_>) -> (Zone, String) {
    let Signals { event_name: what, git_ref, event, .. } = signals;
    if event["deleted"] == true {
        return (Zone::Fork, format!("{what} that deleted {git_ref}"));
    }
    // GitHub does not tell a run whether tags are protected, so all count as trusted: docs/trust.md says to protect them.
    if git_ref.starts_with("refs/tags/") {
        return (Zone::Trusted, format!("{what} of a tag"));
    }
    let Some(branch) = git_ref.strip_prefix("refs/heads/").filter(|branch| !branch.is_empty()) else {
        return (Zone::Fork, format!("{what} on something that is neither branch nor tag"));
    };
    if branch.starts_with("gh-readonly-queue/") {
        let by_queue = event["sender"]["login"] == QUEUE_PUSHER || event["pusher"]["name"] == QUEUE_PUSHER;
        if by_queue || !Guard::QueuePusher.holds() {
            return (Zone::Queue, "the merge queue".to_owned());
        }
        // Any user may try to push a branch of this name.
        return (Zone::Branch(branch.to_owned()), format!("{what} on a queue's branch, not by the queue"));
    }
    // Before Dependabot's: what is on the default branch has been merged.
    if event["repository"]["default_branch"].as_str() == Some(branch) {
        return (Zone::Trusted, format!("{what} on the default branch"));
    }
    let by_dependabot = is_dependabot(&event["sender"]["login"])
        || is_dependabot(&event["pusher"]["name"])
        || branch.starts_with("dependabot/");
    if by_dependabot && Guard::Dependabot.holds() {
        return (Zone::Fork, format!("{what} of Dependabot's"));
    }
    if signals.ref_protected || !Guard::ProtectedRef.holds() {
        return (Zone::Trusted, format!("{what} on a protected branch"));
    }
    (Zone::Branch(branch.to_owned()), format!("{what} on a branch without protection"))
}

/// The zone of a pull request: its own if its code comes from this repository.
fn by_pull_request(event: &Value) -> (Zone, String) {
    let request = &event["pull_request"];
    let fork = |why: &str| (Zone::Fork, why.to_owned());
    let (head, base) = (&request["head"]["repo"], &request["base"]["repo"]);
    let Some(number) = request["number"].as_u64() else {
        return fork("a pull request without a number");
    };
    // Both must be there and agree: a deleted fork leaves `head.repo` null.
    let same_id = identity(&head["id"]).is_some() && identity(&head["id"]) == identity(&base["id"]);
    let same_name = head["full_name"].is_string() && head["full_name"] == base["full_name"];
    if !(same_id && same_name) && Guard::HeadRepository.holds() {
        return fork("a pull request from a fork");
    }
    // The author, not the actor: a re-run by a maintainer does not change whose code it is. Without the guard it is the
    // actor, as in the attack that the guard stops.
    let made_by = if Guard::Dependabot.holds() { &request["user"] } else { &event["sender"] };
    // A person who goes on with Dependabot's branch goes on with its changes.
    let its_branch = request["head"]["ref"].as_str().is_some_and(|name| name.starts_with("dependabot/"));
    if is_dependabot(&made_by["login"]) || its_branch && Guard::Dependabot.holds() {
        return fork("a pull request by Dependabot");
    }
    (Zone::PullRequest(number), format!("pull request {number} of the same repository"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn zone(event_name: &str, git_ref: &str, ref_protected: bool, event: &Value) -> Zone {
        let repository = Some("o/r");
        let signals =
            Signals { event_name, git_ref, ref_protected, repository, repository_id: Some("1"), event };
        classify(&signals).0
    }

    #[test]
    fn refs() {
        let queue = "refs/heads/gh-readonly-queue/main/pr-1-abc";
        let rows = [
            ("push", "refs/heads/main", false, Zone::Trusted),
            ("push", "refs/heads/release/1", true, Zone::Trusted),
            ("push", "refs/heads/pr-12", false, Zone::Branch("pr-12".into())),
            ("push", "refs/heads/dependabot/npm/x", false, Zone::Fork),
            ("push", "refs/heads/", true, Zone::Fork),
            ("push", "refs/tags/v1", false, Zone::Trusted),
            ("push", "refs/pull/1/merge", false, Zone::Fork),
            ("push", "", true, Zone::Fork),
            ("schedule", "refs/heads/main", false, Zone::Trusted),
            ("workflow_dispatch", "refs/heads/x", false, Zone::Branch("x".into())),
            ("merge_group", queue, false, Zone::Queue),
            ("issue_comment", "refs/heads/main", true, Zone::Fork),
            ("pull_request_target", "refs/heads/main", true, Zone::Fork),
            ("workflow_run", "refs/heads/main", true, Zone::Fork),
            ("delete", "refs/heads/main", true, Zone::Fork),
            ("", "refs/heads/main", true, Zone::Fork),
        ];
        for (name, git_ref, protected, expected) in rows {
            let mut event = json!({"ref": git_ref, "repository": {"default_branch": "main"}});
            if name == "merge_group" {
                event["merge_group"] = json!({"head_ref": git_ref});
            }
            assert_eq!(zone(name, git_ref, protected, &event), expected, "{name} {git_ref}");
        }
    }

    #[test]
    fn a_branch_is_not_default_because_the_payload_says_nothing() {
        let event = json!({"ref": "refs/heads/main", "repository": {}});
        assert_eq!(zone("push", "refs/heads/main", false, &event), Zone::Branch("main".into()));
    }

    #[test]
    fn d97_an_absent_value_is_a_contradiction() {
        let whole = json!({"ref": "refs/heads/main", "repository": {"id": 1, "default_branch": "main"}});
        assert_eq!(zone("push", "refs/heads/main", true, &whole), Zone::Trusted);
        for event in [json!({}), json!([]), json!("x"), Value::Null, json!({"repository": {"id": 1}})] {
            for name in ["push", "workflow_dispatch", "repository_dispatch", "release", "merge_group"] {
                assert_eq!(zone(name, "refs/heads/main", true, &event), Zone::Fork, "{name} {event}");
            }
        }
        for event in [json!({}), json!([]), json!("x"), Value::Null] {
            assert_eq!(zone("schedule", "refs/heads/main", true, &event), Zone::Fork, "{event}");
        }
    }

    #[test]
    fn d97_dependabot_has_the_lowest_trust_on_a_protected_branch_too() {
        let branch = "refs/heads/dependabot/npm/x";
        let event = json!({"ref": branch, "repository": {"id": 1}, "sender": {"login": "ann"}});
        assert_eq!(zone("push", branch, true, &event), Zone::Fork, "a ruleset covers every branch");
        let by =
            json!({"ref": "refs/heads/x", "repository": {"id": 1}, "sender": {"login": "dependabot[bot]"}});
        assert_eq!(zone("push", "refs/heads/x", true, &by), Zone::Fork);
        let repo = json!({"id": 1, "full_name": "o/r"});
        let request = json!({"repository": repo, "pull_request": {"number": 12, "user": {"login": "ann"},
            "head": {"ref": "dependabot/npm/x", "repo": repo}, "base": {"repo": repo}}});
        assert_eq!(zone("pull_request", "refs/pull/12/merge", false, &request), Zone::Fork);
    }

    #[test]
    fn the_queue_pushes_its_own_branches() {
        let queue = "refs/heads/gh-readonly-queue/main/pr-1-abc";
        let by = |login: &str| json!({"ref": queue, "repository": {"id": 1}, "sender": {"login": login}});
        assert_eq!(zone("push", queue, true, &by(QUEUE_PUSHER)), Zone::Queue);
        let branch = Zone::Branch("gh-readonly-queue/main/pr-1-abc".into());
        assert_eq!(zone("push", queue, true, &by("ann")), branch);
        assert_eq!(zone("push", queue, true, &Value::Null), Zone::Fork);
    }

    #[test]
    fn pull_requests() {
        let repo = |id: Value, name: &str| json!({"id": id, "full_name": name});
        let event = |head: Value, login: &str| json!({"repository": repo(json!(1), "o/r"), "pull_request": {"number": 12, "head": {"repo": head}, "base": {"repo": repo(json!(1), "o/r")}, "user": {"login": login}}});
        let merge = "refs/pull/12/merge";
        let rows = [
            (event(repo(json!(1), "o/r"), "ann"), Zone::PullRequest(12)),
            (event(repo(json!("1"), "o/r"), "ann"), Zone::PullRequest(12)),
            (event(repo(json!(1), "o/r"), "dependabot[bot]"), Zone::Fork),
            (event(repo(json!(2), "x/r"), "ann"), Zone::Fork),
            (event(repo(json!(2), "o/r"), "ann"), Zone::Fork),
            (event(repo(json!(1), "x/r"), "ann"), Zone::Fork),
            (event(repo(json!(null), "o/r"), "ann"), Zone::Fork),
            (event(Value::Null, "ann"), Zone::Fork),
            (json!({}), Zone::Fork),
        ];
        for (event, expected) in rows {
            assert_eq!(zone("pull_request", merge, false, &event), expected, "{event}");
        }
    }

    #[test]
    fn an_event_that_contradicts_the_run_has_the_lowest_trust() {
        let main = "refs/heads/main";
        let pushed = |extra: Value| {
            let mut event =
                json!({"ref": main, "repository": {"id": 1, "full_name": "O/r", "default_branch": "main"}});
            event.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            event
        };
        assert_eq!(zone("push", main, false, &pushed(json!({}))), Zone::Trusted);
        for (object, _) in EVENT_OBJECTS {
            let event = pushed(json!({object: {"number": 1}}));
            assert_eq!(zone("push", main, true, &event), Zone::Fork, "{object}");
        }
        for extra in [
            json!({"ref": "refs/heads/x"}),
            json!({"deleted": true}),
            json!({"repository": {"id": 2, "full_name": "o/r", "default_branch": "main"}}),
            json!({"repository": {"id": "1", "full_name": "x/r", "default_branch": "main"}}),
        ] {
            assert_eq!(zone("push", main, true, &pushed(extra.clone())), Zone::Fork, "{extra}");
        }
        let dispatch = |name: &str| pushed(json!({"ref": name}));
        assert_eq!(zone("workflow_dispatch", main, false, &dispatch("main")), Zone::Trusted);
        assert_eq!(zone("workflow_dispatch", main, false, &dispatch("x")), Zone::Fork);
        let repository = json!({"id": 1});
        let release = |tag: &str| json!({"repository": repository, "release": {"tag_name": tag}});
        assert_eq!(zone("release", "refs/tags/v1", false, &release("v1")), Zone::Trusted);
        assert_eq!(zone("release", "refs/tags/v1", false, &release("v2")), Zone::Fork);
        let queue = |head: &str| json!({"repository": repository, "merge_group": {"head_ref": head}});
        assert_eq!(zone("merge_group", main, true, &queue(main)), Zone::Queue);
        assert_eq!(zone("merge_group", main, true, &queue("refs/heads/x")), Zone::Fork);
    }

    #[test]
    fn invisible_characters_of_a_ref_are_written_out() {
        let event = json!({"ref": "refs/heads/main\0", "repository": {"id": 1}});
        let signals = Signals {
            event_name: "push",
            git_ref: "refs/heads/main",
            ref_protected: false,
            repository: None,
            repository_id: None,
            event: &event,
        };
        let (zone, why) = classify(&signals);
        assert_eq!(zone, Zone::Fork);
        assert_eq!(why, "the event file is of another ref: refs/heads/main\\0 is not refs/heads/main");
    }

    #[test]
    fn a_pull_request_is_the_one_of_its_ref() {
        let repo = json!({"id": 1, "full_name": "o/r"});
        let event = json!({"number": 12, "repository": repo, "pull_request": {"number": 12, "merged": true, "user": {"login": "ann"},
            "head": {"repo": repo}, "base": {"ref": "main", "repo": repo}}});
        for (git_ref, expected) in [
            ("refs/pull/12/merge", Zone::PullRequest(12)),
            ("refs/heads/main", Zone::PullRequest(12)),
            ("refs/pull/1/merge", Zone::Fork),
            ("refs/pull/13/merge", Zone::Fork),
            ("refs/heads/other", Zone::Fork),
            ("", Zone::Fork),
        ] {
            assert_eq!(zone("pull_request", git_ref, false, &event), expected, "{git_ref}");
        }
        let mut two = event.clone();
        two["number"] = json!(13);
        assert_eq!(zone("pull_request", "refs/pull/12/merge", false, &two), Zone::Fork);
    }
}
