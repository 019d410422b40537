//! How a repository of ECR is set up: mutability, scanning, lifecycle, encryption, mounts between repositories.

use serde_json::Value;

use super::{Check, Known};
use crate::ecr::{
    Described, Mutability, MutabilityKind, RegistryScanning, Ruled, STANDARD, fits, storage_class,
};
use crate::failure::FailureKind;
use crate::image::{EcrHost, Repository};

/// A repository of ECR and what holds for its whole registry.
pub(crate) struct Ecr {
    pub repository: Repository,
    pub settings: Known<Described>,
    /// The lifecycle policy as JSON; `None` without one.
    pub lifecycle: Known<Option<String>>,
    /// The registry's scanning configuration.
    pub scanning: Known<RegistryScanning>,
    /// Layers are mounted from one repository into another.
    pub mounts: Known<bool>,
    /// The moving tag of the layer cache that this run would write.
    pub cache_tag: Option<String>,
}

/// The region as an argument of the AWS command line.
fn region(repository: &Repository) -> String {
    EcrHost::parse(repository.registry()).map(|host| format!("--region {}", host.region)).unwrap_or_default()
}

/// The region and name as arguments of the AWS command line.
pub(super) fn named(repository: &Repository) -> String {
    format!("{} --repository-name {}", region(repository), repository.path())
}

pub(crate) fn checks(ecr: &Ecr) -> Vec<Check> {
    vec![mutability(ecr), scanning(ecr), lifecycle(ecr), encryption(ecr)]
}

/// What holds between the repository of all zones and that of pull requests.
pub(crate) fn between(home: &Ecr, other: &Ecr) -> Vec<Check> {
    let mut checks = vec![mounts(home)];
    if let (Ok(here), Ok(there)) = (&home.settings, &other.settings)
        && here.encryption != there.encryption
    {
        checks.push(Check::warn(
            "same encryption",
            format!(
                "{} and {} have different keys: ECR mounts no layer between them",
                home.repository, other.repository
            ),
            "delete the repository of pull requests and make it again with the key of the other one: a key is fixed when a repository is made",
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
    let exclusions = &settings.mutability.exclusions;
    let wanted = Mutability::immutable(std::iter::empty());
    let set = match wanted.and_then(|wanted| Ok(settings.mutability.changed_to(&wanted)?.unwrap_or(wanted))) {
        Ok(Mutability { kind, exclusions }) => {
            let filters = exclusions.iter().map(|filter| format!("filterType=WILDCARD,filter='{filter}'"));
            let filters: Vec<String> = filters.collect();
            format!(
                "aws ecr put-image-tag-mutability {} --image-tag-mutability {} --image-tag-mutability-exclusion-filters {}",
                named(&ecr.repository),
                kind.name(),
                filters.join(" ")
            )
        }
        Err(too_many) => format!("make room among the exclusions: {too_many}"),
    };
    let excluded = |tag: &str| exclusions.iter().any(|pattern| fits(pattern, tag));
    match (settings.mutability.kind, &ecr.cache_tag) {
        (MutabilityKind::Immutable, Some(tag)) => {
            Check::fail(name, format!("every tag is fixed, and the layer cache moves {tag}"), set)
        }
        (MutabilityKind::ImmutableWithExclusion, Some(tag)) if !excluded(tag) => {
            Check::fail(name, format!("no exclusion covers {tag}, which the layer cache moves"), set)
        }
        (MutabilityKind::Immutable | MutabilityKind::ImmutableWithExclusion, _) => {
            let but = exclusions.join(", ");
            let but = if but.is_empty() { String::new() } else { format!(" but {but}") };
            Check::ok(name, format!("every tag is fixed{but}"))
        }
        (MutabilityKind::Mutable | MutabilityKind::MutableWithExclusion, _) => {
            Check::warn(name, "everyone who may push can give a tag other content", set)
        }
    }
}

fn scanning(ecr: &Ecr) -> Check {
    let name = &format!("scanning of {}", ecr.repository.path());
    let own = ecr.settings.as_ref().map(|settings| settings.scan_on_push);
    let not = |why: String| {
        Check::warn(
            name,
            why,
            format!(
                r#"aws ecr put-registry-scanning-configuration {} --scan-type BASIC --rules '[{{"scanFrequency":"SCAN_ON_PUSH","repositoryFilters":[{{"filter":"*","filterType":"WILDCARD"}}]}}]'"#,
                region(&ecr.repository)
            ),
        )
    };
    match (ecr.scanning.as_ref().map(|scanning| scanning.judge(ecr.repository.path())), own) {
        (Ok(Ruled::ByRegistry { scans: true, rule }), _) => Check::ok(name, rule),
        (Ok(Ruled::ByRegistry { scans: false, rule }), _) => not(format!("images are not scanned: {rule}")),
        // A rule of the registry would count in place of the repository's own setting.
        (Err(error), _) => Check::unknown(name, error),
        (Ok(Ruled::ByRepository), Ok(true)) => {
            Check::ok(name, "images are scanned when they are pushed, by the repository's own setting")
        }
        (Ok(Ruled::ByRepository), Ok(false)) => not("images are not scanned".to_owned()),
        (Ok(Ruled::ByRepository), Err(error)) => unknown(name, error, &ecr.repository),
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
    let mut rules = policy["rules"].as_array().cloned().unwrap_or_default();
    rules.retain(|rule| storage_class(rule) == STANDARD);
    rules.sort_by_key(|rule| rule["rulePriority"].as_u64());
    // An image that a rule selects is safe from the later ones.
    let last = rules.iter().position(|rule| selects(rule, false)).map_or(rules.len(), |at| at + 1);
    let by_age = |rule: &&Value| {
        selects(rule, true)
            && rule["selection"]["countType"] == "sinceImagePushed"
            && rule["action"]["type"] == "expire"
    };
    match rules[..last].iter().find(by_age) {
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

/// Tells whether a lifecycle rule selects the images of trusted runs, which have a key tag and a commit's tag. `some`: those
/// of one name suffice. Each pattern and prefix of a rule must fit one of an image's tags (ECR's user guide, "Lifecycle
/// policy properties").
fn selects(rule: &Value, some: bool) -> bool {
    let selection = &rule["selection"];
    let texts = |list: &str| selection[list].as_array().into_iter().flatten().filter_map(Value::as_str);
    let of_one_name = |text: &str| some && (text.starts_with("key-") || text.starts_with("sha-"));
    let patterns =
        texts("tagPatternList").map(|text| of_one_name(text) || BUILT_TAGS.iter().any(|tag| fits(text, tag)));
    let prefixes = texts("tagPrefixList")
        .map(|text| of_one_name(text) || BUILT_TAGS.iter().any(|tag| tag.starts_with(text)));
    let fitting: Vec<bool> = patterns.chain(prefixes).collect();
    selection["tagStatus"] == "any" || (!fitting.is_empty() && fitting.iter().all(|fits| *fits))
}

fn encryption(ecr: &Ecr) -> Check {
    let name = &format!("encryption of {}", ecr.repository.path());
    match &ecr.settings {
        Ok(settings) => Check::ok(name, settings.encryption.to_string()),
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
            format!(
                "aws ecr put-account-setting {} --name BLOB_MOUNTING --value ENABLED",
                region(&home.repository)
            ),
        ),
        Err(error) => Check::unknown(name, error),
    }
}

/// The tags of an image that a trusted run built, as an example of all.
const BUILT_TAGS: [&str; 2] = [
    "key-r0123abcd-app-0123456789abcdef0123456789abcdef",
    "sha-r0123abcd-app-0123456789abcdef0123456789abcdef01234567",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{self, Fail, Ok as Good, Warn};
    use crate::ecr::{Encryption, ScanRule};
    use crate::error::Error;

    fn ecr() -> Ecr {
        Ecr {
            repository: "123456789012.dkr.ecr.us-east-1.amazonaws.com/ci".parse().unwrap(),
            settings: Ok(Described {
                mutability: Mutability {
                    kind: MutabilityKind::ImmutableWithExclusion,
                    exclusions: vec!["cache-*".into(), "*-cache-*".into()],
                },
                scan_on_push: true,
                encryption: Encryption { kind: "AES256".into(), key: None },
            }),
            lifecycle: Ok(Some(r#"{"rules":[{"rulePriority":1,"selection":{"tagStatus":"tagged","tagPatternList":["key-*"],"countType":"imageCountMoreThan","countNumber":1000},"action":{"type":"expire"}}]}"#.into())),
            scanning: Ok(RegistryScanning::default()),
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
        let of = |kind: MutabilityKind, exclusions: &[&str], cache: bool| {
            verdict("mutability", |ecr| {
                let exclusions = exclusions.iter().map(|&text| text.to_owned()).collect();
                ecr.settings.as_mut().unwrap().mutability = Mutability { kind, exclusions };
                ecr.cache_tag = ecr.cache_tag.take().filter(|_| cache);
            })
        };
        assert_eq!(of(MutabilityKind::Mutable, &[], true), Warn);
        assert_eq!(of(MutabilityKind::Immutable, &[], true), Fail);
        assert_eq!(of(MutabilityKind::Immutable, &[], false), Good);
        assert_eq!(of(MutabilityKind::ImmutableWithExclusion, &["latest"], true), Fail);
        assert_eq!(of(MutabilityKind::ImmutableWithExclusion, &["c*main"], true), Good);
        let mut latest = ecr();
        latest.settings.as_mut().unwrap().mutability.exclusions = vec!["latest".into()];
        let fix = mutability(&latest).fix.unwrap();
        for filter in ["'latest'", "'*cache-*'", "'*sha-*'"] {
            assert!(fix.contains(filter), "{fix}");
        }
    }

    #[test]
    fn scanning_by_the_registry_or_the_repository() {
        let of = |flag: bool, scanning: Known<RegistryScanning>| {
            verdict("scanning", |ecr| {
                ecr.settings.as_mut().unwrap().scan_on_push = flag;
                ecr.scanning = scanning;
            })
        };
        let rule = |filter: &str| {
            let rule = ScanRule { frequency: "SCAN_ON_PUSH".into(), filters: vec![filter.into()] };
            Ok(RegistryScanning { scan_type: "BASIC".into(), rules: vec![rule] })
        };
        let denied = || Err(Error::of(FailureKind::AuthDenied, "no"));
        assert_eq!(of(false, rule("c*")), Good);
        assert_eq!(of(false, rule("other")), Warn);
        // A rule of the registry counts, and not the repository's own flag.
        assert_eq!(of(true, rule("other")), Warn);
        assert_eq!(of(false, Ok(RegistryScanning::default())), Warn);
        assert_eq!(of(true, Ok(RegistryScanning::default())), Good);
        assert_eq!(of(true, denied()), Warn);
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
        // An image that loses its place loses all its tags.
        assert_eq!(of(Some(&rule("tagged", "sha-*", "sinceImagePushed"))), Warn);
        // Each pattern of a rule must fit.
        assert_eq!(of(Some(&rule("tagged", r#"key-*","sha-*"#, "sinceImagePushed"))), Warn);
        assert_eq!(of(Some(&rule("tagged", r#"key-*","nightly-*"#, "sinceImagePushed"))), Good);
        // What a rule keeps is safe from later ones, in whichever order the document has them.
        let two = |first: u32, kept: &str| {
            let rule = |at: u32, pattern: &str, kind: &str| {
                format!(
                    r#"{{"rulePriority":{at},"selection":{{"tagStatus":"tagged","tagPatternList":["{pattern}"],"countType":"{kind}"}},"action":{{"type":"expire"}}}}"#
                )
            };
            let by_age = rule(3 - first, "sha-*", "sinceImagePushed");
            of(Some(&format!(r#"{{"rules":[{by_age},{}]}}"#, rule(first, kept, "imageCountMoreThan"))))
        };
        assert_eq!([two(1, "key-*"), two(2, "key-*"), two(1, "key-r1-app-*")], [Good, Warn, Warn]);
        // A rule for archived images keeps none of the others.
        let archived = r#"{"rulePriority":1,"selection":{"tagStatus":"any","storageClass":"archive","countType":"sinceImageTransitioned"},"action":{"type":"expire"}}"#;
        let by_age =
            rule("tagged", "sha-*", "sinceImagePushed").replace("rulePriority\":1", "rulePriority\":2");
        assert_eq!(of(Some(&by_age.replacen("[{", &format!("[{archived},{{"), 1))), Warn);
        assert_eq!(of(Some(&crate::ecr::LifecyclePolicy::recommended().text())), Good);
    }

    #[test]
    fn a_repository_that_is_not_there_and_one_that_may_not_be_seen() {
        for (kind, wanted) in [(FailureKind::NotFoundRepo, Fail), (FailureKind::AuthDenied, Warn)] {
            let found = verdict("mutability", |ecr| ecr.settings = Err(Error::of(kind, "no")));
            assert_eq!(found, wanted, "{kind:?}");
        }
    }

    #[test]
    fn each_command_names_the_region() {
        let mut wrong = ecr();
        wrong.mounts = Ok(false);
        let settings = wrong.settings.as_mut().unwrap();
        settings.scan_on_push = false;
        settings.mutability.kind = MutabilityKind::Mutable;
        let absent = Ecr { settings: Err(Error::of(FailureKind::NotFoundRepo, "no")), ..ecr() };
        let all = checks(&wrong).into_iter().chain(checks(&absent)).chain([mounts(&wrong)]);
        let commands: Vec<String> =
            all.filter_map(|check| check.fix).filter(|fix| fix.starts_with("aws ")).collect();
        assert!(commands.len() >= 5, "{commands:?}");
        assert!(commands.iter().all(|fix| fix.contains(" --region us-east-1 ")), "{commands:?}");
    }

    #[test]
    fn two_repositories() {
        let of = |change: fn(&mut Ecr)| {
            let (mut home, mut other) = (ecr(), ecr());
            change(&mut home);
            other.settings.as_mut().unwrap().encryption.key = None;
            between(&home, &other).into_iter().map(|check| check.verdict).max()
        };
        assert_eq!(of(|_| {}), Some(Good));
        assert_eq!(of(|home| home.mounts = Ok(false)), Some(Warn));
        assert_eq!(of(|home| home.settings.as_mut().unwrap().encryption.key = Some("k".into())), Some(Warn));
    }
}
