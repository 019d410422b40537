//! Container images in GitHub Packages: the registry ghcr.io cannot delete, this API can.

use serde::Deserialize;

use super::GitHub;
use super::pulls::{is_absent, seconds};
use crate::error::Result;
use crate::ports::Writes;

/// A container package of an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    /// `/orgs/NAME` or `/users/NAME`.
    owner: String,
    /// The package's name as a part of a path.
    name: String,
}

/// A manifest of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackageVersion {
    /// The number by which it is deleted, and can be restored for 30 days.
    pub(crate) id: u64,
    /// Its digest.
    pub(crate) digest: String,
    pub(crate) tags: Vec<String>,
    /// Seconds since 1970.
    pub(crate) created: Option<u64>,
}

#[derive(Deserialize)]
struct Owner {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Version {
    id: u64,
    name: String,
    #[serde(default)]
    updated_at: Option<String>,
    created_at: Option<String>,
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    container: Option<Container>,
}

#[derive(Deserialize)]
struct Container {
    tags: Vec<String>,
}

const RIGHT: &str = "packages: write, and the Admin role for this repository in the package's settings,";

impl GitHub {
    /// The package behind the path of a repository in ghcr.io, `OWNER/NAME`.
    ///
    /// # Errors
    /// If GitHub does not say what the owner is.
    pub(crate) async fn package(&self, path: &str) -> Result<Package> {
        let (owner, name) = path.split_once('/').unwrap_or((path, ""));
        let kind: Owner = self.get(&format!("/users/{owner}"), "packages: read").await?;
        let place = if kind.kind == "Organization" { "orgs" } else { "users" };
        Ok(Package { owner: format!("/{place}/{owner}"), name: name.replace('/', "%2F") })
    }

    /// All versions of a package.
    ///
    /// # Errors
    /// If an answer cannot be read.
    pub(crate) async fn versions(&self, package: &Package) -> Result<Vec<PackageVersion>> {
        let Package { owner, name } = package;
        let route = format!("{owner}/packages/container/{name}/versions?state=active");
        let read = |page: Vec<Version>| page.into_iter().map(version).collect();
        self.pages(&route, RIGHT, read, |_| false).await
    }

    /// The newest versions: the first page.
    ///
    /// # Errors
    /// If the answer cannot be read.
    pub(crate) async fn newest_versions(&self, package: &Package) -> Result<Vec<PackageVersion>> {
        let Package { owner, name } = package;
        let route = format!("{owner}/packages/container/{name}/versions?state=active");
        let read = |page: Vec<Version>| page.into_iter().map(version).collect();
        self.pages(&route, RIGHT, read, |_| true).await
    }

    /// What GitHub says of a version now; `None` if it is not there.
    ///
    /// # Errors
    /// If the answer cannot be read.
    pub(crate) async fn version(&self, package: &Package, id: u64) -> Result<Option<PackageVersion>> {
        let Package { owner, name } = package;
        let route = format!("{owner}/packages/container/{name}/versions/{id}");
        match self.get(&route, RIGHT).await {
            Ok(found) => Ok(Some(version(found))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes a version. False: it is not there.
    ///
    /// # Errors
    /// If GitHub refuses.
    pub(crate) async fn delete_version(&self, package: &Package, id: u64, writes: Writes) -> Result<bool> {
        let Package { owner, name } = package;
        self.delete(&format!("{owner}/packages/container/{name}/versions/{id}"), RIGHT, writes).await
    }
}

fn version(version: Version) -> PackageVersion {
    let Version { id, name, updated_at, created_at, metadata } = version;
    let tags = metadata.and_then(|metadata| metadata.container).map(|container| container.tags);
    // A new tag makes it younger.
    let times = [created_at, updated_at];
    let created = times.iter().flatten().filter_map(|text| seconds(text)).max();
    PackageVersion { id, digest: name, tags: tags.unwrap_or_default(), created }
}
