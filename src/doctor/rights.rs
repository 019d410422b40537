//! What the job's role may do in AWS, against what this run needs and what it must not have.

use super::{Check, Known};
use crate::image::Repository;
use crate::ports::identity::{Decision, Question};
use crate::shown;
use crate::trust::{Access, Purpose, Right, aws_actions, aws_arn};

/// What else is known of the job.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shown {
    /// The registry's look-up worked, which needs `ecr:BatchGetImage`.
    pub reads: bool,
    /// The input `tags` names tags.
    pub has_tags: bool,
}

/// Rights that change or remove what other runs rely on. No role that builds needs them.
const BEYOND: [&str; 2] = ["ecr:DeleteRepository", "ecr:SetRepositoryPolicy"];

const POLICIES: &str = "docs/trust.md, \"IAM policies\"";

/// The role's rights that only set the repository up or clean it, and may not be those of a build.
fn of_others() -> Vec<&'static str> {
    let writes = |right: &&Right| {
        let (_, call) = right.action.split_once(':').unwrap_or_default();
        right.action.starts_with("ecr:")
            && ["Create", "Put", "BatchDelete"].iter().any(|verb| call.starts_with(verb))
    };
    let rows =
        crate::trust::RIGHTS.iter().filter(|right| matches!(right.purpose, Purpose::SetUp | Purpose::Prune));
    rows.filter(writes).map(|right| right.action).chain(BEYOND).collect()
}

/// What to ask of each repository of ECR.
pub(crate) fn questions(repositories: &[&Repository]) -> Vec<Question> {
    let arns: Vec<String> = repositories.iter().filter_map(|repository| aws_arn(repository)).collect();
    if arns.is_empty() {
        return Vec::new();
    }
    let everything = Question { arn: "*".to_owned(), actions: aws_actions(Purpose::LogIn).collect() };
    let of = |arn: String| {
        let own = [Purpose::Pull, Purpose::Push, Purpose::Releases].into_iter().flat_map(aws_actions);
        Question { arn, actions: own.chain(of_others()).collect() }
    };
    std::iter::once(everything).chain(arns.into_iter().map(of)).collect()
}

/// The verdicts. `repositories`: the one that all zones read first, then that of pull requests.
pub(crate) fn checks(
    decisions: &Known<Vec<Decision>>,
    shown: Shown,
    repositories: &[&Repository],
    access: &Access,
) -> Vec<Check> {
    let decisions = match decisions {
        Ok(decisions) => decisions,
        Err(error) => {
            let seen = if shown.reads { "; that ecr:BatchGetImage is allowed was seen" } else { "" };
            let check = Check::unknown("rights", error);
            let fix = "allow iam:SimulatePrincipalPolicy on the role itself, or let doctor begin an upload: upload-probe: true";
            return vec![Check { why: check.why + seen, fix: Some(fix.to_owned()), ..check }];
        }
    };
    let mut checks = vec![must("rights to log in", decisions, "*", aws_actions(Purpose::LogIn).collect())];
    for repository in repositories {
        let Some(arn) = aws_arn(repository) else { continue };
        checks.push(must(
            &format!("rights to pull {}", repository.path()),
            decisions,
            &arn,
            aws_actions(Purpose::Pull).collect(),
        ));
        let push: Vec<_> = aws_actions(Purpose::Push).collect();
        let name = format!("rights to push {}", repository.path());
        let is_own = access
            .own_repository
            .as_ref()
            .map_or(repositories.first() == Some(repository), |own| own.is(repository));
        if access.warn_if_writable && !(is_own && access.write_images) {
            checks.push(must_not(&name, decisions, &arn, &push, "this run must not publish there"));
        } else if is_own && access.write_images {
            checks.push(must(&name, decisions, &arn, push));
            if shown.has_tags {
                checks.push(releases(decisions, repository, &arn));
            }
        }
        checks.push(beyond(decisions, repository, &arn, access));
    }
    checks
}

/// `None` if IAM was not asked, or did not say.
fn allowed(decisions: &[Decision], arn: &str, action: &str) -> Option<bool> {
    let found =
        decisions.iter().find(|decision| decision.arn == arn && decision.action.eq_ignore_ascii_case(action));
    found.map(|decision| decision.allowed)
}

fn must(name: &str, decisions: &[Decision], arn: &str, actions: Vec<&'static str>) -> Check {
    let with = |wanted: Option<bool>| {
        shown::list(actions.iter().filter(|action| allowed(decisions, arn, action) == wanted))
    };
    let (denied, unknown) = (with(Some(false)), with(None));
    if !denied.is_empty() {
        Check::fail(
            name,
            format!("the role lacks {denied} on {arn}"),
            format!("allow {denied} on {arn}: {POLICIES}"),
        )
    } else if unknown.is_empty() {
        Check::ok(name, format!("allowed, says IAM's simulation: {}", actions.join(", ")))
    } else {
        Check::warn(
            name,
            format!("could not be checked: IAM does not say whether {unknown} is allowed"),
            POLICIES,
        )
    }
}

fn must_not(name: &str, decisions: &[Decision], arn: &str, actions: &[&'static str], why: &str) -> Check {
    let too_many: Vec<_> =
        actions.iter().copied().filter(|action| allowed(decisions, arn, action) == Some(true)).collect();
    if !too_many.is_empty() {
        let too_many = too_many.join(", ");
        let fix = format!("take {too_many} away from this role: {POLICIES}");
        return Check::fail(name, format!("{why}, and the role has {too_many} on {arn}"), fix);
    }
    if actions.iter().any(|action| allowed(decisions, arn, action).is_none()) {
        return Check::warn(name, "could not be checked: IAM does not say", POLICIES);
    }
    Check::ok(name, format!("none, as it should be: {why}"))
}

/// The right to see the repository's other releases. A run goes on without it.
fn releases(decisions: &[Decision], repository: &Repository, arn: &str) -> Check {
    let name = format!("rights to compare releases in {}", repository.path());
    let judged = must(&name, decisions, arn, aws_actions(Purpose::Releases).collect());
    if judged.verdict == super::Verdict::Fail {
        let why = format!("{}: of other releases only the image that holds a tag counts", judged.why);
        return Check { verdict: super::Verdict::Warn, why, ..judged };
    }
    judged
}

/// Tells whether the role may publish there; `None` if IAM was not asked, or did not say.
pub(crate) fn publishes(decisions: &Known<Vec<Decision>>, repository: &Repository) -> Option<bool> {
    allowed(decisions.as_ref().ok()?, &aws_arn(repository)?, "ecr:PutImage")
}

/// Rights to remove images and to change the repository.
fn beyond(decisions: &[Decision], repository: &Repository, arn: &str, access: &Access) -> Check {
    let name = &format!("no more rights on {}", repository.path());
    let list = of_others();
    let judged =
        must_not(name, decisions, arn, &list, "a build neither removes images nor sets the repository up");
    // A trusted run may be the one that sets up. In the others the code of a pull request runs.
    if judged.verdict == super::Verdict::Fail && access.is_trusted() {
        return Check { verdict: super::Verdict::Warn, ..judged };
    }
    judged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;
    use crate::doctor::for_tests::{HOME, access_of};
    use crate::error::Error;
    use crate::failure::FailureKind;
    use crate::zone::Zone;

    /// What is found where the role has all that is asked for, but for `denied`, and of what a build must not have
    /// `given` alone.
    fn judged(zone: Zone, denied: &[&str], given: &[&str]) -> Vec<Check> {
        let home: Repository = HOME.parse().unwrap();
        let others = of_others();
        let mut decisions = Vec::new();
        for Question { arn, actions } in questions(&[&home]) {
            for action in actions {
                let allowed = if others.contains(&action) {
                    given.contains(&action)
                } else {
                    !denied.contains(&action)
                };
                decisions.push(Decision { arn: arn.clone(), action: action.to_owned(), allowed });
            }
        }
        checks(&Ok(decisions), Shown { has_tags: true, ..Shown::default() }, &[&home], &access_of(&zone))
    }

    fn worst(zone: Zone, denied: &[&str], given: &[&str]) -> Verdict {
        crate::doctor::worst(&judged(zone, denied, given))
    }

    #[test]
    fn each_right_that_is_missing_is_named() {
        assert_eq!(worst(Zone::Trusted, &[], &[]), Verdict::Ok, "{:?}", judged(Zone::Trusted, &[], &[]));
        for purpose in [Purpose::LogIn, Purpose::Pull, Purpose::Push] {
            for action in aws_actions(purpose) {
                let checks = judged(Zone::Trusted, &[action], &[]);
                let failed: Vec<_> = checks.iter().filter(|check| check.verdict == Verdict::Fail).collect();
                assert_eq!(failed.len(), 1, "{action}: {failed:?}");
                assert!(failed[0].why.contains(action) && failed[0].fix.as_deref().unwrap().contains(action));
            }
        }
    }

    #[test]
    fn a_role_that_cannot_list_the_releases_is_a_warning() {
        for action in aws_actions(Purpose::Releases) {
            assert_eq!(worst(Zone::Trusted, &[action], &[]), Verdict::Warn, "{action}");
        }
    }

    #[test]
    fn a_fork_must_not_push() {
        let push: Vec<_> = aws_actions(Purpose::Push).collect();
        assert_eq!(worst(Zone::Fork, &push, &[]), Verdict::Ok);
        assert_eq!(worst(Zone::Fork, &[], &[]), Verdict::Fail);
    }

    #[test]
    fn rights_beyond_a_build_are_a_warning_and_from_pull_requests_a_failure() {
        for action in of_others() {
            assert_eq!(worst(Zone::Trusted, &[], &[action]), Verdict::Warn, "{action}");
            assert_eq!(worst(Zone::PullRequest(1), &[], &[action]), Verdict::Fail, "{action}");
        }
        assert!(
            of_others().contains(&"ecr:BatchDeleteImage")
                && !of_others().contains(&"ecr:DescribeRepositories")
        );
    }

    #[test]
    fn without_the_simulation_nothing_is_known() {
        let home: Repository = HOME.parse().unwrap();
        let error = Error::of(FailureKind::AuthDenied, "failed to ask IAM");
        let found =
            checks(&Err(error), Shown { reads: true, has_tags: false }, &[&home], &access_of(&Zone::Trusted));
        assert_eq!((found.len(), found[0].verdict), (1, Verdict::Warn));
        assert!(found[0].why.contains("could not be checked") && found[0].why.contains("was seen"));
        // An answer that leaves a right out is no answer.
        let found = checks(&Ok(Vec::new()), Shown::default(), &[&home], &access_of(&Zone::Trusted));
        assert!(found.iter().all(|check| check.verdict == Verdict::Warn), "{found:?}");
    }

    #[test]
    fn other_registries_have_no_rights_of_iam() {
        assert!(questions(&[&"ghcr.io/o/r".parse().unwrap()]).is_empty());
    }
}
