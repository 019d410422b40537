//! The kinds of registry, and the GitHub repository.

use std::collections::{BTreeMap, BTreeSet};

use super::distribution::DistributionStore;
use super::ecr::EcrStore;
use super::packages::PackageStore;
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::image::Digest;
use crate::ports::github::{GitHub, Slug};
use crate::prune::{Closed, Links, Listing, Outcome, Project, ProjectState, Step, Store, Wanted};

/// A repository in a registry of some kind.
pub(super) enum AnyStore<'a> {
    Ecr(EcrStore<'a>),
    Packages(PackageStore<'a>),
    Distribution(DistributionStore<'a>),
}

impl Store for AnyStore<'_> {
    async fn listing(&self) -> Result<Listing> {
        match self {
            Self::Ecr(store) => store.listing().await,
            Self::Packages(store) => store.listing().await,
            Self::Distribution(store) => store.listing().await,
        }
    }

    async fn links(&self, digests: &[Digest]) -> Result<BTreeMap<Digest, Links>> {
        match self {
            Self::Ecr(store) => store.links(digests).await,
            Self::Packages(store) => store.links(digests).await,
            Self::Distribution(store) => store.links(digests).await,
        }
    }

    async fn referrers(&self, about: &[Digest]) -> Result<BTreeSet<Digest>> {
        match self {
            // These list every manifest.
            Self::Ecr(_) | Self::Packages(_) => Ok(BTreeSet::new()),
            Self::Distribution(store) => store.referrers(about).await,
        }
    }

    async fn remove(&self, steps: &[Step]) -> Vec<(Step, Outcome)> {
        match self {
            Self::Ecr(store) => store.remove(steps).await,
            Self::Packages(store) => store.remove(steps).await,
            Self::Distribution(store) => store.remove(steps).await,
        }
    }
}

/// The run's GitHub repository.
pub(super) struct GitHubProject<'a> {
    pub(super) github: &'a GitHub,
    pub(super) slug: Option<Slug>,
    pub(super) default_branch: Option<String>,
}

impl Project for GitHubProject<'_> {
    async fn state(&self, wanted: &Wanted) -> Result<ProjectState> {
        let mut state = ProjectState::default();
        if wanted.pulls.is_empty() && !wanted.branches {
            return Ok(state);
        }
        let slug = self.slug.as_ref().ok_or_else(|| {
            Error::of(FailureKind::BadInput, "the GitHub repository is not known")
                .hint("set GITHUB_REPOSITORY to OWNER/NAME")
        })?;
        if !wanted.pulls.is_empty() {
            let closed = self.github.closed_pulls(slug, &wanted.pulls).await?;
            state.closed = closed.into_iter().map(|(number, at)| (number, Closed { at })).collect();
        }
        if wanted.branches {
            let branches: BTreeSet<String> =
                self.github.branches(slug, self.default_branch.as_deref()).await?;
            state.branches = Some(branches);
        }
        state.clock = self.github.clock();
        Ok(state)
    }
}
