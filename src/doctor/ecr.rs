//! How a repository of ECR is set up: mutability, scanning, lifecycle, encryption, mounts between repositories.

use serde_json::Value;

use super::{Check, Known};
use crate::ecr::OWN_MOVING;
use crate::failure::FailureKind;
use crate::image::{EcrHost, Repository};
use crate::ports::ecr_settings::EcrSettings;

/// A repository of ECR and what holds for its whole registry.
pub(crate) struct Ecr {
    pub repository: Repository,
    pub settings: Known<EcrSettings>,
    /// The lifecycle policy as JSON; `None` without one.
    pub lifecycle: Known<Option<String>>,
    /// Patterns of repositories that the registry scans.
    pub scanned: Known<Vec<String>>,
    /// Layers are mounted from one repository into another.
    pub mounts: Known<bool>,
    /// The moving tag of the layer cache that this run would write.
    pub cache_tag: Option<String>,
}

/// The region and name as arguments of the AWS command line.
fn named(repository: &Repository) -> String {
    let region = EcrHost::parse(repository.registry()).map(|host| host.region).unwrap_or_default();
    format!("--region {region} --repository-name {}", repository.path())
}

pub(crate) fn checks(ecr: &Ecr) -> Vec<Check> {
    vec![mutability(ecr), scanning(ecr), lifecycle(ecr), encryption(ecr)]
}

/// What holds between the repository of all zones and that of pull requests.
pub(crate) fn between(home: &Ecr, other: &Ecr) -> Vec<Check> {
    let mut checks = vec![mounts(home)];
    if let (Ok(here), Ok(there)) = (&home.settings, &other.settings)
        && (&here.encryption, &here.key) != (&there.encryption, &there.key)
    {
        checks.push(Check::warn(
            "same encryption",
            format!(
                "{} and {} have different keys: ECR mounts no layer between them",
                home.repository, other.repository
            ),
            "make the repository of pull requests anew with the other's key: it is fixed at creation",
        ));
    }
    checks
}

fn unknown(name: &str, error: &crate::error::Error, repository: &Repository) -> Check {
    if error.is(FailureKind::NotFoundRepo) {
        let fix = format!("aws ecr create-repository {}", named(repository));
        return Check::fail(name, error.headline(), fix);
    }
    Check::unknown(name, error)
}

fn mutability(ecr: &Ecr) -> Check {
    let name = &format!("mutability of {}", ecr.repository.path());
    let settings = match &ecr.settings {
        Ok(settings) => settings,
        Err(error) => return unknown(name, error, &ecr.repository),
    };
    // The command replaces the whole list, so it keeps what is there.
    let there = settings.exclusions.iter().map(String::as_str);
    let missing = OWN_MOVING.into_iter().filter(|own| !settings.exclusions.iter().any(|known| known == own));
    let filters: Vec<String> =
        there.chain(missing).map(|filter| format!("filterType=WILDCARD,filter='{filter}'")).collect();
    let set = format!(
        "aws ecr put-image-tag-mutability {} --image-tag-mutability IMMUTABLE_WITH_EXCLUSION --image-tag-mutability-exclusion-filters {}",
        named(&ecr.repository),
        filters.join(" ")
    );
    let excluded = |tag: &str| settings.exclusions.iter().any(|pattern| matches(pattern, tag));
    match (settings.mutability.as_str(), &ecr.cache_tag) {
        ("IMMUTABLE", Some(tag)) => {
            Check::fail(name, format!("every tag is fixed, and the layer cache moves {tag}"), set)
        }
        ("IMMUTABLE_WITH_EXCLUSION", Some(tag)) if !excluded(tag) => {
            Check::fail(name, format!("no exclusion covers {tag}, which the layer cache moves"), set)
        }
        ("IMMUTABLE" | "IMMUTABLE_WITH_EXCLUSION", _) => {
            let but = settings.exclusions.join(", ");
            let but = if but.is_empty() { String::new() } else { format!(" but {but}") };
            Check::ok(name, format!("every tag is fixed{but}"))
        }
        ("MUTABLE" | "MUTABLE_WITH_EXCLUSION", _) => {
            Check::warn(name, "tags can be set to other content by whoever may push", set)
        }
        (other, _) => Check::warn(name, format!("could not be checked: ECR says {other}"), set),
    }
}

fn scanning(ecr: &Ecr) -> Check {
    let name = &format!("scanning of {}", ecr.repository.path());
    let flag = ecr.settings.as_ref().is_ok_and(|settings| settings.scan_on_push);
    match &ecr.scanned {
        Ok(patterns) if patterns.iter().any(|pattern| matches(pattern, ecr.repository.path())) => {
            Check::ok(name, "the registry's rules scan it")
        }
        _ if flag => {
            Check::ok(name, "images are scanned when they are pushed, by the repository's own setting")
        }
        Err(error) => Check::unknown(name, error),
        Ok(_) => match &ecr.settings {
            Err(error) => unknown(name, error, &ecr.repository),
            Ok(_) => Check::warn(
                name,
                "images are not scanned",
                r#"aws ecr put-registry-scanning-configuration --scan-type BASIC --rules '[{"scanFrequency":"SCAN_ON_PUSH","repositoryFilters":[{"filter":"*","filterType":"WILDCARD"}]}]'"#,
            ),
        },
    }
}

fn lifecycle(ecr: &Ecr) -> Check {
    let name = &format!("lifecycle of {}", ecr.repository.path());
    let keep = "docs/trust.md, \"Keep what is still in use\", has a policy to start from";
    let text = match &ecr.lifecycle {
        Ok(Some(text)) => text,
        Ok(None) => {
            return Check::warn(name, "there is no lifecycle policy: every image stays, and costs", keep);
        }
        Err(error) => return unknown(name, error, &ecr.repository),
    };
    let Ok(policy) = serde_json::from_str::<Value>(text) else {
        return Check::warn(name, "could not be checked: ECR's policy is not JSON", keep);
    };
    let rules = policy["rules"].as_array().cloned().unwrap_or_default();
    let by_age = |rule: &&Value| {
        let selection = &rule["selection"];
        let texts = |list: &str| -> Vec<String> {
            let texts = selection[list].as_array().into_iter().flatten().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        };
        // A pattern or prefix of one image's keys takes keys too.
        let of_keys = |text: &String| text.starts_with("key-");
        let takes_keys = selection["tagStatus"] == "any"
            || texts("tagPatternList").iter().any(|text| of_keys(text) || matches(text, KEY_TAG))
            || texts("tagPrefixList").iter().any(|text| of_keys(text) || KEY_TAG.starts_with(text.as_str()));
        takes_keys && selection["countType"] == "sinceImagePushed" && rule["action"]["type"] == "expire"
    };
    match rules.iter().find(by_age) {
        Some(rule) => Check::warn(
            name,
            format!(
                "rule {} removes images by key so long after their push, also those that are in use: a new tag makes no image younger",
                rule["rulePriority"]
            ),
            format!("keep a number of key-* images instead (imageCountMoreThan): {keep}"),
        ),
        None => Check::ok(name, format!("{} rules; none removes images by key by their age", rules.len())),
    }
}

fn encryption(ecr: &Ecr) -> Check {
    let name = &format!("encryption of {}", ecr.repository.path());
    match &ecr.settings {
        Ok(EcrSettings { encryption, key, .. }) if !encryption.is_empty() => {
            let key = key.as_ref().map(|key| format!(" with {key}")).unwrap_or_default();
            Check::ok(name, format!("{encryption}{key}"))
        }
        Ok(_) => Check::warn(name, "could not be checked: ECR does not say", "aws ecr describe-repositories"),
        Err(error) => unknown(name, error, &ecr.repository),
    }
}

fn mounts(home: &Ecr) -> Check {
    let name = "layers mounted between repositories";
    match &home.mounts {
        Ok(true) => Check::ok(
            name,
            "BLOB_MOUNTING is on: a layer of one repository is not uploaded again to the other",
        ),
        Ok(false) => Check::warn(
            name,
            "BLOB_MOUNTING is off: pull requests upload each layer again",
            "aws ecr put-account-setting --name BLOB_MOUNTING --value ENABLED",
        ),
        Err(error) => Check::unknown(name, error),
    }
}

/// The tag of a key, as an example of all.
const KEY_TAG: &str = "key-r0123abcd-app-0123456789abcdef0123456789abcdef";

/// ECR's wildcards: `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(between) = last.replace(part) {
            let Some((_, after)) = rest.split_once::<&str>(between) else { return false };
            rest = after;
        }
    }
    last.map_or(rest.is_empty(), |end| rest.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{self, Fail, Ok as Good, Warn};
    use crate::error::Error;

    fn ecr() -> Ecr {
        Ecr {
            repository: "123456789012.dkr.ecr.us-east-1.amazonaws.com/ci".parse().unwrap(),
            settings: Ok(EcrSettings {
                mutability: "IMMUTABLE_WITH_EXCLUSION".into(),
                exclusions: vec!["cache-*".into(), "*-cache-*".into()],
                scan_on_push: true,
                encryption: "AES256".into(),
                key: None,
            }),
            lifecycle: Ok(Some(r#"{"rules":[{"rulePriority":1,"selection":{"tagStatus":"tagged","tagPatternList":["key-*"],"countType":"imageCountMoreThan","countNumber":1000},"action":{"type":"expire"}}]}"#.into())),
            scanned: Ok(Vec::new()),
            mounts: Ok(true),
            cache_tag: Some("cache-r1-app-main".into()),
        }
    }

    fn verdict(name: &str, change: impl FnOnce(&mut Ecr)) -> Verdict {
        let mut ecr = ecr();
        change(&mut ecr);
        checks(&ecr).into_iter().find(|check| check.name.starts_with(name)).unwrap().verdict
    }

    #[test]
    fn a_good_repository() {
        assert!(checks(&ecr()).iter().all(|check| check.verdict == Good), "{:?}", checks(&ecr()));
    }

    #[test]
    fn mutability_against_the_layer_cache() {
        let of = |mode: &str, exclusions: &[&str], cache: bool| {
            verdict("mutability", |ecr| {
                let settings = ecr.settings.as_mut().unwrap();
                settings.mutability = mode.into();
                settings.exclusions = exclusions.iter().map(|&text| text.to_owned()).collect();
                ecr.cache_tag = ecr.cache_tag.take().filter(|_| cache);
            })
        };
        assert_eq!(of("MUTABLE", &[], true), Warn);
        assert_eq!(of("IMMUTABLE", &[], true), Fail);
        assert_eq!(of("IMMUTABLE", &[], false), Good);
        assert_eq!(of("IMMUTABLE_WITH_EXCLUSION", &["latest"], true), Fail);
        assert_eq!(of("IMMUTABLE_WITH_EXCLUSION", &["c*main"], true), Good);
        assert_eq!(of("NEW", &[], true), Warn);
        let mut latest = ecr();
        latest.settings.as_mut().unwrap().exclusions = vec!["latest".into()];
        let fix = mutability(&latest).fix.unwrap();
        for filter in ["'latest'", "'*cache-*'", "'*sha-*'"] {
            assert!(fix.contains(filter), "{fix}");
        }
    }

    #[test]
    fn scanning_by_the_registry_or_the_repository() {
        let of = |flag: bool, scanned: Known<Vec<String>>| {
            verdict("scanning", |ecr| {
                ecr.settings.as_mut().unwrap().scan_on_push = flag;
                ecr.scanned = scanned;
            })
        };
        let denied = || Err(Error::of(FailureKind::AuthDenied, "no"));
        assert_eq!(of(false, Ok(vec!["c*".into()])), Good);
        assert_eq!(of(false, Ok(vec!["other".into()])), Warn);
        assert_eq!(of(true, denied()), Good);
        assert_eq!(of(false, denied()), Warn);
    }

    #[test]
    fn a_lifecycle_that_takes_what_is_in_use() {
        let of = |text: Option<&str>| verdict("lifecycle", |ecr| ecr.lifecycle = Ok(text.map(str::to_owned)));
        let rule = |status: &str, pattern: &str, kind: &str| {
            format!(
                r#"{{"rules":[{{"rulePriority":1,"selection":{{"tagStatus":"{status}","tagPatternList":["{pattern}"],"countType":"{kind}"}},"action":{{"type":"expire"}}}}]}}"#
            )
        };
        assert_eq!(of(None), Warn);
        assert_eq!(of(Some("junk")), Warn);
        assert_eq!(of(Some(&rule("any", "", "sinceImagePushed"))), Warn);
        assert_eq!(of(Some(&rule("tagged", "key-*", "sinceImagePushed"))), Warn);
        assert_eq!(of(Some(&rule("tagged", "pr-*", "sinceImagePushed"))), Good);
        for takes_keys in ["k*", "*key*", "*"] {
            assert_eq!(of(Some(&rule("tagged", takes_keys, "sinceImagePushed"))), Warn, "{takes_keys}");
        }
        assert_eq!(of(Some(&rule("tagged", "key-*", "imageCountMoreThan"))), Good);
    }

    #[test]
    fn a_repository_that_is_not_there_and_one_that_may_not_be_seen() {
        for (kind, wanted) in [(FailureKind::NotFoundRepo, Fail), (FailureKind::AuthDenied, Warn)] {
            let found = verdict("mutability", |ecr| ecr.settings = Err(Error::of(kind, "no")));
            assert_eq!(found, wanted, "{kind:?}");
        }
    }

    #[test]
    fn two_repositories() {
        let of = |change: fn(&mut Ecr)| {
            let (mut home, mut other) = (ecr(), ecr());
            change(&mut home);
            other.settings.as_mut().unwrap().key = None;
            between(&home, &other).into_iter().map(|check| check.verdict).max()
        };
        assert_eq!(of(|_| {}), Some(Good));
        assert_eq!(of(|home| home.mounts = Ok(false)), Some(Warn));
        assert_eq!(of(|home| home.settings.as_mut().unwrap().key = Some("k".into())), Some(Warn));
    }

    #[test]
    fn wildcards() {
        for (pattern, text, holds) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "x", true),
            ("*-cache-*", "pr-1-cache-x", true),
            ("*-cache-*", "cache-x", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c", false),
            ("ab*b", "ab", false),
        ] {
            assert_eq!(matches(pattern, text), holds, "{pattern} {text}");
        }
    }
}
