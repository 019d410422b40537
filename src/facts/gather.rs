//! Reads all facts, in as few round trips as their order allows.

use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};

use super::explain::Effort;
use super::pin::Pin;
use super::search_all::{IMAGES_AT_ONCE, search_all};
use super::{
    BuilderFacts, ImageFacts, LateFacts, StoreFacts, Toolchain, builders, caches, explain, gather_store,
    repository, set_up, toolchain,
};
use crate::error::{Error, Result};
use crate::inputs::ImageRequest;
use crate::ports::Ports;
use crate::trust::ImageRun;

/// What [`gather`] reads.
pub(crate) struct Gathered {
    /// The facts of each image, in the request's order.
    pub images: Vec<Result<ImageFacts>>,
    /// The engine's store, if the run is to report on it.
    pub store: Option<StoreFacts>,
}

/// Reads the facts of all images side by side, and those of the engine's store for the report. If a key cannot be computed,
/// that image has the error.
///
/// # Errors
/// If a source names no repository. A registry that does not answer is a fact, not an error.
pub(crate) async fn gather(ports: &Ports, images: &[ImageRun<'_>]) -> Result<Gathered> {
    let store = async {
        let Some(image) = images.first().filter(|image| image.request.settings.store.report) else {
            return Ok(None);
        };
        Ok(Some(gather_store(ports, &image.request.settings, &image.access.place).await))
    };
    // First the engine, which counts for longest.
    let (store, images) = tokio::try_join!(store, gather_images(ports, images))?;
    Ok(Gathered { images, store })
}

async fn gather_images(ports: &Ports, images: &[ImageRun<'_>]) -> Result<Vec<Result<ImageFacts>>> {
    let requests: Vec<&ImageRequest> = images.iter().map(|image| image.request).collect();
    let repository = repository::resolve(&requests, &ports.env, &ports.aws).await?;
    let pr = requests.first().and_then(|request| request.settings.pr_repository.as_ref());
    if let Some(pr) = pr.filter(|pr| repository.repository().is_some_and(|home| pr.is(home))) {
        return Err(Error::input(format!("pr-repository: {pr} is the repository itself"))
            .hint("name another one, or leave it out"));
    }
    set_up::check_names(images, repository.repository())?;
    let repository = Arc::new(repository);
    let facts = search_all(ports, images, &repository);
    let (mut facts, set_up) = tokio::join!(facts, set_up::gather(ports, images, repository.repository()));
    let set_up = Arc::new(set_up);
    facts.iter_mut().flatten().for_each(|facts| facts.set_up = Arc::clone(&set_up));
    Ok(facts)
}

/// Explains why images are missing, where nothing is built. `None` for one whose key is not the reason.
pub(crate) async fn explain_misses(
    ports: &Ports,
    missing: &[(ImageRun<'_>, &ImageFacts)],
) -> Vec<Option<explain::Miss>> {
    let miss = missing.iter().map(async |(image, facts)| {
        if image.request.rebuild {
            return None;
        }
        explain::explain_miss(ports, *image, facts, Effort::FewRequests).await
    });
    stream::iter(miss).buffered(IMAGES_AT_ONCE).collect().await
}

/// Tells whether the image has parts that not every engine's store can hold.
fn needs_store(inputs: &ImageRequest) -> bool {
    let build = &inputs.build;
    build.makes_index() || !build.annotations.is_empty() || build.compression.is_asked()
}

/// The conditions of one build that decide which late facts it needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ForBuild {
    /// The registry can be used for caches and pins.
    pub shared: bool,
    /// Tells whether the run must put the image into the engine's store.
    pub load: bool,
}

/// Reads the facts that only builds need. Calls `tools_known` as soon as a builder can be chosen, while other questions
/// are still open.
///
/// # Errors
/// If there is no docker, no buildx, or no builder that answers.
pub(crate) async fn gather_late(
    ports: &Ports,
    builds: &[(ImageRun<'_>, &ImageFacts, ForBuild)],
    tools_known: impl FnOnce(&Toolchain, &BuilderFacts),
) -> Result<Vec<LateFacts>> {
    let docker = ports.docker()?;
    let on_engine = |facts: &ImageFacts| facts.bases.iter().any(|base| matches!(base.pin, Pin::Engine(_)));
    let on_engine = builds.iter().any(|(_, facts, _)| on_engine(facts));
    let needs_store = builds.iter().any(|(image, _, wanted)| wanted.load && needs_store(image.request));
    let images: Vec<ImageRun<'_>> = builds.iter().map(|(image, ..)| *image).collect();
    let tools = async {
        let settings = images.first().map(|image| &image.request.settings.builder);
        let toolchain = toolchain::gather(&docker, settings, on_engine, needs_store).await?;
        let builders = builders::gather(ports, &docker, &images, &toolchain).await?;
        tools_known(&toolchain, &builders);
        Ok::<_, Error>((Arc::new(toolchain), Arc::new(builders)))
    };
    // The search for one image goes on while its builder is asked; those for many would only slow that.
    let effort = if builds.len() > 1 { Effort::FewRequests } else { Effort::OneRoundTrip };
    let each = join_all(builds.iter().map(async |(image, facts, wanted)| {
        tokio::join!(
            caches::find_caches(ports, *image, facts, wanted.shared),
            // With `rebuild: true` a build is no miss.
            async {
                if image.request.rebuild || !image.request.asked {
                    None
                } else {
                    explain::explain_miss(ports, *image, facts, effort).await
                }
            },
        )
    }));
    let (tools, each) = tokio::join!(tools, each);
    let (toolchain, builders) = tools?;
    let late = |(caches, miss)| LateFacts {
        toolchain: Some(Arc::clone(&toolchain)),
        builders: Arc::clone(&builders),
        caches,
        miss,
    };
    Ok(each.into_iter().map(late).collect())
}
