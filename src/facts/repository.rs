//! Which repository shares the image: input, environment, SSM parameter, none.

use crate::env::{self, Env};
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::image::{ImageReference, InvalidReference, Repository};
use crate::inputs::{ImageRequest, Switch};
use crate::ports::aws::{Aws, ParameterError};
use crate::ports::metadata::NoInstance;

/// Where shared copies live.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RepositoryFact {
    /// There is one.
    Found {
        /// Which.
        repository: Repository,
        /// Who named it.
        source: String,
    },
    /// There is none: everything stays on this machine.
    None(NoRepository),
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NoRepository {
    /// Nothing names one, and no SSM parameter is to be asked.
    NotNamed,
    /// Nothing names one, and instance metadata does not answer.
    NotOnEc2,
    /// Nothing names one, and instance metadata is off or refuses.
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
    /// Whether a source that was asked failed; else no source says anything.
    #[must_use]
    pub(crate) const fn is_failure(&self) -> bool {
        matches!(self, Self::AccessDenied(_) | Self::ParameterFailed(_))
    }

    /// The kind of a failure for want of a repository.
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

    /// In words, with what to do.
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

/// Asks the sources in their order.
///
/// # Errors
/// If a source names something that is no repository: a junk value is not read as none.
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
            return found(text, name.to_owned());
        }
    }
    // As the AWS tools read it.
    let off = env.get(env::AWS_EC2_METADATA_DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let Some(template) = &settings.access.ssm_parameter else {
        return Ok(RepositoryFact::None(NoRepository::NotNamed));
    };
    from_parameter(template, settings.access.aws_region.as_deref(), aws, off).await
}

/// The repository of the first full reference in `tags`. With `push: false` they publish nothing, and
/// Docker Hub's own `library` is what a name without an owner stands for.
fn from_tags(images: &[&ImageRequest]) -> Option<Repository> {
    let is_full =
        |named: &&Repository| named.registry() != "docker.io" || !named.path().starts_with("library/");
    let published = images.iter().filter(|image| image.push != Switch::Off);
    published.flat_map(|image| &image.tags).map(ImageReference::repository).find(is_full).cloned()
}

async fn from_parameter(
    template: &str,
    region: Option<&str>,
    aws: &Aws,
    off: bool,
) -> Result<RepositoryFact> {
    let none = |reason| Ok(RepositoryFact::None(reason));
    if off {
        return none(NoRepository::MetadataOff("AWS_EC2_METADATA_DISABLED is true".to_owned()));
    }
    let instance = match aws.instance().await {
        Ok(instance) => instance,
        Err(NoInstance::NotEc2) => return none(NoRepository::NotOnEc2),
        Err(NoInstance::Off(why)) => return none(NoRepository::MetadataOff(why)),
    };
    let name = template.replace("{instance-id}", &instance.id);
    match aws.parameter(&name, region.or(instance.region.as_deref())).await {
        Ok(text) => found(&text, format!("SSM parameter {name}")),
        Err(ParameterError::Absent) => none(NoRepository::ParameterAbsent(name)),
        Err(ParameterError::Denied) => none(NoRepository::AccessDenied(name)),
        Err(ParameterError::Failed(error)) => none(NoRepository::ParameterFailed(error.advice())),
    }
}

fn found(text: &str, source: String) -> Result<RepositoryFact> {
    // The value is not shown: it comes from outside, and may be anything.
    let repository = text.trim().parse().map_err(|error: InvalidReference| {
        Error::of(FailureKind::BadInput, format!("the {source} does not name a repository"))
            .cause(error.reason())
            .hint("it must be host/path without https:// and without a tag")
    })?;
    Ok(RepositoryFact::Found { repository, source })
}
