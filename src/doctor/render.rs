//! The checks as a table for the console, as JSON, and as the job summary.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Check, Verdict, worst};
use crate::report::cell;

/// How many checks have this verdict.
fn count(checks: &[Check], verdict: Verdict) -> usize {
    checks.iter().filter(|check| check.verdict == verdict).count()
}

/// `14 ok, 2 warn, 0 fail`.
fn totals(checks: &[Check]) -> String {
    let of = |verdict: Verdict| format!("{} {}", count(checks, verdict), verdict.name());
    [Verdict::Ok, Verdict::Warn, Verdict::Fail].map(of).join(", ")
}

/// One line a check, and one more with what mends it.
pub(crate) fn text(checks: &[Check]) -> String {
    let widest = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0).min(50);
    let mut text = String::new();
    // Writing to a String cannot fail; the results are dropped.
    for check in checks {
        let _ = writeln!(text, "{:<4}  {:<widest$}  {}", check.verdict.name(), check.name, check.why);
        if let Some(fix) = &check.fix {
            let _ = writeln!(text, "{:<4}  {:<widest$}  fix: {fix}", "", "");
        }
    }
    let _ = writeln!(text, "{}", totals(checks));
    text
}

pub(crate) fn json(checks: &[Check]) -> Value {
    json!({"verdict": worst(checks).name(), "checks": checks})
}

/// The summary as Markdown: what failed first.
pub(crate) fn summary(checks: &[Check]) -> String {
    let mark = |verdict: Verdict| match verdict {
        Verdict::Ok => "✅",
        Verdict::Warn => "⚠️",
        Verdict::Fail => "❌",
    };
    let mut text = format!("### {} build-once doctor: {}\n\n", mark(worst(checks)), totals(checks));
    text.push_str("| | check | what was found | what mends it |\n| --- | --- | --- | --- |\n");
    let mut sorted: Vec<&Check> = checks.iter().collect();
    sorted.sort_by_key(|check| std::cmp::Reverse(check.verdict));
    for check in sorted {
        let fix = check.fix.as_deref().map(cell).unwrap_or_default();
        let _ = writeln!(
            text,
            "| {} {} | {} | {} | {fix} |",
            mark(check.verdict),
            check.verdict.name(),
            cell(&check.name),
            cell(&check.why)
        );
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Vec<Check> {
        vec![
            Check::ok("docker", "docker 28.5.1"),
            Check::warn("clock", "could not be checked", "timedatectl"),
            Check::fail("a|b", "<img src=x> @ann\n| forged |", "do `this`"),
        ]
    }

    #[test]
    fn the_table_of_the_console() {
        assert_eq!(
            text(&list()[..2]),
            "ok    docker  docker 28.5.1\nwarn  clock   could not be checked\n              fix: timedatectl\n1 ok, 1 warn, 0 fail\n"
        );
    }

    #[test]
    fn json_has_the_worst_verdict_and_every_check() {
        let value = json(&list());
        assert_eq!(value["verdict"], "fail");
        assert_eq!(
            value["checks"][0],
            json!({"name": "docker", "verdict": "ok", "why": "docker 28.5.1", "fix": null})
        );
    }

    #[test]
    fn foreign_text_stays_in_its_cell() {
        let text = summary(&list());
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
        assert_eq!(rows.len(), 5, "{text}");
        assert!(
            rows[2].starts_with("| ❌ fail") && rows.iter().all(|row| row.matches('|').count() == 5),
            "{text}"
        );
        assert!(!text.contains("<img") && !text.contains("@ann"));
    }
}
