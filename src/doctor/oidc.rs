//! The job's identity token, as GitHub makes it and AWS reads it.

use super::{Check, Known};
use crate::failure::FailureKind;
use crate::ports::identity::Caller;
use crate::ports::oidc::Claims;
use crate::zone::Zone;

/// How the job gets a token.
pub(crate) enum Token {
    /// The runner gave the job no address to ask: no `id-token: write`, or a fork's run.
    NotOffered,
    Asked(Known<Claims>),
}

pub(crate) struct Oidc {
    pub token: Token,
    /// The audience that was asked for.
    pub audience: String,
    /// Whether AWS lets the token take the role of the input `role-to-assume`; `None` without that input.
    pub trust: Option<(String, Known<()>)>,
    /// The credentials that the job has already.
    pub caller: Known<Caller>,
}

pub(crate) fn checks(oidc: &Oidc, zone: &Zone) -> Vec<Check> {
    let mut checks = vec![token(oidc, zone)];
    checks.extend(trust(oidc));
    checks
}

fn token(oidc: &Oidc, zone: &Zone) -> Check {
    let name = "OIDC token";
    match &oidc.token {
        Token::NotOffered if *zone == Zone::Fork => Check::warn(
            name,
            "GitHub gives a fork's run no token: it takes no role",
            "nothing; skip the log-in step for forks",
        ),
        Token::NotOffered if oidc.caller.is_ok() => {
            Check::ok(name, "none, and none is needed: the job has other AWS credentials")
        }
        Token::NotOffered => Check::fail(
            name,
            "GitHub gives this job no token: Unable to get ACTIONS_ID_TOKEN_REQUEST_URL",
            "add to the job: permissions: { id-token: write, contents: read }",
        ),
        Token::Asked(Err(error)) => Check::unknown(name, error),
        Token::Asked(Ok(claims)) => {
            let says =
                format!("subject {}, audience {}, issuer {}", claims.subject, claims.audience, claims.issuer);
            if claims.audience == oidc.audience && !claims.subject.is_empty() {
                Check::ok(name, says)
            } else {
                let why = format!("{says}; the audience that was asked for is {}", oidc.audience);
                Check::warn(
                    name,
                    why,
                    "let the trust policy name the audience that the token has, or correct the input audience",
                )
            }
        }
    }
}

/// The statement's condition that takes this token.
fn condition(claims: &Claims) -> String {
    let host = claims.issuer.trim_start_matches("https://");
    let equals =
        serde_json::json!({format!("{host}:aud"): claims.audience, format!("{host}:sub"): claims.subject});
    serde_json::json!({"StringEquals": equals}).to_string()
}

fn trust(oidc: &Oidc) -> Option<Check> {
    let name = "OIDC trust policy";
    let Token::Asked(Ok(claims)) = &oidc.token else {
        let (role, _) = oidc.trust.as_ref()?;
        let why = format!("could not be checked: there is no token to take {role} with");
        return Some(Check::warn(name, why, "see the check OIDC token"));
    };
    Some(match &oidc.trust {
        Some((role, Ok(()))) => Check::ok(name, format!("{role} may be taken by this subject")),
        Some((role, Err(error))) if error.is(FailureKind::AuthDenied) => Check::fail(
            name,
            format!("{role} is refused to the subject {}: {}", claims.subject, error.headline()),
            format!(
                "in the role's trust policy set Condition to {}: docs/trust.md, \"Who may take a role\"",
                condition(claims)
            ),
        ),
        // STS answers `InvalidIdentityToken`: the account does not know who issued the token, or not the audience.
        Some((role, Err(error))) if error.is(FailureKind::AwsCredentials) => {
            let Claims { issuer, audience, .. } = claims;
            let said = error.headline();
            let hint = if said.to_ascii_lowercase().contains("audience") {
                format!(
                    "aws iam add-client-id-to-open-id-connect-provider --client-id {audience} --open-id-connect-provider-arn (that of {issuer})"
                )
            } else {
                format!("aws iam create-open-id-connect-provider --url {issuer} --client-id-list {audience}")
            };
            Check::fail(name, format!("{role} is refused: {said}"), hint)
        }
        Some((_, Err(error))) => Check::unknown(name, error),
        None => match &oidc.caller {
            Ok(caller) if caller.arn.contains(":assumed-role/") => {
                Check::ok(name, format!("the job has taken a role: {}", caller.arn))
            }
            _ => Check::warn(
                name,
                format!(
                    "could not be checked: no role is named; a policy that takes this job has the Condition {}",
                    condition(claims)
                ),
                "name the role in the input role-to-assume",
            ),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{self, Fail, Ok as Good, Warn};
    use crate::error::Error;

    fn oidc(token: Token) -> Oidc {
        let caller = Err(Error::of(FailureKind::AwsCredentials, "no AWS credentials were found"));
        Oidc { token, audience: "sts.amazonaws.com".into(), trust: None, caller }
    }

    fn claims() -> Claims {
        Claims {
            issuer: "https://token.actions.githubusercontent.com".into(),
            subject: "repo:o/r:ref:refs/heads/main".into(),
            audience: "sts.amazonaws.com".into(),
        }
    }

    fn verdicts(oidc: &Oidc, zone: &Zone) -> Vec<Verdict> {
        checks(oidc, zone).iter().map(|check| check.verdict).collect()
    }

    fn caller(arn: &str) -> Caller {
        Caller { arn: arn.into(), account: "1".into() }
    }

    #[test]
    fn a_job_without_a_token() {
        assert_eq!(verdicts(&oidc(Token::NotOffered), &Zone::Trusted), [Fail]);
        assert_eq!(verdicts(&oidc(Token::NotOffered), &Zone::Fork), [Warn]);
        let with = Oidc { caller: Ok(caller("arn:aws:iam::1:user/ann")), ..oidc(Token::NotOffered) };
        assert_eq!(verdicts(&with, &Zone::Trusted), [Good]);
    }

    #[test]
    fn a_token_and_what_aws_says_to_it() {
        let asked = || oidc(Token::Asked(Ok(claims())));
        assert_eq!(verdicts(&asked(), &Zone::Trusted), [Good, Warn]);
        let taken = Oidc { caller: Ok(caller("arn:aws:sts::1:assumed-role/ci/x")), ..asked() };
        assert_eq!(verdicts(&taken, &Zone::Trusted), [Good, Good]);
        let role = |answer| Oidc { trust: Some(("arn:aws:iam::1:role/ci".into(), answer)), ..asked() };
        assert_eq!(verdicts(&role(Ok(())), &Zone::Trusted), [Good, Good]);
        for (kind, verdict) in [
            (FailureKind::AuthDenied, Fail),
            (FailureKind::AwsCredentials, Fail),
            (FailureKind::AwsUnavailable, Warn),
        ] {
            assert_eq!(verdicts(&role(Err(Error::of(kind, "x"))), &Zone::Trusted), [Good, verdict]);
        }
        for (said, fix) in [
            (
                "InvalidIdentityToken No OpenIDConnect provider found in your account",
                "create-open-id-connect-provider --url",
            ),
            (
                "InvalidIdentityToken Incorrect token audience",
                "add-client-id-to-open-id-connect-provider --client-id sts",
            ),
        ] {
            let refused = role(Err(Error::of(FailureKind::AwsCredentials, "refused").cause(said)));
            let told = checks(&refused, &Zone::Trusted)[1].fix.clone().unwrap();
            assert!(told.contains(fix), "{told}");
        }
        let refused = role(Err(Error::of(FailureKind::AuthDenied, "no")));
        let fix = checks(&refused, &Zone::Trusted)[1].fix.clone().unwrap();
        assert!(
            fix.contains(r#""token.actions.githubusercontent.com:sub":"repo:o/r:ref:refs/heads/main""#),
            "{fix}"
        );
    }

    #[test]
    fn another_audience_is_told() {
        let other = Claims { audience: "api://x".into(), ..claims() };
        assert_eq!(verdicts(&oidc(Token::Asked(Ok(other))), &Zone::Trusted)[0], Warn);
        let unknown = Err(Error::of(FailureKind::Hang, "no answer"));
        assert_eq!(verdicts(&oidc(Token::Asked(unknown)), &Zone::Trusted), [Warn]);
    }
}
