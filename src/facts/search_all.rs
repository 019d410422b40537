//! Searches for all images of a run, side by side where none is built on another.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};

use super::search::Search;
use super::{ImageFacts, RepositoryFact, key};
use crate::error::{Error, Result};
use crate::failure::FailureClass;
use crate::inputs::{ImageRequest, chain};
use crate::ports::Ports;
use crate::trust::ImageRun;

/// Most images that are looked for at once.
pub(super) const IMAGES_AT_ONCE: usize = 16;

/// The facts of each image. An image that others are built on comes before them, because their keys hold its key.
pub(super) async fn search_all(
    ports: &Ports,
    images: &[ImageRun<'_>],
    repository: &Arc<RepositoryFact>,
) -> Vec<Result<ImageFacts>> {
    let mut searches: Vec<Option<Result<Search<'_>>>> = images.iter().map(|_| None).collect();
    let requests: Vec<&ImageRequest> = images.iter().map(|image| image.request).collect();
    let levels = chain::levels(&requests);
    for level in &levels {
        let begun = level.iter().map(|at| {
            let parents = known_parents(&requests, *at, &searches);
            async move { Search::begin(ports, images[*at], repository, parents?).await }
        });
        let begun: Vec<_> = stream::iter(begun).buffered(IMAGES_AT_ONCE).collect().await;
        for (at, search) in level.iter().zip(begun) {
            searches[*at] = Some(search);
        }
    }
    each(&mut searches, |search| search.image.request.asked, Search::first).await;
    // Those that are not there yet, and what they are built on.
    let missing = |at: &usize| matches!(&searches[*at], Some(Ok(search)) if search.image.request.asked && search.misses());
    let missing: Vec<usize> = (0..images.len()).filter(missing).collect();
    let ancestors = chain::ancestors(&requests, &missing);
    for level in &levels {
        for at in level {
            let parents = known_parents(&requests, *at, &searches);
            let concerned = missing.contains(at) || ancestors.contains(at);
            if let (true, Some(Ok(search))) = (concerned, &mut searches[*at]) {
                search.parents_now = parents.ok();
            }
        }
        each(&mut searches, |search| search.parents_now.is_some(), Search::again).await;
    }
    each(&mut searches, |search| search.image.request.asked, Search::rest).await;
    searches
        .into_iter()
        .map(|search| search.unwrap_or_else(|| Err(not_begun())).map(Search::into_facts))
        .collect()
}

/// An image that was left out: a defect of this program.
fn not_begun() -> Error {
    Error::new(FailureClass::Bug, "an image that was not looked for")
}

/// What the key of an image holds of those that it is built on.
///
/// # Errors
/// If one of them failed.
fn known_parents(
    images: &[&ImageRequest],
    at: usize,
    searches: &[Option<Result<Search<'_>>>],
) -> Result<Vec<key::Parent>> {
    let mut known = Vec::new();
    for (link, parent) in chain::parents(images, at) {
        match &searches[parent] {
            Some(Err(error)) => {
                return Err(error.clone().of_base(&images[at].image, &link.image));
            }
            Some(Ok(Search { computed: Some(computed), .. })) => known.push(computed.as_parent(link)),
            _ => {}
        }
    }
    Ok(known)
}

/// Does the step for each search that `wanted` chooses, side by side. A failure takes the search's place.
async fn each<'a, F>(
    searches: &mut [Option<Result<Search<'a>>>],
    wanted: impl Fn(&Search<'a>) -> bool,
    step: impl Fn(Search<'a>) -> F,
) where
    F: Future<Output = Result<Search<'a>>>,
{
    let places =
        (0..searches.len()).filter(|at| matches!(&searches[*at], Some(Ok(search)) if wanted(search)));
    let places: Vec<usize> = places.collect();
    let taken = places.iter().filter_map(|at| searches[*at].take()?.ok());
    let taken: Vec<Search<'a>> = taken.collect();
    let done: Vec<_> = stream::iter(taken.into_iter().map(&step)).buffered(IMAGES_AT_ONCE).collect().await;
    for (at, done) in places.into_iter().zip(done) {
        searches[at] = Some(done);
    }
}
