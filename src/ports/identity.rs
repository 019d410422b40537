//! Who the job is to AWS, and what it may do: STS and IAM's simulation.

use aws_sdk_sts::error::ProvideErrorMetadata as _;
use aws_sigv4::http_request::SigningSettings;
use reqwest::Method;

use super::aws::Aws;
use super::aws_errors::refused;
use super::signed::Request;
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::image::EcrHost;
use crate::secret::SecretString;

/// Who the job is to AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// `arn:aws:sts::123456789012:assumed-role/NAME/SESSION`, `arn:aws:iam::123456789012:user/NAME`, …
    pub arn: String,
    pub account: String,
}

impl Caller {
    /// The name of the role or user, as policies and IAM's simulation take it. The path of an assumed role is not known:
    /// IAM then says that there is no such role.
    pub(crate) fn principal(&self) -> Option<String> {
        let parts: Vec<&str> = self.arn.splitn(6, ':').collect();
        let ["arn", partition, service, _, _, what] = parts[..] else { return None };
        match (service, what.split_once('/')?) {
            ("sts", ("assumed-role", role)) => {
                let (role, _) = role.split_once('/')?;
                Some(format!("arn:{partition}:iam::{}:role/{role}", self.account))
            }
            ("iam", ("user" | "role", _)) => Some(self.arn.clone()),
            _ => None,
        }
    }
}

/// A question to IAM: may the role do each of this on that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// The resource, as policies name it.
    pub arn: String,
    pub actions: Vec<&'static str>,
}

/// What IAM's simulation says of one right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    /// The resource.
    pub arn: String,
    pub action: String,
    pub allowed: bool,
}

/// The endpoint of IAM and the region that its requests are signed for, in the partition of these credentials (IAM
/// endpoints, AWS General Reference).
fn endpoint(region: &str) -> Option<(&'static str, &'static str)> {
    if region.starts_with("cn-") {
        Some(("https://iam.cn-north-1.amazonaws.com.cn", "cn-north-1"))
    } else if region.starts_with("us-gov-") {
        Some(("https://iam.us-gov.amazonaws.com", "us-gov-west-1"))
    } else if region.contains("iso") || region.starts_with("eusc-") {
        None
    } else {
        Some(("https://iam.amazonaws.com", "us-east-1"))
    }
}

impl Aws {
    /// Asks STS whose credentials the job has. No right is needed.
    ///
    /// # Errors
    /// Without credentials, or if AWS does not take them.
    pub(crate) async fn caller(&self, host: &EcrHost) -> Result<Caller> {
        let what = "failed to ask AWS whose credentials these are";
        let config = self.config(Some(&host.region), host.fips, false).await;
        let answer = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await;
        let answer = answer.map_err(|error| refused(what, "sts:GetCallerIdentity", &error))?;
        match (answer.arn, answer.account) {
            (Some(arn), Some(account)) => Ok(Caller { arn, account }),
            _ => Err(Error::of(FailureKind::AwsUnavailable, what).cause("the answer names no one")),
        }
    }

    /// Asks STS whether a token of GitHub's may take a role. The credentials that come of it are dropped.
    ///
    /// # Errors
    /// `AuthDenied` if the trust policy refuses, `AwsCredentials` if the account does not know the token's issuer.
    pub(crate) async fn may_take(&self, role: &str, token: &SecretString, region: &str) -> Result<()> {
        let what = "failed to take the role";
        let config = self.config(Some(region), false, false).await;
        let request = aws_sdk_sts::Client::new(&config).assume_role_with_web_identity();
        let request = request.role_arn(role).role_session_name("build-once-doctor").duration_seconds(900);
        let Err(error) = request.web_identity_token(token.expose()).send().await else { return Ok(()) };
        let of = error.as_service_error();
        let code = of.and_then(|error| error.code()).unwrap_or_default();
        let said = of.and_then(|error| error.message()).unwrap_or_default();
        let failed = |kind| Err(Error::of(kind, what).cause(format!("{code} {said}").trim().to_owned()));
        match code {
            "AccessDenied" | "IDPRejectedClaim" => failed(FailureKind::AuthDenied),
            "InvalidIdentityToken" => failed(FailureKind::AwsCredentials),
            "ExpiredTokenException" => failed(FailureKind::ClockSkew),
            _ => Err(refused(what, "sts:AssumeRoleWithWebIdentity", &error)),
        }
    }

    /// Asks IAM what a role or user may do, without doing it. `endpoint_url`: an endpoint in place of AWS's own.
    ///
    /// # Errors
    /// If the role may not ask, or the answer cannot be read.
    pub(crate) async fn simulate(
        &self,
        principal: &str,
        question: &Question,
        host: &EcrHost,
        endpoint_url: Option<&str>,
    ) -> Result<Vec<Decision>> {
        let what = "failed to ask IAM what the role may do";
        let fields = [("PolicySourceArn", principal), ("ResourceArns.member.1", question.arn.as_str())];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter();
        let names = question.actions.iter().enumerate();
        let names = names.map(|(at, name)| (format!("ActionNames.member.{}", at + 1), (*name).to_owned()));
        let call = Call { what, action: "SimulatePrincipalPolicy", on: principal };
        let answer = self.query(&call, fields.chain(names), &host.region, endpoint_url).await?;
        Ok(decisions(&answer, &question.arn))
    }

    /// Reads the trust policy of a role, as JSON. `endpoint_url`: an endpoint in place of AWS's own.
    ///
    /// # Errors
    /// If the credentials may not read it, or the answer cannot be read.
    pub(crate) async fn trust_policy(
        &self,
        role: &str,
        region: &str,
        endpoint_url: Option<&str>,
    ) -> Result<String> {
        let what = "failed to read who may take the role";
        // A role's name is unique in its account, whatever its path.
        let name = role.rsplit('/').next().unwrap_or_default().to_owned();
        let call = Call { what, action: "GetRole", on: role };
        let fields = std::iter::once(("RoleName".to_owned(), name));
        let answer = self.query(&call, fields, region, endpoint_url).await?;
        let policy = between(&answer, "<AssumeRolePolicyDocument>", "</AssumeRolePolicyDocument>");
        policy.map(decoded).ok_or_else(|| {
            Error::of(FailureKind::AwsUnavailable, what).cause("IAM's answer has no trust policy")
        })
    }

    /// Asks IAM something, and returns its answer of success.
    async fn query(
        &self,
        call: &Call<'_>,
        fields: impl Iterator<Item = (String, String)>,
        region: &str,
        endpoint_url: Option<&str>,
    ) -> Result<String> {
        let Call { what, action, on } = *call;
        let (own, signed_for) = endpoint(region).ok_or_else(|| {
            let error = Error::of(FailureKind::AwsUnavailable, what);
            error.cause(format!("IAM's endpoint for {region} is not known"))
        })?;
        let url = format!("{}/", endpoint_url.unwrap_or(own).trim_end_matches('/'));
        let first = [("Action", action), ("Version", "2010-05-08")];
        let first = first.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter();
        let config = self.config(Some(region), false, false).await;
        let request = Request {
            what,
            method: Method::POST,
            url: &url,
            service: "iam",
            region: signed_for,
            settings: SigningSettings::default(),
            form: Some(form(first.chain(fields))),
        };
        let (status, answer) = self.send(&config, request).await?;
        let answer = String::from_utf8_lossy(&answer);
        if (200..300).contains(&status) {
            return Ok(answer.into_owned());
        }
        let code = between(&answer, "<Code>", "</Code>").unwrap_or("an error without code");
        let said = between(&answer, "<Message>", "</Message>").unwrap_or_default();
        let cause = format!("{code} {said}").trim().to_owned();
        Err(match code {
            "AccessDenied" | "AccessDeniedException" => {
                let right = format!("allow iam:{action} on {on} for this role");
                Error::of(FailureKind::AuthDenied, what).cause(cause).hint(right)
            }
            _ => Error::of(FailureKind::AwsUnavailable, what).cause(cause),
        })
    }
}

/// A call of IAM.
struct Call<'a> {
    /// What failed, if it fails.
    what: &'a str,
    action: &'a str,
    /// The role or user that it is about.
    on: &'a str,
}

/// A policy in IAM's answer: encoded as a URL's query (IAM API, "`GetRole`"), or escaped as XML.
fn decoded(policy: &str) -> String {
    if policy.starts_with('{') {
        return policy
            .replace("&quot;", "\"")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&");
    }
    let url = reqwest::Url::parse("http://form.invalid/").ok();
    let url = url.map(|mut url| {
        url.set_query(Some(&format!("policy={}", policy.replace('+', "%2B"))));
        url
    });
    url.and_then(|url| url.query_pairs().next().map(|(_, value)| value.into_owned())).unwrap_or_default()
}

/// `application/x-www-form-urlencoded`.
fn form(fields: impl Iterator<Item = (String, String)>) -> String {
    let mut url = reqwest::Url::parse("http://form.invalid/").ok();
    if let Some(url) = &mut url {
        url.query_pairs_mut().extend_pairs(fields);
    }
    url.as_ref().and_then(reqwest::Url::query).unwrap_or_default().to_owned()
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    Some(text.split_once(start)?.1.split_once(end)?.0.trim())
}

/// Reads the answer to a question about one resource (IAM API, `EvaluationResult`). A right that it leaves out, or says
/// something else of, is left out: it is not known.
fn decisions(answer: &str, arn: &str) -> Vec<Decision> {
    let one = |result: &str| {
        let action = result.split_once("</EvalActionName>")?.0.trim();
        let allowed = match between(result, "<EvalDecision>", "</EvalDecision>")? {
            "allowed" => true,
            "explicitDeny" | "implicitDeny" => false,
            _ => return None,
        };
        let is_name = action.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'-'));
        is_name.then(|| Decision { arn: arn.to_owned(), action: action.to_owned(), allowed })
    };
    answer.split("<EvalActionName>").skip(1).filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_principal_of_a_caller() {
        for (arn, wanted) in [
            ("arn:aws:sts::1:assumed-role/ci/session", Some("arn:aws:iam::1:role/ci")),
            ("arn:aws-cn:sts::1:assumed-role/ci/i-0", Some("arn:aws-cn:iam::1:role/ci")),
            ("arn:aws:iam::1:user/ann", Some("arn:aws:iam::1:user/ann")),
            ("arn:aws:iam::1:root", None),
            ("arn:aws:sts::1:federated-user/x", None),
            ("nothing", None),
        ] {
            let caller = Caller { arn: arn.to_owned(), account: "1".to_owned() };
            assert_eq!(caller.principal().as_deref(), wanted, "{arn}");
        }
    }

    #[test]
    fn answers_of_the_simulation() {
        let result = |action: &str, decision: &str| {
            format!(
                "<member><EvalActionName>{action}</EvalActionName><EvalDecision>{decision}</EvalDecision></member>"
            )
        };
        let answer = [
            result("ecr:PutImage", "allowed"),
            result("ecr:DeleteRepository", "implicitDeny"),
            result("ecr:TagResource", "explicitDeny"),
            result("ecr:Other", "perhaps"),
            result("<b>", "allowed"),
            "<EvalActionName>ecr:Cut".to_owned(),
        ]
        .concat();
        let found = decisions(&answer, "*");
        let found: Vec<_> = found.iter().map(|found| (found.action.as_str(), found.allowed)).collect();
        assert_eq!(
            found,
            [("ecr:PutImage", true), ("ecr:DeleteRepository", false), ("ecr:TagResource", false)]
        );
    }

    #[test]
    fn a_policy_is_decoded() {
        assert_eq!(decoded("%7B%22a%22%3A%20%22x%26y%2B1+%22%7D"), r#"{"a": "x&y+1+"}"#);
        assert_eq!(decoded(r"{&quot;a&quot;: &quot;&amp;&quot;}"), r#"{"a": "&"}"#);
        assert_eq!(decoded("&"), "");
    }

    #[test]
    fn a_form_is_escaped() {
        let fields = [("A".to_owned(), "x&y=z".to_owned()), ("B".to_owned(), "arn:*".to_owned())];
        assert_eq!(form(fields.into_iter()), "A=x%26y%3Dz&B=arn%3A*");
    }
}
