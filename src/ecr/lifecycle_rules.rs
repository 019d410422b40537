//! Checks the rules of a lifecycle policy as ECR does, so that a bad file is named before anything is asked
//! (ECR's user guide, "Lifecycle policy properties").

use serde_json::Value;

const MOST_RULES: usize = 50;
/// The storage class of images that can be pulled.
pub(crate) const STANDARD: &str = "standard";
/// Most `*` in a pattern.
const MOST_WILDCARDS: usize = 4;

/// Checks the whole document.
pub(super) fn check(document: &Value) -> Result<(), String> {
    let rules = document["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rules.is_empty() {
        return Err("the policy names no rules".to_owned());
    }
    if rules.len() > MOST_RULES {
        return Err(format!("the policy has {} rules; ECR takes {MOST_RULES}", rules.len()));
    }
    let mut priorities = Vec::new();
    for (at, rule) in rules.iter().enumerate() {
        let priority = check_rule(rule).map_err(|why| format!("rule {}: {why}", at + 1))?;
        if priorities.contains(&priority) {
            return Err(format!("rule {}: another rule has rulePriority {priority} too", at + 1));
        }
        priorities.push(priority);
    }
    let numbered: Vec<(&Value, u64)> = rules.iter().zip(priorities).collect();
    let is_late = |(rule, priority): &(&Value, u64)| {
        let mut same = numbered.iter().filter(|(other, _)| storage_class(other) == storage_class(rule));
        rule["selection"]["tagStatus"] == "any" && same.any(|(_, other)| other > priority)
    };
    if numbered.iter().any(is_late) {
        return Err("the rule with tagStatus any must have the highest rulePriority".to_owned());
    }
    Ok(())
}

/// The storage class of a rule's images. The rules of one class do not count in another.
pub(crate) fn storage_class(rule: &Value) -> &str {
    rule["selection"]["storageClass"].as_str().unwrap_or(STANDARD)
}

/// Checks a rule and returns its priority.
fn check_rule(rule: &Value) -> Result<u64, String> {
    let number = |value: &Value, name: &str| {
        value[name].as_u64().filter(|number| *number > 0).ok_or(format!("{name} must be a number from 1"))
    };
    let priority = number(rule, "rulePriority")?;
    if !matches!(rule["description"], Value::Null | Value::String(_)) {
        return Err("description must be text".to_owned());
    }
    let selection = &rule["selection"];
    number(selection, "countNumber")?;
    let kind = one_of(&rule["action"], "type", &["expire", "transition"])?;
    let count = one_of(
        selection,
        "countType",
        &["imageCountMoreThan", "sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned"],
    )?;
    match (count, &selection["countUnit"]) {
        ("imageCountMoreThan", Value::Null) => {}
        ("imageCountMoreThan", _) => return Err("countUnit does not go with imageCountMoreThan".to_owned()),
        (_, unit) if unit == "days" => {}
        _ => return Err(format!("countType {count} needs countUnit days")),
    }
    if count == "sinceImagePulled" && kind == "expire" {
        return Err("countType sinceImagePulled only goes with action transition".to_owned());
    }
    if kind == "transition" && rule["action"]["targetStorageClass"] != "archive" {
        return Err("action transition needs targetStorageClass archive".to_owned());
    }
    if count == "sinceImageTransitioned" && selection["storageClass"] != "archive" {
        return Err("countType sinceImageTransitioned needs storageClass archive".to_owned());
    }
    check_tags(selection)?;
    Ok(priority)
}

fn check_tags(selection: &Value) -> Result<(), String> {
    let lists: Vec<_> = ["tagPatternList", "tagPrefixList"]
        .into_iter()
        .filter_map(|name| Some((name, selection.get(name)?)))
        .collect();
    let status = one_of(selection, "tagStatus", &["tagged", "untagged", "any"])?;
    match (status, lists.as_slice()) {
        ("tagged", [(name, list)]) => {
            let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
            let good = |item: &Value| {
                item.as_str()
                    .is_some_and(|text| !text.is_empty() && text.matches('*').count() <= MOST_WILDCARDS)
            };
            if list.is_empty() || !list.iter().all(good) {
                return Err(format!("{name} must be a list of texts with at most {MOST_WILDCARDS} `*`"));
            }
            Ok(())
        }
        ("tagged", _) => Err("tagStatus tagged needs one of tagPatternList and tagPrefixList".to_owned()),
        (_, []) => Ok(()),
        (_, [(name, _), ..]) => Err(format!("{name} only goes with tagStatus tagged")),
    }
}

fn one_of<'a>(value: &'a Value, name: &str, words: &[&str]) -> Result<&'a str, String> {
    let found = value[name].as_str().filter(|word| words.contains(word));
    found.ok_or_else(|| format!("{name} must be one of {}", words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    type Edit = fn(&mut Value);

    #[test]
    fn rules_that_ecr_refuses() {
        let rule = || json!({"rulePriority": 1, "selection": {"tagStatus": "tagged", "tagPatternList": ["a*"], "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1}, "action": {"type": "expire"}});
        assert_eq!(check(&json!({"rules": [rule()]})), Ok(()));
        let rows: [(Edit, &str); 14] = [
            (|rule| rule["rulePriority"] = 0.into(), "rulePriority must be a number from 1"),
            (|rule| rule["description"] = 1.into(), "description must be text"),
            (|rule| rule["selection"]["countNumber"] = "1".into(), "countNumber must be a number from 1"),
            (|rule| rule["action"]["type"] = "delete".into(), "type must be one of expire, transition"),
            (|rule| rule["selection"]["countType"] = "x".into(), "countType must be one of"),
            (|rule| rule["selection"]["countUnit"] = "weeks".into(), "needs countUnit days"),
            (|rule| rule["selection"]["countType"] = "imageCountMoreThan".into(), "countUnit does not go"),
            (|rule| rule["selection"]["countType"] = "sinceImagePulled".into(), "only goes with action"),
            (|rule| rule["action"]["type"] = "transition".into(), "needs targetStorageClass archive"),
            (
                |rule| rule["selection"]["countType"] = "sinceImageTransitioned".into(),
                "needs storageClass archive",
            ),
            (|rule| rule["selection"]["tagStatus"] = "all".into(), "tagStatus must be one of"),
            (|rule| rule["selection"]["tagStatus"] = "any".into(), "only goes with tagStatus tagged"),
            (|rule| rule["selection"]["tagPatternList"] = json!(["a*b*c*d*e*"]), "at most 4 `*`"),
            (|rule| rule["selection"]["tagPrefixList"] = json!(["a"]), "needs one of"),
        ];
        for (edit, expected) in rows {
            let mut rule = rule();
            edit(&mut rule);
            let error = check(&json!({"rules": [rule]})).unwrap_err();
            assert!(error.starts_with("rule 1: ") && error.contains(expected), "{error}");
        }
        let mut any = rule();
        any["selection"] = json!({"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1});
        let mut archived = any.clone();
        archived["rulePriority"] = 3.into();
        archived["selection"]["storageClass"] = "archive".into();
        assert_eq!(check(&json!({"rules": [any, archived]})), Ok(()));
        let mut last = any.clone();
        last["rulePriority"] = 4.into();
        let mut later = rule();
        later["rulePriority"] = 2.into();
        for (rules, expected) in [
            (vec![rule(), rule()], "another rule has rulePriority 1"),
            (vec![last, any.clone()], "must have the highest rulePriority"),
            (vec![any, later], "must have the highest rulePriority"),
            (vec![rule(); 51], "51 rules"),
        ] {
            assert!(check(&json!({"rules": rules})).unwrap_err().contains(expected));
        }
    }
}
