//! The inputs of `doctor`: those of the main action that decide what a run reaches, and what is asked besides.

use clap::Args;

use super::lists::InputText as _;
use super::problems::Problems;
use super::raw::{RawInputs, raw_inputs};
use crate::error::Result;

raw_inputs! { DoctorInputs
    "What" {
        /// Name of the image whose layer cache and tags are looked for; without it neither is.
        image;
        /// Repository that shares the image. Without it the sources of the main action are asked.
        repository;
        /// Second repository, for pull requests and branches without protection.
        pr_repository;
        /// References that should be there, one a line.
        tags;
        /// Platforms that the builder must build, such as linux/amd64,linux/arm64.
        platforms;
        /// Layer caches that must be reached: registry, gha, local, s3 (s3,bucket=…,region=…), azblob (azblob,account_url=…), or none.
        cache = "registry";
        /// Folder of this machine for cache local; without it build-once/layers in the user's cache folder.
        cache_dir;
        /// Name of an existing buildx builder; without it the current one.
        builder;
        /// Begin an upload in each repository and give it up at once, to see whether the login may push: the one write that doctor knows.
        upload_probe = "false";
    }
    "Access" {
        /// Registry logins, one a line: HOST USER VARIABLE, where the environment variable holds the password.
        logins;
        /// Token for GitHub's API; the job's own in the action. Whether forks' runs need an approval is only told to a token with administration: read.
        github_token;
        /// AWS region; without it the one in the repository's host name.
        aws_region;
        /// SSM parameter with the repository, read where no other source names one.
        ssm_parameter = "/github-runner/{instance-id}/ecr-cache-url";
        /// Role that the job is to take by its OIDC token (its ARN): AWS is asked whether it lets the token take it.
        role_to_assume;
        /// Audience of the OIDC token.
        audience = "sts.amazonaws.com";
    }
    "Report" {
        /// Write a job summary.
        summary = "true";
    }
}

/// The inputs of `doctor` that the main action does not have, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DoctorRequest {
    pub(crate) upload_probe: bool,
    /// The ARN of a role.
    pub(crate) role: Option<String>,
    pub(crate) audience: String,
    /// Whether the user named an image.
    pub(crate) names_image: bool,
    pub(crate) summary: bool,
}

impl DoctorInputs {
    /// The same inputs as the main action takes them. Nothing is tried again: a doctor tells what is wrong at once.
    #[must_use]
    pub(crate) fn of_run(&self) -> RawInputs {
        RawInputs {
            image: self.image.clone().filter(|image| !image.trim().is_empty()).or(Some("doctor".to_owned())),
            repository: self.repository.clone(),
            pr_repository: self.pr_repository.clone(),
            tags: self.tags.clone(),
            platforms: self.platforms.clone(),
            cache: self.cache.clone(),
            cache_dir: self.cache_dir.clone(),
            builder: self.builder.clone(),
            logins: self.logins.clone(),
            github_token: self.github_token.clone(),
            aws_region: self.aws_region.clone(),
            ssm_parameter: self.ssm_parameter.clone(),
            retries: Some("0".to_owned()),
            ..RawInputs::default()
        }
    }

    /// Checks the inputs that are doctor's own.
    ///
    /// # Errors
    /// Names every input that is wrong.
    pub(crate) fn read(&self) -> Result<DoctorRequest> {
        let problems = &mut Problems::default();
        let role = self.role_to_assume.text();
        if role.as_deref().is_some_and(|role| !is_role(role)) {
            problems.add("role-to-assume", "is not the ARN of a role, arn:aws:iam::123456789012:role/NAME");
        }
        let audience = self.audience.text().unwrap_or_else(|| "sts.amazonaws.com".to_owned());
        if audience.len() > 255 || audience.chars().any(|c| !c.is_ascii_graphic()) {
            problems.add("audience", "is not an audience of a token, such as sts.amazonaws.com");
        }
        let request = DoctorRequest {
            upload_probe: problems.boolean("upload-probe", self.upload_probe.trimmed().unwrap_or("false")),
            summary: problems.boolean("summary", self.summary.trimmed().unwrap_or("true")),
            names_image: self.image.trimmed().is_some(),
            role,
            audience,
        };
        std::mem::take(problems).finish()?;
        Ok(request)
    }
}

/// `arn:PARTITION:iam::ACCOUNT:role/…`, of the letters that AWS allows (IAM, "Roles": at most 2,048 in all).
fn is_role(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [start, partition, service, region, account, name] = parts[..] else { return false };
    let is_name = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@-_/".contains(&b));
    start == "arn"
        && partition.starts_with("aws")
        && (service, region) == ("iam", "")
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && name.strip_prefix("role/").is_some_and(|name| !name.is_empty() && is_name(name))
        && text.len() <= 2048
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_declared_ones() {
        use clap::{Args as _, FromArgMatches as _};
        let command = DoctorInputs::augment_args(clap::Command::new("x"));
        let declared = DoctorInputs::from_arg_matches(&command.try_get_matches_from(["x"]).unwrap()).unwrap();
        assert_eq!(DoctorInputs::default().read().unwrap(), declared.read().unwrap());
        assert!(!declared.read().unwrap().upload_probe);
    }

    #[test]
    fn every_wrong_input_is_named() {
        let wrong = |text: &str| Some(text.to_owned());
        let inputs = DoctorInputs {
            upload_probe: wrong("maybe"),
            role_to_assume: wrong("ci"),
            audience: wrong("a b"),
            ..DoctorInputs::default()
        };
        let text = inputs.read().unwrap_err().to_string();
        for name in ["`upload-probe`", "`role-to-assume`", "`audience`"] {
            assert!(text.contains(name), "{name}: {text}");
        }
    }

    #[test]
    fn roles() {
        for (text, good) in [
            ("arn:aws:iam::123456789012:role/ci", true),
            ("arn:aws-cn:iam::123456789012:role/path/ci", true),
            ("arn:aws:iam::123456789012:user/ci", false),
            ("arn:aws:iam::1:role/ci", false),
            ("arn:aws:iam::123456789012:role/", false),
            ("arn:aws:iam::123456789012:role/a b", false),
        ] {
            assert_eq!(is_role(text), good, "{text}");
        }
    }
}
