//! The keys that builds would publish under, without a look at any registry for the images themselves.

use futures_util::future::join_all;

use super::{NoRepository, RepositoryFact, elsewhere, key, repository};
use crate::error::{Error, Result};
use crate::failure::FailureClass;
use crate::inputs::{ImageRequest, chain, elsewhere_image};
use crate::key::{BuildKey, PlatformKey};
use crate::ports::Ports;
use crate::trust::ImageRun;

/// The key of each image, and those of its platforms if it has several, in the request's order.
///
/// # Errors
/// If one cannot be computed.
pub(crate) async fn keys(
    ports: &Ports,
    images: &[ImageRun<'_>],
) -> Result<Vec<(BuildKey, Vec<PlatformKey>)>> {
    let mut known: Vec<Option<key::Computed>> = images.iter().map(|_| None).collect();
    let requests: Vec<&ImageRequest> = images.iter().map(|image| image.request).collect();
    let is_elsewhere = |request: &&ImageRequest| {
        request.build.build_contexts.iter().any(|(_, value)| elsewhere_image(value).is_some())
    };
    let home = if requests.iter().any(is_elsewhere) {
        repository::resolve(&requests, &ports.env, &ports.aws).await?
    } else {
        RepositoryFact::None(NoRepository::NotNamed)
    };
    for level in chain::levels(&requests) {
        let computed = join_all(level.iter().map(async |at| {
            let ImageRun { request, run, .. } = images[*at];
            let parents = chain::parents(&requests, *at);
            let parents =
                parents.into_iter().filter_map(|(link, at)| Some(known[at].as_ref()?.as_parent(link)));
            let mut parents: Vec<key::Parent> = parents.collect();
            parents.extend(elsewhere::parents(ports, images[*at], home.repository()).await?);
            let computed = key::compute(ports, request, run, &parents, false).await?;
            computed.settle(ports, request, run, &parents).await.map(|(computed, _)| computed)
        }))
        .await;
        for (at, computed) in level.into_iter().zip(computed) {
            known[at] = Some(computed?);
        }
    }
    let missing = || Error::new(FailureClass::Bug, "an image without a key");
    let key = |computed: key::Computed| (computed.key, computed.platforms);
    known.into_iter().map(|computed| computed.map(key).ok_or_else(missing)).collect()
}
