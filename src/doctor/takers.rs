//! Who may take the job's role, by the role's trust policy.

use serde_json::Value;

use super::subject::{Takes, before_wildcard, by_subject, is_wide_ref, of_owner};
use super::{Check, Known, Verdict};
use crate::ecr::fits;

/// Where a statement of the policy is wider than a role of build-once needs.
struct Finding {
    verdict: Verdict,
    why: String,
}

const FIX: &str = "name the repository and the branch in the trust policy's Condition: docs/trust.md, \"Who may take a role\"";

/// Judges the trust policy of `role`. `publishes`: whether the role may publish; `None` if that is not known.
pub(crate) fn check(role: &str, policy: &Known<String>, publishes: Option<bool>) -> Check {
    let name = "who may take the role";
    let policy = match policy {
        Ok(policy) => policy,
        Err(error) => return Check::unknown(name, error),
    };
    let Ok(mut policy) = serde_json::from_str::<Value>(policy) else {
        return Check::warn(name, format!("could not be checked: the policy of {role} is not JSON"), FIX);
    };
    numbers_as_texts(&mut policy);
    let statements = list(&policy["Statement"]);
    let statements = statements.iter().enumerate().filter(|(_, statement)| statement["Effect"] == "Allow");
    let mut findings: Vec<Finding> = Vec::new();
    let mut by_token = 0;
    for (at, statement) in statements {
        let mut add = |verdict, why: &str| {
            findings.push(Finding { verdict, why: format!("statement {} of {role} {why}", at + 1) });
        };
        if statement.get("NotPrincipal").is_some() || statement.get("NotAction").is_some() {
            add(Verdict::Warn, "has NotPrincipal or NotAction, so that it is not known whom it takes");
            continue;
        }
        if is_open(statement) {
            add(Verdict::Fail, "takes any AWS account");
        }
        let Some(provider) = provider(statement) else { continue };
        by_token += 1;
        match takes(statement, &provider) {
            Takes::Anyone => add(Verdict::Fail, "takes the jobs of any repository on GitHub"),
            Takes::Owner(owner) => {
                add(Verdict::Warn, &format!("takes the jobs of several repositories of {owner}"));
            }
            Takes::Repository if publishes != Some(false) => {
                let and = if publishes.is_none() {
                    "; it is not known whether the role may publish"
                } else {
                    ", and the role may publish"
                };
                add(Verdict::Warn, &format!("takes each branch or pull request of the repository{and}"));
            }
            Takes::Repository | Takes::Some => {}
        }
        let audiences = conditions(statement, &provider, "aud");
        let names_one = |audience: &Condition<'_>| {
            !audience.texts.iter().any(|text| audience.is_pattern && before_wildcard(text) == Some(""))
        };
        if !audiences.iter().any(names_one) {
            add(Verdict::Warn, "takes tokens that were made for any audience");
        }
    }
    let Some(worst) = findings.iter().map(|finding| finding.verdict).max() else {
        let whom = if by_token == 0 {
            "no job takes it by GitHub's token"
        } else {
            "certain jobs of one repository alone"
        };
        return Check::ok(name, format!("{role}: {whom}"));
    };
    let why = findings.into_iter().map(|finding| finding.why).collect::<Vec<_>>().join("; ");
    if worst == Verdict::Fail { Check::fail(name, why, FIX) } else { Check::warn(name, why, FIX) }
}

/// A number stands for its digits, as in a text (IAM, "Policy grammar").
fn numbers_as_texts(value: &mut Value) {
    match value {
        Value::Number(number) => *value = number.to_string().into(),
        Value::Array(items) => items.iter_mut().for_each(numbers_as_texts),
        Value::Object(members) => members.values_mut().for_each(numbers_as_texts),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// A value that stands for itself or in a list.
fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Null => Vec::new(),
        other => vec![other],
    }
}

fn texts(value: &Value) -> Vec<&str> {
    list(value).into_iter().filter_map(Value::as_str).collect()
}

fn allows(statement: &Value, action: &str) -> bool {
    texts(&statement["Action"]).iter().any(|pattern| fits(&pattern.to_lowercase(), action))
}

/// Tells whether the role may be taken with the credentials of any account.
fn is_open(statement: &Value) -> bool {
    let principal = &statement["Principal"];
    let all = *principal == "*" || texts(&principal["AWS"]).contains(&"*");
    let unconditional = statement["Condition"].as_object().is_none_or(serde_json::Map::is_empty);
    all && unconditional && allows(statement, "sts:assumerole")
}

/// The identity provider that a statement takes tokens of, if that is GitHub's. A server of one's own has
/// `HOST/_services/token`.
fn provider(statement: &Value) -> Option<String> {
    const GITHUB: &str = "token.actions.githubusercontent.com";
    if !allows(statement, "sts:assumerolewithwebidentity") {
        return None;
    }
    let principal = &statement["Principal"];
    if *principal == "*" {
        return Some(GITHUB.to_owned());
    }
    texts(&principal["Federated"]).into_iter().find_map(|federated| {
        let provider = federated.split_once(":oidc-provider/").map_or(federated, |(_, provider)| provider);
        let is_github = provider.starts_with(GITHUB) || provider.ends_with("/_services/token");
        match provider {
            "*" => Some(GITHUB.to_owned()),
            _ => is_github.then(|| provider.to_owned()),
        }
    })
}

/// A condition that holds a claim of the token against texts, of which one has to fit (IAM, "Condition operators").
struct Condition<'a> {
    /// `*` and `?` stand for others in the texts.
    is_pattern: bool,
    /// A token without the claim fits too.
    if_exists: bool,
    texts: Vec<&'a str>,
}

/// The conditions about a claim; each has to hold.
fn conditions<'a>(statement: &'a Value, provider: &str, claim: &str) -> Vec<Condition<'a>> {
    let key = format!("{provider}:{claim}").to_lowercase();
    let mut found = Vec::new();
    for (operator, keys) in statement["Condition"].as_object().into_iter().flatten() {
        let operator = operator.to_lowercase();
        let (quantifier, operator) = operator.split_once(':').unwrap_or(("", &operator));
        let without = operator.strip_suffix("ifexists");
        let if_exists = without.is_some() || quantifier == "forallvalues";
        let is_pattern = match without.unwrap_or(operator) {
            "stringequals" | "stringequalsignorecase" => false,
            "stringlike" => true,
            // Such as `StringNotLike`, which takes all others.
            _ => continue,
        };
        let keys = keys.as_object().into_iter().flatten();
        let values = keys.filter(|(name, _)| name.to_lowercase() == key).map(|(_, value)| texts(value));
        found.extend(values.map(|texts| Condition { is_pattern, if_exists, texts }));
    }
    found
}

/// Which jobs a statement takes: as few as its narrowest condition lets through.
fn takes(statement: &Value, provider: &str) -> Takes {
    let narrowest = |claim: &str, of: fn(&str) -> Takes| {
        let conditions = conditions(statement, provider, claim).into_iter();
        let widest = conditions.map(|Condition { is_pattern, texts, .. }| {
            // Without a pattern `*` stands for itself, which no name on GitHub has.
            let is_never = |text: &str| !is_pattern && before_wildcard(text).is_some();
            let widths = texts.into_iter().map(|text| if is_never(text) { Takes::Some } else { of(text) });
            // Without a value the condition never holds.
            widths.max().unwrap_or(Takes::Some)
        });
        widest.min().unwrap_or(Takes::Anyone)
    };
    let by_repository = narrowest("repository", |name| match before_wildcard(name) {
        None => Takes::Repository,
        Some(start) => of_owner(start),
    });
    let by_id =
        narrowest("repository_id", |id| before_wildcard(id).map_or(Takes::Repository, |_| Takes::Anyone));
    let by_owner = narrowest("repository_owner", |owner| match before_wildcard(owner) {
        None => Takes::Owner(owner.to_owned()),
        Some(_) => Takes::Anyone,
    });
    let by_claims = by_repository.min(by_id).min(by_owner);
    let of_ref = narrowest("ref", |name| match before_wildcard(name) {
        Some(start) if is_wide_ref(start) => Takes::Anyone,
        _ => Takes::Some,
    });
    // Not every token has this claim. If a job names an environment that does not exist, GitHub creates it: any job can fit a
    // pattern.
    let by_environment = conditions(statement, provider, "environment").iter().any(|own| {
        !own.if_exists && own.texts.iter().all(|text| !own.is_pattern || before_wildcard(text).is_none())
    });
    let is_fixed = of_ref == Takes::Some || by_environment;
    let by_claims = if by_claims == Takes::Repository && is_fixed { Takes::Some } else { by_claims };
    by_claims.min(narrowest("sub", by_subject))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::Verdict::{Fail, Ok as Good, Warn};
    use crate::error::Error;
    use crate::failure::FailureKind;

    const HOST: &str = "token.actions.githubusercontent.com";

    fn statement(condition: &Value) -> Value {
        json!({
            "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity", "Condition": condition,
            "Principal": {"Federated": format!("arn:aws:iam::1:oidc-provider/{HOST}")},
        })
    }

    fn judged(statements: &[Value], publishes: Option<bool>) -> (Verdict, String) {
        let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        let check = check("arn:aws:iam::1:role/ci", &Ok(policy), publishes);
        (check.verdict, check.why)
    }

    /// With the audience, and the subject by this operator.
    fn subject(operator: &str, subject: &Value) -> Value {
        let mut condition = json!({"StringEquals": {format!("{HOST}:aud"): "sts.amazonaws.com"}});
        condition[operator][format!("{HOST}:sub")] = subject.clone();
        statement(&condition)
    }

    #[test]
    fn subjects_and_whom_they_take() {
        for (pattern, of_push, of_pull) in [
            ("repo:o/r:ref:refs/heads/main", Good, Good),
            ("repo:o/r:ref:refs/heads/release-*", Good, Good),
            ("repo:o/r:ref:refs/tags/*", Good, Good),
            ("repo:o/r:environment:production", Good, Good),
            ("repo:o/r:environment:*", Warn, Good),
            ("repo:o/r", Warn, Good),
            ("repo:o/r:pull_request:*", Warn, Good),
            ("repo:o/r:job_workflow_ref:*", Warn, Good),
            ("repo:o@1/r@2:ref:refs/heads/main", Good, Good),
            ("repo:o/r:pull_request", Warn, Good),
            ("repo:o/r:*", Warn, Good),
            ("repo:o/r:ref:*", Warn, Good),
            ("repo:o/r:ref:refs/heads/*", Warn, Good),
            ("repo:o/r:pull?request", Warn, Good),
            ("repository_id:12:ref:*", Warn, Good),
            ("repo:o/*", Warn, Warn),
            ("repository_owner:o", Warn, Warn),
            ("repository_owner:o:*", Warn, Warn),
            ("repository_owner:o:repository_visibility:private", Warn, Warn),
            ("repository_owner:o:repository_id:12:ref:*", Warn, Good),
            ("repository_id:12", Warn, Good),
            ("repository_id:12:ref:refs/heads/main", Good, Good),
            ("repository_id:1*", Fail, Fail),
            ("repository_owner:o:repo:o/*:ref:refs/heads/main", Warn, Warn),
            ("repository_owner:o:repo:o/r:ref:refs/heads/main", Good, Good),
            ("repository_owner_id:7:ref:refs/heads/main", Warn, Warn),
            ("repository_owner:o*", Fail, Fail),
            ("ref:refs/heads/main", Fail, Fail),
            ("job_workflow_ref:o/r/.github/workflows/x.yml@refs/heads/main", Fail, Fail),
            ("repo:o/app-*:ref:refs/heads/main", Warn, Warn),
            ("repo:o*", Fail, Fail),
            ("repo:*", Fail, Fail),
            ("repo:*/r:ref:refs/heads/main", Fail, Fail),
            ("re*", Fail, Fail),
            ("*:ref:refs/heads/main", Fail, Fail),
            ("*", Fail, Fail),
        ] {
            for (publishes, wanted) in [(true, of_push), (false, of_pull)] {
                let found = judged(&[subject("StringLike", &json!(pattern))], Some(publishes));
                assert_eq!(found.0, wanted, "{pattern} {publishes}: {}", found.1);
            }
        }
        // The widest of a list counts; a star is none where no pattern is read.
        let many = json!(["repo:o/r:ref:refs/heads/main", "repo:o/*"]);
        assert_eq!(judged(&[subject("ForAnyValue:StringLike", &many)], None).0, Warn);
        assert_eq!(judged(&[subject("StringEquals", &json!("repo:*"))], None).0, Good);
        assert_eq!(judged(&[subject("StringNotLike", &json!("repo:x/*"))], None).0, Fail);
    }

    #[test]
    fn a_missing_subject_or_audience() {
        let (verdict, why) =
            judged(&[statement(&json!({"StringEquals": {format!("{HOST}:aud"): "a"}}))], None);
        assert!(verdict == Fail && why.contains("statement 1") && why.contains("any repository"), "{why}");
        assert_eq!(judged(&[statement(&Value::Null)], None).0, Fail);
        let main = json!({"StringEquals": {format!("{HOST}:sub"): "repo:o/r:ref:refs/heads/main"}});
        let (verdict, why) = judged(&[statement(&main)], None);
        assert!(verdict == Warn && why.contains("any audience"), "{why}");
        // IAM does not heed the case of a key.
        let upper = json!({"StringEquals": {format!("{}:SUB", HOST.to_uppercase()): "repo:o/r:ref:x", format!("{HOST}:Aud"): "a"}});
        assert_eq!(judged(&[statement(&upper)], None).0, Good);
    }

    #[test]
    fn claims_in_place_of_the_subject() {
        let with = |claims: Value| {
            let mut condition = json!({"StringEquals": {format!("{HOST}:aud"): "a"}, "StringLike": {}});
            for (name, value) in claims.as_object().unwrap() {
                condition["StringLike"][format!("{HOST}:{name}")] = value.clone();
            }
            judged(&[statement(&condition)], Some(true)).0
        };
        assert_eq!(with(json!({"repository": "o/r", "ref": "refs/heads/main"})), Good);
        assert_eq!(with(json!({"repository": "o/r"})), Warn);
        assert_eq!(with(json!({"repository_id": "12", "ref": "refs/heads/*"})), Warn);
        assert_eq!(with(json!({"repository_id": 12})), Warn);
        assert_eq!(with(json!({"repository_id": ["12", 7]})), Warn);
        assert_eq!(with(json!({"repository": "o/r", "ref": "refs/heads/release-*"})), Good);
        assert_eq!(with(json!({"repository": "o/r", "ref": ["refs/heads/release-*", "refs/pull/*"]})), Warn);
        assert_eq!(with(json!({"repository": "o/r", "ref": "refs/p*"})), Warn);
        assert_eq!(with(json!({"repository": "o/r", "environment": "production"})), Good);
        assert_eq!(with(json!({"repository": "o/r", "environment": "prod*"})), Warn);
        assert_eq!(with(json!({"repository": "o/*"})), Warn);
        assert_eq!(with(json!({"repository_owner": "o", "ref": "refs/heads/main"})), Warn);
        assert_eq!(with(json!({"repository": "*"})), Fail);
        assert_eq!(with(json!({"ref": "refs/heads/main"})), Fail);
        assert_eq!(with(json!({"job_workflow_ref": "o/r/.github/workflows/x.yml@refs/heads/main"})), Fail);
    }

    #[test]
    fn a_claim_that_need_not_exist() {
        let of = |operator: &str| {
            let mut condition =
                json!({"StringEquals": {format!("{HOST}:aud"): "a", format!("{HOST}:repository"): "o/r"}});
            condition[operator][format!("{HOST}:environment")] = json!("production");
            judged(&[statement(&condition)], Some(true)).0
        };
        assert_eq!(
            [
                "StringLike",
                "StringEqualsIfExists",
                "StringLikeIfExists",
                "ForAllValues:StringEquals",
                "ForAnyValue:StringLike"
            ]
            .map(of),
            [Good, Warn, Warn, Warn, Good]
        );
    }

    #[test]
    fn an_audience_that_is_any() {
        let of = |operator: &str, audience: Value| {
            let mut condition =
                json!({"StringLike": {format!("{HOST}:sub"): "repo:o/r:ref:refs/heads/main"}});
            condition[operator][format!("{HOST}:aud")] = audience;
            judged(&[statement(&condition)], None).0
        };
        assert_eq!(of("StringLike", json!("*")), Warn);
        assert_eq!(of("StringLike", json!(["sts.amazonaws.com", "?*"])), Warn);
        assert_eq!(of("StringLike", json!("*.com")), Warn);
        assert_eq!(of("StringLike", json!("sts.amazonaws.*")), Good);
        // A star is none where no pattern is read: the condition never holds.
        assert_eq!(of("StringEquals", json!("*")), Good);
    }

    #[test]
    fn other_ways_to_take_a_role() {
        let of = |principal: Value, action: &str| json!({"Effect": "Allow", "Principal": principal, "Action": action});
        assert_eq!(judged(&[of(json!({"Service": "ec2.amazonaws.com"}), "sts:AssumeRole")], None).0, Good);
        assert_eq!(judged(&[of(json!({"AWS": "arn:aws:iam::1:root"}), "sts:AssumeRole")], None).0, Good);
        assert_eq!(judged(&[of(json!({"AWS": "*"}), "sts:AssumeRole")], None).0, Fail);
        assert_eq!(judged(&[of(json!("*"), "sts:*")], None).0, Fail);
        let eks = json!({"Federated": "arn:aws:iam::1:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/X"});
        assert_eq!(judged(&[of(eks, "sts:AssumeRoleWithWebIdentity")], None).0, Good);
        let server = json!({"Federated": "arn:aws:iam::1:oidc-provider/github.example/_services/token"});
        assert_eq!(judged(&[of(server, "sts:AssumeRoleWith*")], None).0, Fail);
        let not = json!({"Effect": "Allow", "NotPrincipal": {"AWS": "x"}, "Action": "sts:AssumeRole"});
        assert_eq!(judged(&[not], None).0, Warn);
        // Its one statement need not stand in a list.
        let policy = json!({"Statement": statement(&Value::Null)}).to_string();
        assert_eq!(check("r", &Ok(policy), None).verdict, Fail);
    }

    #[test]
    fn what_could_not_be_read_is_not_ok() {
        let denied =
            Error::of(FailureKind::AuthDenied, "failed to read the trust policy").hint("allow iam:GetRole");
        let found = check("r", &Err(denied), Some(true));
        assert!(found.verdict == Warn && found.why.contains("could not be checked"), "{found:?}");
        assert_eq!(check("r", &Ok("<html>".to_owned()), None).verdict, Warn);
    }
}
