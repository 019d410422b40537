//! Lifecycle policies: the recommended one, those of files, and whose a policy is.

use serde_json::{Value, json};

use super::lifecycle_rules;

/// Begins the description of each rule that this program writes.
const MARK: &str = "build-once";
/// Shortest and longest text, in characters.
const LENGTH: std::ops::RangeInclusive<usize> = 100..=30_720;

/// A policy that ECR takes, each of its rules with this program's mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LifecyclePolicy {
    document: Value,
}

/// The policy that a repository has, compared with a wanted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// The same rules.
    Same,
    /// Other rules, all of them with this program's mark.
    Own,
    /// Rules that this program did not write.
    Foreign,
}

impl LifecyclePolicy {
    /// The policy for this program's tags. ECR applies rules by priority, and an image that a rule selects is safe from
    /// the later ones: the first keeps an image of the default branch that a pull request has tagged too.
    #[must_use]
    pub(crate) fn recommended() -> Self {
        let count = |number: u32| json!({"countType": "imageCountMoreThan", "countNumber": number});
        let days = |number: u32| json!({"countType": "sinceImagePushed", "countUnit": "days", "countNumber": number});
        let rows = [
            ("key-*", count(1000), "keep the newest 1000 images of trusted runs"),
            ("cache-*", count(100), "keep the newest 100 layer caches of trusted runs"),
            ("queue-*", days(3), "merge queues, 3 days after the push"),
            ("pr-*", days(14), "pull requests, 14 days after the push"),
            ("br-*", days(30), "branches without protection, 30 days after the push"),
            ("sha-*", days(90), "images with a commit's tag alone, 90 days after the push"),
            ("", days(2), "images without a tag, 2 days after the push"),
        ];
        let rule = |(at, (pattern, mut selection, what)): (usize, (&str, Value, &str))| {
            let priority = at + 1;
            // Several patterns in one rule would all have to match: so each has its own.
            if pattern.is_empty() {
                selection["tagStatus"] = "untagged".into();
            } else {
                selection["tagStatus"] = "tagged".into();
                selection["tagPatternList"] = json!([pattern]);
            }
            json!({
                "rulePriority": priority,
                "description": format!("{MARK} {priority}: {what}"),
                "selection": selection,
                "action": {"type": "expire"},
            })
        };
        let rules: Vec<Value> = rows.into_iter().enumerate().map(rule).collect();
        Self { document: json!({"rules": rules}) }
    }

    /// The policy of a file. Rules without this program's mark get it, so that a later version of the file may replace
    /// them.
    ///
    /// # Errors
    /// What ECR would refuse.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let check = |what: &str, length: usize| {
            if LENGTH.contains(&length) {
                return Ok(());
            }
            let (shortest, longest) = (LENGTH.start(), LENGTH.end());
            Err(format!("{what} has {length} characters; ECR takes {shortest} to {longest}"))
        };
        check("the file", text.chars().count())?;
        let mut document: Value =
            serde_json::from_str(text).map_err(|error| format!("the file is not JSON: {error}"))?;
        lifecycle_rules::check(&document)?;
        for rule in document["rules"].as_array_mut().into_iter().flatten() {
            let description = rule["description"].as_str().unwrap_or_default();
            if !description.starts_with(MARK) {
                rule["description"] = format!("{MARK} file: {description}").trim_end().into();
            }
        }
        let policy = Self { document };
        check("the policy, with build-once's mark in each rule,", policy.text().chars().count())?;
        Ok(policy)
    }

    /// The text that ECR gets.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        self.document.to_string()
    }

    /// Compares with the text of the policy that is there.
    #[must_use]
    pub(crate) fn compare(&self, existing: &str) -> Existing {
        let Ok(existing) = serde_json::from_str::<Value>(existing) else { return Existing::Foreign };
        if existing == self.document {
            return Existing::Same;
        }
        let rules = existing["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_own = |rule: &Value| {
            rule["description"]
                .as_str()
                .and_then(|text| text.strip_prefix(MARK))
                .is_some_and(|rest| rest.starts_with(' '))
        };
        if !rules.is_empty() && rules.iter().all(is_own) { Existing::Own } else { Existing::Foreign }
    }

    /// The number of rules.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.document["rules"].as_array().map_or(0, Vec::len)
    }

    /// The description of the rule with this priority.
    #[must_use]
    pub(crate) fn description(&self, priority: i32) -> Option<String> {
        let rules = self.document["rules"].as_array()?;
        let rule = rules.iter().find(|rule| rule["rulePriority"] == priority)?;
        rule["description"].as_str().map(str::to_owned)
    }
}

impl serde::Serialize for LifecyclePolicy {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.document.serialize(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recommended_policy_is_one_that_ecr_takes() {
        let policy = LifecyclePolicy::recommended();
        assert_eq!(LifecyclePolicy::read(&policy.text()), Ok(policy.clone()));
        assert_eq!((policy.len(), policy.compare(&policy.text())), (7, Existing::Same));
        assert!(policy.description(4).unwrap().starts_with("build-once 4: pull requests, 14 days"));
        insta::assert_snapshot!(format!("{:#}", policy.document));
    }

    #[test]
    fn the_page_has_the_recommended_rules() {
        let page = include_str!("../../docs/set-up.md");
        let policy = LifecyclePolicy::recommended();
        for rule in policy.document["rules"].as_array().unwrap() {
            let selection = &rule["selection"];
            let pattern = &selection["tagPatternList"][0];
            let tags = pattern.as_str().map_or("none".to_owned(), |pattern| format!("`{pattern}`"));
            let number = &selection["countNumber"];
            let removes = match selection["countType"].as_str().unwrap() {
                "imageCountMoreThan" => format!("all but the newest {number}"),
                _ => format!("{number} days after the push"),
            };
            let row = format!("| {} | {tags} | {removes} |", rule["rulePriority"]);
            assert!(page.contains(&row), "{row}");
        }
        assert_eq!(
            page.matches("days after the push |").count() + page.matches("all but the newest").count(),
            7
        );
    }

    #[test]
    fn whose_a_policy_is() {
        let policy = LifecyclePolicy::recommended();
        let mut changed = policy.document.clone();
        changed["rules"][0]["selection"]["countNumber"] = 5.into();
        assert_eq!(policy.compare(&changed.to_string()), Existing::Own);
        changed["rules"][0]["description"] = "build-onceover".into();
        assert_eq!(policy.compare(&changed.to_string()), Existing::Foreign);
        changed["rules"][0].as_object_mut().unwrap().remove("description");
        for foreign in [changed.to_string(), "no JSON".to_owned(), json!({"rules": []}).to_string()] {
            assert_eq!(policy.compare(&foreign), Existing::Foreign, "{foreign}");
        }
    }

    #[test]
    fn a_file_gets_the_mark() {
        let file = json!({"rules": [{"rulePriority": 1, "description": "old ones", "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 9}, "action": {"type": "expire"}}]});
        let policy = LifecyclePolicy::read(&file.to_string()).unwrap();
        assert_eq!(policy.description(1).as_deref(), Some("build-once file: old ones"));
        assert_eq!(policy.compare(&file.to_string()), Existing::Foreign);
        assert_eq!(LifecyclePolicy::recommended().compare(&policy.text()), Existing::Own);
    }

    #[test]
    fn texts_that_are_no_policy() {
        for (text, expected) in [
            ("{}".to_owned(), "the file has 2 characters; ECR takes 100 to 30720"),
            ("x".repeat(100), "the file is not JSON"),
            (format!("{:120}", json!({"rules": []}).to_string()), "names no rules"),
            (" ".repeat(30_721), "the file has 30721 characters"),
        ] {
            let error = LifecyclePolicy::read(&text).unwrap_err();
            assert!(error.starts_with(expected) || error.contains(expected), "{error}");
        }
    }
}
