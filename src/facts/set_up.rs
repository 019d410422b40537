//! Reads what is known of repositories in ECR that the inputs set up. Without these inputs nothing is asked.

use std::sync::Arc;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use crate::ecr::{Answer, Described, RegistryScanning, check_name};
use crate::error::{Error, Result};
use crate::image::{EcrHost, Repository};
use crate::ports::Ports;
use crate::ports::ecr_set_up::EcrSetUp;
use crate::trust::ImageRun;

/// What ECR says of each repository that may be set up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SetUpFacts {
    pub repositories: Vec<EcrFacts>,
}

impl SetUpFacts {
    /// Tells whether nothing is set up.
    pub(crate) fn is_none(this: &Arc<Self>) -> bool {
        this.repositories.is_empty()
    }
}

/// What ECR says of one repository. `None`: it was not asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EcrFacts {
    pub repository: Repository,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub described: Option<Answer<Described>>,
    /// The registry's own scanning configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanning: Option<Answer<RegistryScanning>>,
    /// The text of the lifecycle policy, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Answer<Option<String>>>,
}

/// Checks the names of the repositories that may have to be made.
///
/// # Errors
/// If ECR does not take one.
pub(crate) fn check_names(images: &[ImageRun<'_>], shared: Option<&Repository>) -> Result<()> {
    let Some(image) = images.first().filter(|image| image.sets_up()) else { return Ok(()) };
    let settings = &image.request.settings;
    let made = shared.into_iter().chain(&settings.pr_repository).filter(|_| settings.ecr.create);
    for repository in made.filter(|repository| is_private(repository)) {
        check_name(repository.path()).map_err(|why| {
            Error::input(format!("create-repository: {repository} cannot be made"))
                .cause(why)
                .hint("rename it")
        })?;
    }
    Ok(())
}

/// Asks ECR what the inputs need. `shared`: the repository that all zones read.
pub(crate) async fn gather(
    ports: &Ports,
    images: &[ImageRun<'_>],
    shared: Option<&Repository>,
) -> SetUpFacts {
    let (Some(image), Some(shared)) = (images.first().filter(|image| image.sets_up()), shared) else {
        return SetUpFacts::default();
    };
    let settings = &image.request.settings;
    let asked = &settings.ecr;
    let repositories: Vec<(&Repository, bool)> =
        std::iter::once((shared, true)).chain(settings.pr_repository.iter().map(|pr| (pr, false))).collect();
    let facts = repositories.iter().map(async |(repository, looked_up)| {
        let (repository, looked_up) = (*repository, *looked_up);
        let Some(api) = EcrSetUp::of(&ports.aws, repository).await else {
            return EcrFacts {
                repository: repository.clone(),
                described: None,
                scanning: None,
                lifecycle: None,
            };
        };
        // Whether the shared repository exists is known from the look-ups.
        let scans = asked.scan_on_push.is_some() && (looked_up || repository.registry() != shared.registry());
        let compares = asked.compares() || (asked.create && !looked_up);
        let (described, scanning, lifecycle) = tokio::join!(
            async { if compares { Some(api.describe().await) } else { None } },
            async { if scans { Some(api.registry_scanning().await) } else { None } },
            async { if asked.lifecycle.is_some() { Some(api.lifecycle().await) } else { None } },
        );
        EcrFacts { repository: repository.clone(), described, scanning, lifecycle }
    });
    let mut found = join_all(facts).await;
    if let [first, second] = found.as_mut_slice()
        && second.scanning.is_none()
    {
        second.scanning.clone_from(&first.scanning);
    }
    SetUpFacts { repositories: found }
}

/// Tells whether the repository is in private ECR.
#[must_use]
pub(crate) fn is_private(repository: &Repository) -> bool {
    EcrHost::parse(repository.registry()).is_some_and(|host| !host.public)
}
