//! The settings of a repository: asked for, at creation, as described.

use serde::{Deserialize, Serialize};

use super::lifecycle::LifecyclePolicy;
use super::mutability::{Mutability, TooManyMovingTags, exclusion};
use crate::error::Error;
use crate::failure::FailureKind;
use crate::texts::words;

/// What the inputs ask of repositories in ECR.
#[derive(Clone, Debug, Default)]
pub(crate) struct EcrInputs {
    /// Make a repository that does not exist.
    pub create: bool,
    /// Whether images are scanned when they are pushed; `None` if the inputs do not say.
    pub scan_on_push: Option<bool>,
    /// The KMS key that a new repository is encrypted with.
    pub kms_key: Option<String>,
    /// Tags cannot be moved, but for those that must.
    pub immutable_tags: bool,
    /// The lifecycle policy to write.
    pub lifecycle: Option<LifecyclePolicy>,
}

impl EcrInputs {
    /// The inputs that ask for something, by name.
    #[must_use]
    pub(crate) fn asked(&self) -> Vec<&'static str> {
        let inputs = [
            (self.create, "create-repository"),
            (self.scan_on_push.is_some(), "scan-on-push"),
            (self.kms_key.is_some(), "kms-key"),
            (self.immutable_tags, "immutable-tags"),
            (self.lifecycle.is_some(), "lifecycle"),
        ];
        inputs.into_iter().filter_map(|(asked, name)| asked.then_some(name)).collect()
    }

    /// Tells whether an existing repository has to be described, to compare it.
    #[must_use]
    pub(crate) const fn compares(&self) -> bool {
        self.scan_on_push.is_some() || self.kms_key.is_some() || self.immutable_tags
    }

    /// The encryption of a new repository.
    #[must_use]
    pub(crate) fn encryption(&self) -> Encryption {
        let kind = if self.kms_key.is_some() { "KMS" } else { "AES256" };
        Encryption { kind: kind.to_owned(), key: self.kms_key.clone() }
    }

    /// The mutability of a repository that gets these tags. `commit` and `run_id`: tags with one of them in it do not
    /// move.
    ///
    /// # Errors
    /// If more of them move than ECR can exclude.
    pub(crate) fn mutability<'a>(
        &self,
        tags: impl Iterator<Item = &'a str>,
        (commit, run_id): (Option<&str>, Option<&str>),
    ) -> Result<Mutability, TooManyMovingTags> {
        if !self.immutable_tags {
            return Ok(Mutability::default());
        }
        Mutability::immutable(tags.filter_map(|tag| exclusion(tag, commit, run_id)))
    }
}

/// How a repository is encrypted, which is decided when it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Encryption {
    /// `AES256`, `KMS` or `KMS_DSSE`.
    pub kind: String,
    /// The KMS key, as ARN, id or alias; without it the one that AWS manages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Encryption {
    /// Tells whether a repository has this encryption. ECR describes a key by its ARN. Which key an alias names is not
    /// asked: any key of KMS is taken for it.
    #[must_use]
    pub(crate) fn is_given_by(&self, have: &Self) -> bool {
        let same_key = match (&self.key, &have.key) {
            (Some(wanted), Some(have)) => {
                wanted == have || wanted.contains("alias/") || have.ends_with(&format!(":key/{wanted}"))
            }
            (Some(_), None) => false,
            (None, _) => true,
        };
        have.kind.starts_with(&self.kind) && same_key
    }
}

impl std::fmt::Display for Encryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{} with {key}", self.kind),
            None => f.write_str(&self.kind),
        }
    }
}

/// What ECR says of a repository's setting.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer<T> {
    Found(T),
    /// The repository does not exist.
    NoRepository,
    /// The request failed.
    Unknown(Error),
}

impl<T> Answer<T> {
    /// The answer, or why there is none. `what` begins the error of a repository that does not exist.
    ///
    /// # Errors
    /// `NotFoundRepo`, or why the request failed.
    pub(crate) fn found(self, what: &str) -> Result<T, Error> {
        match self {
            Self::Found(found) => Ok(found),
            Self::NoRepository => Err(Error::of(FailureKind::NotFoundRepo, what).cause("it does not exist")),
            Self::Unknown(error) => Err(error),
        }
    }
}

/// A repository as ECR describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Described {
    pub mutability: Mutability,
    /// The repository's own flag, which AWS has deprecated.
    pub scan_on_push: bool,
    pub encryption: Encryption,
}

/// The settings that a repository is made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NewRepository {
    pub mutability: Mutability,
    /// The repository's own flag; `None` if it is left out of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan_on_push: Option<bool>,
    pub encryption: Encryption,
    /// Tags of the AWS resource.
    pub tags: Vec<(String, String)>,
}

impl NewRepository {
    /// Compares with a repository that another run has made meanwhile.
    #[must_use]
    pub(crate) fn compare(&self, have: &Described) -> Vec<SettingRow> {
        let row = |setting, want: String, have: String, same| SettingRow {
            setting,
            want,
            have,
            state: if same { RowState::AsAsked } else { RowState::Differs },
        };
        let mut rows = vec![
            row(
                "encryption",
                self.encryption.to_string(),
                have.encryption.to_string(),
                self.encryption.is_given_by(&have.encryption),
            ),
            row(
                "tag mutability",
                self.mutability.to_string(),
                have.mutability.to_string(),
                matches!(have.mutability.changed_to(&self.mutability), Ok(None)),
            ),
        ];
        if let Some(scan) = self.scan_on_push {
            rows.push(row(
                "scan on push",
                scan.to_string(),
                have.scan_on_push.to_string(),
                scan == have.scan_on_push,
            ));
        }
        rows
    }
}

/// One setting of a repository: what is asked for, and what it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct SettingRow {
    pub setting: &'static str,
    pub want: String,
    pub have: String,
    pub state: RowState,
}

words! {
    /// What comes of a setting.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "kebab-case")]
    pub(crate) enum RowState {
        /// The repository has it.
        AsAsked = "as asked",
        /// This run changes it.
        Changes = "set by this run",
        /// It differs and stays so.
        Differs = "differs",
        /// It was to be changed, and was not.
        NotSet = "not set",
    }
    /// The state in words.
    pub(crate) const fn words;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encryption_by_arn_id_and_alias() {
        let kms = |key: Option<&str>| Encryption { kind: "KMS".into(), key: key.map(str::to_owned) };
        let aes = Encryption { kind: "AES256".into(), key: None };
        let arn = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab";
        for (wanted, have, expected) in [
            (aes.clone(), aes.clone(), true),
            (aes.clone(), kms(Some(arn)), false),
            (kms(Some(arn)), kms(Some(arn)), true),
            (kms(Some("1234abcd-12ab")), kms(Some(arn)), true),
            (kms(Some("1234abcd-12ac")), kms(Some(arn)), false),
            (kms(Some("alias/ci")), kms(Some(arn)), true),
            (kms(Some("alias/ci")), aes, false),
            (kms(Some(arn)), Encryption { kind: "KMS_DSSE".into(), key: Some(arn.into()) }, true),
        ] {
            assert_eq!(wanted.is_given_by(&have), expected, "{wanted} {have}");
        }
    }
}
