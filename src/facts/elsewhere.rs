//! Build contexts that are images of other steps or jobs of this commit (`build-once://NAME`).

use super::key::Parent;
use super::lookups::carried_key;
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::image::{ImageName, ImageReference, Repository};
use crate::inputs::{ImageRequest, elsewhere_image};
use crate::ports::Ports;
use crate::ports::registry::Probe;
use crate::shown;
use crate::trust::ImageRun;

/// What the key holds of these images. Each is found by its commit's tag, in the zones that this run reads.
///
/// # Errors
/// If one is not there, or the registry does not say.
pub(super) async fn parents(
    ports: &Ports,
    image: ImageRun<'_>,
    home: Option<&Repository>,
) -> Result<Vec<Parent>> {
    let mut parents = Vec::new();
    for (context, value) in &image.request.build.build_contexts {
        let Some(name) = elsewhere_image(value) else { continue };
        let what = format!("build-contexts: `{context}` is the image {name} of this commit");
        let name: ImageName = name.parse().map_err(|error| Error::input(&what).because(&error))?;
        parents.push(parent(ports, image, home, context, name).await.map_err(|error| error.within(what))?);
    }
    Ok(parents)
}

async fn parent(
    ports: &Ports,
    image: ImageRun<'_>,
    home: Option<&Repository>,
    context: &str,
    name: ImageName,
) -> Result<Parent> {
    let Some(home) = home else {
        return Err(Error::of(FailureKind::NoRepository, "there is no repository to find it in")
            .hint("name the repository that its job publishes to"));
    };
    let mut request = ImageRequest { image: name, ..image.request.clone() };
    let commit = image.run.commit.as_ref().map(|commit| commit.head.clone()).unwrap_or_default();
    let mut references = ImageRun { request: &request, ..image }.names(home).of_commit(&commit);
    // Its job may have named the one platform where this one does not, or the other way round.
    request.build.implied_platform = !request.build.implied_platform;
    let others = ImageRun { request: &request, ..image }.names(home).of_commit(&commit);
    references.extend(others.into_iter().filter(|other| !references.contains(other)).collect::<Vec<_>>());
    for reference in &references {
        let manifest = match ports.registry.probe(reference).await {
            Probe::Absent { .. } => continue,
            Probe::Unknown(error) => return Err(error),
            Probe::Present(manifest) => manifest,
        };
        let Some(key) = carried_key(&ports.registry, reference, &manifest, true).await? else { continue };
        let pinned: ImageReference = reference.repository().at(manifest.digest.clone());
        let platforms: Vec<String> = request.build.platforms.iter().map(ToString::to_string).collect();
        let mut lists = ports.triggers(&pinned, &platforms).await?;
        let onbuild = lists.pop_first().filter(|_| lists.is_empty());
        return Ok(Parent {
            context: context.to_owned(),
            key,
            platforms: Vec::new(),
            onbuild,
            pinned: Some(pinned),
        });
    }
    Err(Error::of(FailureKind::NoImage, format!("it is not there: {}", shown::list(&references)))
        .hint("let its job run first (needs), with mode build, which sets this commit's tag also where the image is there"))
}
