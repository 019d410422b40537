//! What `docs/set-up.md` is made of: policies and tables of rights, from the program's own table and from the tests that
//! take each right away.

use std::fmt::Write as _;

use build_once::testing::{Purpose, RIGHTS, Resource, Right};
use serde_json::{Value, json};

use super::rights::{BUILD_ROWS, Ends, ROWS};

fn of(purposes: &[Purpose]) -> Vec<&'static Right> {
    let mut rights: Vec<&Right> = Vec::new();
    for right in RIGHTS.iter().filter(|right| purposes.contains(&right.purpose)) {
        if !rights.iter().any(|other| other.action == right.action) {
            rights.push(right);
        }
    }
    rights
}

/// The ARN of the page's account.
fn arn(resource: Resource) -> Value {
    let region = "us-east-1:123456789012";
    match resource {
        Resource::Everything => json!("*"),
        Resource::Repository => json!(format!("arn:aws:ecr:{region}:repository/ci")),
        Resource::Parameter => json!(format!("arn:aws:ssm:{region}:parameter/github-runner/*/ecr-cache-url")),
        Resource::Key => json!(format!("arn:aws:kms:{region}:key/1234abcd-12ab-34cd-56ef-1234567890ab")),
        Resource::Role => json!("arn:aws:iam::123456789012:role/ci-images"),
    }
}

/// The policy that gives exactly these rights.
fn policy(purposes: &[Purpose]) -> String {
    let rights = of(purposes);
    let mut statements = Vec::new();
    for resource in [Resource::Everything, Resource::Repository, Resource::Parameter, Resource::Key] {
        let mut actions: Vec<&str> =
            rights.iter().filter(|right| right.resource == resource).map(|right| right.action).collect();
        actions.sort_unstable();
        if !actions.is_empty() {
            statements.push(json!({"Effect": "Allow", "Action": actions, "Resource": arn(resource)}));
        }
    }
    format!("```json\n{:#}\n```\n", json!({"Version": "2012-10-17", "Statement": statements}))
}

/// Each right, when it is used, and what happens without it.
fn table() -> String {
    let mut text = "| right | for | used when | without it |\n| --- | --- | --- | --- |\n".to_owned();
    for right in RIGHTS.iter().filter(|right| !matches!(right.purpose, Purpose::Prune | Purpose::Doctor)) {
        let what = match right.purpose {
            Purpose::LogIn => "log in",
            Purpose::Pull => "pull",
            Purpose::Push => "push",
            Purpose::Releases => "compare releases",
            Purpose::FindRepository => "find the repository",
            _ => "set up",
        };
        writeln!(text, "| `{}` | {what} | {} | {} |", right.action, right.when, without(right)).unwrap();
    }
    text
}

fn without(right: &Right) -> String {
    let end = |ends: Ends| match ends {
        Ends::Silent => "exit 0",
        Ends::Noticed => "exit 0, with a notice",
        Ends::Degraded => "exit 0, `degraded`; with `registry-policy: required` exit 20",
        Ends::Failed => "exit 20",
    };
    let set_up =
        ROWS.iter().find(|row| row.right == right.action).filter(|_| right.purpose == Purpose::SetUp);
    let build = BUILD_ROWS.iter().find(|row| row.right == right.action);
    match (set_up.or(build), right.action) {
        (Some(row), _) => format!("{}: {}", row.without, end(row.ends)),
        (None, "kms:Decrypt") => "as without `ssm:GetParameter`".to_owned(),
        (None, action) => panic!("no row for {action}"),
    }
}

/// Each section of the page: its name, and its text.
pub(crate) fn sections() -> Vec<(&'static str, &'static str, String)> {
    use Purpose::{FindRepository, LogIn, Prune, Pull, Push, Releases, SetUp};
    let trusted = [LogIn, Pull, Push, Releases];
    vec![
        ("<!-- build role -->\n", "<!-- /build role -->\n", policy(&trusted)),
        ("<!-- pull role -->\n", "<!-- /pull role -->\n", policy(&[LogIn, Pull])),
        ("<!-- set-up role -->\n", "<!-- /set-up role -->\n", policy(&[LogIn, Pull, Push, Releases, SetUp])),
        ("<!-- prune role -->\n", "<!-- /prune role -->\n", policy(&[LogIn, Prune])),
        ("<!-- parameter -->\n", "<!-- /parameter -->\n", policy(&[FindRepository])),
        ("<!-- rights -->\n", "<!-- /rights -->\n", table()),
    ]
}
