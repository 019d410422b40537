//! The rights in AWS that build-once uses: one table, which `doctor` checks and the docs list.

use crate::image::{EcrHost, Repository};

/// What a right is used for. Each needs its own rows of [`RIGHTS`], and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Get ECR's token.
    LogIn,
    /// Look an image up, and pull it or a layer cache.
    Pull,
    /// Publish an image or a layer cache, and set a tag.
    Push,
    /// See which other releases there are, so that a tag such as `1.2` is not set back.
    Releases,
    /// Read the repository's name from the SSM parameter.
    FindRepository,
    /// Make the repository and set it up.
    SetUp,
    /// Remove old images.
    Prune,
    /// See how the repository and the role are set up, for `doctor`.
    Doctor,
}

/// What the right is given on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `*`: AWS takes nothing narrower.
    Everything,
    /// The ECR repository.
    Repository,
    /// The SSM parameter.
    Parameter,
    /// The KMS key of the repository or of the parameter.
    Key,
    /// The role itself.
    Role,
}

/// One right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    pub action: &'static str,
    pub resource: Resource,
    pub purpose: Purpose,
    /// When it is used.
    pub when: &'static str,
}

const fn right(purpose: Purpose, resource: Resource, action: &'static str, when: &'static str) -> Right {
    Right { action, resource, purpose, when }
}

/// Every right, by purpose. Source: the service authorization reference of Amazon ECR, and what refusals name.
pub const RIGHTS: [Right; 32] = {
    use Purpose::{Doctor, FindRepository, LogIn, Prune, Pull, Push, Releases, SetUp};
    use Resource::{Everything, Key, Parameter, Repository, Role};
    [
        right(LogIn, Everything, "ecr:GetAuthorizationToken", "each run, once a registry"),
        right(Pull, Repository, "ecr:BatchGetImage", "each look-up, pull and tag"),
        right(Pull, Repository, "ecr:GetDownloadUrlForLayer", "a pull of an image or a layer cache"),
        right(Push, Repository, "ecr:BatchCheckLayerAvailability", "a push, before each layer"),
        right(Push, Repository, "ecr:InitiateLayerUpload", "a push of a layer that is not there"),
        right(Push, Repository, "ecr:UploadLayerPart", "a push of a layer that is not there"),
        right(Push, Repository, "ecr:CompleteLayerUpload", "a push of a layer that is not there"),
        right(Push, Repository, "ecr:PutImage", "a push, and each tag that is set"),
        right(Releases, Repository, "ecr:ListImages", "a release sets a tag such as `1.2` or `latest`"),
        right(FindRepository, Parameter, "ssm:GetParameter", "no input and no variable names the repository"),
        right(FindRepository, Key, "kms:Decrypt", "the parameter is a SecureString with a key of yours"),
        right(SetUp, Repository, "ecr:CreateRepository", "the repository is absent"),
        right(
            SetUp,
            Repository,
            "ecr:DescribeRepositories",
            // Reads of `repository` say that it is absent; nothing reads `pr-repository` before it is pushed to.
            "a setting is compared, or `pr-repository` may have to be made",
        ),
        right(SetUp, Repository, "ecr:TagResource", "the repository is made: it gets the tag `build-once`"),
        right(SetUp, Repository, "ecr:PutImageTagMutability", "its mutability is to change"),
        right(SetUp, Repository, "ecr:PutImageScanningConfiguration", "its scanning is to change"),
        right(SetUp, Everything, "ecr:GetRegistryScanningConfiguration", "`scan-on-push` is set"),
        right(SetUp, Repository, "ecr:GetLifecyclePolicy", "`lifecycle` is set"),
        right(SetUp, Repository, "ecr:StartLifecyclePolicyPreview", "a lifecycle policy is to change"),
        right(SetUp, Repository, "ecr:GetLifecyclePolicyPreview", "a lifecycle policy is to change"),
        right(SetUp, Repository, "ecr:PutLifecyclePolicy", "a lifecycle policy is to change"),
        right(SetUp, Key, "kms:DescribeKey", "the repository is made with a key of yours"),
        right(SetUp, Key, "kms:CreateGrant", "the repository is made with a key of yours"),
        right(Prune, Repository, "ecr:DescribeImages", "each run of prune"),
        right(Prune, Repository, "ecr:BatchGetImage", "an image that was not read before"),
        right(Prune, Repository, "ecr:BatchDeleteImage", "prune removes something"),
        right(
            Doctor,
            Repository,
            "ecr:DescribeRepositories",
            "doctor looks at mutability, scanning and encryption",
        ),
        right(Doctor, Repository, "ecr:GetLifecyclePolicy", "doctor looks at the lifecycle policy"),
        right(Doctor, Everything, "ecr:GetRegistryScanningConfiguration", "doctor looks at scanning"),
        right(
            Doctor,
            Everything,
            "ecr:GetAccountSetting",
            "doctor asks whether layers are mounted between repositories",
        ),
        right(Doctor, Role, "iam:SimulatePrincipalPolicy", "doctor asks what the role may do"),
        right(Doctor, Role, "iam:GetRole", "doctor looks at who may take the role"),
    ]
};

/// The actions for a purpose, each once.
pub(crate) fn actions(purpose: Purpose) -> impl Iterator<Item = &'static str> {
    RIGHTS.iter().filter(move |right| right.purpose == purpose).map(|right| right.action)
}

/// The partition of a region in AWS's names (docs, "Amazon Resource Names").
#[must_use]
pub(crate) fn partition(region: &str) -> &'static str {
    const PARTITIONS: [(&str, &str); 7] = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-isob-", "aws-iso-b"),
        ("us-isof-", "aws-iso-f"),
        ("us-iso-", "aws-iso"),
        ("eu-isoe-", "aws-iso-e"),
        ("eusc-", "aws-eusc"),
    ];
    PARTITIONS.iter().find(|(start, _)| region.starts_with(start)).map_or("aws", |(_, name)| name)
}

/// The repository's name in policies; `None` if it is not a private one of ECR.
#[must_use]
pub(crate) fn arn(repository: &Repository) -> Option<String> {
    let host = EcrHost::parse(repository.registry()).filter(|host| !host.public)?;
    let (account, _) = repository.registry().split_once('.')?;
    let (partition, region) = (partition(&host.region), host.region);
    Some(format!("arn:{partition}:ecr:{region}:{account}:repository/{}", repository.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_policies() {
        for (repository, wanted) in [
            (
                "123456789012.dkr.ecr.us-east-1.amazonaws.com/ci",
                Some("arn:aws:ecr:us-east-1:123456789012:repository/ci"),
            ),
            (
                "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/a/b",
                Some("arn:aws-cn:ecr:cn-north-1:123456789012:repository/a/b"),
            ),
            ("public.ecr.aws/x/ci", None),
            ("ghcr.io/o/r", None),
        ] {
            assert_eq!(arn(&repository.parse().unwrap()).as_deref(), wanted, "{repository}");
        }
    }

    #[test]
    fn doctor_has_its_own_rights() {
        let page = include_str!("../../docs/doctor.md");
        for action in actions(Purpose::Doctor) {
            assert!(page.contains(action), "{action}");
        }
    }

    #[test]
    fn no_right_stands_twice_for_one_purpose() {
        for (at, right) in RIGHTS.iter().enumerate() {
            let twice = RIGHTS[..at]
                .iter()
                .any(|other| (other.action, other.purpose) == (right.action, right.purpose));
            assert!(!twice && right.action.contains(':') && !right.when.is_empty(), "{right:?}");
        }
        assert_eq!(
            actions(Purpose::Pull).collect::<Vec<_>>(),
            ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        );
    }
}
