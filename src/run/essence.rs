//! Picks the members of an event that decide. A run saves them alone (`saved`), because an event has much that is private.

use serde_json::{Map, Value};

use super::lean;

/// Objects that are kept, with those of their members that decide.
const OBJECTS: [&str; 11] = [
    "repository",
    "sender",
    "pusher",
    "pull_request",
    "merge_group",
    "release",
    "head_commit",
    "head",
    "base",
    "repo",
    "user",
];
/// Members that decide, wherever they are.
const MEMBERS: [&str; 16] = [
    "ref",
    "before",
    "deleted",
    "number",
    "id",
    "full_name",
    "default_branch",
    "login",
    "name",
    "merged",
    "sha",
    "head_ref",
    "base_ref",
    "base_sha",
    "tag_name",
    "timestamp",
];
/// Objects of which it counts only that they exist: they tell of which event the file is, which must be the event that the
/// run's variables name (`classify`).
const TELLING: [&str; 7] =
    ["client_payload", "workflow_run", "comment", "issue", "check_run", "check_suite", "deployment"];

/// The members of an event that [`RunContext`](super::RunContext) is read from; `null` for an event that cannot be read.
#[must_use]
pub(crate) fn essence(event_file: &str) -> Value {
    lean::parse(event_file).map_or(Value::Null, |event| deciding(&event))
}

fn deciding(event: &Value) -> Value {
    let Value::Object(members) = event else { return Value::Null };
    let kept = members.iter().filter_map(|(name, value)| {
        let kept = match (name.as_str(), value) {
            (_, Value::Null) => return None,
            (name, Value::Object(_)) if OBJECTS.contains(&name) => deciding(value),
            (name, _) if TELLING.contains(&name) => Value::Object(Map::new()),
            // The branch of `repository_dispatch`; other events have objects of this name.
            ("branch", Value::String(_)) => value.clone(),
            (name, Value::String(_) | Value::Number(_) | Value::Bool(_)) if MEMBERS.contains(&name) => {
                value.clone()
            }
            // Something that has not the type of such a member is not `null`, and that alone can decide.
            (name, _) if OBJECTS.contains(&name) || MEMBERS.contains(&name) => Value::Bool(false),
            _ => return None,
        };
        Some((name.clone(), kept))
    });
    Value::Object(kept.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use crate::run::RunContext;

    #[test]
    fn what_is_left_decides_as_the_whole_event_does() {
        let mut seen = 0;
        for entry in fs_err::read_dir("tests/fixtures/events").unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|end| end != "json") {
                continue;
            }
            let text = fs_err::read_to_string(&path).unwrap();
            let less = essence(&text).to_string();
            assert!(less.len() < 1500, "{}: {less}", path.display());
            let event: Value = serde_json::from_str(&text).unwrap();
            let git_ref = event["ref"].as_str().unwrap_or("refs/pull/2/merge").to_owned();
            for name in
                ["push", "pull_request", "merge_group", "release", "workflow_dispatch", "issue_comment"]
            {
                let env = Env::from([
                    ("GITHUB_ACTIONS", "true"),
                    ("GITHUB_EVENT_NAME", name),
                    ("GITHUB_REF", git_ref.as_str()),
                    ("GITHUB_SHA", "1111111111111111111111111111111111111111"),
                ]);
                let read = |text: &str| RunContext::read(&env, Some(text)).unwrap();
                assert_eq!(read(&less), read(&text), "{} as {name}", path.display());
                for other in OBJECTS.iter().chain(&MEMBERS) {
                    for value in [Value::from("x"), Value::from(7), Value::Array(Vec::new())] {
                        let mut odd = event.clone();
                        odd[*other] = value;
                        let odd = odd.to_string();
                        let whole = read(&odd);
                        assert_eq!(read(&essence(&odd).to_string()), whole, "{odd} as {name}");
                    }
                }
                seen += 1;
            }
        }
        assert!(seen > 60, "{seen}");
    }
}
