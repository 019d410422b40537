//! Finds the repository for shared images: from the inputs, the environment or an SSM parameter.

use crate::env::{self, Env};
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::image::{InvalidReference, Repository};
use crate::inputs::{ImageRequest, Switch, UserTag};
use crate::ports::aws::{Aws, ParameterError};
use crate::ports::metadata::NoInstance;

/// The repository that holds shared images.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RepositoryFact {
    Found {
        repository: Repository,
        /// The input, variable or parameter that names it.
        source: String,
    },
    /// Without a repository everything stays on this machine.
    None(NoRepository),
}

/// The reason that a run has no repository.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NoRepository {
    /// No input or variable names one, and `ssm-parameter` is empty.
    NotNamed,
    /// No input or variable names one, and instance metadata does not answer.
    NotOnEc2,
    /// No input or variable names one, and instance metadata is off or refuses.
    MetadataOff(String),
    /// The SSM parameter does not exist.
    ParameterAbsent(String),
    /// The role may not read the SSM parameter.
    AccessDenied(String),
    /// The SSM parameter could not be read.
    ParameterFailed(String),
}

impl RepositoryFact {
    /// The repository, if there is one.
    #[must_use]
    pub(crate) const fn repository(&self) -> Option<&Repository> {
        match self {
            Self::Found { repository, .. } => Some(repository),
            Self::None(_) => None,
        }
    }
}

const NOT_NAMED: &str =
    "no repository: none of the inputs repository and tags and the variable BUILD_ONCE_REPOSITORY names one";

impl NoRepository {
    /// Tells whether a source failed that may name a repository.
    #[must_use]
    pub(crate) const fn is_failure(&self) -> bool {
        matches!(self, Self::AccessDenied(_) | Self::ParameterFailed(_))
    }

    /// The kind of failure of a run that needs a repository.
    #[must_use]
    pub(crate) const fn kind(&self) -> FailureKind {
        match self {
            Self::AccessDenied(_) => FailureKind::AuthDenied,
            Self::ParameterFailed(_) => FailureKind::AwsUnavailable,
            Self::NotNamed | Self::NotOnEc2 | Self::MetadataOff(_) | Self::ParameterAbsent(_) => {
                FailureKind::BadInput
            }
        }
    }

    /// Explains the reason to the user, with what to do.
    #[must_use]
    pub(crate) fn explain(&self) -> String {
        match self {
            Self::NotNamed => format!("{NOT_NAMED}, and the input ssm-parameter is empty"),
            Self::NotOnEc2 => {
                format!(
                    "{NOT_NAMED}, and instance metadata does not answer (not EC2, or a container behind hop limit 1)"
                )
            }
            Self::MetadataOff(why) => format!("no repository: instance metadata does not help ({why})"),
            Self::ParameterAbsent(name) => format!("no repository: the SSM parameter {name} does not exist"),
            Self::AccessDenied(name) => {
                format!("no repository: access to the SSM parameter {name} is denied; allow ssm:GetParameter")
            }
            Self::ParameterFailed(why) => format!("no repository: {why}"),
        }
    }
}

/// Takes the first source that names a repository: the inputs `repository` and `tags`, the environment, the SSM
/// parameter.
///
/// # Errors
/// If that source's value is not a repository.
pub(crate) async fn resolve(images: &[&ImageRequest], env: &Env, aws: &Aws) -> Result<RepositoryFact> {
    let Some(settings) = images.first().map(|image| &image.settings) else {
        return Ok(RepositoryFact::None(NoRepository::NotNamed));
    };
    if let Some(repository) = &settings.repository {
        return Ok(RepositoryFact::Found {
            repository: repository.clone(),
            source: "input repository".to_owned(),
        });
    }
    if let Some(repository) = from_tags(images) {
        return Ok(RepositoryFact::Found { repository, source: "input tags".to_owned() });
    }
    for name in [env::BUILD_ONCE_REPOSITORY, env::ECR_CACHE_URL] {
        if let Some(text) = env.get(name) {
            return parse_fact(text, name.to_owned());
        }
    }
    // The AWS tools read the variable in this way.
    let metadata_off =
        env.get(env::AWS_EC2_METADATA_DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let Some(template) = &settings.access.ssm_parameter else {
        return Ok(RepositoryFact::None(NoRepository::NotNamed));
    };
    from_parameter(template, settings.access.aws_region.as_deref(), aws, metadata_off).await
}

/// The repository of the first full reference in `tags`. A name without a host and an owner (`library` on Docker Hub) is
/// not full, and with `push: false` tags are not published.
fn from_tags(images: &[&ImageRequest]) -> Option<Repository> {
    let is_full =
        |named: &&Repository| named.registry() != "docker.io" || !named.path().starts_with("library/");
    let published = images.iter().filter(|image| image.push != Switch::Off);
    published.flat_map(|image| &image.tags).filter_map(UserTag::repository).find(is_full).cloned()
}

async fn from_parameter(
    template: &str,
    region: Option<&str>,
    aws: &Aws,
    metadata_off: bool,
) -> Result<RepositoryFact> {
    let none = |reason| Ok(RepositoryFact::None(reason));
    if metadata_off {
        return none(NoRepository::MetadataOff("AWS_EC2_METADATA_DISABLED is true".to_owned()));
    }
    let instance = match aws.instance().await {
        Ok(instance) => instance,
        Err(NoInstance::NotEc2) => return none(NoRepository::NotOnEc2),
        Err(NoInstance::Off(why)) => return none(NoRepository::MetadataOff(why)),
    };
    let name = template.replace("{instance-id}", &instance.id);
    match aws.parameter(&name, region.or(instance.region.as_deref())).await {
        Ok(text) => parse_fact(&text, format!("SSM parameter {name}")),
        Err(ParameterError::Absent) => none(NoRepository::ParameterAbsent(name)),
        Err(ParameterError::Denied) => none(NoRepository::AccessDenied(name)),
        Err(ParameterError::Failed(error)) => none(NoRepository::ParameterFailed(error.advice())),
    }
}

fn parse_fact(text: &str, source: String) -> Result<RepositoryFact> {
    // The message leaves the value out, because it comes from outside and may be a secret.
    let repository = text.trim().parse().map_err(|error: InvalidReference| {
        Error::of(FailureKind::BadInput, format!("the {source} does not name a repository"))
            .cause(error.reason())
            .hint("it must be host/path without https:// and without a tag")
    })?;
    Ok(RepositoryFact::Found { repository, source })
}
