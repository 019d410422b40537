//! Where the repository's name comes from, whether it is there, and whether this job may read and write it.

use super::{Check, Known};
use crate::facts::{NoRepository, RepositoryFact};
use crate::failure::{FailureClass, FailureKind};
use crate::image::{EcrHost, ImageReference, Repository};
use crate::ports::registry::{Probe, Resolve};
use crate::trust::Access;
use crate::zone::Zone;

/// A repository as its registry shows it.
pub(crate) struct Seen {
    pub repository: Repository,
    /// The answer for a tag that no run sets.
    pub probe: Probe,
    /// What came of the upload that was begun; `None` if none was.
    pub upload: Option<Upload>,
}

/// The registry's answer to an upload that is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upload {
    Taken,
    Refused,
    Unclear,
}

/// Which source names the repository.
pub(crate) fn source(fact: &Known<RepositoryFact>) -> Check {
    let name = "repository";
    let set =
        "set the input repository, the variable BUILD_ONCE_REPOSITORY or ECR_CACHE_URL, or the SSM parameter";
    match fact {
        Ok(RepositoryFact::Found { repository, source }) => {
            Check::ok(name, format!("{repository}, from the {source}"))
        }
        Ok(RepositoryFact::None(reason)) if reason.is_failure() => {
            let fix = match reason {
                NoRepository::AccessDenied(parameter) => {
                    format!("allow ssm:GetParameter on {parameter} for this role")
                }
                _ => set.to_owned(),
            };
            Check::fail(name, reason.explain(), fix)
        }
        Ok(RepositoryFact::None(reason)) => {
            Check::warn(name, format!("{}; images stay on this machine", reason.explain()), set)
        }
        Err(error) if error.class == FailureClass::Input => Check::refused(name, error),
        Err(error) => Check::unknown(name, error),
    }
}

/// What of a repository's registry must be as it is.
pub(crate) fn checks(seen: &Seen, access: &Access, zone: &Zone) -> Vec<Check> {
    let mut checks = vec![registry(seen, zone)];
    checks.extend(upload(seen, access));
    checks
}

fn registry(seen: &Seen, zone: &Zone) -> Check {
    let name = &format!("registry of {}", seen.repository.path());
    match &seen.probe {
        Probe::Present(_) | Probe::Absent { no_repository: false } => {
            Check::ok(name, format!("{} answers, and the login may read", seen.repository.registry()))
        }
        Probe::Absent { no_repository: true } => absent(name, &seen.repository),
        Probe::Unknown(error) if error.class == FailureClass::Access && *zone == Zone::Fork => {
            let why =
                format!("{}; a fork's run has no secrets: it builds on its own machine", error.headline());
            Check::warn(name, why, "nothing; or let the registry be read without a login")
        }
        Probe::Unknown(error) if error.is(FailureKind::Hang) => Check::unknown(name, error),
        Probe::Unknown(error) => Check::refused(name, error),
    }
}

fn absent(name: &str, repository: &Repository) -> Check {
    let fix = match EcrHost::parse(repository.registry()) {
        Some(host) if !host.public => format!("aws ecr create-repository {}", super::ecr::named(repository)),
        _ => "create it in the registry, or correct its name".to_owned(),
    };
    Check::fail(
        name,
        "the repository does not exist: its name, account or region is wrong, or it was never made",
        fix,
    )
}

/// The upload that was begun and given up, where it was asked for.
fn upload(seen: &Seen, access: &Access) -> Option<Check> {
    let name = &format!("upload to {}", seen.repository.path());
    let must_not = access.warn_if_writable && access.own_repository.as_ref() != Some(&seen.repository);
    let may = access.write_images;
    Some(match seen.upload? {
        Upload::Unclear => {
            Check::warn(name, "could not be checked: the registry gave no clear answer", "try again")
        }
        Upload::Taken if must_not => Check::fail(
            name,
            "this run must not publish there, and its login may push",
            "give such runs a pull-only role: docs/trust.md, \"IAM policies\"",
        ),
        Upload::Taken => Check::ok(name, "an upload was begun, and given up"),
        Upload::Refused if must_not || !may => Check::ok(name, "refused, as it should be in this run"),
        Upload::Refused => Check::fail(
            name,
            "the registry refuses an upload (ecr:InitiateLayerUpload, ecr:PutImage)",
            "give the role the push rights: docs/trust.md, \"Push: the job that builds\"",
        ),
    })
}

/// Whether the references in the input `tags` are set.
pub(crate) fn tags(asked: &[(ImageReference, Result<(), Resolve>)], access: &Access) -> Vec<Check> {
    let check = |(reference, answer): &(ImageReference, Result<(), Resolve>)| {
        let name = &format!("tag {reference}");
        match answer {
            Ok(()) => Check::ok(name, "it is there"),
            Err(Resolve::Absent) if access.write_tags => Check::warn(
                name,
                "it is not there",
                "the next run of build-once with this tag in the input tags sets it; if it was there, look at the lifecycle rules",
            ),
            Err(Resolve::Absent) => Check::warn(
                name,
                "it is not there, and a run such as this one does not set it: trusted runs do",
                "run on the default branch, a protected branch or a git tag; or list it in pr-repository",
            ),
            Err(Resolve::Failed(error)) => Check::unknown(name, error),
        }
    };
    asked.iter().map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{self, Fail, Ok as Good, Warn};
    use crate::doctor::for_tests::{HOME, access_of};
    use crate::error::Error;

    fn verdicts(zone: &Zone, probe: Probe, upload: Option<Upload>) -> Vec<Verdict> {
        let seen = Seen { repository: HOME.parse().unwrap(), probe, upload };
        checks(&seen, &access_of(zone), zone).iter().map(|check| check.verdict).collect()
    }

    #[test]
    fn each_source_and_each_reason_for_none() {
        let none = |reason| Ok(RepositoryFact::None(reason));
        let found =
            RepositoryFact::Found { repository: HOME.parse().unwrap(), source: "ECR_CACHE_URL".into() };
        for (fact, verdict, says) in [
            (Ok(found), Good, "from the ECR_CACHE_URL"),
            (none(NoRepository::NotNamed), Warn, "stay on this machine"),
            (none(NoRepository::NotOnEc2), Warn, "not EC2"),
            (none(NoRepository::MetadataOff("403".into())), Warn, "403"),
            (none(NoRepository::ParameterAbsent("/p".into())), Warn, "/p does not exist"),
            (none(NoRepository::AccessDenied("/p".into())), Fail, "access to the SSM parameter /p is denied"),
            (none(NoRepository::ParameterFailed("no answer".into())), Fail, "no answer"),
            (Err(Error::input("the ECR_CACHE_URL does not name a repository")), Fail, "does not name"),
            (Err(Error::of(FailureKind::Hang, "slow")), Warn, "could not be checked"),
        ] {
            let check = source(&fact);
            assert!(check.verdict == verdict && check.why.contains(says), "{check:?}");
        }
    }

    #[test]
    fn what_the_registry_answers() {
        let absent = |no_repository| Probe::Absent { no_repository };
        let unknown = |kind| Probe::Unknown(Error::of(kind, "x"));
        for (probe, in_trusted, in_fork) in [
            (absent(false), Good, Good),
            (absent(true), Fail, Fail),
            (unknown(FailureKind::AuthDenied), Fail, Warn),
            (unknown(FailureKind::AuthMissing), Fail, Warn),
            (unknown(FailureKind::Refused), Fail, Fail),
            (unknown(FailureKind::TlsTrust), Fail, Fail),
            (unknown(FailureKind::Hang), Warn, Warn),
        ] {
            assert_eq!(verdicts(&Zone::Trusted, probe.clone(), None), [in_trusted], "{probe:?}");
            assert_eq!(verdicts(&Zone::Fork, probe.clone(), None), [in_fork], "{probe:?}");
        }
        let seen = Seen { repository: HOME.parse().unwrap(), probe: absent(true), upload: None };
        let check = &checks(&seen, &access_of(&Zone::Trusted), &Zone::Trusted)[0];
        assert_eq!(
            check.fix.as_deref(),
            Some("aws ecr create-repository --region us-east-1 --repository-name ci")
        );
    }

    #[test]
    fn what_an_upload_shows() {
        let of =
            |zone: &Zone, upload| verdicts(zone, Probe::Absent { no_repository: false }, Some(upload))[1];
        assert_eq!(
            [Upload::Taken, Upload::Refused, Upload::Unclear].map(|upload| of(&Zone::Trusted, upload)),
            [Good, Fail, Warn]
        );
        assert_eq!(
            [Upload::Taken, Upload::Refused, Upload::Unclear].map(|upload| of(&Zone::Fork, upload)),
            [Fail, Good, Warn]
        );
    }

    #[test]
    fn tags_that_should_be_there() {
        let of = |answer, zone: &Zone| {
            tags(&[("h.example/ci:v1".parse().unwrap(), answer)], &access_of(zone))[0].clone()
        };
        assert_eq!(of(Ok(()), &Zone::Trusted).verdict, Good);
        let absent = of(Err(Resolve::Absent), &Zone::Trusted);
        assert!(absent.verdict == Warn && absent.fix.unwrap().contains("lifecycle"));
        assert!(of(Err(Resolve::Absent), &Zone::PullRequest(1)).why.contains("trusted runs do"));
        assert_eq!(
            of(Err(Resolve::Failed(Error::of(FailureKind::Refused, "x"))), &Zone::Trusted).verdict,
            Warn
        );
    }
}
