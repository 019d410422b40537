//! Which jobs have a token whose subject fits a condition of a role's trust policy.

/// Which jobs a statement takes, from few to many.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Takes {
    /// Those of certain branches, tags or environments of one repository.
    Some,
    /// Each branch or pull request of one repository.
    Repository,
    /// Several repositories of one owner.
    Owner(String),
    /// Any repository on GitHub.
    Anyone,
}

/// What stands before the first `*` or `?`; `None` without one.
pub(super) fn before_wildcard(pattern: &str) -> Option<&str> {
    pattern.find(['*', '?']).map(|at| &pattern[..at])
}

/// Whose repositories fit a pattern that begins so: `OWNER/`, then a wildcard.
pub(super) fn of_owner(start: &str) -> Takes {
    match start.split_once('/') {
        Some((owner, _)) => Takes::Owner(owner.to_owned()),
        // `o*` takes `other/repository` too.
        None => Takes::Anyone,
    }
}

/// Which jobs have a subject that fits: `repo:OWNER/NAME:ref:refs/heads/main`, `repo:OWNER/NAME:pull_request`,
/// `repo:OWNER/NAME:environment:NAME`, or an own format, `CLAIM:VALUE:CLAIM:VALUE` (GitHub docs, "`OpenID` Connect
/// reference").
pub(super) fn by_subject(pattern: &str) -> Takes {
    let start = before_wildcard(pattern).unwrap_or(pattern);
    let is_whole = start == pattern;
    if let Some(rest) = start.strip_prefix("repo:") {
        return match rest.split_once(':') {
            None if is_whole => Takes::Repository,
            None => of_owner(rest),
            Some((_, context)) if is_narrow(context, is_whole) => Takes::Some,
            Some(_) => Takes::Repository,
        };
    }
    // The value of a claim; `None` if it may go on in the wildcard.
    let value = |claim: &str| {
        let rest = start.strip_prefix(claim).or_else(|| Some(start.split_once(&format!(":{claim}"))?.1))?;
        rest.split_once(':').map(|(value, _)| value).or_else(|| is_whole.then_some(rest))
    };
    let named = ["repo:", "repository:", "repository_id:"].into_iter().any(|claim| value(claim).is_some());
    let fixed = ["ref:", "environment:"].into_iter().any(|claim| value(claim).is_some());
    let owner = ["repository_owner:", "repository_owner_id:"].into_iter().find_map(value);
    match owner {
        _ if named && fixed => Takes::Some,
        _ if named => Takes::Repository,
        Some(owner) => Takes::Owner(owner.to_owned()),
        // The owner of another repository may give its subjects such a form.
        None => Takes::Anyone,
    }
}

/// Tells whether only certain branches, tags or environments have this context; a pull request never has one of them.
/// `is_whole`: no wildcard follows.
fn is_narrow(context: &str, is_whole: bool) -> bool {
    match context.strip_prefix("ref:") {
        _ if is_whole => !context.starts_with("pull_request"),
        Some(start) => !is_wide_ref(start),
        // If a job names an environment that does not exist, GitHub creates it.
        None => false,
    }
}

/// Tells whether a pattern that begins so fits every branch, or the ref of a pull request.
pub(super) fn is_wide_ref(start: &str) -> bool {
    start.starts_with("refs/pull/") || ["refs/heads/", "refs/pull/"].iter().any(|all| all.starts_with(start))
}
